"""Is a failed attempt made again, and when? Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from smithers_git.core import events as ev
from smithers_git.core.nodes import Task

FATAL: Final[frozenset[ev.FailureKind]] = frozenset(
    {"auth", "bad_request", "refusal", "bug", "unstartable", "denied", "budget", "cancelled"}
)
"""Failures that the same attempt would meet again: never retried with the same agent."""


@dataclass(frozen=True, slots=True)
class Retry:
    final: bool
    at: float | None


def after_failure(task: Task, failures: int, kind: ev.FailureKind, now: float, chance: float) -> Retry:
    """Whether the `failures`-th failure (from 1) of `task` ends it, else when the next attempt may start.

    A failure that the same agent would meet again goes straight to the next agent of the chain, if there is one.
    """
    if kind in FATAL:
        return Retry(final=failures >= len(task.agent), at=now)
    if kind == "invalid" and not task.agent:
        return Retry(final=True, at=None)  # the same function gives the same wrong value
    if failures > task.retries:
        return Retry(final=True, at=None)
    return Retry(final=False, at=now + task.backoff.pause(failures, chance))
