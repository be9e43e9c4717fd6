"""Durable workflows for coding agents, inside your own git repository.

Authors of workflows import from here. Names are loaded when used, so that `smithers --help` loads nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from smithers_git.core.board import Board as Board
    from smithers_git.core.board import Card as Card
    from smithers_git.core.board import Survey as Survey
    from smithers_git.core.board import blocked_tickets as blocked_tickets
    from smithers_git.core.failure_nodes import Saga as Saga
    from smithers_git.core.failure_nodes import Step as Step
    from smithers_git.core.failure_nodes import TryCatchFinally as TryCatchFinally
    from smithers_git.core.flow_nodes import ContinueAsNew as ContinueAsNew
    from smithers_git.core.flow_nodes import Subflow as Subflow
    from smithers_git.core.nodes import Approval as Approval
    from smithers_git.core.nodes import Backoff as Backoff
    from smithers_git.core.nodes import Branch as Branch
    from smithers_git.core.nodes import Budget as Budget
    from smithers_git.core.nodes import Loop as Loop
    from smithers_git.core.nodes import NeedsApproval as NeedsApproval
    from smithers_git.core.nodes import Node as Node
    from smithers_git.core.nodes import Parallel as Parallel
    from smithers_git.core.nodes import Ralph as Ralph
    from smithers_git.core.nodes import Sequence as Sequence
    from smithers_git.core.nodes import Task as Task
    from smithers_git.core.nodes import Worktree as Worktree
    from smithers_git.core.queue_nodes import Land as Land
    from smithers_git.core.queue_nodes import MergeQueue as MergeQueue
    from smithers_git.core.records import CommandResult as CommandResult
    from smithers_git.core.records import Decision as Decision
    from smithers_git.core.records import Landing as Landing
    from smithers_git.core.records import TimerFired as TimerFired
    from smithers_git.core.ticket import Ticket as Ticket
    from smithers_git.core.ticket import is_ticket_id as is_ticket_id
    from smithers_git.core.ticket import ticket_problems as ticket_problems
    from smithers_git.core.ticket import ticket_slug as ticket_slug
    from smithers_git.core.wait_nodes import HumanTask as HumanTask
    from smithers_git.core.wait_nodes import Poller as Poller
    from smithers_git.core.wait_nodes import Signal as Signal
    from smithers_git.core.wait_nodes import Timer as Timer
    from smithers_git.core.workflow import Context as Context
    from smithers_git.core.workflow import NoInput as NoInput
    from smithers_git.core.workflow import Workflow as Workflow
    from smithers_git.core.workflow import workflow as workflow
    from smithers_git.errors import WorkflowError as WorkflowError
    from smithers_git.service.tickets import read_tickets as read_tickets
    from smithers_git.service.tickets import survey_tickets as survey_tickets
    from smithers_git.service.tickets import write_tickets as write_tickets

_HOMES = {
    "core.board": ("Board", "Card", "Survey", "blocked_tickets"),
    "core.failure_nodes": ("Saga", "Step", "TryCatchFinally"),
    "core.flow_nodes": ("ContinueAsNew", "Subflow"),
    "core.nodes": (
        "Approval", "Backoff", "Branch", "Budget", "Loop", "NeedsApproval", "Node", "Parallel", "Ralph", "Sequence",
        "Task", "Worktree",
    ),
    "core.queue_nodes": ("Land", "MergeQueue"),
    "core.records": ("CommandResult", "Decision", "Landing", "TimerFired"),
    "core.ticket": ("Ticket", "is_ticket_id", "ticket_problems", "ticket_slug"),
    "core.wait_nodes": ("HumanTask", "Poller", "Signal", "Timer"),
    "core.workflow": ("Context", "NoInput", "Workflow", "workflow"),
    "errors": ("WorkflowError",),
    "service.tickets": ("read_tickets", "survey_tickets", "write_tickets"),
}  # fmt: skip
_WHERE = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_WHERE]  # noqa: PLE0604 - names only


def __getattr__(name: str) -> Any:
    home = _WHERE.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
