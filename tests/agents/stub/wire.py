"""What the four protocols share: the turn to be said, and an event of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agents.stub.steps import Step
from agents.stub.tools import Call


@dataclass(frozen=True)
class Turn:
    """One answer of the model, not yet in the words of any protocol."""

    step: Step
    id: str
    model: str
    call: Call | None
    text: str


@dataclass(frozen=True)
class Event:
    """One event of a stream; Anthropic and Responses name theirs."""

    data: dict[str, Any]
    name: str = ""
