"""Who is told of what a run does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from smithers_git.core import events as ev
from smithers_git.core.state import State
from smithers_git.names import TaskKey


@dataclass(slots=True)
class Watcher:
    """Who is told of what happens; each may be called often and must return at once."""

    recorded: Callable[[State, tuple[ev.Event, ...], float], None] = lambda _state, _events, _at: None
    said: Callable[[TaskKey, str, str], None] = lambda _key, _kind, _text: None
    """(task, kind, text) of what an agent does while it works; called from worker threads."""
    noted: Callable[[str], None] = lambda _text: None
    """What the person should know besides."""
