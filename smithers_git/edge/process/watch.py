"""Following one program to its end: what it says, how long it is silent, and the stop that ends it."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from smithers_git.edge.process.launch import Exit, Launch, Reason, Started
from smithers_git.edge.process.scratch import Scratch
from smithers_git.edge.process.tree import end_tree, start_time

if TYPE_CHECKING:
    from smithers_git.edge.process.channel import Channel, Screen

_TICK = 0.1  # seconds between looks at `cancel`, which nothing can wait for together with a pipe
_TAIL = 65536  # bytes of standard error that are kept
_PATIENCE = 10.0  # seconds beyond the stop list before the reaper itself is ended; it gives up after 5
_DRAIN = 1.0  # seconds for reading what was left in the pipes
_FAREWELL = 1.0  # seconds between the last words to a program that is talked with and the end of its input


def unstartable(launch: Launch, why: str) -> str:
    """E.g. `cannot start codex: No such file or directory`."""
    program = launch.argv[0]
    return f"cannot start {program[:100]}: {why.removeprefix(program + ': ')}"


class Watch:
    """Reads what a run says, and stops it when it has to end. It holds the run's scratch folder."""

    def __init__(
        self,
        launch: Launch,
        channel: Channel,
        scratch: Scratch,
        on_output: Callable[[bytes], None],
        cancel: threading.Event,
    ) -> None:
        self._launch, self._channel, self._scratch, self._on_output = launch, channel, scratch, on_output
        self._cancel = cancel
        self.inlet = scratch.inlet
        """The program's standard input where that stays open."""
        self.farewell = b""
        """What a program that is talked with is told when it has to end, before its input ends."""
        self.leave = 0.0
        """Seconds that it then has before it is stopped."""
        self._began = self._heard = time.monotonic()
        self._silent = True
        self._verdict: tuple[Reason, str] | None = None
        """Why we stopped it."""
        self._shut_at = self._ask_at = self._end_at = float("inf")
        """When its input ends, when it is stopped, and when the reaper itself is."""
        self._report: dict[str, str] = {}
        self._half_line = b""
        self._child = (0, "")
        self._stderr = bytearray()
        self.over = False
        """Whether the reaper has ended, and with it the tree."""
        self._poll = select.poll()
        self._readers = {channel.fileno(): self._read_output, scratch.status: self._read_status}
        if scratch.stderr is not None:
            self._readers[scratch.stderr] = self._read_stderr
        for fd in self._readers:
            self._poll.register(fd, select.POLLIN)

    @property
    def started(self) -> Started:
        """The root of the tree."""
        return Started(self._channel.pid, start_time(self._channel.pid))

    @property
    def screen(self) -> Screen:
        """The program's terminal, where it has one."""
        return cast("Screen", self._channel)

    @property
    def ending(self) -> bool:
        """Whether it has ended or is being ended."""
        return self.over or self._ask_at < float("inf")

    @property
    def stopped(self) -> bool:
        """Whether it was stopped, or is being."""
        return self._verdict is not None

    def follow(self) -> None:
        """Return when the tree has ended."""
        while not self.over:
            self.look(_TICK)
        self.drain()

    def drain(self) -> None:
        """Read what was left in the pipes of a tree that has ended."""
        if not self._report.keys() & {"exit", "signal", "error"}:  # the reaper was killed
            name = self._launch.mark
            end_tree(*self._child, None if name is None else (name, self._launch.env[name]))
        until = time.monotonic() + _DRAIN
        while self._serve(0) and time.monotonic() < until:
            pass

    def look(self, seconds: float) -> None:
        """End it when it is time for that, and read what there is, waiting at most `seconds` for it."""
        self._judge()
        if not self._serve(seconds) and self._channel.fileno() not in self._readers:
            self.over |= not self._channel.running()  # it failed before it could report

    def look_away(self) -> None:
        """As `look`, for a program that waits for us: it is not listened to, and its silence means nothing."""
        self.touch()
        self._judge()
        self._serve(0, only=self._scratch.status)

    def touch(self) -> None:
        """Count its silence from now on."""
        self._heard = time.monotonic()

    def _serve(self, seconds: float, only: int | None = None) -> bool:
        """Read what is there, waiting at most `seconds` for it; false when there was nothing."""
        waiting = self.inlet.fileno() if self.inlet else None
        if waiting is not None:
            self._poll.register(waiting, select.POLLOUT)
        ready = self._poll.poll(seconds * 1000)
        if waiting is not None:
            self._poll.unregister(waiting)
        for fd, _ in ready:
            if fd == waiting:
                assert self.inlet is not None
                self.inlet.flush()
            elif only in (None, fd) and not self._readers[fd]():
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
        self.over |= not chunk
        *lines, self._half_line = (self._half_line + chunk).split(b"\n")
        for line in lines:
            word, _, rest = line.decode(errors="replace").partition(" ")
            self._report[word] = rest
            if word == "started":
                self._child = (int(rest), start_time(int(rest)))
                self._scratch.remove()  # all is open by now, so even a kill -9 of ours leaves nothing behind
        return bool(chunk)

    def _judge(self) -> None:
        now = time.monotonic()
        if self.ending:
            self._go_on_ending(now)
            return
        limit = self._launch.idle_timeout
        if self._silent and self._launch.first_output is not None:
            limit = self._launch.first_output
        if self._cancel.is_set():
            self.stop("cancelled", "cancelled")
        elif self._launch.timeout is not None and now - self._began >= self._launch.timeout:
            self.stop("timeout", f"did not end within {self._launch.timeout:g} s")
        elif limit is not None and now - self._heard >= limit:
            self.stop("idle", f"{'no output at all' if self._silent else 'silent'} for {limit:g} s")

    def _go_on_ending(self, now: float) -> None:
        if now >= self._shut_at and self.inlet is not None:
            self._shut_at = float("inf")
            self.inlet.close()
        if now >= self._ask_at and self._end_at == float("inf"):
            self._end_at = now + sum(step.wait for step in self._launch.stop) + _PATIENCE
            self._channel.ask_to_stop()
        if now > self._end_at:
            end_tree(self._channel.pid, start_time(self._channel.pid), None)

    def stop(self, reason: Reason, message: str) -> None:
        """Have it end, and say why."""
        self._verdict = (reason, message)
        self.dismiss(self.farewell)

    def dismiss(self, words: bytes = b"") -> None:
        """Have it end: last words and the end of its input where that is open, and a stop when that is not enough."""
        now = time.monotonic()
        self._ask_at = min(self._ask_at, now)
        if self.inlet is not None and self.inlet.open:
            self.inlet.put(words)
            self._shut_at = now + (_FAREWELL if words else 0.0)
            self._ask_at = now + self.leave
        self._go_on_ending(now)

    def result(self) -> Exit:
        """How it ended; to be called when `follow` has returned."""
        report = self._report
        code, number = report.get("exit"), report.get("signal")
        reason, message = self._verdict or ("exited", "")
        if "error" in report:
            reason, message = "unstartable", unstartable(self._launch, report["error"])
        elif not report and self._verdict is None and not self._channel.killed():
            reason, message = "unstartable", unstartable(self._launch, "the process above it failed")
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
        """End the tree if it has not ended, as when an exception is on its way, and give back what was held."""
        try:
            if not self.over:
                self._on_output = lambda _: None
                self.leave = 0.0
                self.stop("cancelled", "")
                self.follow()
        finally:
            self._channel.close()
            self._scratch.close()
