"""How regions change the state of a run: the part of `core.state.apply` for sagas and try blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from smithers_git.core import failure_events as ev
from smithers_git.core import fold_waits
from smithers_git.core.parts import LoopState, NodeState, RegionState
from smithers_git.names import TaskKey, parse_key

if TYPE_CHECKING:
    from smithers_git.core.state import State


def _failed(state: State, event: ev.RegionFailed, at: float) -> None:
    state.regions[TaskKey(event.node, event.iteration)] = RegionState(
        event.cause,
        event.error,
        event.kind,
        event.hint,
        caught=event.caught,
        steps=tuple(event.steps),
        again=tuple(map(parse_key, event.again)),
        loops=tuple(event.loops),
    )
    for key in map(parse_key, event.dropped):
        fold_waits.let_go(state, key)
    for key in map(parse_key, event.inside) if event.caught else ():
        failed, region = state.nodes.get(key), state.regions.get(key)
        if failed is not None:
            failed.continued = True
        if region is not None:
            region.handled = True


def _settled(state: State, event: ev.RegionSettled, at: float) -> None:
    state.regions[TaskKey(event.node, event.iteration)].settled = True


def try_again(state: State) -> None:
    """Going on after a failure: a region that has passed on its failure, with all undone and tidied up, begins afresh.

    One that has not settled goes on with that first.
    """
    for key, region in list(state.regions.items()):
        if region.settled and not region.caught and not region.handled:
            begin_afresh(state, key)


def begin_afresh(state: State, key: TaskKey) -> None:
    """Forget that the region failed. What it had finished and not undone stays finished."""
    region = state.regions.pop(key)
    state.resets += 1
    for inner in region.again:
        if inner in state.regions:
            begin_afresh(state, inner)
        take_back(state, inner)
    for name in region.loops:
        loop = state.loops.setdefault(name, LoopState())
        loop.iteration += 1
        loop.base, loop.finished = loop.iteration, None


def take_back(state: State, key: TaskKey) -> None:
    """Let `key` be as if nothing had happened to it."""
    old = state.nodes.get(key)
    if old is not None:
        # The attempt number goes on, so that no transcript or log of an earlier attempt is overwritten.
        state.nodes[key] = NodeState(attempt=old.attempt, tokens=old.tokens, cost=old.cost)
    state.done.discard(key)
    state.running.pop(key, None)
    state.approvals.pop(key, None)
    fold_waits.forget(state, key)
    fold_waits.withdraw(state, key)
    with_output = [other.iteration for other, node in state.nodes.items() if other.node == key.node and node.output]
    state.latest.pop(key.node, None)
    if with_output:
        state.latest[key.node] = max(with_output)


APPLY: Final[dict[type, Callable[[Any, Any, float], None]]] = {
    ev.RegionFailed: _failed,
    ev.RegionSettled: _settled,
}
