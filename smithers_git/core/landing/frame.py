"""The frames of a merge queue: the form of those of a run, with the queue's own events. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from smithers_git.core import codec
from smithers_git.core.codec import FrameData, FrameFile
from smithers_git.core.landing import events as ev
from smithers_git.core.landing.entry import shown


class _QueueFile(FrameFile):
    events: list[ev.QueueEvent]


def decode(data: bytes, where: str) -> FrameData:
    """The frame in `data`; raises FormatError, naming `where`, when it is damaged or newer than this program."""
    return codec.decode(data, where, _QueueFile)


def message(frame: FrameData) -> str:
    """The commit message of a frame: what happened in one line, then trailers."""
    lines = [f"frame {frame.number}: {subject(frame.events)}", "", f"Smithers-Queue: {frame.run.partition('/')[2]}"]
    lines.append(f"Smithers-Frame: {frame.number}")
    entries = dict.fromkeys(id for e in frame.events if (id := entry_of(e)) is not None)
    lines.extend(f"Smithers-Entry: {id}" for id in entries)
    return "\n".join(lines) + "\n"


def subject(events: Sequence[ev.QueueEvent]) -> str:
    """What the events of one frame say, in at most 100 characters."""
    line = "; ".join(map(describe, events)) or "nothing"
    return line if len(line) <= 100 else line[:99] + "…"


def entry_of(event: ev.QueueEvent) -> str | None:
    """The id of the entry that the event is about; None for one of the whole queue."""
    found = getattr(event, "entry", None)
    return found if found is None or isinstance(found, str) else str(found.id)


def describe(event: ev.QueueEvent) -> str:
    """What happened, in one line of printable characters: it is the subject of a commit and a line on a terminal."""
    said = _SAY[type(event)](event)
    return " ".join("".join(c if c.isprintable() else " " for c in said).split())


def _ran(event: ev.GateRan) -> str:
    word = {"passed": "green", "failed": "red", "broken": "could not run"}[event.outcome]
    return f"{shown(event.gate)} {word} on {event.tree[:12]}"


_SAY: dict[type, Callable[[Any], str]] = {
    ev.QueueOpened: lambda e: f"queue of {e.target.removeprefix('refs/heads/')} opened",
    ev.EntryEntered: lambda e: f"{e.entry.name} entered at {e.entry.head[:12]}" + (f" by {e.by}" if e.by else ""),
    ev.GateRan: _ran,
    ev.HookRan: lambda e: f"hooks {'passed' if e.passed else 'refused'} {e.commit[:12]}",
    ev.EntryRefused: lambda e: f"{e.entry} refused ({e.reason}): {e.message.partition(chr(10))[0]}",
    ev.LandingBegun: lambda e: f"{e.entry} is landing as {e.commit[:12]}",
    ev.LandingVoid: lambda e: f"{e.entry} did not land: {e.reason}",
    ev.EntryLanded: lambda e: f"{e.entry} landed as {e.commit[:12]}",
    ev.EntryEjected: lambda e: f"{e.entry} ejected by {e.by}" + (f": {e.note}" if e.note else ""),
    ev.EntryHeld: lambda e: f"{e.entry or 'the queue'} held by {e.by}" + (f": {e.note}" if e.note else ""),
    ev.EntryResumed: lambda e: f"{e.entry or 'the queue'} resumed by {e.by}",
}
