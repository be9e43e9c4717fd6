"""Who makes the attempts of one engine, each in a thread of its own, and how the engine hears of what comes back."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol

from smithers_git.service.job import Result


class Flight(NamedTuple):
    """An attempt that a worker makes."""

    attempt: int
    cancel: threading.Event
    """Setting it ends the attempt early."""


class Crew(Protocol):
    """Workers beside an engine."""

    def begin(self, name: str, work: Callable[[], Result]) -> None:
        """Have `work` done; what it returns is for `take`. It must not raise."""

    def take(self, wait: float | None) -> Result | None:
        """What came back, in the order in which it did; None when nothing does within `wait` seconds.

        Args:
            wait: None waits as long as it takes.
        """


class Threads:
    """A thread for each attempt."""

    def __init__(self) -> None:
        self._results: queue.SimpleQueue[Result] = queue.SimpleQueue()

    def begin(self, name: str, work: Callable[[], Result]) -> None:
        threading.Thread(target=lambda: self._results.put(work()), name=name, daemon=True).start()

    def take(self, wait: float | None) -> Result | None:
        try:
            return self._results.get(timeout=wait) if wait != 0 else self._results.get_nowait()
        except queue.Empty:
            return None
