"""Running a gate or a hook: a program whose exit code is evidence, and what can be said when it is none."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from smithers_git.core.redact import Redactor, secrets_of
from smithers_git.edge.process.launch import FROM_OUTSIDE, Exit, Launch, Started
from smithers_git.edge.process.runner import run
from smithers_git.errors import StorageError

TAIL: Final = 16 << 10
"""Bytes of the output that are kept: its end."""

Verdict = Literal["passed", "failed", "broken", "cancelled"]

_NOT_STARTED: Final = (126, 127)
_SHELLS: Final = ("sh", "bash", "dash", "zsh", "ksh", "env")
_EXHAUSTED: Final = re.compile(rb"no space left on device|disk quota exceeded|cannot allocate memory", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run proves.

    Attributes:
        verdict: `passed` and `failed` are the program's own word, and a time limit counts as failed. `broken`: the
            machine's fault (could not start, killed from outside, memory or disk ran out), which proves nothing.
            `cancelled`: we ended it, which proves nothing either.
        exit_code: 128 + n when signal n ended it; None when it did not start or was ended by us.
        seconds: how long it took.
        tail: the end of its output, secrets taken out.
        message: one line, what happened.
    """

    verdict: Verdict
    exit_code: int | None
    seconds: float
    tail: str
    message: str


def gather(
    launch: Launch,
    cancel: threading.Event,
    sink: Callable[[bytes], None] | None = None,
    on_start: Callable[[Started], None] | None = None,
) -> Evidence:
    """Run `launch` to its end, with all that it starts, and judge how it ended.

    Args:
        launch: both outputs should go into one (`merge_stderr`).
        cancel: setting it ends the run.
        sink: gets the output as it comes, secrets of the launch's environment taken out.
        on_start: as for `run`.
    """
    tail = bytearray()
    redactor = Redactor([*secrets_of(launch.env), *launch.secrets])

    def take(clean: bytes) -> None:
        if sink is not None and clean:
            sink(clean)
        tail.extend(clean)
        del tail[: -2 * TAIL]

    killed = out_of_memory_kills()
    try:
        ended = run(launch, on_output=lambda chunk: take(redactor.feed(chunk)), cancel=cancel, on_start=on_start)
        take(redactor.finish())
    except (StorageError, OSError) as error:  # a full disk: no temporary folder, or no room for the log
        text = error.message if isinstance(error, StorageError) else f"the log cannot be written: {error}"
        return Evidence("broken", None, 0.0, bytes(tail[-TAIL:]).decode("utf-8", "replace"), text)
    verdict, message = _judge(launch, ended, bytes(tail), out_of_memory_kills() > killed)
    code = ended.code if ended.code is not None or ended.signal is None else 128 + ended.signal
    return Evidence(
        verdict,
        code if ended.reason == "exited" else None,
        ended.seconds,
        bytes(tail[-TAIL:]).decode("utf-8", "replace"),
        message,
    )


def _judge(launch: Launch, ended: Exit, tail: bytes, starved: bool) -> tuple[Verdict, str]:
    if ended.reason == "cancelled":
        return "cancelled", ended.message
    if ended.reason == "unstartable":
        return "broken", ended.message
    if ended.reason != "exited":
        return "failed", ended.message
    if ended.code == 0:
        return "passed", ended.message
    if ended.code is None and ended.signal is None:
        return "broken", ended.message
    if ended.cut_off or (ended.code or 0) - 128 in FROM_OUTSIDE:
        return "broken", f"{ended.message}: something else than we ended it"
    if ended.code in _NOT_STARTED and Path(launch.argv[0]).name in _SHELLS:
        return "broken", f"{ended.message}: the shell could not start a command"
    exhausted = _EXHAUSTED.search(tail)
    if exhausted:
        return "broken", f"{ended.message}: {exhausted[0].decode().lower()}"
    if starved:
        return "broken", f"{ended.message}, and the kernel ended processes for want of memory meanwhile"
    return "failed", ended.message


def out_of_memory_kills() -> int:
    """How many processes this kernel has ended since it started because memory ran out; 0 where it does not tell."""
    try:
        found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text("ascii"), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0
