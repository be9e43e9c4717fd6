"""What can happen to a run. Frames hold events; state, timeline, index and screens are derived from them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from smithers_git.core.approval_events import ApprovalDecided as ApprovalDecided
from smithers_git.core.approval_events import ApprovalRequested as ApprovalRequested
from smithers_git.core.event_base import NodeEvent as _NodeEvent
from smithers_git.core.event_base import Record as _Record
from smithers_git.core.failure_events import RegionFailed as RegionFailed
from smithers_git.core.failure_events import RegionSettled as RegionSettled
from smithers_git.core.flow_events import TaskDelayed as TaskDelayed
from smithers_git.core.flow_events import TaskSuspended as TaskSuspended
from smithers_git.core.flow_events import TaskWoken as TaskWoken
from smithers_git.core.wait_events import SignalArrived as SignalArrived
from smithers_git.core.wait_events import SignalRefused as SignalRefused
from smithers_git.core.wait_events import WaitEnded as WaitEnded
from smithers_git.core.wait_events import WaitResolved as WaitResolved
from smithers_git.core.wait_events import WaitStarted as WaitStarted

FailureKind = Literal[
    "exit",  # a command ended with a non-zero code
    "error",  # a Python function raised
    "invalid",  # the output does not fit its model
    "gate",  # a gate was red
    "conflict",  # a change that was to land conflicts with the target
    "setup",  # the workspace could not be prepared
    "timeout",
    "idle",
    "loop",  # an agent that says and does the same again and again
    "unchanged",  # an agent that says it is done and has changed no file
    "astray",  # an agent that took its workspace back to before its task
    "limit",
    "overload",
    "auth",
    "refusal",
    "bad_request",
    "empty",
    "crash",
    "bug",
    "budget",
    "denied",
    "cancelled",
    "unstartable",
]


class Usage(_Record):
    """Tokens that an attempt used; `input` includes what came from the cache."""

    input: int = 0
    output: int = 0
    cached: int = 0

    @property
    def tokens(self) -> int:
        """What counts against a budget."""
        return self.input + self.output

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input=self.input + other.input, output=self.output + other.output, cached=self.cached + other.cached
        )


class RunCreated(_Record):
    type: Literal["run.created"] = "run.created"
    run: str
    workflow: str
    """The name under which the workflow was found: a pack id or a path relative to the repository."""
    entry: str
    """The workflow's own file inside `source/`."""
    input: dict[str, Any]
    base: str
    """Commit that the workspaces start from."""
    branch: str | None = None
    """The user's branch at that moment; where the results would land."""
    dirty: bool = False
    max_concurrency: int = 4
    check: list[str] | None = None
    """The project's own check command, as configured or detected at the start."""
    version: str = ""
    caller: str | None = None
    """The run of which a Subflow began this one."""
    caller_node: str | None = None
    """That node, as `NODE` or `NODE@ITERATION`."""
    predecessor: str | None = None
    """The run that continued as this one."""


class RunResumed(_Record):
    type: Literal["run.resumed"] = "run.resumed"
    accepted: list[str] = []
    """Workflow files whose change the user accepted."""
    agents: list[str] = []
    """Agents that were out for the run, or at a limit, and that a person lets in again."""


class RunForked(_Record):
    type: Literal["run.forked"] = "run.forked"
    run: str
    parent: str
    frame: int
    input: dict[str, Any] | None = None


class RunFinished(_Record):
    type: Literal["run.finished"] = "run.finished"
    failed_children: list[str] = []
    successor: str | None = None
    """The run that this one continued as."""


class RunFailed(_Record):
    type: Literal["run.failed"] = "run.failed"
    error: str
    node: str | None = None
    hint: str = ""


class CancelRequested(_Record):
    type: Literal["run.cancel-requested"] = "run.cancel-requested"
    by: str = ""


class RunCancelled(_Record):
    type: Literal["run.cancelled"] = "run.cancelled"
    by: str = ""


class PauseRequested(_Record):
    type: Literal["run.pause-requested"] = "run.pause-requested"
    by: str = ""


class RunParked(_Record):
    """The run cannot go on: the disk is full, or a budget spent. What ran was ended and kept; nothing has failed."""

    type: Literal["run.parked"] = "run.parked"
    reason: str
    kind: Literal["disk", "budget", "day"] = "disk"


class RunBudgeted(_Record):
    """What the run may spend from now on, all of it counted; a limit that is None does not exist."""

    type: Literal["run.budgeted"] = "run.budgeted"
    usd: float | None = None
    tokens: int | None = None
    by: str = ""
    """Who said so; empty for the workflow and the configuration."""


Bypass = Literal["", "isolated", "open"]

Conversation = Literal["new", "continued", "restored", "summary"]
"""What an agent's attempt remembers: nothing; the conversation before; that one, its files put back from the run; what
was written down for it of one that could not go on."""


class TaskStarted(_NodeEvent):
    type: Literal["task.started"] = "task.started"
    attempt: int
    agent: str | None = None
    space: str = "main"
    commit: str | None = None
    """The code commit that the attempt starts from."""
    session: str | None = None
    """The conversation that is continued, when there is one."""
    successor: str | None = None
    """The run to continue as, for a node that asks for that."""
    child: str | None = None
    """The run that a Subflow uses."""
    permission: str | None = None
    """What the agent may do unasked: read, edit or full; None for one without such levels, and in older frames."""
    isolated: bool | None = None
    """Whether the agent is isolated; None where there is no agent, and in older frames."""

    @property
    def bypass(self) -> Bypass:
        """Whether nothing asks before the agent does something: `isolated` or `open`; empty when something does."""
        if self.isolated is None or self.permission in ("read", "edit"):
            return ""
        return "isolated" if self.isolated else "open"


class _AttemptEnd(_NodeEvent):
    attempt: int
    seconds: float = 0.0
    agent: str | None = None
    model: str | None = None
    space: str = "main"
    commit: str | None = None
    """The code commit that holds what the attempt left; None when the workspace was not touched."""
    session: str | None = None
    conversation: Conversation | None = None
    """None where there is no agent, and in older frames."""
    session_total: Usage | None = None
    """Tokens of the whole conversation so far, where the CLI counts so; its next turn starts from here."""
    usage: Usage | None = None
    cost: float | None = None
    """US dollars, as the agent says."""


class TaskFinished(_AttemptEnd):
    type: Literal["task.finished"] = "task.finished"
    output: str | None = None
    """Path of the output in the frame's tree."""
    gates: list[str] = []
    """The gate commands that were green on exactly this commit."""
    cache_key: str | None = None
    cached: bool = False


class TaskFailed(_AttemptEnd):
    type: Literal["task.failed"] = "task.failed"
    kind: FailureKind
    message: str
    final: bool
    retry_at: float | None = None
    """Unix seconds before which the next attempt does not start."""
    free: bool = False
    """True when the failure does not count against `retries` (a rate limit)."""
    continued: bool = False
    """True when `continue_on_fail` lets the plan go on."""
    hint: str = ""
    """What to type, where that is more than to try again."""
    restored: bool = False
    """True when the workspace was given the files back with which the attempt began."""


class TaskSkipped(_NodeEvent):
    type: Literal["task.skipped"] = "task.skipped"
    reason: str


LOST: Final = "the run has another owner"
"""Why an engine leaves a run whose lock it has lost. Nobody told it to: the run may go on by itself."""


class TaskInterrupted(_NodeEvent):
    """An attempt whose engine died, or was told to stop, before the attempt ended."""

    type: Literal["task.interrupted"] = "task.interrupted"
    attempt: int
    reason: str
    next: str = "starts again from its start tree"
    agent: str | None = None
    session: str | None = None
    """The conversation that the next attempt goes on with."""
    conversation: Conversation | None = None
    restored: bool = False
    """Its files were put back to those from before it; what it had written is kept in this frame."""
    usage: Usage | None = None
    cost: float | None = None


class TaskHijacked(_NodeEvent):
    """A person went on with the conversation of a task in the agent's own interface, and handed it back."""

    type: Literal["task.hijacked"] = "task.hijacked"
    agent: str
    session: str
    seconds: float = 0.0
    by: str = ""


class TaskReset(_Record):
    type: Literal["task.reset"] = "task.reset"
    nodes: list[str]
    """`NODE@ITERATION`, also for iteration 0: that one; `NODE`: all its iterations."""
    reopened: list[str] = []
    """Loops that go on in the iteration they are in."""
    restarted: list[str] = []
    """Loops that begin again at iteration 0."""
    regions: list[str] = []
    """Sagas and try blocks around them that have failed: they begin afresh, with what they had undone."""
    by: str = ""


class LoopEntered(_Record):
    """A loop inside another one is reached for the first time."""

    type: Literal["loop.entered"] = "loop.entered"
    loop: str
    outer: list[str]
    """The loops around it, outermost first."""


class LoopAdvanced(_Record):
    type: Literal["loop.advanced"] = "loop.advanced"
    loop: str
    iteration: int
    inner: list[str] = []
    """Loops inside this one: each goes on at its next iteration, with a fresh ceiling."""


class LoopFinished(_Record):
    type: Literal["loop.finished"] = "loop.finished"
    loop: str
    reason: Literal["until", "max"]
    iterations: int


class SpaceCreated(_Record):
    type: Literal["space.created"] = "space.created"
    space: str
    branch: str
    """Full ref name of the code branch."""
    commit: str
    slug: str | None = None
    """Name of the workspace as a host or a compose project; None in frames of older programs."""
    port: int | None = None
    """First port of its block where it was made. Another machine may have to give it another one."""


class SpaceSaved(_Record):
    """Bytes that were found in a workspace outside of an attempt, kept before anything touches them."""

    type: Literal["space.saved"] = "space.saved"
    space: str
    commit: str
    reason: str
    restored: str | None = None
    """The commit that the workspace was then put back to; None when the saved bytes stay in place."""


Event = Annotated[
    RunCreated
    | RunResumed
    | RunForked
    | RunFinished
    | RunFailed
    | CancelRequested
    | RunCancelled
    | PauseRequested
    | RunParked
    | RunBudgeted
    | TaskStarted
    | TaskFinished
    | TaskFailed
    | TaskSkipped
    | TaskInterrupted
    | TaskHijacked
    | TaskReset
    | LoopEntered
    | LoopAdvanced
    | LoopFinished
    | TaskDelayed
    | TaskSuspended
    | TaskWoken
    | RegionFailed
    | RegionSettled
    | ApprovalRequested
    | ApprovalDecided
    | WaitStarted
    | WaitResolved
    | WaitEnded
    | SignalArrived
    | SignalRefused
    | SpaceCreated
    | SpaceSaved,
    Field(discriminator="type"),
]
