"""What every way to talk with an agent has in common: turns, a conversation that may go on, and what it all cost."""

from __future__ import annotations

from typing import Protocol

from smithers_git.core import events as ev
from smithers_git.core.reply import Reply
from smithers_git.service.job import Result


class Talker(Protocol):
    """A conversation with one agent for one attempt, by whatever transport."""

    correction: int
    """How often the answer has gone back to the agent in this attempt."""

    @property
    def keeps_conversations(self) -> bool:
        """Whether this agent can go on with a conversation at all."""

    @property
    def can_go_on(self) -> bool:
        """Whether the next turn continues this conversation."""

    def summary(self) -> str:
        """What is known of an attempt before that this one does not remember; empty when there was none."""

    def say(self, prompt: str) -> Reply:
        """One turn."""

    def close(self) -> None:
        """End what was started for this attempt. A second time does nothing."""


def account(result: Result, reply: Reply) -> None:
    """Add what one turn used to what its attempt used."""
    if reply.usage is not None:
        result.usage = (result.usage or ev.Usage()) + reply.usage
    if reply.cost is not None:
        result.cost = (result.cost or 0.0) + reply.cost
