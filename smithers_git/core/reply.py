"""What is known of an agent's turn, in terms that hold for every CLI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smithers_git.core.events import FailureKind, Usage

EventKind = Literal["started", "text", "tool", "tool_done", "retrying", "usage", "other"]
EndReason = Literal["exited", "timeout", "idle", "loop", "limit", "overload", "cancelled", "unstartable"]


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """Something for the live view. Any event means that the agent is alive, `retrying` too."""

    kind: EventKind
    text: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a turn failed."""

    kind: FailureKind
    message: str
    retry_after: float | None = None
    """Seconds to wait, counted from the end of the turn, when the CLI said so."""
    retry_at: float | None = None
    """Unix seconds before which a retry is pointless, when the CLI said so."""
    lost_session: bool = False
    """The conversation to resume does not exist any more: start a new one."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A turn's outcome: it succeeded exactly when `error` is None."""

    answer: str
    """Empty in a failure: what some CLIs print there then is an error message."""
    session: str | None
    usage: Usage | None
    """Of this turn alone."""
    cost: float | None
    """US dollars, as the CLI says."""
    error: Failure | None
    total: Usage | None = None
    """Where the CLI counts whole conversations: of this one so far, the `before` of its next turn; else None."""
