"""What can happen to a question whether something may go on."""

from __future__ import annotations

from typing import Literal

from smithers_git.core.event_base import NodeEvent
from smithers_git.core.nodes import Mode, OnDeny, OnExpiry

How = Literal["person", "expired", "auto"]
"""What decided: a person, the end of its time, or enough approvals by people in a row before it."""


class ApprovalRequested(NodeEvent):
    """A person is asked; of a node that waits already: asked anew, as what they were shown has changed."""

    type: Literal["approval.requested"] = "approval.requested"
    title: str
    summary: str = ""
    on_deny: OnDeny = "fail"
    commits: dict[str, str] = {}
    """Workspace to code commit: what the person is shown."""
    gate: bool = False
    """True for `needs_approval` on a task, False for an Approval node of its own."""
    mode: Mode = "approve"
    options: list[str] = []
    """What to select one of, or to rank."""
    allowed: list[str] = []
    """Who may decide: names or mail addresses as git has them; empty for everybody."""
    until: float | None = None
    """Unix seconds after which nobody is asked any more."""
    on_expiry: OnExpiry = "deny"
    auto_after: int | None = None
    streak: int = 0
    """Approvals of this node by people, in a row, before this one; counted for `auto_after` only."""


class ApprovalDecided(NodeEvent):
    type: Literal["approval.decided"] = "approval.decided"
    approved: bool
    by: str
    """Who, as git knows them; `clock` when nobody decided in time, `auto` after enough approvals in a row."""
    note: str = ""
    output: str | None = None
    how: How = "person"
    selected: str | None = None
    ranking: list[str] = []
    digest: str = ""
    """Digest of the request that was decided; empty in frames of older programs."""
