"""What can happen to a merge queue. Its frames hold events; its state and every screen are derived from them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from smithers_git.core.landing.entry import Entry, Gate

Outcome = Literal["passed", "failed", "broken"]
"""Broken is infrastructure: killed, out of memory, could not start. It says nothing of the tree."""

Reason = Literal["conflict", "red", "hook", "moved", "broken"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class QueueOpened(_Record):
    type: Literal["queue.opened"] = "queue.opened"
    target: str
    """Full name of the branch that is landed on."""
    base: str | None = None
    """The commit that the target was at."""


class EntryEntered(_Record):
    """A change wants to land. One that was refused or ejected waits again, and is judged anew."""

    type: Literal["entry.entered"] = "entry.entered"
    entry: Entry
    by: str = ""


class GateRan(_Record):
    type: Literal["gate.ran"] = "gate.ran"
    tree: str
    gate: Gate
    env: str
    """Digest of the machine and tools that it ran on."""
    outcome: Outcome
    exit_code: int | None = None
    seconds: float = 0.0
    log: str | None = None
    """Path of its output in the frame's tree."""
    message: str = ""


class HookRan(_Record):
    """The user's own hooks looked at a commit that is about to land."""

    type: Literal["hook.ran"] = "hook.ran"
    entry: str
    commit: str
    passed: bool
    message: str = ""
    log: str | None = None


class EntryRefused(_Record):
    """The entry goes back to its author."""

    type: Literal["entry.refused"] = "entry.refused"
    entry: str
    reason: Reason
    message: str
    evidence: str | None = None
    """Path in the frame's tree of what the author needs to mend it."""
    tree: str | None = None
    """Red or broken: on this tree."""
    gate: Gate | None = None


class LandingBegun(_Record):
    """The intent to move the target, written before it moves."""

    type: Literal["landing.begun"] = "landing.begun"
    entry: str
    before: str
    commit: str
    trees: tuple[str, ...] = ()
    """Trees of the commits that it puts on the target, oldest first."""
    follow: tuple[str, ...] = ()
    """Worktrees that have the target checked out and go along."""


class LandingVoid(_Record):
    """The target did not move to the intended commit."""

    type: Literal["landing.void"] = "landing.void"
    entry: str
    reason: str


class EntryLanded(_Record):
    type: Literal["entry.landed"] = "entry.landed"
    entry: str
    before: str
    commit: str
    tree: str
    trees: tuple[str, ...] = ()
    receipt: str | None = None
    """Path in the frame's tree; None when the target held the change already, by somebody else's hand."""


class EntryEjected(_Record):
    type: Literal["entry.ejected"] = "entry.ejected"
    entry: str
    by: str
    note: str = ""


class EntryHeld(_Record):
    type: Literal["entry.held"] = "entry.held"
    entry: str | None = None
    """None: the whole queue."""
    by: str
    note: str = ""


class EntryResumed(_Record):
    """What was held goes on. For the whole queue: what is not green is also asked again."""

    type: Literal["entry.resumed"] = "entry.resumed"
    entry: str | None = None
    by: str


QueueEvent = Annotated[
    QueueOpened
    | EntryEntered
    | GateRan
    | HookRan
    | EntryRefused
    | LandingBegun
    | LandingVoid
    | EntryLanded
    | EntryEjected
    | EntryHeld
    | EntryResumed,
    Field(discriminator="type"),
]
