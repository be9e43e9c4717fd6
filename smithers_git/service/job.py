"""What a worker needs to make one attempt, and what it brings back. Plain values: no state, no repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from smithers_git.core import events as ev
from smithers_git.core.nodes import Task
from smithers_git.names import TaskKey

if TYPE_CHECKING:
    from smithers_git.service.conversations import Kept
    from smithers_git.service.landing.entries import Wish


@dataclass(frozen=True, slots=True)
class Space:
    """The workspace of an attempt, as the state knows it when the attempt starts."""

    name: str
    branch: str
    commit: str
    port: int | None = None
    """The first port of its block, as the frame has it."""


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt of one task."""

    run: str
    key: TaskKey
    attempt: int
    task: Task
    space: Space | None
    """None for a function that never asks for a folder."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Outputs for the parameters of the prompt or call function."""
    prompt: str = ""
    agent: str | None = None
    chain: tuple[str, ...] = ()
    """The agents that the task may use, best first."""
    start: str | None = None
    """The commit of the workspace at which the task began, before its first attempt."""
    session: str | None = None
    """The conversation to go on with, when the last attempt of this agent left one."""
    session_total: ev.Usage | None = None
    new_pass: bool = False
    """The conversation is that of an earlier pass of the loop: it has not heard this prompt yet."""
    former: str | None = None
    """How an attempt before this one ended, of whose conversation this one knows nothing."""
    trouble: str | None = None
    """Why the last attempt failed; the agent is told."""
    by_hand: bool = False
    """A person has gone on with the conversation since the last attempt."""
    restored: bool = False
    """Whether the files are those from before that attempt."""
    cache_key: str | None = None
    permission: str | None = None
    """What the agent may do unasked; None for one that knows no such levels."""
    isolated: bool = False
    """Whether its programs run isolated."""
    child: str | None = None
    """The run that a Subflow uses."""
    revive: bool = False
    """Whether that run goes on although it failed or was cancelled."""
    successor: str | None = None
    """The run to continue as, for a task that asks for that."""
    wish: Wish | None = None
    """What a Land task wants to land."""


@dataclass(frozen=True, slots=True)
class Suspension:
    """What the run waits for that a Subflow uses."""

    run: str
    tip: str
    title: str
    until: float | None


@dataclass(slots=True)
class Result:
    """How an attempt ended. `kind` is None when it succeeded."""

    job: Job
    begun: bool = True
    """Whether a frame says that the attempt was started; not for a value, and for one that could not be made."""
    value: Any = None
    kind: ev.FailureKind | None = None
    message: str = ""
    hint: str = ""
    """What to type, where that is more than to try again."""
    seconds: float = 0.0
    commit: str | None = None
    agent: str | None = None
    model: str | None = None
    session: str | None = None
    conversation: ev.Conversation | None = None
    kept: Kept | None = None
    """The conversation, for the frame that ends the attempt."""
    session_total: ev.Usage | None = None
    usage: ev.Usage | None = None
    cost: float | None = None
    gates: list[str] = field(default_factory=list)
    retry_at: float | None = None
    """Unix seconds before which another attempt is pointless, as the agent's service said."""
    astray: bool = False
    """It took its workspace back to before the task: `commit` is what it left, and no attempt goes on from there."""
    transcript: bytes = b""
    cached: bool = False
    """Taken over from an earlier attempt with the same definition on the same files."""
    full: str | None = None
    """That the disk was full while it was made. When it did not succeed, that is no failure of the task."""
    suspended: Suspension | None = None
    """Set when the run that a Subflow uses waits; it has then neither succeeded nor failed."""
    notes: list[str] = field(default_factory=list)
    """What the user should know although the attempt ended well, say a nested repository that no frame covers."""
