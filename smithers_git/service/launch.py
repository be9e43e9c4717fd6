"""Begin a run: everything that can be refused is refused before frame 0 is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import smithers_git
from smithers_git.core import events as ev
from smithers_git.core.nodes import Budget, Task
from smithers_git.core.plan import Plan
from smithers_git.edge.git.repository import require_commit
from smithers_git.edge.git.snapshot import working_copy
from smithers_git.errors import RefMoved, RunRefused
from smithers_git.names import check_run_id
from smithers_git.service import budget, disk, pools, source
from smithers_git.service.checks import find_check
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project
from smithers_git.service.render import Renderer
from smithers_git.service.source import Source


@dataclass(frozen=True, slots=True)
class Request:
    """What `smithers up` was asked for."""

    workflow: str
    input: Mapping[str, Any] = field(default_factory=dict)
    run: str | None = None
    max_concurrency: int | None = None
    dirty: bool = False
    budget: Budget | None = None
    """What the run may spend, in place of what the workflow and the configuration say; an empty one: no limit."""
    cwd: Path = field(default_factory=Path.cwd)
    base: str | None = None
    """The commit to start from; what is checked out when it is None."""
    caller: tuple[str, str] | None = None
    """The run, and the node in it, that uses the new one."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A run that could begin: nothing of it is written yet."""

    created: ev.RunCreated
    chain: Chain
    source: Source
    plan: Plan
    notes: list[str]
    budget: ev.RunBudgeted | None


def draft(project: Project, request: Request) -> Draft:
    """Load, check and render what was asked for, without writing a ref; raises what is wrong with it."""
    loaded = project.workflow(request.workflow, request.cwd)
    created = ev.RunCreated(
        run=check_run_id(request.run) if request.run else project.clock.token(8),
        workflow=loaded.location.name,
        entry=loaded.location.entry,
        input=loaded.workflow.accept(request.input).model_dump(mode="json"),
        base=request.base or require_commit(project.repository),
        branch=project.repository.branch,
        dirty=request.dirty,
        max_concurrency=request.max_concurrency or project.settings.run.max_concurrency,
        check=find_check(project),
        version=smithers_git.__version__,
        caller=request.caller and request.caller[0],
        caller_node=request.caller and request.caller[1],
    )
    limit = budget.for_new_run(project, loaded.workflow.budget, request.budget)
    chain = _chain(project, created, limit)
    renderer = Renderer(loaded, chain)
    plan = renderer.plan()
    renderer.check_pure()
    for item in plan.items.values():
        if isinstance(item.node, Task) and item.node.agent:
            pools.expand(project, item.node.agent, item.node.where)
    notes = [f"the workflow reads {name!r}, which is not in the plan (yet)" for name in renderer.unknown_reads]
    return Draft(created, chain, loaded, plan, notes, limit)


def _chain(project: Project, created: ev.RunCreated, limit: ev.RunBudgeted | None) -> Chain:
    chain = project.new_chain(created.run)
    for event in (created, limit):
        if event is not None:
            chain.add(event, project.clock.now())
    return chain


def begin(project: Project, request: Request) -> Draft:
    """Write frame 0: the input, the base commit and the workflow's own files; raises before anything is half-made."""
    project.require_writable()
    disk.require_room(project)
    made = draft(project, request)
    chain = made.chain
    if project.tip(chain.run) is not None:
        raise RunRefused(
            f"there is already a run {chain.run!r}", hint=f"smithers up --resume {chain.run} goes on with it"
        )
    if request.dirty:
        # Only now: whatever can be refused has been, and only objects are written.
        saved = working_copy(project.repository, limit=project.settings.disk.file_bytes)
        dirty = made.created.model_copy(update={"base": saved})
        chain = _chain(project, dirty, made.budget)
    for path, data in pinned_files(project, made).items():
        chain.put(path, data)
    project.claim(chain.run)
    try:
        chain.commit()
    except RefMoved as error:
        raise RunRefused(f"there is already a run {chain.run!r}", hint="leave --run-id out, or use another") from error
    return made


def pinned_files(project: Project, made: Draft) -> dict[str, bytes]:
    """What frame 0 keeps below `source/`: the workflow's files and the agent profiles that its plan names."""
    files = {f"source/{source.PACK}{path}": data for path, data in made.source.files.items()}
    for item in made.plan.items.values():
        if isinstance(item.node, Task) and item.node.agent:
            for name in pools.expand(project, item.node.agent, item.node.where):
                files[f"source/agents/{name}.toml"] = pools.profile_file(project, name).read_bytes()
    return files
