"""The parts of a run's state: what is known of a node, a loop, an approval, a workspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smithers_git.core.events import Usage

Status = Literal["pending", "running", "waiting", "finished", "failed", "skipped"]


@dataclass(slots=True)
class NodeState:
    """What is known of one node in one iteration."""

    status: Status = "pending"
    attempt: int = 0
    """Number of the last attempt that was started; 0 before the first."""
    failures: int = 0
    """Failed attempts that count against `retries`."""
    retry_at: float | None = None
    error: str | None = None
    kind: str | None = None
    output: str | None = None
    """Path of the output in the frame's tree."""
    agent: str | None = None
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
    continued: bool = False
    cached: bool = False


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
    on_deny: Literal["fail", "continue", "skip"] = "fail"
    gate: bool = False
    approved: bool | None = None
    by: str | None = None
    note: str = ""


@dataclass(slots=True)
class SpaceState:
    branch: str
    commit: str
    base: str
    slug: str | None = None
    port: int | None = None
