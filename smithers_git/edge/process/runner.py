"""Running one agent or command to its end, with everything that it starts."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from smithers_git.edge.process.launch import Exit, Launch, Reason, Started
from smithers_git.edge.process.scratch import Scratch
from smithers_git.edge.process.tree import end_tree, start_time
from smithers_git.errors import DiskFull, StorageError, UsageError, is_full

if TYPE_CHECKING:
    from smithers_git.edge.process.channel import Channel

_TICK = 0.1  # seconds between looks at `cancel`, which nothing can wait for together with a pipe
_TAIL = 65536  # bytes of standard error that are kept
_PATIENCE = 10.0  # seconds beyond the stop list before the reaper itself is ended; it gives up after 5
_DRAIN = 1.0  # seconds for reading what was left in the pipes
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
    if cancel.is_set():
        return Exit(None, None, "cancelled", "cancelled before it started", 0.0, b"")
    options = _reaper_options(launch)
    try:
        scratch = Scratch(launch.stdin, stderr=not (launch.merge_stderr or launch.terminal))
    except OSError as reason:
        kind = DiskFull if is_full(reason) else StorageError
        raise kind(
            f"cannot write temporary files for {launch.argv[0]}: {reason}",
            hint="free space in the temporary folder, or set TMPDIR to another one",
        ) from reason
    command = [sys.executable, "-I", "-S", "-c", _BOOT, str(Path(__file__).parent), *options, *scratch.options]
    with contextlib.closing(scratch):
        try:
            channel = _open(launch, [*command, "--", *launch.argv])
        except (OSError, ValueError) as reason:  # ValueError: a NUL or half a surrogate in it
            what = (reason.strerror if isinstance(reason, OSError) else None) or str(reason)
            return Exit(None, None, "unstartable", _unstartable(launch, what), 0.0, b"")
        watch = _Watch(launch, channel, scratch, on_output)
        try:
            if on_start is not None:
                on_start(Started(channel.pid, start_time(channel.pid)))
            watch.follow(cancel)
            return watch.result()
        finally:
            watch.close()


def _open(launch: Launch, argv: list[str]) -> Channel:
    from smithers_git.edge.process.channel import Pipes, Screen  # pexpect: 25 ms that git commands do without

    if launch.terminal is None:
        return Pipes(argv, launch.env)
    return Screen(argv, launch.env, launch.terminal)


def _unstartable(launch: Launch, why: str) -> str:
    """E.g. `cannot start codex: No such file or directory`."""
    program = launch.argv[0]
    return f"cannot start {program[:100]}: {why.removeprefix(program + ': ')}"


def _reaper_options(launch: Launch) -> list[str]:
    options = ["--cwd", str(launch.cwd)]
    if launch.terminal is not None:
        options.append("--terminal")
    if "LC_CTYPE" not in launch.env:
        options += ["--unset", "LC_CTYPE"]  # Python sets it, in its children too, when the locale is C (PEP 538)
    for step in launch.stop:
        if f"SIG{step.signal}" not in signal.Signals.__members__:
            raise UsageError(f"there is no signal {step.signal!r}", hint="write a name such as TERM, INT or HUP")
        options += ["--stop", f"{step.signal}:{step.wait}"]
    return options


class _Watch:
    """Reads what a run says, and stops it when it has to end."""

    def __init__(self, launch: Launch, channel: Channel, scratch: Scratch, on_output: Callable[[bytes], None]) -> None:
        self._launch, self._channel, self._scratch, self._on_output = launch, channel, scratch, on_output
        self._began = self._heard = time.monotonic()
        self._silent = True
        self._verdict: tuple[Reason, str] | None = None
        """Why we stopped it."""
        self._patience = 0.0
        self._report: dict[str, str] = {}
        self._half_line = b""
        self._child = (0, "")
        self._stderr = bytearray()
        self._over = False
        self._poll = select.poll()
        self._readers = {channel.fileno(): self._read_output, scratch.status: self._read_status}
        if scratch.stderr is not None:
            self._readers[scratch.stderr] = self._read_stderr
        for fd in self._readers:
            self._poll.register(fd, select.POLLIN)

    def follow(self, cancel: threading.Event) -> None:
        """Return when the reaper has ended, and with it the tree."""
        while not self._over:
            self._judge(cancel)
            if not self._serve(_TICK) and self._channel.fileno() not in self._readers:
                self._over |= not self._channel.running()  # it failed before it could report
        if "started" in self._report and not self._report.keys() & {"exit", "signal"}:
            end_tree(*self._child, None)  # the reaper was killed
        until = time.monotonic() + _DRAIN
        while self._serve(0) and time.monotonic() < until:
            pass

    def _serve(self, seconds: float) -> bool:
        """Read what is there, waiting at most `seconds` for it; false when there was nothing."""
        ready = self._poll.poll(seconds * 1000)
        for fd, _ in ready:
            if not self._readers[fd]():
                self._poll.unregister(fd)
                del self._readers[fd]
        return bool(ready)

    def _read_output(self) -> bool:
        chunk = self._channel.next_output()
        if chunk:
            self._heard, self._silent = time.monotonic(), False
            self._on_output(chunk)
        return bool(chunk)

    def _read_stderr(self) -> bool:
        chunk = os.read(self._scratch.stderr or 0, _TAIL)
        if chunk:
            self._heard, self._silent = time.monotonic(), False
            self._stderr += chunk
            del self._stderr[:-_TAIL]
        return bool(chunk)

    def _read_status(self) -> bool:
        chunk = os.read(self._scratch.status, 4096)
        self._over |= not chunk
        *lines, self._half_line = (self._half_line + chunk).split(b"\n")
        for line in lines:
            word, _, rest = line.decode(errors="replace").partition(" ")
            self._report[word] = rest
            if word == "started":
                self._child = (int(rest), start_time(int(rest)))
                self._scratch.remove()  # all is open by now, so even a kill -9 of ours leaves nothing behind
        return bool(chunk)

    def _judge(self, cancel: threading.Event) -> None:
        now = time.monotonic()
        if self._verdict is not None:
            if now > self._patience:
                end_tree(self._channel.pid, start_time(self._channel.pid), None)
            return
        limit = self._launch.idle_timeout
        if self._silent and self._launch.first_output is not None:
            limit = self._launch.first_output
        if cancel.is_set():
            self._stop("cancelled", "cancelled")
        elif self._launch.timeout is not None and now - self._began >= self._launch.timeout:
            self._stop("timeout", f"did not end within {self._launch.timeout:g} s")
        elif limit is not None and now - self._heard >= limit:
            self._stop("idle", f"{'no output at all' if self._silent else 'silent'} for {limit:g} s")

    def _stop(self, reason: Reason, message: str) -> None:
        self._verdict = (reason, message)
        self._patience = time.monotonic() + sum(step.wait for step in self._launch.stop) + _PATIENCE
        self._channel.ask_to_stop()

    def result(self) -> Exit:
        """How it ended; to be called when `follow` has returned."""
        report = self._report
        code, number = report.get("exit"), report.get("signal")
        reason, message = self._verdict or ("exited", "")
        if "error" in report:
            reason, message = "unstartable", _unstartable(self._launch, report["error"])
        elif not report and self._verdict is None:
            reason, message = "unstartable", _unstartable(self._launch, "the process above it failed")
        elif code is not None:
            message = message or f"exited with code {code}"
        elif number is not None:
            message = message or f"ended by signal {number} ({signal.strsignal(int(number))})"
        else:
            message = message or "the process above it was killed, so it was ended"
        if "left" in report:
            message += f"; could not be killed: {report['left']}"
        return Exit(
            code=None if code is None else int(code),
            signal=None if number is None else int(number),
            reason=reason,
            message=message,
            seconds=time.monotonic() - self._began,
            stderr=bytes(self._stderr),
        )

    def close(self) -> None:
        """End the tree if it has not ended, as when an exception is on its way."""
        if not self._over:
            self._on_output = lambda _: None
            self._stop("cancelled", "")
            self.follow(threading.Event())
        self._channel.close()
