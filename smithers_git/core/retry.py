"""Is a failed attempt made again, and when? Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from smithers_git.core import events as ev
from smithers_git.core.chain import LASTING
from smithers_git.core.nodes import Task

FATAL: Final[frozenset[ev.FailureKind]] = LASTING | {"auth"}
"""Failures that the same attempt would meet again: never retried with the same agent."""
FREE_OVERLOADS: Final = 3
"""Times in a row that a service may be too busy before that counts against `retries`: it passes by itself."""


@dataclass(frozen=True, slots=True)
class Met:
    """A failure, and what is known of the task that met it."""

    kind: ev.FailureKind
    failures: int
    """How many count against `retries`, this one included if it counts."""
    others: bool = False
    """Whether another agent of the chain may still be asked."""
    overloads: int = 0
    """How often in a row its service was too busy, this time included."""


@dataclass(frozen=True, slots=True)
class Retry:
    final: bool
    at: float | None
    free: bool = False
    """Whether it does not count against `retries`."""


def after_failure(task: Task, met: Met, now: float, chance: float) -> Retry:
    """Whether a failure ends the task, else when the next attempt may start (Unix seconds).

    A failure that the same agent would meet again goes straight to the next one of the chain, if there is one. A limit
    of the account never ends a task: the next agent begins at once, and when all are at theirs, it waits.
    """
    if met.kind in FATAL:
        return Retry(final=not met.others, at=now, free=met.others)
    if met.kind == "limit" and task.agent:
        return Retry(final=False, at=now, free=True)
    if met.kind == "overload" and task.agent and met.overloads <= FREE_OVERLOADS:
        return Retry(final=False, at=now + task.backoff.pause(max(1, met.overloads), chance), free=True)
    if met.kind == "invalid" and not task.agent:
        return Retry(final=True, at=None)  # the same function gives the same wrong value
    if met.failures > task.retries:
        return Retry(final=True, at=None)
    return Retry(final=False, at=now + task.backoff.pause(met.failures, chance))
