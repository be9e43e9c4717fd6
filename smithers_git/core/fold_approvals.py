"""How approvals change the state of a run: the part of `core.state.apply` for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from smithers_git.core import approval_events as ev
from smithers_git.core.fold_waits import keep_output
from smithers_git.core.parts import ApprovalState, NodeState
from smithers_git.names import TaskKey

if TYPE_CHECKING:
    from smithers_git.core.state import State


def _requested(state: State, event: ev.ApprovalRequested, at: float) -> None:
    key = TaskKey(event.node, event.iteration)
    state.nodes.setdefault(key, NodeState()).status = "waiting"
    state.approvals[key] = state_of(event, at)


def state_of(event: ev.ApprovalRequested, at: float) -> ApprovalState:
    """The request as it stands after `event`, which happened at `at` (Unix seconds)."""
    return ApprovalState(
        event.title,
        event.summary,
        at,
        event.commits,
        on_deny=event.on_deny,
        gate=event.gate,
        mode=event.mode,
        options=tuple(event.options),
        allowed=tuple(event.allowed),
        until=event.until,
        on_expiry=event.on_expiry,
        auto_after=event.auto_after,
        streak=event.streak,
    )


def _decided(state: State, event: ev.ApprovalDecided, at: float) -> None:
    key = TaskKey(event.node, event.iteration)
    node, approval = state.nodes.setdefault(key, NodeState()), state.approvals[key]
    approval.approved, approval.by, approval.note = event.approved, event.by, event.note
    approval.how, approval.decided = event.how, at
    approval.selected, approval.ranking = event.selected, tuple(event.ranking)
    expired = event.how == "expired"
    said = "nobody decided in time" if expired else f"denied by {event.by}"
    on_deny = "fail" if expired and approval.on_expiry == "fail" else approval.on_deny
    node.ended = at
    if event.approved and approval.gate:
        node.status = "pending"
    elif event.approved or on_deny == "continue":
        node.status = "finished"
        state.done.add(key)
    elif on_deny == "skip":
        node.status, node.error = "skipped", said
        state.done.add(key)
    else:
        node.status, node.kind = "failed", "denied"
        node.error = said + (f": {event.note}" if event.note and not expired else "")
    keep_output(state, key, node, event.output)


APPLY: Final[dict[type, Callable[[Any, Any, float], None]]] = {
    ev.ApprovalRequested: _requested,
    ev.ApprovalDecided: _decided,
}
