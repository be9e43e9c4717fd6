"""Which agent of a chain makes the next attempt of a task? Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from smithers_git.core.events import FailureKind

if TYPE_CHECKING:
    from smithers_git.core.parts import NodeState

LASTING: Final[frozenset[FailureKind]] = frozenset(
    {"bad_request", "refusal", "bug", "unstartable", "denied", "budget", "cancelled"}
)
"""Failures that the same agent would meet again at the same task."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Who makes the next attempt, or when somebody can."""

    agent: str | None
    """None when nobody can now."""
    until: float | None = None
    """Unix seconds at which the first of `limited` is free again. None, with no agent: nobody ever will."""
    limited: tuple[str, ...] = ()
    """Without an agent: those that are at the limit of their account, and nothing else is against."""


def choose(
    chain: Sequence[str], node: NodeState, out: Container[str], limits: Mapping[str, float], now: float
) -> Choice:
    """The first agent of `chain` that has not failed at this task and is free; when all have, the last that is free.

    Args:
        chain: names of agents, best first.
        node: what is known of the task.
        out: the agents that are out for the whole run.
        limits: by agent, the Unix seconds until which its account is at a limit.
        now: Unix seconds.
    """
    usable = left(chain, node, out)
    limited = {agent: limits[agent] for agent in usable if limits.get(agent, now) > now}
    free = [agent for agent in usable if agent not in limited]
    if free:
        return Choice(next((agent for agent in free if agent not in node.tried), free[-1]))
    if limited:
        return Choice(None, min(limited.values()), tuple(limited))
    return Choice(None)


def left(chain: Sequence[str], node: NodeState, out: Container[str]) -> list[str]:
    """The agents of `chain` that may still be asked, now or later."""
    return [agent for agent in chain if agent not in out and agent not in node.spent]
