"""The state that frames fold to, for those who have read the frames already."""

from __future__ import annotations

from collections.abc import Iterable

from smithers_git.core.state import State, apply
from smithers_git.service.frames import Frame


def state_of(frames: Iterable[Frame]) -> State:
    """What these frames of one run, oldest first and from its first one on, fold to."""
    state = State()
    for frame in frames:
        for event in frame.data.events:
            apply(state, event, frame.data.time)
        state.number = frame.data.number
    return state
