"""An engine's frames, as others see them: at once, or, where steps take no time, several together.

A frame is safe as soon as it is written. To have git, the index and the person see each for itself takes half of what
a step of no work costs (perf, 8,000 values in a chain), and nobody looks that often.
"""

from __future__ import annotations

from typing import Final

from smithers_git.core import events as ev
from smithers_git.core.late import may_be_late
from smithers_git.service.frames import Chain
from smithers_git.service.notify import Announcer
from smithers_git.service.project import Project
from smithers_git.service.watcher import Watcher

LATE: Final = 0.1
"""Seconds for which a frame may be late: the engine looks as often whether somebody else has written one."""
_FREE: Final = 0.001
"""Seconds for which git and others then find the run's ref unlocked."""
_TURN: Final = 1.0
"""Seconds for which somebody who decides something of the run is waited for; most take some milliseconds."""
_PAUSE: Final = 0.005


class Publisher:
    """Writes the frames of one engine. Whoever is about to wait calls `show` before."""

    def __init__(self, project: Project, chain: Chain, watcher: Watcher) -> None:
        self._project = project
        self._clock = project.clock
        self._chain = chain
        self._watcher = watcher
        self._announcer = Announcer(project, watcher.noted)
        self._untold: list[tuple[tuple[ev.Event, ...], float]] = []
        self._since = 0.0
        """When the first frame was written that is not shown yet, on the clock that never goes back."""

    def commit(self, told: tuple[ev.Event, ...]) -> bool:
        """Write what was added to the chain, which is `told`, as one frame; False when nothing was.

        Raises as `Chain.commit` does.
        """
        late = may_be_late(told)
        if late and not self._untold:
            self._let_in()
        if self._chain.commit(late=late) is None:
            return False
        if not self._untold:
            self._since = self._clock.monotonic()
        self._untold.append((told, self._chain.state.updated))
        if not late:
            self.show()
        return True

    def look(self) -> None:
        """Show what has been late for long enough. Raises as `Chain.commit` does."""
        if self._untold and self._clock.monotonic() - self._since >= LATE:
            self.show()
            self._clock.sleep(_FREE)

    def _let_in(self) -> None:
        end = self._clock.monotonic() + _TURN
        while self._project.is_turn_taken(self._chain.run) and self._clock.monotonic() < end:
            self._clock.sleep(_PAUSE)

    def show(self) -> None:
        """Have everybody see all frames; returns at once when they do. Raises as `Chain.commit` does."""
        self._chain.show()
        if self._chain.pending:  # the state is ahead of the frames, and they are told with it
            return
        untold, self._untold = self._untold, []
        for told, at in untold:
            self._watcher.recorded(self._chain.state, told, at)
            self._announcer.recorded(self._chain.run, told, at)
