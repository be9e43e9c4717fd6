"""The moves that bring a tested commit home: message, the move of the target, its receipt.

The move of the target's ref is the only point at which something has landed. Before it stands a frame that says what
is about to happen; a process that dies in between leaves that frame, and whoever comes next reads from the target
itself whether it happened.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import smithers_git
from smithers_git.core import codec, commit_message, receipt
from smithers_git.core.landing import events as ev
from smithers_git.core.landing.entry import Entry
from smithers_git.core.receipt import Receipt
from smithers_git.edge.git.merge import Candidate, Merger
from smithers_git.edge.git.objects import Objects
from smithers_git.errors import GitError, RefMoved
from smithers_git.service import notify, reboot
from smithers_git.service.landing.ledger import Ledger
from smithers_git.service.project import Project

Note = Callable[[str], None]

_SHORT: Final = 12


def message(entry: Entry, tree: str, original: str | None) -> str:
    """The message of a commit that lands: the entry's own, or the one that the commit had, with trailers."""
    text = original or f"{entry.title}\n\n{entry.body}"
    named = [(commit_message.TICKET, entry.ticket), (commit_message.RUN, entry.run)]
    rows = [(name, value) for name, value in named if value]
    return commit_message.with_trailers(text, [*rows, (commit_message.ENTRY, entry.id), (commit_message.TREE, tree)])


def land(project: Project, ledger: Ledger, merger: Merger, begun: ev.LandingBegun) -> None:
    """Move the target to the commit that was verified; RefMoved when somebody else moved it first."""
    entry = ledger.state.entries[begun.entry].entry
    candidate = Candidate(begun.commit, begun.trees)
    merger.secure(candidate, begun.before)
    lost = merger.lost(entry.head, begun.before, begun.commit)
    if lost:
        raise GitError(
            f"landing {entry.name} would lose its change of {lost[0]}", hint="this is a bug of smithers: report it"
        )
    reboot.note(_local(project, ledger))
    ledger.add(begun, project.clock.now())
    ledger.commit()
    title = f"smithers: landed {entry.name}"
    try:
        project.site(ledger.target).move(begun.before, begun.commit, title)
    except RefMoved:
        ledger.add(ev.LandingVoid(entry=entry.id, reason="the target was moved by somebody else"), project.clock.now())
        ledger.commit()
        raise


def _local(project: Project, ledger: Ledger) -> Path:
    # Quoted: a branch may lie where the note of another one did, `x/boot` behind `x`.
    return project.state_dir / "landing" / quote(ledger.target, safe="")


def settle(project: Project, ledger: Ledger, merger: Merger, note: Note) -> None:
    """Finish what a landing began: by this process just now, or by one that died."""
    begun = ledger.state.landing
    if begun is None:
        return
    tip, now = ledger.objects.ref(ledger.target), project.clock.now()
    name = ledger.state.entries[begun.entry].entry.name
    if tip is None or not merger.contained(tip, begun.commit):
        ledger.add(ev.LandingVoid(entry=begun.entry, reason="the target does not hold it"), now)
        ledger.commit()
        return
    down = reboot.went_down(project, _local(project, ledger), ledger.state.begun)
    site = project.site(ledger.target)
    for text in site.follow(begun.before, begun.commit, moved=tip == begun.commit, down=down):
        note(text)
    written = _receipts(ledger, begun, now)
    landed = ev.EntryLanded(
        entry=begun.entry,
        before=begun.before,
        commit=begun.commit,
        tree=begun.trees[-1],
        trees=begun.trees,
        receipt=written,
    )
    ledger.add(landed, now)
    ledger.commit()
    where = ledger.target.removeprefix("refs/heads/")
    note(f"{name} landed on {where} as {begun.commit[:_SHORT]}")
    notify.landed(project, note, now)


def _receipts(ledger: Ledger, begun: ev.LandingBegun, now: float) -> str:
    """Put a receipt of each commit that landed into the next frame; returns the path of the last one's."""
    entry = ledger.state.entries[begun.entry].entry
    hook = ledger.state.hooks.get(begun.commit)
    commits = _new_commits(ledger.objects, begun.before, begun.commit)
    for commit in commits:
        found = ledger.objects.read_commit(commit)
        passes = tuple(
            ledger.passes[found.tree, gate]
            for gate in dict.fromkeys(entry.gates)
            if (found.tree, gate) in ledger.passes
        )
        made = Receipt(
            commit=commit,
            tree=found.tree,
            before=found.parents[0],
            target=ledger.target,
            entry=entry,
            passes=passes,
            hook=hook.message if hook is not None else None,
            at=now,
            version=smithers_git.__version__,
        )
        ledger.put(receipt.path(commit), codec.dumps(made.model_dump(mode="json")))
    return receipt.path(begun.commit)


def commits_by_tree(objects: Objects, before: str, commit: str) -> dict[str, str]:
    """Tree to commit of all that `commit` would put on a target at `before`."""
    return {objects.read_commit(one).tree: one for one in _new_commits(objects, before, commit)}


def _new_commits(objects: Objects, before: str, commit: str) -> list[str]:
    """What a landing puts on the target's line of first parents, oldest first."""
    found: list[str] = []
    while commit != before:
        found.append(commit)
        commit = objects.read_commit(commit).parents[0]
    return found[::-1]
