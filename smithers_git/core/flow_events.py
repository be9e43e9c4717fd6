"""What can happen to a node that uses another run."""

from __future__ import annotations

from typing import Literal

from smithers_git.core.event_base import NodeEvent


class TaskSuspended(NodeEvent):
    """The run that a node uses waits for something, so this one waits for it, and no process does."""

    type: Literal["task.suspended"] = "task.suspended"
    attempt: int
    seconds: float = 0.0
    child: str
    """The run that is waited for: the one that the node began, or what that continued as."""
    tip: str
    """Its newest frame then; when it has another one, it is looked at again."""
    title: str
    """What it waits for."""
    until: float | None = None
    """Unix seconds at which something is due in it by itself."""


class TaskDelayed(NodeEvent):
    """Every agent that the task may use is at the limit of its account: it waits, and nothing has failed."""

    type: Literal["task.delayed"] = "task.delayed"
    until: float
    """Unix seconds at which the first of them is free again."""
    agents: list[str] = []


class TaskWoken(NodeEvent):
    """The run that a node waits for has moved on, or something is due in it: the node starts again."""

    type: Literal["task.woken"] = "task.woken"
