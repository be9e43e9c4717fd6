"""How the runs that a run uses change its state: the part of `core.state.apply` for subflows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from smithers_git.core import flow_events as ev
from smithers_git.core import fold_waits
from smithers_git.core.parts import WaitState
from smithers_git.names import TaskKey, run_of

if TYPE_CHECKING:
    from smithers_git.core.state import State


def _suspended(state: State, event: ev.TaskSuspended, at: float) -> None:
    key = TaskKey(event.node, event.iteration)
    node = state.nodes[key]
    node.status, node.ended, node.seconds = "waiting", at, node.seconds + event.seconds
    node.revive = False
    state.running.pop(key, None)
    state.waits[key] = state.open_waits[key] = WaitState(
        "child", f"{event.child} ({event.title})", at, until=event.until, name=event.child, tip=event.tip
    )


def _woken(state: State, event: ev.TaskWoken, at: float) -> None:
    key = TaskKey(event.node, event.iteration)
    fold_waits.forget(state, key)
    state.nodes[key].status = "pending"


def revive(state: State) -> None:
    """A person has this run go on after its end: the runs that it uses do, too, if they failed or were cancelled."""
    for key, node in state.nodes.items():
        node.revive = node.child is not None and key not in state.done


def fork(state: State, run: str) -> None:
    """The fork `run` uses and continues as runs of its own; those that are finished have given it their output."""
    for key, node in state.nodes.items():
        node.successor = node.successor and run_of(run, key, node.successor)
        if node.status not in ("finished", "skipped"):
            node.child = None
        wait = state.open_waits.get(key)
        if wait is not None and wait.kind == "child":
            fold_waits.forget(state, key)
            node.status = "pending"


APPLY: Final[dict[type, Callable[[Any, Any, float], None]]] = {
    ev.TaskSuspended: _suspended,
    ev.TaskWoken: _woken,
}
