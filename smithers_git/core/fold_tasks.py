"""How attempts change the state of a run: the part of `core.state.apply` for what starts and ends."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final

from smithers_git.core import events as ev
from smithers_git.core import fold_waits
from smithers_git.core.chain import LASTING
from smithers_git.core.parts import NodeState
from smithers_git.names import TaskKey

if TYPE_CHECKING:
    from smithers_git.core.state import State


def _known(state: State, event: Any) -> tuple[TaskKey, NodeState]:
    key = TaskKey(event.node, event.iteration)
    node = state.nodes.get(key)
    if node is None:
        node = state.nodes[key] = NodeState()
    return key, node


def stop(state: State, key: TaskKey) -> None:
    """The attempt of `key` that is in flight is over, without a result."""
    state.running.pop(key, None)
    fold_waits.withdraw(state, key)
    node = state.nodes[key]
    if node.status == "running":
        node.status = "pending"


def _task_started(state: State, event: ev.TaskStarted, at: float) -> None:
    key, node = _known(state, event)
    node.status, node.attempt, node.started, node.ended = "running", event.attempt, at, None
    node.agent, node.space, node.retry_at = event.agent, event.space, None
    node.successor, node.child, node.limited = event.successor, event.child, ()
    node.start = node.start or event.commit
    node.by_hand = False
    node.bypass = event.bypass
    state.bypass = "open" if "open" in (state.bypass, event.bypass) else event.bypass or state.bypass
    state.running[key] = event.attempt
    state.pauses.discard(key)
    state.interrupted = False


def _attempt_ended(state: State, node: NodeState, key: TaskKey, event: Any) -> None:
    at_least = max(node.attempt, event.attempt)
    node.attempt, node.seconds, node.space = at_least, node.seconds + event.seconds, event.space
    node.agent = event.agent or node.agent
    if event.session:
        node.session, node.session_agent = event.session, event.agent
        node.session_total = event.session_total
    _spend(state, node, event)
    if event.commit:
        node.commit = event.commit
        space = state.spaces.get(event.space)
        if space is not None:
            space.commit = event.commit
    state.running.pop(key, None)
    state.pauses.discard(key)
    fold_waits.withdraw(state, key)


def _spend(state: State, node: NodeState, event: Any) -> None:
    if event.usage:
        node.tokens += event.usage.tokens
        state.tokens += event.usage.tokens
    if event.cost:
        node.cost += event.cost
        state.cost += event.cost


def _task_finished(state: State, event: ev.TaskFinished, at: float) -> None:
    key, node = _known(state, event)
    _attempt_ended(state, node, key, event)
    node.status, node.error, node.kind, node.ended, node.cached = "finished", None, None, at, event.cached
    if node.started is None:
        node.started = at
    fold_waits.keep_output(state, key, node, event.output)
    state.done.add(key)


def _task_failed(state: State, event: ev.TaskFailed, at: float) -> None:
    key, node = _known(state, event)
    _attempt_ended(state, node, key, event)
    node.error, node.kind, node.ended = event.message, event.kind, at
    node.failures += 0 if event.free else 1
    _blame(state, node, event)
    node.retry_at, node.revive = None if event.final else event.retry_at, False
    if node.retry_at is not None:
        state.pauses.add(key)
    node.status = "failed" if event.final else "pending"
    node.continued = event.final and event.continued
    if event.final and event.continued:
        state.done.add(key)


def _blame(state: State, node: NodeState, event: ev.TaskFailed) -> None:
    """Note what the failure says about the agent, for the choice of the next one."""
    node.overloads = node.overloads + 1 if event.kind == "overload" else 0
    node.hint, node.restored = event.hint, event.restored
    if event.agent is None:
        return
    if event.kind == "auth":
        state.out[event.agent] = event.message.partition("\n")[0]
    elif event.kind in LASTING:
        node.spent.add(event.agent)
    elif not event.free:
        node.tried.add(event.agent)


def begin_again(node: NodeState) -> None:
    """Its attempts are counted from none again, and its chain begins with its first agent."""
    node.failures, node.overloads, node.retry_at, node.limited = 0, 0, None, ()
    node.tried.clear()
    node.spent.clear()


def _task_delayed(state: State, event: ev.TaskDelayed, at: float) -> None:
    key, node = _known(state, event)
    node.retry_at, node.limited = event.until, tuple(event.agents)
    node.ended = at
    state.pauses.add(key)


def _task_hijacked(state: State, event: ev.TaskHijacked, at: float) -> None:
    _, node = _known(state, event)
    node.session, node.session_agent = event.session, event.agent
    node.by_hand, node.restored = True, False


def kept_out(state: State) -> list[str]:
    """The agents that are out for the run, and those whose limits something waits for."""
    waited = {agent for key in state.pauses for agent in state.nodes[key].limited}
    return sorted({*state.out, *waited})


def let_in(state: State, agents: Collection[str]) -> None:
    """A person says that these agents work again."""
    for agent in agents:
        state.out.pop(agent, None)
    for key in list(state.pauses):
        node = state.nodes[key]
        if node.limited and not set(node.limited).isdisjoint(agents):
            node.retry_at, node.limited = None, ()
            state.pauses.discard(key)


def _task_skipped(state: State, event: ev.TaskSkipped, at: float) -> None:
    key, node = _known(state, event)
    node.status, node.ended, node.error = "skipped", at, event.reason
    fold_waits.drop(state, key)
    state.done.add(key)


def _task_interrupted(state: State, event: ev.TaskInterrupted, at: float) -> None:
    key, node = _known(state, event)
    node.attempt = max(node.attempt, event.attempt)
    stop(state, key)
    node.ended, node.error = at, event.reason
    state.interrupted, node.restored = state.interrupted or event.reason != ev.LOST, event.restored
    _spend(state, node, event)
    if event.session:
        node.session, node.session_agent = event.session, event.agent


APPLY: Final[dict[type, Callable[[Any, Any, float], None]]] = {
    ev.TaskStarted: _task_started,
    ev.TaskFinished: _task_finished,
    ev.TaskFailed: _task_failed,
    ev.TaskDelayed: _task_delayed,
    ev.TaskHijacked: _task_hijacked,
    ev.TaskSkipped: _task_skipped,
    ev.TaskInterrupted: _task_interrupted,
}
