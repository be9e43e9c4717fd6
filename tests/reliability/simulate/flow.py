"""A workflow out of its description: what a user's workflow.py would hold."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from reliability.simulate.scenario import Scenario, Spec

from smithers_git.core.failure_nodes import Saga, Step, TryCatchFinally
from smithers_git.core.flow_nodes import ContinueAsNew, Subflow
from smithers_git.core.nodes import (
    Approval,
    Branch,
    Budget,
    Loop,
    NeedsApproval,
    Node,
    Parallel,
    Sequence,
    Task,
    Worktree,
)
from smithers_git.core.queue_nodes import Land, MergeQueue
from smithers_git.core.wait_nodes import HumanTask, Signal, Timer
from smithers_git.core.workflow import Context, Workflow
from smithers_git.names import identifier
from smithers_git.service.source import Location, Source

FOLDER = Path("/simulated")
FILES = {"workflow.py": b"# made from a seed\n"}
GATE = ("gate",)
USED = "used"
"""The name of the workflow that another one uses."""


class Note(BaseModel):
    n: int = 0


class Anything(BaseModel):
    """The output of any node."""


def source_of(scenario: Scenario, run: str) -> Source:
    """The workflow of a scenario, as if it had been loaded from a file."""
    kinds = {leaf.id: leaf.kind for leaf in scenario.root.leaves()}
    if scenario.landings is not None:
        return _source(lambda _ctx: _queue_of(scenario.root, scenario.landings.target, run, kinds))

    def render(ctx: Context[Note]) -> Node | None:
        return _node(scenario.root, ctx, kinds)

    return _source(render)


def used_of(scenario: Scenario) -> Source:
    """The workflow that the one of a scenario uses."""
    kinds = {leaf.id: leaf.kind for leaf in scenario.root.leaves()}
    (using,) = (leaf for leaf in scenario.root.leaves() if leaf.kind == "subflow")
    return _source(lambda ctx: _node(using.children[0], ctx, kinds), USED)


def _source(render: Callable[[Context[Note]], Node | None], name: str = "simulated") -> Source:
    return Source(Location(name, FOLDER, "workflow.py", whole=True), Workflow(render, Note, name), FILES)


def _queue_of(root: Spec, target: str | None, run: str, kinds: dict[str, str]) -> Node:
    """A merge queue of worktrees, and perhaps something behind it."""
    queue, *after = root.children
    options = queue.options
    called = (lambda tree: f"{run}:{tree}") if options["names"] == "run" else (lambda tree: tree)
    trees = []
    for tree in queue.children:
        *work, land = tree.children
        said = land.options
        home = Land(
            land.id,
            name=called(tree.id),
            depends_on=[called(one) for one in said["depends"]],
            priority=said["priority"],
            ticket=called(tree.id) if said["ticket"] else None,
            check=said["check"],
            continue_on_fail=said["continue_on_fail"],
        )
        trees.append(Worktree(tree.id, *(_task(leaf, kinds) for leaf in work), home))
    gates, style = options["gates"], options["style"]
    return Sequence(MergeQueue(*trees, onto=target, gates=gates, style=style), *(_task(leaf, kinds) for leaf in after))


def _node(spec: Spec, ctx: Context[Any], kinds: dict[str, str]) -> Any:
    if spec.kind == "again":
        number = ctx.input.n + 1
        return ContinueAsNew(spec.id, {"n": number}) if number <= spec.options["times"] else None
    if spec.kind == "subflow":
        return Subflow(spec.id, USED, continue_on_fail=spec.options["continue_on_fail"])
    if not spec.children:
        return _LEAVES[spec.kind](spec, kinds)
    inside = [_node(child, ctx, kinds) for child in spec.children]
    options = spec.options
    if spec.kind == "sequence":
        return Sequence(*inside)
    if spec.kind == "parallel":
        return Parallel(*inside, max_concurrency=options["limit"])
    if spec.kind == "worktree":
        return Worktree(spec.id, *inside)
    if spec.kind == "branch":
        return Branch(options["on"] is not None and ctx.latest(Anything, options["on"]) is not None, *inside)
    if spec.kind == "loop":
        until = ctx.iteration(spec.id) >= options["holds_at"]
        # A Sequence between two loops, as `build` asks for.
        return Loop(
            Sequence(*inside), until=until, id=spec.id, max_iterations=options["most"], on_max=options["on_max"]
        )
    if spec.kind == "saga":
        steps = [Step(step.children[0], step.children[1], id=f"{spec.id}.{at}") for at, step in enumerate(inside)]
        return Saga(*steps, on_failure=options["on_failure"], id=spec.id)
    return TryCatchFinally(inside[0], catch=inside[1] if options["catch"] else None, last=inside[2], id=spec.id)


def _asking(need: str, give: Callable[..., Any]) -> Callable[..., Any]:
    """A function that asks for the output of `need` by the name of its parameter."""

    def ask(**given: Any) -> Any:
        return give(given)

    ask.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(identifier(need), inspect.Parameter.KEYWORD_ONLY)]
    )
    return ask


def _task(spec: Spec, kinds: dict[str, str]) -> Task:
    options = spec.options
    common = {name: options[name] for name in ("skip_if", "continue_on_fail", "retries", "needs") if name in options}
    if spec.kind == "value":
        return Task(spec.id, value=Note(n=len(spec.id)), **common)
    if spec.kind == "call":
        need = next(iter(options.get("needs", ())), None)
        if need is None or kinds[need] not in ("value", "call"):
            return Task(spec.id, call=lambda: Note(n=1), output=Note, **common)
        common.pop("needs")
        return Task(spec.id, call=_asking(need, _one_more), output=Note, **common)
    common["gates"] = [GATE] if options["gate"] else []
    common["needs_approval"] = NeedsApproval(on_deny="skip") if options.get("needs_approval") else False
    if spec.kind == "agent":
        return Task(
            spec.id,
            agent=options["agents"],
            prompt=f"do {spec.id}",
            output=Note,
            changes=options["changes"],
            same_conversation=options["same"],
            budget=Budget(tokens=options["budget"]) if "budget" in options else None,
            **common,
        )
    return Task(spec.id, run=("work", spec.id), timeout=30.0, **common)


def _one_more(given: dict[str, Any]) -> Note:
    (before,) = given.values()
    return Note(n=1 if before is None else before.n + 1)


def _approval(spec: Spec, kinds: dict[str, str]) -> Approval:
    options = spec.options
    need = next(iter(options.get("needs", ())), None)
    summary = "" if need is None else _asking(need, lambda given: f"after {given}")
    times = {"expires": options["expires"], "on_expiry": options["on_expiry"]} if "expires" in options else {}
    return Approval(spec.id, summary=summary, on_deny=options["on_deny"], **times)


def _question(spec: Spec, kinds: dict[str, str]) -> HumanTask:
    options = spec.options
    times = {"expires": options["expires"], "on_expiry": options["on_expiry"]} if "expires" in options else {}
    return HumanTask(spec.id, output=Note, needs=options.get("needs", ()), **times)


def _signal(spec: Spec, kinds: dict[str, str]) -> Signal:
    options = spec.options
    times = {"timeout": options["expires"], "on_timeout": options["on_expiry"]} if "expires" in options else {}
    return Signal(spec.id, name="go", output=Note, needs=options.get("needs", ()), **times)


def _timer(spec: Spec, kinds: dict[str, str]) -> Timer:
    return Timer(spec.id, for_=spec.options["for_"], needs=spec.options.get("needs", ()))


_LEAVES: dict[str, Callable[[Spec, dict[str, str]], Node]] = {
    "value": _task,
    "run": _task,
    "agent": _task,
    "call": _task,
    "approval": _approval,
    "question": _question,
    "signal": _signal,
    "timer": _timer,
}
