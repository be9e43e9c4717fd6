"""What a person may do with a queue: take an entry out, hold it or the whole queue, let it go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smithers_git.core.landing import events as ev
from smithers_git.core.landing.state import EntryState
from smithers_git.errors import RunRefused, UsageError
from smithers_git.service.landing import home
from smithers_git.service.landing.candidates import Candidates
from smithers_git.service.landing.ledger import Ledger, record
from smithers_git.service.landing.line import open_ledger
from smithers_git.service.project import Project


@dataclass(frozen=True, slots=True)
class Act:
    """What is asked for; `entry` is a name or the beginning of an id, None for the whole queue."""

    action: str
    entry: str | None
    by: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    target: str
    entry: str | None
    name: str | None


def act(project: Project, targets: Sequence[str], asked: Act) -> Done:
    """Record it in the queue that it concerns; raises UsageError, RunRefused."""
    ledgers = [open_ledger(project, target) for target in targets]
    if asked.entry is None:
        if len(ledgers) != 1:
            names = ", ".join(one.target.removeprefix("refs/heads/") for one in ledgers) or "none"
            raise UsageError(f"there are {len(ledgers)} queues: {names}", hint="name one: --onto BRANCH")
        ledger, found = ledgers[0], None
    else:
        ledger, found = _find(ledgers, asked.entry)
    record(ledger, project.clock, lambda now: [_event(now, asked, found.entry.id if found else None)])
    if asked.action == "resume":
        _settle(project, ledger)
    name = ledger.target.removeprefix("refs/heads/")
    return Done(name, found.entry.id if found else None, found.entry.name if found else None)


def _settle(project: Project, ledger: Ledger) -> None:
    """Complete a landing that a process began and did not live to end, unless somebody is at it."""
    lock = project.site(ledger.target).lock()
    if ledger.state.landing is not None and lock.try_acquire({"doing": "settling"}):
        try:
            merger = Candidates(project, ledger.objects, ledger.target).merger
            home.settle(project, ledger, merger, lambda _text: None)
        finally:
            lock.release()


def _find(ledgers: Sequence[Ledger], name: str) -> tuple[Ledger, EntryState]:
    matches = [
        (ledger, one)
        for ledger in ledgers
        for one in ledger.state.entries.values()
        if one.entry.name == name or one.entry.id.startswith(name)
    ]
    waiting = [pair for pair in matches if pair[1].status == "waiting"] or matches[-1:]
    if not waiting:
        raise UsageError(f"no queue has an entry {name!r}", hint="smithers queue --all lists them")
    if len(waiting) > 1:
        ids = ", ".join(f"{one.entry.id} ({ledger.target.removeprefix('refs/heads/')})" for ledger, one in waiting)
        raise UsageError(f"{name!r} fits {len(waiting)} entries: {ids}", hint="give the id")
    return waiting[0]


def _event(now: Ledger, asked: Act, entry: str | None) -> ev.QueueEvent:
    one = now.state.entries[entry] if entry is not None else None
    if asked.action != "resume" and one is not None and one.status != "waiting":
        raise RunRefused(f"{one.entry.name} is not in the line: it was {one.status}", hint="smithers queue --all")
    if asked.action == "eject":
        assert one is not None
        begun = now.state.landing
        if begun is not None and begun.entry == entry:
            raise RunRefused(f"{one.entry.name} is landing right now", hint="git revert undoes what has landed")
        return ev.EntryEjected(entry=one.entry.id, by=asked.by, note=asked.note)
    if asked.action == "hold":
        return ev.EntryHeld(entry=entry, by=asked.by, note=asked.note)
    if one is not None and one.status != "waiting":
        return ev.EntryEntered(entry=one.entry, by=asked.by)  # it comes back into the line
    return ev.EntryResumed(entry=entry, by=asked.by)
