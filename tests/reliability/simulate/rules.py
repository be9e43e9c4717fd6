"""Which events may come next in which state: the rules of a run, written down apart from the code that keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reliability.simulate.scenario import Spec

from smithers_git.core import events as ev
from smithers_git.core.state import State
from smithers_git.names import TaskKey


class Violation(BaseException):
    """A promise does not hold. No `except Exception` of the code that is tried may take it for an error of its own."""


Tasks = Mapping[str, Spec]


def legal(event: ev.Event, state: State, tasks: Tasks) -> str | None:
    """Why `event` may not come next; None when it may."""
    node = getattr(event, "node", None)
    if (
        isinstance(node, str)
        and node not in tasks
        and not isinstance(event, ev.RegionFailed | ev.RegionSettled | ev.RunFailed)
    ):
        return f"{event.type} is about {node}, which no plan has"
    if state.end is not None and not isinstance(event, _AFTER_THE_END):
        return f"{event.type} comes after the run has {state.end}"
    rule = _RULES.get(type(event))
    return rule(event, state, tasks) if rule else None


_AFTER_THE_END = (ev.RunResumed, ev.RunForked, ev.TaskReset, ev.SpaceSaved, ev.SpaceCreated, ev.RunBudgeted)


def _key(event: Any) -> TaskKey:
    return TaskKey(event.node, event.iteration)


def _created(event: ev.RunCreated, state: State, tasks: Tasks) -> str | None:
    return "a run is created twice" if state.number >= 0 or state.run else None


def _started(event: ev.TaskStarted, state: State, tasks: Tasks) -> str | None:
    key, known = _key(event), state.node(_key(event))
    if key in state.done or known.status in ("finished", "skipped"):
        return f"P3: {key} is {known.status} and starts again"
    if key in state.running:
        return f"P3: {key} starts while its attempt {state.running[key]} is running"
    if known.status == "failed":
        return f"{key} has failed for good and starts again"
    if event.attempt != known.attempt + 1:
        return f"attempt {event.attempt} of {key} comes behind attempt {known.attempt}"
    if state.cancel_requested is not None or state.pause_requested or state.parked is not None:
        return f"{key} starts in a run that is to stop"
    working = [one for one in state.running if tasks[one.node].kind != "land"]  # who waits to land, does not count
    if len(working) >= state.max_concurrency and tasks[key.node].kind != "land":
        return f"{key} starts as number {len(working) + 1} of at most {state.max_concurrency}"
    return None


def _ended(event: ev.TaskFinished | ev.TaskFailed | ev.TaskInterrupted, state: State, tasks: Tasks) -> str | None:
    key, known = _key(event), state.node(_key(event))
    if key in state.done or known.status in ("finished", "skipped"):
        return f"P3: attempt {event.attempt} of {key} ends, and {key} was {known.status} before"
    if tasks[key.node].kind == "value":
        return None  # it has no start
    unmade = isinstance(event, ev.TaskFailed) and event.kind in ("auth", "bad_request") and key not in state.running
    if unmade and event.attempt == known.attempt + 1:
        return None  # nobody was left who could have made it
    if state.running.get(key) != event.attempt:
        return f"P3: attempt {event.attempt} of {key} ends, and the running one is {state.running.get(key)}"
    return None


def _not_begun(event: ev.TaskSkipped | ev.ApprovalRequested, state: State, tasks: Tasks) -> str | None:
    key = _key(event)
    if key in state.done or key in state.running:
        return f"{event.type} is about {key} although it is {state.node(key).status}"
    return None


def _decided(event: ev.ApprovalDecided, state: State, tasks: Tasks) -> str | None:
    key = _key(event)
    known = state.approvals.get(key)
    if known is None or known.approved is not None:
        return f"{key} is decided, and {'nobody had asked' if known is None else 'it was decided before'}"
    return None


def _waits(event: ev.WaitStarted, state: State, tasks: Tasks) -> str | None:
    key = _key(event)
    if key in state.done or key in state.open_waits:
        return f"{key} begins to wait although it is {state.node(key).status}"
    return None


def _wait_over(event: ev.WaitResolved | ev.WaitEnded, state: State, tasks: Tasks) -> str | None:
    key = _key(event)
    withdrawn = isinstance(event, ev.WaitEnded) and event.reason == "withdrawn"  # of approvals and pauses, too
    if key not in (state.open_still() if withdrawn else state.open_waits):
        return f"the wait of {key} ends a second time, or never began"
    taken = getattr(event, "signal", None)
    if taken is not None and any(one.id == taken and one.taken is not None for one in state.signals):
        return f"{key} takes a signal that another wait has taken"
    if isinstance(event, ev.WaitResolved) and tasks[key.node].kind == "timer" and event.by != "clock":
        return f"the timer {key} was answered by {event.by}"
    return None


def _advanced(event: ev.LoopAdvanced, state: State, tasks: Tasks) -> str | None:
    loop = state.loop(event.loop)
    if loop.finished is not None or event.iteration != loop.iteration + 1:
        return f"loop {event.loop} goes from pass {loop.iteration} to {event.iteration}, finished: {loop.finished}"
    return None


def _loop_over(event: ev.LoopFinished, state: State, tasks: Tasks) -> str | None:
    return f"loop {event.loop} finishes twice" if state.loop(event.loop).finished is not None else None


def _over(event: ev.RunFinished | ev.RunFailed, state: State, tasks: Tasks) -> str | None:
    if state.running:
        return f"{event.type} while {', '.join(map(str, state.running))} is running"
    return None


_RULES: dict[type, Callable[[Any, State, Tasks], str | None]] = {
    ev.RunCreated: _created,
    ev.TaskStarted: _started,
    ev.TaskFinished: _ended,
    ev.TaskFailed: _ended,
    ev.TaskInterrupted: _ended,
    ev.TaskSkipped: _not_begun,
    ev.ApprovalRequested: _not_begun,
    ev.ApprovalDecided: _decided,
    ev.WaitStarted: _waits,
    ev.WaitResolved: _wait_over,
    ev.WaitEnded: _wait_over,
    ev.LoopAdvanced: _advanced,
    ev.LoopFinished: _loop_over,
    ev.RunFinished: _over,
    ev.RunFailed: _over,
}


def early(event: ev.Event, state: State, at: float) -> str | None:
    """Why `event` comes before its time; of a clock that never went back."""
    if isinstance(event, ev.TaskStarted):
        known = state.node(_key(event))
        if known.retry_at is not None and known.retry_at > at:
            return f"{_key(event)} starts {known.retry_at - at:g} s before its pause is over"
    if isinstance(event, ev.WaitResolved) and event.by == "clock":
        due = state.open_waits[_key(event)].until
        if due is None or due > at:
            return f"the timer {_key(event)} fires before it is due"
    return None
