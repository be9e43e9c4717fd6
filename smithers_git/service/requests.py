"""What a person is shown before they decide, and whether it is still so when they do."""

from __future__ import annotations

from dataclasses import dataclass

from smithers_git.core import asking
from smithers_git.core import events as ev
from smithers_git.core.fold_approvals import state_of
from smithers_git.core.parts import ApprovalState
from smithers_git.edge.git.objects import Objects
from smithers_git.errors import Stale
from smithers_git.names import TaskKey
from smithers_git.service.frames import Chain, walk
from smithers_git.service.project import Project


def trees(objects: Objects, asked: ApprovalState) -> dict[str, str]:
    """Workspace to tree, of the files that a request is about."""
    return {space: objects.read_commit(commit).tree for space, commit in asked.commits.items()}


def digest(objects: Objects, key: TaskKey, asked: ApprovalState) -> str:
    """What names the request and the files it is about: another title, option or byte gives another one."""
    return asking.digest(key, asked, trees(objects, asked))


def refuse_stale(project: Project, chain: Chain, key: TaskKey, seen: str) -> None:
    """Raise Stale, saying what changed, unless the request is the one that was `seen` and its files are as they were.

    Args:
        seen: digest of the request that the person was shown, or how it begins; empty: they say nothing of it.
    """
    asked, run = chain.state.approvals[key], chain.run
    now = digest(project.objects, key, asked)
    if seen and not now.startswith(seen):
        changes = _changes(project, chain, key, seen)
        raise Stale(
            f"{key} of run {run} is not the request that was shown ({seen}) any more: {changes}",
            hint=f"look at it again: smithers approve, or smithers inspect {run}; its digest is {now} now",
        )
    again = f"smithers up --resume {run} takes that in and asks anew"
    for space, commit in asked.commits.items():
        known = chain.state.spaces[space]
        if _tree(project, known.commit) != _tree(project, commit):
            raise Stale(f"the files of {space} were changed after {key} of run {run} was asked", hint=again)
        changed = _edited(project, chain, space, known.commit)
        # Not when the run went on while we looked: it may be its own work, and the decision is judged anew anyway.
        if changed and not chain.moved():
            names = ", ".join(changed[:5]) + (", …" if len(changed) > 5 else "")
            path = project.workspaces(run).path(space)
            raise Stale(f"{names} in {path} changed after {key} of run {run} was asked", hint=again)


def _tree(project: Project, commit: str) -> str:
    return project.objects.read_commit(commit).tree


def _edited(project: Project, chain: Chain, space: str, commit: str) -> list[str]:
    """Files that somebody changed in the folder of a workspace; not while an attempt works in it, or was cut off."""
    if any(chain.state.nodes[key].space == space for key in chain.state.running):
        return []
    return project.workspaces(chain.run).edited(space, commit)


def _changes(project: Project, chain: Chain, key: TaskKey, seen: str) -> str:
    """How the request that was seen differs from the one that waits."""
    now = chain.state.approvals[key]
    old = _find(project, chain, key, seen)
    if old is None:
        return "no request of this run has that digest"
    found = [
        f"its {name} was {before!r} and is {after!r}"
        for name, before, after in (
            ("title", old.title, now.title),
            ("summary", old.summary, now.summary),
            ("mode", old.mode, now.mode),
            ("options", list(old.options), list(now.options)),
        )
        if before != after
    ]
    was, is_now = trees(project.objects, old), trees(project.objects, now)
    changed = [space for space in {**was, **is_now} if was.get(space) != is_now.get(space)]
    return "; ".join([*found, *(f"the files of {space} changed" for space in changed)])


def _find(project: Project, chain: Chain, key: TaskKey, seen: str) -> ApprovalState | None:
    assert chain.tip is not None
    for frame in walk(project.objects, chain.tip):
        for event in reversed(frame.data.events):
            if isinstance(event, ev.ApprovalRequested) and (event.node, event.iteration) == (key.node, key.iteration):
                asked = state_of(event, frame.data.time)
                if digest(project.objects, key, asked).startswith(seen):
                    return asked
    return None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for the files that a request is about."""

    gates: dict[str, list[str]]
    """Workspace to the gate commands that were green on exactly these files."""
    cost: float
    tokens: int


def evidence(project: Project, run: str, asked: ApprovalState) -> Evidence:
    """The gates that were green on what is asked about, and what the run has cost so far."""
    chain = project.chain(run)
    assert chain.tip is not None
    found: dict[str, dict[str, None]] = {space: {} for space in asked.commits}
    for frame in walk(project.objects, chain.tip):
        for event in frame.data.events:
            if isinstance(event, ev.TaskFinished) and event.gates and asked.commits.get(event.space) == event.commit:
                found[event.space] |= dict.fromkeys(event.gates)
    gates = {space: list(names) for space, names in found.items() if names}
    return Evidence(gates, chain.state.cost, chain.state.tokens)
