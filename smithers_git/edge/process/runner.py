"""Running one agent or command to its end, with everything that it starts."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from smithers_git.edge.process.launch import Exit, Launch, Started
from smithers_git.edge.process.scratch import Scratch
from smithers_git.edge.process.watch import Watch, unstartable
from smithers_git.errors import DiskFull, StorageError, UsageError, is_full

if TYPE_CHECKING:
    from smithers_git.edge.process.channel import Channel

# Imported rather than run as a script: a script is compiled at each start, 9 of 25 ms.
_BOOT = "import sys, os; sys.path.append(sys.argv.pop(1)); import reaper; os._exit(reaper.main(sys.argv[1:]))"


def run(
    launch: Launch,
    *,
    on_output: Callable[[bytes], None],
    cancel: threading.Event,
    on_start: Callable[[Started], None] | None = None,
) -> Exit:
    """Run a program, and return when it and every process below it has ended.

    The tree also ends when this process dies, by kill -9 too. Safe to call from several threads at once.

    Args:
        launch: what to run, and its limits.
        on_output: gets the output as it comes, at most 64 KiB a call, in the calling thread. The program waits
            while it works. When it raises, the tree is ended and the exception goes on.
        cancel: setting it stops the tree, within a tenth of a second and the time that `launch.stop` gives.
        on_start: called once, before any output. What it gets can be ended by `end_tree` after a crash.

    Returns:
        How it ended. A program that cannot be started is a result too.

    Raises:
        UsageError: a stop signal that does not exist.
        ConfigError: a dialog's regular expression is broken.
        StorageError: the temporary folder cannot be written.
    """
    watch = begin(launch, on_output=on_output, cancel=cancel)
    if isinstance(watch, Exit):
        return watch
    try:
        if on_start is not None:
            on_start(watch.started)
        watch.follow()
        return watch.result()
    finally:
        watch.close()


def begin(
    launch: Launch, *, on_output: Callable[[bytes], None], cancel: threading.Event, inlet: bool = False
) -> Watch | Exit:
    """Start a program; returns who follows it, to be closed by the caller, or why it could not be started.

    With `inlet` its standard input stays open (`Watch.inlet`). Raises as `run` does.
    """
    if cancel.is_set():
        return Exit(None, None, "cancelled", "cancelled before it started", 0.0, b"")
    options = _reaper_options(launch)
    try:
        scratch = Scratch(launch.stdin, stderr=not (launch.merge_stderr or launch.terminal), inlet=inlet)
    except OSError as reason:
        kind = DiskFull if is_full(reason) else StorageError
        raise kind(
            f"cannot write temporary files for {launch.argv[0]}: {reason}",
            hint="free space in the temporary folder, or set TMPDIR to another one",
        ) from reason
    command = [sys.executable, "-I", "-S", "-c", _BOOT, str(Path(__file__).parent), *options, *scratch.options]
    channel = None
    try:
        channel = _open(launch, [*command, "--", *launch.argv])
        return Watch(launch, channel, scratch, on_output, cancel)
    except (OSError, ValueError) as reason:  # ValueError: a NUL or half a surrogate in it
        what = (reason.strerror if isinstance(reason, OSError) else None) or str(reason)
        return Exit(None, None, "unstartable", unstartable(launch, what), 0.0, b"")
    finally:
        if channel is None:
            scratch.close()


def _open(launch: Launch, argv: list[str]) -> Channel:
    from smithers_git.edge.process.channel import Pipes, Screen  # pexpect: 25 ms that git commands do without

    if launch.terminal is None:
        return Pipes(argv, launch.env)
    return Screen(argv, launch.env, launch.terminal)


def _reaper_options(launch: Launch) -> list[str]:
    options = ["--cwd", str(launch.cwd)]
    if launch.terminal is not None:
        options.append("--terminal")
    if "LC_CTYPE" not in launch.env:
        options += ["--unset", "LC_CTYPE"]  # Python sets it, in its children too, when the locale is C (PEP 538)
    if launch.below:
        options += ["--below", str(launch.below)]
    for step in launch.stop:
        if f"SIG{step.signal}" not in signal.Signals.__members__:
            raise UsageError(f"there is no signal {step.signal!r}", hint="write a name such as TERM, INT or HUP")
        options += ["--stop", f"{step.signal}:{step.wait}"]
    return options
