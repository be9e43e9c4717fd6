"""How waits change the state of a run: the part of `core.state.apply` for questions, signals and timers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from smithers_git.core import wait_events as ev
from smithers_git.core.parts import NodeState, SignalState, WaitState
from smithers_git.names import TaskKey, parse_key

if TYPE_CHECKING:
    from smithers_git.core.state import State


def keep_output(state: State, key: TaskKey, node: NodeState, path: str | None) -> None:
    """Note that the output of `key` stands at `path`; None for a node without one."""
    if path is None:
        return
    if node.output != path:
        state.outputs += 1
    node.output = path
    if state.latest.get(key.node, -1) < key.iteration:
        state.latest[key.node] = key.iteration


def forget(state: State, key: TaskKey) -> None:
    """Take the wait of `key` back, and the signal that it took, which another wait may then take."""
    state.waits.pop(key, None)
    state.open_waits.pop(key, None)
    # An answer is not given back: whoever takes a question back wants it to be asked again.
    state.signals = [one for one in state.signals if one.taken != key or one.answers is None]
    for signal in state.signals:
        if signal.taken == key:
            signal.taken = None


def fits(key: TaskKey, wait: WaitState, signal: SignalState) -> bool:
    """Whether the open wait of `key` can take the signal."""
    if signal.answers is not None:
        return wait.kind == "question" and signal.answers == str(key)
    return wait.kind == "signal" and signal.name == wait.name and wait.correlation in (None, signal.correlation)


def withdraw(state: State, asker: TaskKey | None = None) -> None:
    """End the questions of an attempt that is over; of all attempts when no `asker` is given."""
    for key, wait in list(state.open_waits.items()):
        if wait.asker is not None and asker in (None, wait.asker):
            wait.end = "withdrawn"
            del state.open_waits[key]


def drop(state: State, key: TaskKey) -> None:
    """The plan goes on without what `key` waits for."""
    wait = state.open_waits.pop(key, None)
    if wait is not None:
        wait.end = "withdrawn"


def let_go(state: State, key: TaskKey) -> None:
    """As `drop`, also of a question whether `key` may go on, and of the pause before its next attempt."""
    state.approvals.pop(key, None)
    drop(state, key)
    state.pauses.discard(key)
    node = state.nodes[key]
    if node.status == "waiting":
        node.status = "pending"
    node.retry_at, node.limited = None, ()


def _started(state: State, event: ev.WaitStarted, at: float) -> None:
    key = TaskKey(event.node, event.iteration)
    wait = WaitState(
        event.kind,
        event.title,
        at,
        prompt=event.prompt,
        answer=event.answer,
        choices=tuple(event.choices),
        asker=parse_key(event.asker) if event.asker else None,
        attempt=event.attempt,
        name=event.name,
        correlation=event.correlation,
        allowed=tuple(event.allowed),
        until=event.until,
        on_expiry=event.on_expiry,
        on_cancel=event.on_cancel,
        continued=event.continued,
    )
    state.waits[key] = state.open_waits[key] = wait
    if wait.asker is None:
        node = state.nodes.setdefault(key, NodeState())
        node.status, node.started, node.ended = "waiting", at, None


def _resolved(state: State, event: ev.WaitResolved, at: float) -> None:
    key = TaskKey(event.node, event.iteration)
    wait = state.waits[key]
    state.open_waits.pop(key, None)
    wait.end, wait.by, wait.signal, wait.reply = "resolved", event.by, event.signal, event.reply
    for signal in state.signals:
        if signal.id == event.signal:
            signal.taken = key
    if wait.asker is None:
        node = state.nodes[key]
        node.status, node.ended, node.error, node.kind = "finished", at, None, None
        keep_output(state, key, node, event.output)
        state.done.add(key)


def _ended(state: State, event: ev.WaitEnded, at: float) -> None:
    key = TaskKey(event.node, event.iteration)
    if event.reason == "withdrawn":
        let_go(state, key)
        return
    wait = state.waits[key]
    state.open_waits.pop(key, None)
    wait.end, wait.by, wait.note = event.reason, event.by, event.note
    if wait.asker is not None:
        return
    node = state.nodes[key]
    node.ended, node.kind, node.error = at, event.reason, said(wait)
    give_up = wait.on_expiry if event.reason == "expired" else wait.on_cancel
    node.status = "skipped" if give_up == "skip" else "failed"
    node.continued = node.status == "failed" and wait.continued
    if node.status == "skipped" or node.continued:
        state.done.add(key)


def said(wait: WaitState) -> str:
    """How a wait ended, in words."""
    if wait.end == "expired":
        return {"question": "nobody answered in time", "signal": "no signal came in time"}.get(wait.kind, "is over")
    note = f": {wait.note}" if wait.note else ""
    if wait.end == "cancelled":
        return f"withdrawn by {wait.by}{note}"
    if wait.end == "withdrawn":
        return f"the attempt of {wait.asker} that asked is over" if wait.asker else "the plan does not ask any more"
    return f"already answered by {wait.by}" if wait.end == "resolved" else ""


def _arrived(state: State, event: ev.SignalArrived, at: float) -> None:
    state.signals.append(SignalState(event.id, event.name, event.correlation, event.data, event.by, at, event.answers))


def _refused(state: State, event: ev.SignalRefused, at: float) -> None:
    state.signals = [signal for signal in state.signals if signal.id != event.id]


APPLY: Final[dict[type, Callable[[Any, Any, float], None]]] = {
    ev.WaitStarted: _started,
    ev.WaitResolved: _resolved,
    ev.WaitEnded: _ended,
    ev.SignalArrived: _arrived,
    ev.SignalRefused: _refused,
}
