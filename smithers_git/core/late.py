"""Which frames others may see a moment after they are safe: those of functions and values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from smithers_git.core import events as ev

_OF_NO_STEP: Final = (ev.LoopEntered, ev.LoopAdvanced, ev.LoopFinished, ev.TaskSkipped)


def may_be_late(events: Iterable[ev.Event]) -> bool:
    """Whether these events tell of nothing that anybody else acts on.

    An agent, a command or another run that is about to begin reads the repository; files are in commits that a ref must
    hold; an output with a key is for other runs; and what a person is asked, or told of, must be there when they look.
    """
    return all(map(_is_plain, events))


def _is_plain(event: ev.Event) -> bool:
    if isinstance(event, ev.TaskStarted):
        return not (event.agent or event.commit or event.child or event.successor)
    if isinstance(event, ev.TaskFinished):
        return not (event.agent or event.commit or event.cache_key)
    return isinstance(event, _OF_NO_STEP)
