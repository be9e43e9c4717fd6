"""The parts of a run's state: what is known of a node, a loop, an approval, a workspace."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from smithers_git.core.approval_events import How
from smithers_git.core.events import Usage
from smithers_git.core.nodes import Mode, OnDeny, OnExpiry
from smithers_git.core.wait_events import GiveUp, WaitKind
from smithers_git.names import TaskKey

Status = Literal["pending", "running", "waiting", "finished", "failed", "skipped"]


@dataclass(slots=True)
class NodeState:
    """What is known of one node in one iteration."""

    status: Status = "pending"
    attempt: int = 0
    """Number of the last attempt that was started; 0 before the first."""
    failures: int = 0
    """Failed attempts that count against `retries`."""
    tried: set[str] = field(default_factory=set)
    """Agents of which an attempt failed that counts."""
    spent: set[str] = field(default_factory=set)
    """Agents that would meet the same failure again."""
    overloads: int = 0
    """How often in a row the service of an agent was too busy."""
    limited: tuple[str, ...] = ()
    """The agents whose limits it waits for, until `retry_at`."""
    hint: str = ""
    """What to type after the failure, where that is more than to try again."""
    restored: bool = False
    """Whether the files are those from before its last attempt."""
    by_hand: bool = False
    """Whether a person has gone on with its conversation since its last attempt."""
    start: str | None = None
    """The code commit that its first attempt started from."""
    retry_at: float | None = None
    error: str | None = None
    kind: str | None = None
    output: str | None = None
    """Path of the output in the frame's tree."""
    agent: str | None = None
    bypass: Literal["", "isolated", "open"] = ""
    """Whether its agent was asked nothing: see `TaskStarted.bypass`."""
    session: str | None = None
    session_agent: str | None = None
    """The agent profile that `session` belongs to."""
    session_total: Usage | None = None
    """Tokens of that conversation so far, where its CLI counts whole conversations."""
    space: str = "main"
    commit: str | None = None
    tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    started: float | None = None
    ended: float | None = None
    child: str | None = None
    """The run that a Subflow began."""
    revive: bool = False
    """Whether that run goes on although it failed or was cancelled."""
    successor: str | None = None
    """The run to continue as, once the plan is done."""
    continued: bool = False
    cached: bool = False

    @property
    def limit(self) -> str:
        """What it waits for in one line; empty when that is no limit."""
        return f"limit of {' and '.join(self.limited)}" if self.limited else ""


@dataclass(slots=True)
class LoopState:
    iteration: int = 0
    base: int = 0
    """The iteration at which the loop began in this pass of an enclosing loop."""
    finished: Literal["until", "max"] | None = None
    outer: tuple[str, ...] = ()
    """The loops around it: when one of them goes on, this one begins afresh."""


@dataclass(slots=True)
class ApprovalState:
    title: str
    summary: str
    requested: float
    commits: dict[str, str]
    on_deny: OnDeny = "fail"
    gate: bool = False
    mode: Mode = "approve"
    options: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    until: float | None = None
    """Unix seconds after which nobody is asked any more."""
    on_expiry: OnExpiry = "deny"
    auto_after: int | None = None
    streak: int = 0
    """Approvals of this node by people, in a row, before this one; counted for `auto_after` only."""
    approved: bool | None = None
    by: str | None = None
    note: str = ""
    how: How = "person"
    decided: float | None = None
    selected: str | None = None
    ranking: tuple[str, ...] = ()


@dataclass(slots=True)
class WaitState:
    """A question, a signal or a timer that a run waits for, or waited for."""

    kind: WaitKind
    title: str
    since: float
    prompt: str = ""
    answer: dict[str, Any] | None = None
    """JSON schema of what may come."""
    choices: tuple[str, ...] = ()
    asker: TaskKey | None = None
    """The running task that asks; None for a node of the plan."""
    attempt: int = 0
    """The attempt of that task."""
    name: str | None = None
    correlation: str | None = None
    allowed: tuple[str, ...] = ()
    until: float | None = None
    """Unix seconds: when the timer is due, or when the wait ends without an answer."""
    on_expiry: GiveUp = "fail"
    on_cancel: GiveUp = "fail"
    continued: bool = False
    end: Literal["resolved", "expired", "cancelled", "withdrawn"] | None = None
    """`withdrawn`: the attempt that asked is over, or the plan went on without it. None while it is waited for."""
    by: str = ""
    """Who answered, sent the signal or withdrew it."""
    note: str = ""
    signal: str | None = None
    """Id of the signal that was taken."""
    reply: str | None = None
    """The answer to a question that a running agent asked."""
    tip: str | None = None
    """The newest frame of the run `name`, of kind `child`, when the wait began."""


@dataclass(slots=True)
class SignalState:
    """A signal that was sent."""

    id: str
    name: str
    correlation: str | None
    data: Any
    by: str
    at: float
    answers: str | None = None
    """`NODE` or `NODE@ITERATION` of the question, when it is an answer that nobody has checked yet."""
    taken: TaskKey | None = None
    """The wait that took it."""


@dataclass(slots=True)
class RegionState:
    """A Saga or a TryCatchFinally whose body has failed."""

    cause: str
    """The task or loop that failed."""
    error: str
    kind: str | None
    hint: str
    caught: bool
    """Whether the plan goes on behind the region."""
    steps: tuple[str, ...] = ()
    """Finished steps of a saga, to be undone from the last to the first."""
    again: tuple[TaskKey, ...] = ()
    loops: tuple[str, ...] = ()
    settled: bool = False
    """Everything that it had still to do is done."""
    handled: bool = False
    """A region around it has caught the failure."""


@dataclass(slots=True)
class SpaceState:
    branch: str
    commit: str
    base: str
    slug: str | None = None
    port: int | None = None
