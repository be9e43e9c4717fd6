"""Watching one turn of an agent that talks: it is ended when it goes round in circles, whatever transport it has."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from smithers_git.clock import Clock
from smithers_git.core.liveness import Patience, Pulse, Stall
from smithers_git.core.reply import AgentEvent
from smithers_git.edge.git.changes import fingerprint


class Stalled(Exception):
    """The agent gets nowhere; raised where its output is taken, so that its processes are ended."""

    def __init__(self, stall: Stall) -> None:
        super().__init__(stall.message)
        self.stall = stall


class Vigil:
    """The watch over one turn.

    Args:
        folder: where the agent works; a loop in which files change there is none.
        patience: when it is enough.
        clock: for tests.
    """

    def __init__(self, folder: Path, patience: Patience, clock: Clock) -> None:
        self._folder, self._clock = folder, clock
        self._pulse = Pulse(patience, clock.monotonic())
        self._before: str | None = None
        """What the folder was like when the agent became suspicious."""

    def look(self, events: Iterable[AgentEvent]) -> None:
        """Take what has just come, which may be no event at all; raises Stalled when it is enough."""
        now = self._clock.monotonic()
        for event in events:
            self._pulse.feed(event, now)
        if not self._pulse.suspicious(now):
            self._before = None
        elif self._before is None:
            self._before = fingerprint(self._folder)
        found = self._pulse.stall(now)
        if found is None:
            return
        if found.kind == "loop" and fingerprint(self._folder) != self._before:
            self._before = None
            self._pulse.forgive(now)
            return
        raise Stalled(found)
