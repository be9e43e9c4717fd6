"""Talking with one program: its standard input stays open, and what it says is read when the caller wants it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from smithers_git.edge.process.launch import Exit, Launch, Started
from smithers_git.edge.process.runner import begin

_LOOK = 0.1  # seconds between looks at `cancel`


class Talk:
    """A program under the same guarantees as `run`: nothing of it outlives its end, or ours.

    Its limits are looked after while the caller is inside one of the methods. Close it in any case. Not for several
    threads at once.

    Args:
        launch: what to run, and its limits. `stdin` is what its standard input begins with.
        cancel: setting it ends the program, within a tenth of a second and the time for it to leave.
        on_start: called once. What it gets can be ended by `end_tree` after a crash.
        leave: seconds that it has, once its input has ended, before it is stopped.

    Raises:
        UsageError, ConfigError, StorageError: as `run`.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        cancel: threading.Event,
        on_start: Callable[[Started], None] | None = None,
        leave: float = 3.0,
    ) -> None:
        self._said: deque[bytes] = deque()
        self._ended: Exit | None = None
        found = begin(launch, on_output=self._said.append, cancel=cancel, inlet=True)
        self._watch = None if isinstance(found, Exit) else found
        if isinstance(found, Exit):
            self._ended = found
            return
        found.leave = leave
        if on_start is not None:
            try:
                on_start(found.started)
            except BaseException:
                found.close()
                raise

    @property
    def ended(self) -> Exit | None:
        """How it ended; None while it runs. A program that cannot be started has ended. What it said may be unread."""
        if self._ended is None and self._watch is not None and self._watch.over:
            self._watch.drain()
            self._ended = self._watch.result()
            self._watch.close()
        return self._ended

    @property
    def leaving(self) -> bool:
        """Whether it has ended, or was told to."""
        return self._watch is None or self._watch.ending

    @property
    def stopped(self) -> bool:
        """Whether `cancel` or a limit has ended it, or is about to."""
        return self._watch is not None and self._watch.stopped

    @property
    def unsent(self) -> int:
        """Bytes that it was told and has not taken yet."""
        return self._watch.inlet.unsent if self._watch is not None and self._watch.inlet is not None else 0

    def farewell(self, words: bytes) -> None:
        """Set what it is told when it has to end, by `cancel` or a limit, a second before its input ends."""
        if self._watch is not None:
            self._watch.farewell = words

    def send(self, data: bytes) -> None:
        """Tell it something, now or when it takes it. Its silence counts from now on. Never waits."""
        if self._watch is not None and self._watch.inlet is not None and self.ended is None:
            self._watch.touch()
            self._watch.inlet.put(data)

    def receive(self) -> bytes:
        """What it says next, in pieces of at most 64 KiB; empty when it has ended and all was received."""
        while not self._said and self.ended is None and self._watch is not None:
            self._watch.look(_LOOK)
        return self._said.popleft() if self._said else b""

    def waits(self) -> bool:
        """Look after it while it waits for us, whose silence does not count; false when it has ended or has to."""
        if self._watch is None or self.ended is not None:
            return False
        self._watch.look_away()
        return not self._watch.ending

    def finish(self, words: bytes = b"") -> Exit:
        """Its input ends behind `words`, and with it the program; one that does not leave is stopped.

        What it still says is lost.
        """
        if self._watch is not None and self.ended is None:
            if not self._watch.ending:
                self._watch.dismiss(words)
            self.end_input()
            while not self._watch.over:
                self._said.clear()
                self._watch.look(_LOOK)
        ended = self.ended
        assert ended is not None
        return ended

    def end_input(self) -> None:
        """Its input ends behind what it was told."""
        if self._watch is not None and self._watch.inlet is not None:
            self._watch.inlet.end()

    def close(self) -> None:
        """End the tree at once if it has not ended. A second time does nothing."""
        if self._watch is not None and self.ended is None:
            self._watch.close()
            self._ended = self._watch.result()
