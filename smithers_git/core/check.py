"""Rules that one plan node can break by itself. Each error names the file and line that made the node."""

from __future__ import annotations

import difflib
from datetime import datetime
from typing import Any, Final, get_args

from pydantic import BaseModel

from smithers_git.core.approval_rules import fault
from smithers_git.core.events import FailureKind
from smithers_git.core.failure_nodes import OnFailure, Region, Saga, TryCatchFinally
from smithers_git.core.flow_nodes import Subflow
from smithers_git.core.nodes import MISSING, Approval, Loop, Parallel, Task, Worktree
from smithers_git.core.queue_nodes import Land
from smithers_git.core.wait_nodes import HumanTask, Signal, Timer, WaitNode
from smithers_git.errors import WorkflowError
from smithers_git.names import MAIN, is_node_id, is_space_id


def refuse(node: Any, message: str, hint: str) -> WorkflowError:
    """The error about `node`; `message` says which node it is."""
    return WorkflowError(f"{node.where}: {message}", hint=hint)


def check(node: Any) -> None:
    """Raise WorkflowError when `node` breaks a rule, whatever stands around it."""
    if isinstance(node, Task | Approval | Loop | Region) and not (isinstance(node.id, str) and is_node_id(node.id)):
        kind = type(node).__name__
        raise refuse(node, f"{node.id!r} cannot be the id of a {kind}", "use letters, digits and . _ : -")
    wrong = fault(node) if isinstance(node, Task | Approval) else None
    if wrong is not None:
        raise refuse(node, f"{node.id!r} has {wrong[0]}", wrong[1])
    if isinstance(node, Subflow) and not (isinstance(node.workflow, str) and node.workflow.strip()):
        raise refuse(node, f"{node.id!r} has workflow={node.workflow!r}", "give a pack, or a file's path")
    if isinstance(node, Land):
        _land(node)
    elif isinstance(node, WaitNode):
        _wait(node)
    elif isinstance(node, Task):
        _types(node)
        _kind(node)
        _task(node)
    elif isinstance(node, Loop):
        _loop(node)
    elif isinstance(node, Region):
        _region(node)
    elif isinstance(node, Parallel) and node.max_concurrency is not None and node.max_concurrency < 1:
        said = f"Parallel has max_concurrency={node.max_concurrency}, so nothing in it could ever start"
        raise refuse(node, said, "use 1 or more, or None for no limit of its own")
    elif isinstance(node, Worktree) and (node.id == MAIN or not is_space_id(node.id)):
        raise refuse(node, f"{node.id!r} cannot name a worktree", "use letters, digits, . _ - and not 'main'")


def _types(node: Task) -> None:
    """What a type checker would say, for authors who run none: later it would be an error without a line."""
    command, model = node.run, node.output
    fine = {
        "run": command is None or isinstance(command, str) or all(isinstance(word, str) for word in command),
        "call": node.call is None or callable(node.call),
        "prompt": node.prompt is None or isinstance(node.prompt, str) or callable(node.prompt),
        "output": model is None or (isinstance(model, type) and issubclass(model, BaseModel)),
        "needs": all(isinstance(need, str) for need in node.needs),
        "retries": isinstance(node.retries, int),
    }
    for name, good in fine.items():
        if not good:
            said = f"task {node.id!r} has {name}={getattr(node, name)!r}"
            raise refuse(node, said, "see help(smithers_git.Task) for what it takes")


def _kind(node: Task) -> None:
    there = {
        "agent": bool(node.agent),
        "run": node.run is not None,
        "call": node.call is not None,
        "value": node.value is not MISSING,
    }
    given = [name for name, is_there in there.items() if is_there]
    if len(given) != 1:
        said = " and ".join(given) or "none of them"
        raise refuse(node, f"task {node.id!r} has {said}", "give exactly one of agent=, run=, call= or value=")


def _task(node: Task) -> None:
    if node.agent and node.prompt is None:
        raise refuse(node, f"agent task {node.id!r} has no prompt", "add prompt='…' or prompt=ctx.prompt('file.md')")
    if node.agent and node.output is None:
        raise refuse(node, f"agent task {node.id!r} has no output model", "add output=YourModel, a pydantic BaseModel")
    if not node.agent and node.prompt is not None:
        raise refuse(node, f"task {node.id!r} has a prompt but no agent", "add agent='implement', or drop prompt=")
    if node.changes and not node.agent:
        hint = "drop it; a command that must change a file can say so with: git diff --quiet && exit 1"
        raise refuse(node, f"task {node.id!r} has changes=True and no agent", hint)
    if node.retries < 0:
        raise refuse(node, f"task {node.id!r} has retries={node.retries}", "use 0 or more")
    if node.run is not None and not node.run:
        raise refuse(node, f"task {node.id!r} has an empty command", "write run=['make', 'test'] or run='make test'")


def _land(node: Land) -> None:
    if node.style not in (None, "merge", "rebase", "squash"):
        raise refuse(node, f"{node.id!r} has style={node.style!r}", "use 'merge', 'rebase' or 'squash'")
    for name in ("onto", "name", "title", "ticket"):
        given = getattr(node, name)
        if given is not None and (not isinstance(given, str) or not given.strip() or "\n" in given):
            raise refuse(node, f"{node.id!r} has {name}={given!r}", "use one line of text, or leave it out")
    if not all(node.entry_gates):
        raise refuse(node, f"{node.id!r} has an empty gate", "write gates=[['make', 'test']] or gates=['make test']")


def _wait(node: WaitNode) -> None:
    if node.output is not None and not (isinstance(node.output, type) and issubclass(node.output, BaseModel)):
        raise refuse(node, f"{node.id!r} has output={node.output!r}", "give a pydantic BaseModel")
    if isinstance(node, HumanTask):
        policies, span = {"on_expiry": node.on_expiry, "on_cancel": node.on_cancel}, node.expires
    elif isinstance(node, Signal):
        policies, span = {"on_timeout": node.on_timeout}, node.timeout
        if not isinstance(node.name, str) or not node.name.strip() or not node.name.isprintable():
            raise refuse(node, f"{node.id!r} has name={node.name!r}", "use one line of text, or leave it out")
    else:
        assert isinstance(node, Timer)
        policies, span = {}, node.for_
        _moment(node)
    for name, policy in policies.items():
        if policy not in ("fail", "skip"):
            raise refuse(node, f"{node.id!r}: {name}={policy!r}", "use 'fail' or 'skip'")
    if span is not None and not 0 <= span < _AGES:
        raise refuse(node, f"{node.id!r} waits for {span:g} seconds", "use 0 or more, and less than a thousand years")


_AGES: Final = 1000 * 365 * 86400
"""Seconds. No one waits longer; what is no number at all is not below it either."""


def _moment(node: Timer) -> None:
    if (node.for_ is None) == (node.until is None):
        said = "both of them" if node.until is not None else "none of them"
        raise refuse(node, f"timer {node.id!r} has {said}", "give exactly one of for_= and until=")
    if isinstance(node.until, datetime) and node.until.utcoffset() is None:
        hint = "write datetime(…, tzinfo=timezone.utc), or astimezone()"
        raise refuse(node, f"timer {node.id!r} is due at {node.until}, which has no time zone", hint)
    number = isinstance(node.until, int | float) and abs(node.until) < _AGES * 10
    if not (number or isinstance(node.until, datetime | None)):
        raise refuse(node, f"timer {node.id!r} has until={node.until!r}", "give a datetime, or Unix seconds")


def _region(node: Region) -> None:
    if isinstance(node, Saga) and node.on_failure not in get_args(OnFailure):
        said = f"{node.id!r} has on_failure={node.on_failure!r}"
        raise refuse(node, said, "use 'compensate-and-fail', 'compensate' or 'fail'")
    strange = sorted(node.kinds - set(get_args(FailureKind))) if isinstance(node, TryCatchFinally) else []
    if strange:
        close = difflib.get_close_matches(str(strange[0]), get_args(FailureKind), 1)
        hint = f"did you mean {close[0]!r}?" if close else f"kinds are: {', '.join(get_args(FailureKind))}"
        raise refuse(node, f"{node.id!r} catches {strange[0]!r}, which is no kind of failure", hint)


def _loop(node: Loop) -> None:
    inner = next((child for child in node.children if isinstance(child, Loop)), None)
    if inner is not None:
        raise refuse(
            inner,
            f"loop {inner.id!r} stands directly in loop {node.id!r}",
            "put a Sequence between them, so that the outer pass has a body of its own: Loop(Sequence(Loop(…), …), …)",
        )
    if node.max_iterations < 1:
        raise refuse(node, f"loop {node.id!r} has max_iterations={node.max_iterations}", "use 1 or more")
    if node.on_max not in ("fail", "return-last"):
        raise refuse(node, f"loop {node.id!r} has on_max={node.on_max!r}", "use 'fail' or 'return-last'")
