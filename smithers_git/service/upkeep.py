"""Is everything well? Looks at the repository, the runs and what smithers left on this machine, and mends its own."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from smithers_git.core import budget
from smithers_git.edge.git import damage
from smithers_git.edge.git.checkout import index_is_damaged
from smithers_git.edge.git.command import require_version
from smithers_git.edge.git.follow_words import new_index
from smithers_git.edge.git.repository import require_writable
from smithers_git.edge.index import RunRow, row_of
from smithers_git.errors import SmithersError
from smithers_git.service import notify, pools, runs, tidy
from smithers_git.service.finding import FIX, Finding, trouble
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project
from smithers_git.service.survey import installed_agents


def doctor(start: Path, *, fix: bool) -> Iterator[Finding]:
    """Look at everything around the folder `start`; with `fix`, mend what is smithers' own or plainly damaged.

    The index is brought up to date in any case: it is only a copy.
    """
    try:
        version = require_version()
    except SmithersError as error:
        yield trouble("git", error)
        return
    yield Finding("git", "ok", f"version {version[0]}.{version[1]}")
    damaged = list(_settings(start, fix=fix))
    yield from damaged
    if any(one.standing == "needs you" for one in damaged):
        return
    try:
        project = Project.open(start)
        require_writable(project.repository)
        broken = list(tidy.refs(project, fix=fix)) or list(tidy.folded(project))
    except SmithersError as error:
        yield trouble("repository", error)
        return
    yield Finding("repository", "ok", str(project.worktree))
    yield from _staged(project)
    yield from broken
    if any(one.standing == "needs you" for one in broken):
        return  # no list of runs can be had before that is mended
    configured = list(_configuration(project))
    yield from configured
    yield from _index(project)
    yield from _runs(project)
    yield from tidy.locks(project, fix=fix)
    if configured[0].standing == "ok":  # else nobody knows where the worktrees are
        yield from tidy.worktrees(project, fix=fix)
        yield from notify.findings(project)
    yield from tidy.processes(project, fix=fix)


def _settings(start: Path, *, fix: bool) -> Iterator[Finding]:
    for one in damage.look(start):
        command = shlex.join(["git", *one.argv])
        if fix:
            damage.mend(one)
            yield Finding("settings", "mended", f"{one.text}: {command}")
        else:
            yield Finding("settings", "needs you", one.text, (command, FIX))


def _staged(project: Project) -> Iterator[Finding]:
    """Whether the index of the user's checkout is whole. It is theirs, so it is not mended here."""
    checkout = project.repository.checkout
    if index_is_damaged(checkout):
        said = f"the index of {checkout.path} is damaged; a new one has nothing staged, and the files stay"
        yield Finding("checkout", "needs you", said, (new_index(checkout),))


def _configuration(project: Project) -> Iterator[Finding]:
    try:
        pooled = project.settings.pools
        chains = {name: pools.expand(project, names, f"[pools] {name}") for name, names in pooled.items()}
    except SmithersError as error:
        yield trouble("configuration", error)
        return
    yield Finding("configuration", "ok", "it can be read")
    there, missing, broken = installed_agents(project)
    for name, wrong in broken.items():
        yield trouble(f"agent {name}", wrong)
    text = f"installed: {', '.join(there) or 'none'}"
    text += f"; {len(missing)} more have a profile (smithers agents)" if missing else ""
    yield Finding("agents", "ok" if there else "note", text)
    for name, chain in chains.items():
        gone = [agent for agent in chain if agent in missing]
        if gone:
            said = f"{', '.join(gone)} in [pools] {name} is not installed"
            yield Finding("agents", "needs you", said, tuple(missing[agent] for agent in gone if missing[agent]))


def _index(project: Project) -> Iterator[Finding]:
    """Every row against the frames it was made from; wrong ones are written again."""
    before = {row.run: row for row in project.index.runs()}
    unreadable = runs.catch_up(project)
    wrong = [row.run for row in _rows(project, unreadable) if before.pop(row.run, None) != row]
    for run in wrong:
        runs.reflect(project, run)
    wrong += [run for run in before if run not in unreadable]
    if wrong:
        many = f"{len(wrong)} row{'s' * (len(wrong) != 1)} did not say what the frames say"
        yield Finding("index", "mended", f"{many}, now they do")
    else:
        yield Finding("index", "ok", "it says what the frames say")
    for run, why in unreadable.items():
        commands = ("git fsck", f"git fetch A-CLONE '+refs/smithers/runs/{run}:refs/smithers/runs/{run}'")
        yield Finding(f"run {run}", "needs you", f"it cannot be read: {why}", commands)


def _rows(project: Project, unreadable: Mapping[str, str]) -> Iterator[RunRow]:
    for run in project.tips():
        if run not in unreadable:
            chain = Chain.open(project.objects, run, project.owner)
            assert chain.tip is not None
            yield row_of(chain.state, chain.tip)


def _runs(project: Project) -> Iterator[Finding]:
    """Objects that a run needs and that are gone, and runs that nobody drives."""
    found = runs.views(project)
    for view in found:
        run = view.row.run
        lost = list(_lost(project, run))
        if lost:
            yield Finding(f"run {run}", "needs you", f"missing objects: {', '.join(lost[:3])}", ("git fsck",))
        if view.status == "parked":
            state = project.chain(run).state
            full = ("smithers gc --dry-run", f"smithers up --resume {run}")
            commands = full if state.parked_for == "disk" else (budget.goes_on(state, project.settings.budget.soft),)
            yield Finding(f"run {run}", "needs you", f"parked: {view.row.parked}", commands)
        if view.status == "interrupted":
            resume = f"smithers up --resume {run}"
            yield Finding(f"run {run}", "needs you", "interrupted: no engine drives it", (resume,))
    states: dict[str, int] = {}
    for view in found:
        states[view.status] = states.get(view.status, 0) + 1
    yield Finding("runs", "ok", ", ".join(f"{number} {status}" for status, number in states.items()) or "none yet")


def _lost(project: Project, run: str) -> Iterator[str]:
    chain = project.chain(run)
    for name, space in chain.state.spaces.items():
        if not project.objects.has(space.commit):
            yield f"the files of {name} ({space.commit[:12]})"
    for key, node in chain.state.nodes.items():
        entry = chain.tree.get(node.output) if node.output else None
        if node.output and (entry is None or not project.objects.has(entry.oid)):
            yield f"the output of {key}"


def reindex(project: Project) -> tuple[int, dict[str, str]]:
    """Throw the index away and make it again; returns how many runs it has, and which cannot be read with why."""
    project.index.rebuild()
    unreadable = runs.catch_up(project)
    return len(project.index.runs()), unreadable
