"""pexpect, adapted: pipes for headless programs, a pseudo-terminal for the others."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping, Sequence
from typing import IO, Any, Protocol, cast

import pexpect
import ptyprocess
from pexpect.popen_spawn import PopenSpawn

from smithers_git.edge.process.launch import Terminal
from smithers_git.errors import ConfigError

CHUNK = 65536
_SCREEN = 4096  # bytes of latest output in which a dialog is looked for
_MOVES = re.compile(rb"\x1b\[[0-9;]*[A-H]")  # drawn interfaces step over blanks instead of writing them
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")


class Channel(Protocol):
    """The reaper of one program, as `run` sees it."""

    pid: int

    def fileno(self) -> int: ...

    def next_output(self) -> bytes:
        """At most 64 KiB, empty at the end. To be called when `fileno` is readable."""

    def ask_to_stop(self) -> None:
        """Have the tree stopped. Returns at once."""

    def running(self) -> bool: ...

    def killed(self) -> bool:
        """Whether a signal ended the reaper. Waits for its end."""

    def close(self) -> None:
        """Wait for the reaper's end and give back what it held."""


class Pipes(PopenSpawn):  # type: ignore[type-arg]  # generic in its stubs only
    """Standard output on a pipe; standard input is the reaper's lifeline."""

    pid: int

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        super().__init__(list(argv), timeout=None, env=env)
        self._lifeline = cast("IO[bytes]", self.proc.stdin)
        self._output = cast("IO[bytes]", self.proc.stdout)

    def _read_incoming(self) -> None:
        """Nothing: the library's thread reads 1 KiB at a time into a queue without bound (50 MB: 117 MiB).

        Read where it is used, the pipe itself is the bounded queue.
        """

    def fileno(self) -> int:
        return self._output.fileno()

    def next_output(self) -> bytes:
        return os.read(self.fileno(), CHUNK)

    def ask_to_stop(self) -> None:
        self._lifeline.close()

    def running(self) -> bool:
        return self.proc.poll() is None

    def killed(self) -> bool:
        return self.proc.wait() < 0

    def close(self) -> None:
        self._lifeline.close()
        self.proc.wait()
        self._output.close()


class Screen(pexpect.spawn):  # type: ignore[type-arg]  # generic in its stubs only
    """A pseudo-terminal of a given size, whose dialogs are answered by typing keys."""

    pid: int
    ptyproc: ptyprocess.PtyProcess

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], terminal: Terminal) -> None:
        self._dialogs = [(_expression(pattern), keys) for pattern, keys in terminal.dialogs]
        self._shown = b""
        super().__init__(
            argv[0],
            list(argv[1:]),
            timeout=None,
            env={**env, "TERM": terminal.name},
            dimensions=(terminal.rows, terminal.columns),
            use_poll=True,  # select() fails above 1,024 descriptors
        )
        # The library's pauses: 100 ms for every program that ends.
        self.delaybeforesend = None
        self.ptyproc.delayafterclose = self.ptyproc.delayafterterminate = 0

    def _spawnpty(self, args: list[str], **options: Any) -> ptyprocess.PtyProcess:
        """Without the library's fork, which runs Python in the child and can deadlock where there are threads.

        (ptyprocess issue 43; a warning since Python 3.12.) The reaper makes itself leader of the terminal.
        """
        master, slave = os.openpty()
        try:
            copies = [(os.POSIX_SPAWN_DUP2, slave, fd) for fd in (0, 1, 2)]
            pid = os.posix_spawn(args[0], args, options["env"], file_actions=copies)
        except (OSError, ValueError):
            os.close(master)
            raise
        finally:
            os.close(slave)
        process = ptyprocess.PtyProcess(pid, master)
        process.setwinsize(*options["dimensions"])
        return process

    def next_output(self) -> bytes:
        try:
            chunk: bytes = self.read_nonblocking(CHUNK, None)
        except pexpect.EOF:
            return b""
        if self._dialogs:
            self._answer(chunk)
        return chunk

    def _answer(self, chunk: bytes) -> None:
        self._shown = (self._shown + chunk)[-_SCREEN:]
        text = _ESCAPES.sub(b"", _MOVES.sub(b" ", self._shown)).decode(errors="replace")
        for expression, keys in self._dialogs:
            if expression.search(text):
                self._shown = b""
                self.send(keys)
                return

    def ask_to_stop(self) -> None:
        if self.isalive():
            self.kill(signal.SIGTERM)

    def running(self) -> bool:
        return bool(self.isalive())

    def killed(self) -> bool:
        self.wait()
        return self.signalstatus is not None

    def close(self, force: bool = False) -> None:
        if not self.closed:
            self.wait()  # the library's own close would kill a reaper that has not quite ended
            super().close(force=force)


def _expression(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as reason:
        raise ConfigError(
            f"the dialog {pattern!r} is not a regular expression: {reason}", hint="correct it in the agent's profile"
        ) from reason
