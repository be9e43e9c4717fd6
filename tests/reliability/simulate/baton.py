"""Actors that hand one baton on: threads of which exactly one runs, so that a seed alone says what happens next.

An actor runs until it parks; then the world, which is the thread that everything began in, says who is next. Threads
are used again, as making one costs more than a whole step.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

FOREVER = float("inf")


class Killed(BaseException):
    """The process that the actor is part of is gone. Nobody catches it: a killed process tidies nothing up."""


class _Thread:
    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.job: Callable[[], None] | None = None
        threading.Thread(target=self._loop, name="simulated", daemon=True).start()

    def _loop(self) -> None:
        while True:
            self.gate.acquire()
            assert self.job is not None
            self.job()
            self.job = None
            _free.append(self)
            _world.release()


_free: list[_Thread] = []
_world = threading.Lock()
_world.acquire()


class Actor:
    """One thread of control of one process."""

    def __init__(self, name: str, work: Callable[[], None], *, steady: bool = False) -> None:
        self.name = name
        self.steady = steady
        """It holds locks of the real code at times, so nobody else may go first while it works."""
        self.over = False
        self.doomed = False
        self.error: BaseException | None = None
        self.until = 0.0
        """Virtual seconds at which it goes on by itself."""
        self.wakes: Callable[[], bool] | None = None
        """It goes on when this says so, too."""
        self._thread = _free.pop() if _free else _Thread()
        self._thread.job = lambda: self._run(work)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            if not self.doomed:
                work()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - the world tells of it
            self.error = error
        finally:
            self.over = True

    def resume(self) -> None:
        """Let the actor run until it parks or is over. Of the world only."""
        assert not self.over, f"{self.name} is over"
        self._thread.gate.release()
        _world.acquire()

    def park(self, until: float = FOREVER, wakes: Callable[[], bool] | None = None) -> None:
        """Let others run, and go on at the moment `until` or when `wakes` says so. Of the actor itself only."""
        self.until, self.wakes = until, wakes
        _world.release()
        self._thread.gate.acquire()
        if self.doomed:
            raise Killed
