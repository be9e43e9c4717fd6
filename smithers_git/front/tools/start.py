"""Tools that say what can be started, start it, and let it go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pydantic import Field

from smithers_git.core import budget as amounts
from smithers_git.core import synopsis
from smithers_git.core.nodes import Budget
from smithers_git.edge import content
from smithers_git.errors import UsageError
from smithers_git.front import agents, decide
from smithers_git.front.tools.base import (
    Args,
    Confirmed,
    NoArgs,
    RunArgs,
    Scene,
    Tool,
    lean,
    proposal,
)
from smithers_git.service import budget, detach, drive, launch, runs
from smithers_git.service.drive import Resume
from smithers_git.service.launch import Request


def list_workflows(scene: Scene, _args: NoArgs) -> dict[str, Any]:
    """List the workflows that run_workflow can start here, with what each does and the fields of its input. `own` ones
    come from this repository's .smithers/packs."""
    packs = content.list_packs(scene.project.worktree)
    return {"workflows": [_workflow(scene, name, folder) for name, folder in packs.items()]}


def _workflow(scene: Scene, name: str, folder: Path) -> dict[str, Any]:
    # Read, not loaded: what a repository brings along is not run because somebody looks.
    texts = {path.name: path.read_text("utf-8", "replace") for path in sorted(folder.glob("*.py"))}
    found = synopsis.synopsis(texts, "workflow.py")
    row: dict[str, Any] = {"workflow": name, "about": found.about}
    if folder.is_relative_to(scene.project.worktree / ".smithers"):
        row["own"] = True
    if found.fields is None:
        return {**row, "input": f"see {folder / 'workflow.py'}"}
    return {**row, "input": [_field(one) for one in found.fields]}


def _field(one: synopsis.Field) -> dict[str, Any]:
    facts = {"name": one.name, "type": one.type, "required": one.required or None, "default": one.default}
    return lean({**facts, "about": one.about})


class RunWorkflow(Args):
    workflow: str = Field(description="A workflow of list_workflows, or the path of a workflow file.")
    prompt: str | None = Field(default=None, description="What is wanted, in words; short for input.prompt.")
    input: dict[str, Any] = Field(default={}, description="Fields of its input, as list_workflows names them.")
    budget: str | None = Field(default=None, description="What the run may spend in all: 5usd, 200k, 5usd,200k, none.")
    run_id: str | None = Field(default=None, description="Name the run yourself: lower-case letters, digits, dashes.")
    max_concurrency: int | None = Field(default=None, ge=1, le=64, description="Tasks in flight at once.")
    dirty: bool = Field(default=False, description="Start from the user's uncommitted changes too.")


def run_workflow(scene: Scene, args: RunWorkflow) -> dict[str, Any]:
    """Start a workflow in the background and return its run id at once. It works in a git worktree of its own: the
    user's checkout and branches stay as they are, until `land` brings the result home. Follow it with `wait`."""
    project = scene.project
    value = args.input if args.prompt is None else {**args.input, "prompt": args.prompt}
    request = Request(
        workflow=args.workflow,
        input=value,
        run=args.run_id,
        max_concurrency=args.max_concurrency,
        dirty=args.dirty,
        budget=_budget(args.budget),
        cwd=project.worktree,
    )
    made = launch.begin(project, request)
    facts: dict[str, Any] = {"notes": made.notes, "check": made.created.check}
    if made.budget is not None:
        facts["budget"] = amounts.shown(made.chain.state.budget)
    run = made.chain.run
    found = detach.resume(project, run)
    return {"run": run, "workflow": made.created.workflow, **_going(scene, run, found), **lean(facts)}


def _budget(text: str | None) -> Budget | None:
    try:
        return None if text is None else amounts.parse(text)
    except ValueError as error:
        raise UsageError(str(error), hint="budget: 5usd, 200k (tokens), 5usd,200k, or none") from error


def _going(scene: Scene, run: str, found: detach.Detached | None) -> dict[str, Any]:
    state = scene.project.chain(run).state
    facts = {"status": runs.status(scene.project, state), "frame": state.number, "log": found and str(found.log)}
    return lean(facts) | {"next": f"wait with run: {run}, after: {state.number}"}


class ResumeArgs(RunArgs):
    accept_change: bool = Field(default=False, description="Go on although the workflow's files have changed.")
    budget: str | None = Field(default=None, description="A new limit for the run in all: 5usd, 200k, none.")


def resume(scene: Scene, args: ResumeArgs) -> dict[str, Any]:
    """Go on in the background with a run that was interrupted, paused, parked, cancelled or has failed. One that waits
    for a person wants approve, deny or answer instead."""
    project, run = scene.project, scene.run(args.run)
    given = _budget(args.budget)
    if given is not None:
        budget.change(project, run, given)
    if runs.status(project, project.chain(run).state) == "running":
        return {"run": run, "resumed": False, "why": "it is running already", **_going(scene, run, None)}
    how = Resume(args.accept_change)
    drive.ready(project, run, how)
    found = detach.resume(project, run, accept_change=how.accept_change, revive=how.revive)
    return {"run": run, "resumed": True, **_going(scene, run, found)}


def pause(scene: Scene, args: RunArgs) -> dict[str, Any]:
    """Start nothing new in a run; what is in flight ends by itself. `resume` goes on with it."""
    return decide.paused(scene.project, scene.run(args.run), None)


class Cancel(RunArgs, Confirmed):
    """Which run."""


def cancel(scene: Scene, args: Cancel) -> dict[str, Any]:
    """Cancel a run: what runs in it is ended, its files are kept, and `resume` can go on with it. Needs confirm."""
    project, run = scene.project, scene.run(args.run)
    if not args.confirm:
        state = project.chain(run).state
        flying = ", ".join(str(key) for key in state.running) or "nothing"
        status = runs.status(project, state)
        return proposal("cancel", f"end run {run} ({status}); in flight: {flying}", run=run)
    return {"done": True, **decide.cancelled(project, run, None)}


def list_agents(scene: Scene, _args: NoArgs) -> dict[str, Any]:
    """List the coding agents that tasks can use here: installed, version, logged in; and the pools (smart, fast,
    implement, review, plan, research) with their agents in order. Takes some seconds."""
    found = agents.data(scene.project)
    return {"agents": [lean(row) for row in found["agents"]], "pools": found["pools"]}


TOOLS: Final = (
    Tool(list_workflows, NoArgs, "reads"),
    Tool(run_workflow, RunWorkflow, "writes"),
    Tool(resume, ResumeArgs, "writes"),
    Tool(pause, RunArgs, "writes"),
    Tool(cancel, Cancel, "destroys"),
    Tool(list_agents, NoArgs, "reads"),
)
