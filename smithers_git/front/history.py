"""What happened in a run: `smithers timeline` and `smithers events`."""

from __future__ import annotations

from typing import Any

from smithers_git.clock import iso, local
from smithers_git.core.codec import subject
from smithers_git.core.describe import describe, node_of
from smithers_git.core.events import Event
from smithers_git.edge import output
from smithers_git.front.words import plural
from smithers_git.names import parse_key
from smithers_git.service.frames import Frame
from smithers_git.service.history import Branch, branches, frames, is_meant
from smithers_git.service.project import Project


def document(project: Project, run: str) -> dict[str, Any]:
    """Every frame of a run, and what branches off, for a program."""
    known = frames(project, run)
    return _document(run, known, branches(project, run, known))


def _document(run: str, known: list[Frame], found: list[Branch]) -> dict[str, Any]:
    return {
        "run": run,
        "frames": [_frame_document(frame) for frame in known],
        "branches": [_branch_document(branch) for branch in found],
    }


def timeline(project: Project, run: str, *, as_json: bool) -> None:
    """Print every frame of a run, and where forks and the tails that rewinds left go their own way."""
    known = frames(project, run)
    found = branches(project, run, known)
    if as_json:
        output.document(_document(run, known, found))
        return
    now = project.clock.now()
    number_width = len(str(known[-1].data.number))
    for frame in known:
        data = frame.data
        own = "" if data.run == run else f"  (in {data.run})"
        number, when = str(data.number).rjust(number_width), local(data.time, now)
        room = output.columns() - len(f"{number}  {when}  12345678  {own}")
        text, commit = output.clip(subject(data.events), max(20, room)), output.paint(frame.commit[:8], "yellow")
        output.emit(f"{number}  {when}  {commit}  {text}{output.paint(own, 'dim')}")
        for branch in found:
            if branch.frame == data.number:
                output.emit(output.paint(f"{' ' * number_width}  └─ {_branch_line(branch)}", "dim"))


def _branch_line(branch: Branch) -> str:
    if branch.kind == "fork":
        return f"fork {branch.name}, now at frame {branch.last}"
    many = plural(branch.last - branch.frame, "frame")
    return f"{many} up to {branch.last} left by a rewind: {branch.name}"


def _frame_document(frame: Frame) -> dict[str, Any]:
    data = frame.data
    return {
        "frame": data.number,
        "time": iso(data.time),
        "commit": frame.commit,
        "run": data.run,
        "subject": subject(data.events),
        "events": [event.type for event in data.events],
        "nodes": list(dict.fromkeys(node for event in data.events if (node := node_of(event)))),
    }


def _branch_document(branch: Branch) -> dict[str, Any]:
    return {
        "frame": branch.frame,
        "kind": branch.kind,
        "name": branch.name,
        "last_frame": branch.last,
        "commit": branch.tip,
    }


def events(project: Project, run: str, node: str | None, kind: str | None, *, as_json: bool) -> None:
    """Print the events of a run; of one node or of one type only, when that is asked for."""
    found = [
        (frame, event)
        for frame in frames(project, run)
        for event in frame.data.events
        if (node is None or _is_about(event, node)) and (kind is None or _is_kind(event, kind))
    ]
    if as_json:
        output.document({"run": run, "events": [_event_document(frame, event) for frame, event in found]})
        return
    now = project.clock.now()
    for frame, event in found:
        when = local(frame.data.time, now)
        head = f"{frame.data.number:>4}  {when}  {event.type:<22}  "
        output.emit(head + output.clip(describe(event), max(20, output.columns() - len(head))))
    if not found:
        output.note(f"no such event in run {run}: smithers events {run} shows all")


def _is_about(event: Event, node: str) -> bool:
    name = node_of(event) or getattr(event, "loop", None)
    return name is not None and is_meant(parse_key(name), node)


def _is_kind(event: Event, kind: str) -> bool:
    return event.type == kind or event.type.partition(".")[0] == kind


def _event_document(frame: Frame, event: Event) -> dict[str, Any]:
    # An event may have a commit of its own: the files. This one is the frame's.
    about = {"frame": frame.data.number, "frame_commit": frame.commit, "time": iso(frame.data.time)}
    return {**about, "type": event.type, "text": describe(event), **event.model_dump(mode="json", exclude={"type"})}
