"""The state of a run: a fold over its events. `apply` is the only place where a status changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from smithers_git.core import events as ev
from smithers_git.core import fold_approvals, fold_flows, fold_regions, fold_tasks, fold_waits
from smithers_git.core.nodes import Budget
from smithers_git.core.parts import (
    ApprovalState,
    LoopState,
    NodeState,
    RegionState,
    SignalState,
    SpaceState,
    Status,
    WaitState,
)
from smithers_git.names import TaskKey, parse_key

__all__ = [
    "ApprovalState", "LoopState", "NodeState", "SignalState", "SpaceState", "State", "Status", "WaitState", "apply",
]  # fmt: skip


@dataclass(slots=True)
class State:
    """Everything that a run is, besides the outputs themselves, which stay in the frame's tree."""

    run: str = ""
    workflow: str = ""
    entry: str = ""
    parent: str | None = None
    parent_frame: int | None = None
    caller: str | None = None
    """The run of which a Subflow began this one."""
    caller_node: str | None = None
    predecessor: str | None = None
    """The run that continued as this one."""
    successor: str | None = None
    """The run that this one continued as."""
    input: dict[str, Any] = field(default_factory=dict)
    base: str = ""
    branch: str | None = None
    check: list[str] | None = None
    max_concurrency: int = 4
    number: int = -1
    """Number of the last frame; -1 before frame 0."""
    created: float = 0.0
    updated: float = 0.0
    end: Literal["finished", "failed", "cancelled"] | None = None
    error: str | None = None
    error_hint: str = ""
    failed_children: list[str] = field(default_factory=list)
    pause_requested: bool = False
    cancel_requested: str | None = None
    parked: str | None = None
    """Why the run could not go on; None when it could, or did again."""
    parked_for: Literal["disk", "budget", "day"] | None = None
    budget: Budget = field(default_factory=Budget)
    """What the run may spend in all, its parents' part included."""
    nodes: dict[TaskKey, NodeState] = field(default_factory=dict)
    done: set[TaskKey] = field(default_factory=set)
    """Keys that let their dependents go on: finished, skipped, or failed with `continue_on_fail`."""
    running: dict[TaskKey, int] = field(default_factory=dict)
    """Attempts that were started and have not ended, by key."""
    latest: dict[str, int] = field(default_factory=dict)
    """The highest iteration of a node that has an output."""
    outputs: int = 0
    """How many output files were ever written; decides the folder of the next."""
    loops: dict[str, LoopState] = field(default_factory=dict)
    regions: dict[TaskKey, RegionState] = field(default_factory=dict)
    """Sagas and try blocks whose body has failed."""
    approvals: dict[TaskKey, ApprovalState] = field(default_factory=dict)
    waits: dict[TaskKey, WaitState] = field(default_factory=dict)
    """Questions, signals and timers, those that are over too; those of running agents have keys of their own."""
    open_waits: dict[TaskKey, WaitState] = field(default_factory=dict)
    """Those that are still waited for, oldest first."""
    signals: list[SignalState] = field(default_factory=list)
    """Every signal that was sent and not refused, oldest first."""
    out: dict[str, str] = field(default_factory=dict)
    """Agents that the run does without, with what they said: somebody has to log in, to pay, to set a key."""
    pauses: set[TaskKey] = field(default_factory=set)
    """Nodes of which an attempt failed and the next one may have to wait."""
    bypass: Literal["", "isolated", "open"] = ""
    """The same of all agents of the run, the open ones first."""
    spaces: dict[str, SpaceState] = field(default_factory=dict)
    tokens: int = 0
    cost: float = 0.0
    resumes: int = 0
    interrupted: bool = False
    """An attempt was cut off and nothing has started since: the engine was told to stop, or died."""
    resets: int = 0
    """How often nodes were taken back; until then, what is done stays done."""

    def node(self, key: TaskKey) -> NodeState:
        """The state of `key`; a fresh one, not kept, when nothing happened to it yet."""
        return self.nodes.get(key) or NodeState()

    def loop(self, loop: str) -> LoopState:
        return self.loops.get(loop) or LoopState()

    def open_still(self) -> set[TaskKey]:
        """What may be due by itself or by somebody's word: approvals, waits of the plan, pauses before an attempt."""
        waits = {key for key, wait in self.open_waits.items() if wait.asker is None}
        return {*self.waiting(), *waits, *self.pauses}

    def waiting(self) -> list[TaskKey]:
        """Approvals that nobody has decided yet, oldest first."""
        return [key for key, one in self.approvals.items() if one.approved is None and key not in self.done]

    def matched(self) -> dict[TaskKey, SignalState]:
        """Which signal each waiting node gets: the oldest wait the oldest signal that fits it."""
        free = [signal for signal in self.signals if signal.taken is None]
        found: dict[TaskKey, SignalState] = {}
        for key, wait in self.open_waits.items() if free else ():
            signal = next((signal for signal in free if fold_waits.fits(key, wait, signal)), None)
            if signal is not None:
                found[key] = signal
                free.remove(signal)
        return found

    @property
    def paused(self) -> bool:
        """Whether it stands still for a person who paused it; a cancel of it is completed all the same."""
        return self.pause_requested and self.cancel_requested is None

    @property
    def wake_at(self) -> float | None:
        """Unix seconds of the earliest thing that is due by itself: a timer, the end of a wait, a retry, a signal."""
        moments = [signal.at for signal in self.matched().values()]
        moments += [wait.until for wait in self.open_waits.values() if wait.until is not None and wait.asker is None]
        moments += [at for key in self.waiting() if (at := self.approvals[key].until) is not None]
        moments += [at for key in self.pauses if (at := self.node(key).retry_at) is not None]
        return min(moments, default=None)


def apply(state: State, event: ev.Event, at: float) -> State:
    """Fold one event, which happened at `at` (Unix seconds), into `state`; changes and returns it."""
    _APPLY[type(event)](state, event, at)
    state.updated = at
    return state


def _created(state: State, event: ev.RunCreated, at: float) -> None:
    state.run, state.workflow, state.entry = event.run, event.workflow, event.entry
    state.input, state.base, state.branch = event.input, event.base, event.branch
    state.check, state.max_concurrency, state.created = event.check, event.max_concurrency, at
    state.predecessor, state.caller, state.caller_node = event.predecessor, event.caller, event.caller_node


def _resumed(state: State, event: ev.RunResumed, at: float) -> None:
    state.pause_requested, state.cancel_requested, state.parked, state.interrupted = False, None, None, False
    state.parked_for = None
    state.resumes += 1
    fold_tasks.let_in(state, event.agents)
    if state.end in ("failed", "cancelled"):
        state.end, state.error, state.error_hint = None, None, ""
        state.failed_children = []
        _try_again(state)


def _try_again(state: State) -> None:
    """Going on after a failure gives what failed a fresh round: attempts, questions, loops at their ceiling, sagas."""
    state.out.clear()
    fold_regions.try_again(state)
    fold_flows.revive(state)
    for key, node in state.nodes.items():
        if node.status == "failed" and not node.continued:
            node.status = "pending"
            fold_tasks.begin_again(node)
            state.approvals.pop(key, None)
            fold_waits.forget(state, key)
    for loop in state.loops.values():
        if loop.finished == "max":
            loop.finished = None


def _forked(state: State, event: ev.RunForked, at: float) -> None:
    state.parent, state.parent_frame, state.run = event.parent, event.frame, event.run
    if event.input is not None:
        state.input = event.input
    state.created, state.caller, state.caller_node = at, None, None
    state.predecessor = state.successor = None
    state.out.clear()
    if state.end in ("failed", "cancelled"):
        _try_again(state)  # the new run may have what the old one lacked: a higher ceiling, another input
    state.end, state.error, state.error_hint, state.failed_children = None, None, "", []
    state.pause_requested, state.cancel_requested, state.parked, state.interrupted = False, None, None, False
    state.parked_for = None
    for key in list(state.running):
        fold_tasks.stop(state, key)
    for space in state.spaces.values():
        space.base = space.commit
    for node in state.nodes.values():  # a conversation belongs to one folder, and a fork has folders of its own
        node.session = node.session_agent = None
    fold_flows.fork(state, event.run)


def _finished(state: State, event: ev.RunFinished, at: float) -> None:
    state.end, state.failed_children, state.successor = "finished", event.failed_children, event.successor


def _failed(state: State, event: ev.RunFailed, at: float) -> None:
    state.end, state.error, state.error_hint = "failed", event.error, event.hint


def _cancel_requested(state: State, event: ev.CancelRequested, at: float) -> None:
    state.cancel_requested = event.by or "unknown"


def _cancelled(state: State, event: ev.RunCancelled, at: float) -> None:
    state.end, state.cancel_requested = "cancelled", None
    for key in list(state.running):
        fold_tasks.stop(state, key)


def _pause_requested(state: State, event: ev.PauseRequested, at: float) -> None:
    state.pause_requested = True


def _parked(state: State, event: ev.RunParked, at: float) -> None:
    state.parked, state.parked_for = event.reason, event.kind
    state.interrupted = False  # nobody told it to stop: it can go on by itself once there is room again


def _budgeted(state: State, event: ev.RunBudgeted, at: float) -> None:
    state.budget = Budget(event.usd, event.tokens)


def _task_reset(state: State, event: ev.TaskReset, at: float) -> None:
    names = set(event.nodes)
    state.resets += 1
    state.out.clear()  # whoever takes something back may have logged in
    for key in [key for key in state.nodes if key.node in names or f"{key.node}@{key.iteration}" in names]:
        fold_regions.take_back(state, key)
    for key in [key for key in map(parse_key, event.regions) if key in state.regions]:
        fold_regions.begin_afresh(state, key)
    for loop in event.restarted:
        state.loops.pop(loop, None)
    for loop in event.reopened:
        state.loops.setdefault(loop, LoopState()).finished = None
    state.end, state.error, state.error_hint, state.failed_children = None, None, "", []
    state.successor = None


def _loop_entered(state: State, event: ev.LoopEntered, at: float) -> None:
    state.loops.setdefault(event.loop, LoopState()).outer = tuple(event.outer)


def _loop_advanced(state: State, event: ev.LoopAdvanced, at: float) -> None:
    loop = state.loops.setdefault(event.loop, LoopState())
    loop.iteration = event.iteration
    for name in event.inner:
        inner = state.loops.setdefault(name, LoopState())
        inner.iteration += 1
        inner.base, inner.finished = inner.iteration, None


def _loop_finished(state: State, event: ev.LoopFinished, at: float) -> None:
    state.loops.setdefault(event.loop, LoopState()).finished = event.reason


def _space_created(state: State, event: ev.SpaceCreated, at: float) -> None:
    state.spaces[event.space] = SpaceState(event.branch, event.commit, event.commit, event.slug, event.port)


def _space_saved(state: State, event: ev.SpaceSaved, at: float) -> None:
    state.spaces[event.space].commit = event.restored or event.commit


_APPLY: dict[type, Callable[[State, Any, float], None]] = {
    ev.RunCreated: _created,
    ev.RunResumed: _resumed,
    ev.RunForked: _forked,
    ev.RunFinished: _finished,
    ev.RunFailed: _failed,
    ev.CancelRequested: _cancel_requested,
    ev.RunCancelled: _cancelled,
    ev.PauseRequested: _pause_requested,
    ev.RunParked: _parked,
    ev.RunBudgeted: _budgeted,
    ev.TaskReset: _task_reset,
    ev.LoopEntered: _loop_entered,
    ev.LoopAdvanced: _loop_advanced,
    ev.LoopFinished: _loop_finished,
    ev.SpaceCreated: _space_created,
    ev.SpaceSaved: _space_saved,
    **fold_approvals.APPLY,
    **fold_flows.APPLY,
    **fold_regions.APPLY,
    **fold_tasks.APPLY,
    **fold_waits.APPLY,
}
