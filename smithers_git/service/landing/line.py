"""The queues of a repository, read: their state, the order of their entries and what each waits for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from smithers_git.core.landing.plan import plan
from smithers_git.core.landing.state import EntryState, QueueState
from smithers_git.core.landing.view import Plan
from smithers_git.edge.git.objects import Objects
from smithers_git.edge.lock import is_held
from smithers_git.errors import StorageError
from smithers_git.names import QUEUE
from smithers_git.service.landing.candidates import Candidates
from smithers_git.service.landing.ledger import Ledger
from smithers_git.service.project import Project


def queues(project: Project) -> list[QueueState]:
    """The state of every queue, by the name of its target."""
    refs = sorted(project.objects.refs(QUEUE))
    return [open_ledger(project, f"refs/heads/{ref.removeprefix(QUEUE)}").state for ref in refs]


@dataclass(slots=True)
class Line:
    """A queue as it stands: its state, and what the planner says of it."""

    state: QueueState
    plan: Plan
    driver: dict[str, Any] | None
    """Who turns its wheel right now; None when nobody does."""


def look(project: Project, target: str) -> Line:
    """The queue of a target with each entry's place; candidates are made in memory, no gate runs."""
    ledger = open_ledger(project, target)
    lock = project.site(target).lock()
    driver = lock.holder() if is_held(lock.path) else None
    if not ledger.state.waiting():
        return Line(ledger.state, Plan(), driver)
    candidates = Candidates(project, project.objects, target)
    blocked: str | None = None
    while True:
        now = plan(ledger.state, candidates.view(ledger.state, frozenset(), blocked))
        for onto, entry in now.merge:
            candidates.make(onto, ledger.state.entries[entry])
        if now.land is not None and blocked is None:
            blocked = candidates.site.obstacle(*now.land[1:])
        if not now.merge and (now.land is None or blocked is None):
            return Line(ledger.state, now, driver)


@dataclass(frozen=True, slots=True)
class Standing:
    """One entry that waits, as somebody who asks about its run sees it."""

    branch: str
    name: str
    status: str
    blocker: str | None
    since: float


def standing(project: Project, run: str) -> list[Standing]:
    """What a run has in the queues of this repository."""
    found = []
    for ref in sorted(project.objects.refs(QUEUE)):
        branch = ref.removeprefix(QUEUE)
        mine = {one.entry.id: one for one in open_ledger(project, branch).state.waiting() if one.entry.run == run}
        places = look(project, f"refs/heads/{branch}").plan.line if mine else []
        for place in places:
            if one := mine.get(place.entry):
                found.append(Standing(branch, one.entry.name, place.status, place.blocker, one.entered))
    return found


def evidence(project: Project, target: str, one: EntryState) -> str:
    """What a refused entry's author needs to mend it: conflicting hunks, or the end of a gate's log; "" when nothing.

    Raises StorageError when the queue should have it and has not.
    """
    if one.evidence is None:
        return ""
    ledger = open_ledger(project, target)
    data = ledger.read(one.evidence)
    if data is None:
        raise StorageError(f"{ledger.ref} holds no {one.evidence}", hint="git fsck finds out what else is missing")
    return data.decode("utf-8", "replace").strip()


def open_ledger(project: Project, target: str, objects: Objects | None = None) -> Ledger:
    """The chain of a target's queue; `objects` are those of the thread that asks, if that is not the main one."""
    name = target.removeprefix("refs/heads/")
    return Ledger(
        objects or project.objects,
        target,
        project.owner,
        project.state_dir / "queue" / f"{name}.json",
        project.redactor,
    )
