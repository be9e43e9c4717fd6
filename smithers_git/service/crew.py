"""Who does the work of one engine or queue, each piece in a thread of its own, and how its owner hears of the end."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

T = TypeVar("T")

SHORT: Final = 0.002
"""Seconds within which most functions end. Until then to look what else there is to do would cost more than they do."""


class Flight(NamedTuple):
    """An attempt that a worker makes."""

    attempt: int
    cancel: threading.Event
    """Setting it ends the attempt early."""


class Crew(Protocol[T]):
    """Workers beside an engine, or beside the driver of a merge queue."""

    def begin(self, name: str, work: Callable[[], T]) -> None:
        """Have `work` done; what it returns, or raises, is for `take`."""

    def take(self, wait: float | None) -> T | None:
        """What came back, in the order in which it did; None when nothing does within `wait` seconds.

        Args:
            wait: None waits as long as it takes.
        """


_IDLE: Final = 1.0
"""Seconds for which a thread waits for more work. To start one takes a tenth of a short step."""


class Pool:
    """Threads, each of which serves again when it is free."""

    def __init__(self) -> None:
        self._free: list[queue.SimpleQueue[tuple[str, Callable[[], None]]]] = []

    def begin(self, name: str, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Have `work` done in a thread of that name, and what it returns given to `then`. Neither may raise."""
        try:
            inbox = self._free.pop()
        except IndexError:
            inbox = queue.SimpleQueue()
            threading.Thread(target=self._serve, args=(inbox,), daemon=True).start()

        def whole() -> None:
            # With a context of its own, as in a new thread: a step must not see what another one has set.
            done = contextvars.Context().run(work)
            self._free.append(inbox)
            then(done)

        inbox.put((name, whole))

    def _serve(self, inbox: queue.SimpleQueue[tuple[str, Callable[[], None]]]) -> None:
        while True:
            try:
                name, whole = inbox.get(timeout=_IDLE)
            except queue.Empty:
                try:
                    self._free.remove(inbox)
                except ValueError:  # it was taken just now: there is work
                    continue
                return
            threading.current_thread().name = name
            whole()


class Threads(Generic[T]):
    """A thread for each piece of work."""

    def __init__(self) -> None:
        self._results: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()
        self._pool = Pool()

    def begin(self, name: str, work: Callable[[], T]) -> None:
        def tried() -> T | BaseException:
            try:
                return work()
            except BaseException as error:  # noqa: BLE001 - a bug of ours: `take` raises it, else the engine waits for ever
                return error

        self._pool.begin(name, tried, self._results.put)

    def take(self, wait: float | None) -> T | None:
        try:
            found = self._results.get(timeout=wait) if wait != 0 else self._results.get_nowait()
        except queue.Empty:
            return None
        if isinstance(found, BaseException):
            raise found
        return found
