"""Rules that one plan node can break by itself. Each error names the file and line that made the node."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from smithers_git.core.nodes import MISSING, Approval, Loop, Parallel, Task, Worktree
from smithers_git.core.queue_nodes import Land
from smithers_git.errors import WorkflowError
from smithers_git.names import MAIN, is_node_id, is_space_id


def refuse(node: Any, message: str, hint: str) -> WorkflowError:
    """The error about `node`; `message` says which node it is."""
    return WorkflowError(f"{node.where}: {message}", hint=hint)


def check(node: Any) -> None:
    """Raise WorkflowError when `node` breaks a rule, whatever stands around it."""
    if isinstance(node, Task | Approval | Loop) and not (isinstance(node.id, str) and is_node_id(node.id)):
        kind = type(node).__name__
        raise refuse(node, f"{node.id!r} cannot be the id of a {kind}", "use letters, digits and . _ : -")
    if isinstance(node, Land):
        _land(node)
    elif isinstance(node, Task):
        _types(node)
        _kind(node)
        _task(node)
    elif isinstance(node, Approval) and node.on_deny not in ("fail", "continue", "skip"):
        raise refuse(node, f"{node.id!r}: on_deny={node.on_deny!r}", "use 'fail', 'continue' or 'skip'")
    elif isinstance(node, Loop):
        _loop(node)
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
