"""How a run ends that has failed: what it says, and what to type next. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from smithers_git.core import events as ev
from smithers_git.core.parts import RegionState
from smithers_git.core.plan import LoopItem
from smithers_git.core.state import State
from smithers_git.names import TaskKey

MOST_FRAMES: Final = 200_000
"""Frames of one run. A plan that makes new ids at every render would otherwise go on for ever."""


def too_long(number: int) -> ev.RunFailed | None:
    """The end of a run that still has something to do behind frame `number`; None while it may go on."""
    if number < MOST_FRAMES:
        return None
    hint = "a plan that never ends makes its node ids from a counter, or has a ceiling that is none"
    return ev.RunFailed(error=f"the run has {MOST_FRAMES} frames and still something to do", hint=hint)


def failed(
    state: State, tasks: Sequence[TaskKey], loop_failed: LoopItem | None, thrown: Sequence[RegionState]
) -> ev.RunFailed:
    """The end of a run in which these have failed, as the first of them has it: tasks before regions before a loop."""
    if tasks:
        key = tasks[0]
        return ev.RunFailed(
            error=f"{key} failed: {state.node(key).error}",
            node=str(key),
            hint=state.node(key).hint or f"smithers retry-task {state.run} {key}",
        )
    if thrown:
        known = thrown[0]
        return ev.RunFailed(error=known.error, node=known.cause, hint=known.hint)
    assert loop_failed is not None
    loop = loop_failed.node
    return ev.RunFailed(
        error=f"loop {loop.id} reached its ceiling of {loop.max_iterations} iterations and `until` never held",
        node=loop.id,
        hint=_more_passes(state, loop.max_iterations),
    )


def _more_passes(state: State, ceiling: int) -> str:
    """What to type after a ceiling; where the ceiling is a field of the input, the run can go on in a fork."""
    field = next((name for name, value in state.input.items() if name.startswith("max_") and value == ceiling), None)
    if field is None:
        return "raise max_iterations, or use on_max='return-last' to go on with the last result"
    given = f"'{{\"{field}\": {2 * ceiling}}}'"
    return f"smithers fork {state.run} --input {given} goes on from here with more; then smithers up --resume the fork"


def failed_children(state: State) -> list[str]:
    """What has failed although the run went on."""
    return sorted(str(key) for key, node in state.nodes.items() if node.status == "failed" and node.continued)
