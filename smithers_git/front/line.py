"""`smithers queue`: the line of entries, what each waits for, and what a person may do with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from smithers_git.clock import ago, iso
from smithers_git.core.landing.state import EntryState
from smithers_git.core.landing.view import Position
from smithers_git.edge import output
from smithers_git.errors import ExitCode, UsageError
from smithers_git.names import QUEUE
from smithers_git.service.landing import acts
from smithers_git.service.landing.line import Line, look
from smithers_git.service.project import Project

_STYLES = {
    "landed": "green", "green": "green", "checking": "blue", "landing": "blue", "refused": "red", "conflict": "yellow",
    "blocked": "yellow", "held": "yellow", "suspect": "yellow",
}  # fmt: skip

_DONE = {"eject": "out of the queue", "hold": "held", "resume": "free to go on"}


def document(project: Project, branch: str | None, *, everything: bool) -> list[dict[str, Any]]:
    """One queue, or all when no branch is named, for a program."""
    return [_document(look(project, target), everything=everything) for target in _targets(project, branch)]


def show(project: Project, words: Sequence[str], options: Mapping[str, Any]) -> int:
    """Print one queue, or all; returns the exit code."""
    if len(words) > 1:
        raise UsageError(f"{words[1]!r} is one word too many", hint="smithers queue --help")
    branch = words[0] if words else options["onto"]
    if options["as_json"]:
        output.document(document(project, branch, everything=options["everything"]))
        return int(ExitCode.DONE)
    found = [look(project, target) for target in _targets(project, branch)]
    if not found:
        output.emit("no queue yet: smithers land RUN makes one")
    for number, one in enumerate(found):
        if number:
            output.emit()
        _print(project, one, everything=options["everything"])
    return int(ExitCode.DONE)


def act(project: Project, action: str, words: Sequence[str], options: Mapping[str, Any]) -> int:
    """Eject, hold or resume an entry or a queue; returns the exit code."""
    if len(words) > 1 or (action == "eject" and not words):
        raise UsageError(f"{action} takes one entry", hint=f"smithers queue {action} ENTRY")
    done = perform(project, action, words[0] if words else None, options)
    if options["as_json"]:
        output.document({"action": action, "entry": done.entry, "name": done.name, "queue": done.target})
    else:
        what = done.name or f"the queue of {done.target}"
        output.emit(f"{what} is {_DONE[action]}")
    return int(ExitCode.DONE)


def perform(project: Project, action: str, entry: str | None, options: Mapping[str, Any]) -> acts.Done:
    """Eject, hold or resume an entry, or the queue when none is named; `options` say `onto` and `note`."""
    targets = _targets(project, options["onto"])
    return acts.act(project, targets, acts.Act(action, entry, project.who(), options["note"]))


def _targets(project: Project, branch: str | None) -> list[str]:
    known = [f"refs/heads/{ref.removeprefix(QUEUE)}" for ref in sorted(project.objects.refs(QUEUE))]
    if branch is None:
        return known
    target = branch if branch.startswith("refs/heads/") else f"refs/heads/{branch}"
    if target not in known:
        names = ", ".join(name.removeprefix("refs/heads/") for name in known) or "none"
        raise UsageError(f"no queue lands on {branch!r}", hint=f"queues: {names}")
    return [target]


def _rows(one: Line, *, everything: bool) -> list[tuple[EntryState, Position | None]]:
    """Entries in the line, in the order in which they would land; then what has ended, the newest first."""
    waiting = [(one.state.entries[place.entry], place) for place in one.plan.line]
    ended = [found for found in one.state.entries.values() if found.status != "waiting"]
    ended.sort(key=lambda found: found.ended or 0.0, reverse=True)
    return [*waiting, *((found, None) for found in (ended if everything else []))]


def _status(found: EntryState, place: Position | None) -> str:
    return place.status if place is not None else found.status


def _about(found: EntryState, place: Position | None) -> str:
    """Why it stands where it stands, in one line."""
    if place is not None:
        return place.blocker or ""
    if found.status == "landed":
        return f"as {(found.commit or '')[:12]}"
    return found.message.partition("\n")[0]


def _print(project: Project, one: Line, *, everything: bool) -> None:
    state, now = one.state, project.clock.now()
    branch = state.target.removeprefix("refs/heads/")
    ended = [found.status for found in state.entries.values()]
    landed, left = ended.count("landed"), ended.count("refused") + ended.count("ejected")
    driver = f", driven by process {one.driver.get('pid')}" if one.driver else ""
    output.emit(
        f"{output.paint(branch, 'bold')}: {len(one.plan.line)} in line, {landed} landed, {left} went back{driver}"
    )
    if state.held is not None:
        why = f": {state.held.note}" if state.held.note else ""
        output.emit(output.paint(f"held by {state.held.by}{why}; smithers queue resume lets it go on", "yellow"))
    elif one.plan.stopped:
        output.emit(output.paint(f"stopped: {one.plan.stopped}", "red"))
    rows, styles = [], []
    for found, place in _rows(one, everything=everything):
        status = _status(found, place)
        since = found.ended if place is None and found.ended else found.entered
        rows.append([found.entry.name, status, found.entry.id[:8], ago(now - since), _about(found, place)])
        styles.append({1: _STYLES.get(status, "")})
    output.table(["ENTRY", "STATE", "ID", "AGE", "WAITS FOR / WHY"], rows, styles=styles)


def _document(one: Line, *, everything: bool) -> dict[str, Any]:
    state = one.state
    return {
        "queue": state.target.removeprefix("refs/heads/"),
        "frame": state.number,
        "window": state.window,
        "held": state.held.by if state.held else None,
        "stopped": one.plan.stopped,
        "driver": one.driver,
        "flakes": {gate if isinstance(gate, str) else " ".join(gate): times for gate, times in state.flakes.items()},
        "entries": [_entry(found, place) for found, place in _rows(one, everything=everything)],
    }


def _entry(found: EntryState, place: Position | None) -> dict[str, Any]:
    entry = found.entry
    return {
        "id": entry.id,
        "name": entry.name,
        "status": _status(found, place),
        "blocker": place.blocker if place else None,
        "reason": found.reason,
        "message": found.message,
        "evidence": found.evidence,
        "head": entry.head,
        "commit": found.commit,
        "style": entry.style,
        "priority": entry.priority,
        "depends_on": list(entry.depends_on),
        "run": entry.run,
        "ticket": entry.ticket,
        "approval": entry.approval,
        "entered": iso(found.entered),
        "ended": iso(found.ended) if found.ended else None,
    }
