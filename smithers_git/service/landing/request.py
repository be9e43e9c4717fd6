"""What `smithers land NAME` asks for: which commit, onto which branch, and what would happen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from smithers_git.core import commit_message
from smithers_git.core.landing.state import QueueState
from smithers_git.core.nodes import Command
from smithers_git.core.queue_nodes import Style
from smithers_git.core.state import State
from smithers_git.edge.git import hooks
from smithers_git.edge.git.diff import diff_stat, titles
from smithers_git.edge.git.merge import Candidate
from smithers_git.errors import RunNotFound, RunRefused, UsageError
from smithers_git.names import MAIN
from smithers_git.service import runs
from smithers_git.service.landing import home
from smithers_git.service.landing.entries import Change, Terms, Wish, gates, title_of, wish
from smithers_git.service.landing.line import open_ledger, queues
from smithers_git.service.project import Project

_HEADS: Final = "refs/heads/"


@dataclass(frozen=True, slots=True)
class Request:
    """What the user typed."""

    name: str
    onto: str | None = None
    space: str | None = None
    style: Style | None = None
    gates: tuple[Command, ...] = ()
    title: str | None = None
    by: str = ""


@dataclass(slots=True)
class Preview:
    """What would happen, found out without writing anything but loose objects."""

    target: str
    tip: str
    head: str
    commits: int
    stat: str
    style: Style
    gates: tuple[Command, ...]
    hooks: list[str]
    conflict: str | None = None
    commit: str | None = None
    obstacle: str | None = None
    follows: list[str] = field(default_factory=list)
    """Worktrees that have the target checked out and would follow it."""
    already: bool = False
    """The target holds it already."""


def make(project: Project, asked: Request) -> Wish:
    """The entry that is asked for; raises RunNotFound, RunRefused, UsageError."""
    try:
        run = runs.resolve(project, asked.name)
    except RunNotFound:
        branch = asked.name.removeprefix(_HEADS)
        head = project.objects.ref(_HEADS + branch)
        if head is None:
            raise
        onto = asked.onto or project.repository.branch
        title, body = _words(project, branch, head, onto)
        return _wish(project, asked, Change(branch, head, _HEADS + branch, asked.title or title, body), onto, None)
    state = project.chain(run).state
    if state.end != "finished":
        how = runs.status(project, state)
        raise RunRefused(
            f"run {run} stands at {how}: what it has is not finished",
            hint=f"smithers why {run} tells what it needs; smithers land smithers/{run}/{MAIN} takes it as it is",
        )
    return _wish(project, asked, _change(project, state, asked), asked.onto or state.branch, state.check)


def _wish(project: Project, asked: Request, change: Change, onto: str | None, check: list[str] | None) -> Wish:
    if onto is None:
        raise UsageError("the run began on no branch, so it is not known where to land", hint="say it: --onto BRANCH")
    target = onto if onto.startswith(_HEADS) else _HEADS + onto
    if project.objects.ref(target) is None:
        name = target.removeprefix(_HEADS)
        raise UsageError(f"there is no branch {name!r} to land on", hint=f"make it first: git branch {name}")
    if target == change.branch:
        raise UsageError(f"{change.name} is the target itself", hint="name another branch: --onto BRANCH")
    terms = Terms(target, gates(project, asked.gates, check), asked.style, approval=asked.by)
    return wish(project, change, terms)


def _words(project: Project, branch: str, head: str, onto: str | None) -> tuple[str, str]:
    """What a branch brings, in the words of its commits, or of the tickets that landed on it."""
    tickets = _tickets(project, branch)
    base = project.objects.resolve(onto) if onto else None
    brought = titles(project.repository, base, head) if base is not None and not tickets else []
    if len(brought) == 1:
        return brought[0].partition(" ")[2], ""
    lines = [f"- {line.partition(' ')[2]}" for line in reversed(brought)]
    return f"Land {branch}", tickets or "\n".join(lines)


def _change(project: Project, state: State, asked: Request) -> Change:
    """What a run has to land: the workspace that is named, the branch that it landed on, or what it changed."""
    title = asked.title or title_of(state)
    if asked.space is None:
        lines = [line for line in queues(project) if _landed(line, state.run)]
        if len(lines) == 1 and lines[0].target != (asked.onto or state.branch):
            branch = lines[0].target
            head = project.objects.ref(branch)
            if head is not None:
                name = branch.removeprefix(_HEADS)
                if asked.title is None and not state.input.get("prompt"):
                    title = f"Land {name}"
                return Change(name, head, branch, title, _tickets(project, name), state.run)
    changed = {name: space for name, space in state.spaces.items() if space.commit != state.base}
    if asked.space is not None:
        if asked.space not in state.spaces:
            known = ", ".join(state.spaces) or "none"
            raise UsageError(f"run {state.run} has no workspace {asked.space!r}", hint=f"it has: {known}")
        space = asked.space
    elif MAIN in changed or len(changed) == 1:
        space = MAIN if MAIN in changed else next(iter(changed))
    elif changed:
        raise UsageError(
            f"run {state.run} changed {len(changed)} workspaces: {', '.join(changed)}", hint="name one: --space NAME"
        )
    else:
        raise RunRefused(f"run {state.run} changed no file", hint=f"smithers inspect {state.run} shows what it did")
    found = state.spaces[space]
    return Change(f"{state.run}/{space}", found.commit, found.branch, title, run=state.run)


def _landed(state: QueueState, run: str) -> bool:
    return any(one.status == "landed" and one.entry.run == run for one in state.entries.values())


def _tickets(project: Project, branch: str) -> str:
    """What landed on an integration branch so far, as lines of a message."""
    line = open_ledger(project, _HEADS + branch).state  # without entries where there is no such queue
    landed = sorted((one for one in line.entries.values() if one.status == "landed"), key=lambda one: one.ended or 0)
    return "\n".join(f"- {commit_message.subject(one.entry.title)}" for one in landed)


def preview(project: Project, asked: Wish) -> Preview:
    """What landing would do now."""
    objects, entry = project.objects, asked.entry
    tip = objects.ref(asked.target)
    assert tip is not None
    site = project.site(asked.target)
    merger = site.merger(objects)
    base = merger.base(tip, entry.head) or tip
    found = Preview(
        target=asked.target,
        tip=tip,
        head=entry.head,
        commits=len(merger.commits(base, entry.head)),
        stat=diff_stat(project.repository, base, entry.head).rstrip(),
        style=entry.style,
        gates=entry.gates,
        hooks=hooks.find(project.repository, entry.style) if project.settings.landing.hooks else [],
        already=merger.contained(tip, entry.head),
    )
    if found.already:
        return found
    made = merger.candidate(
        tip, entry.head, entry.style, lambda tree, text: home.message(entry, tree, text), int(project.clock.now())
    )
    if isinstance(made, Candidate):
        found.commit = made.commit
        found.obstacle = site.obstacle(tip, made.commit)
        found.follows = list(site.checkouts())
    else:
        found.conflict = made.text
    return found
