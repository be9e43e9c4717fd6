"""What `smithers doctor` and `smithers reindex` print."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Final

from smithers_git.edge import output
from smithers_git.errors import ExitCode
from smithers_git.front.words import plural
from smithers_git.service import upkeep
from smithers_git.service.project import Project

_STYLES: Final = {"ok": "green", "note": "dim", "mended": "yellow", "needs you": "red"}


def doctor(start: Path, *, fix: bool, as_json: bool) -> int:
    """Print a line for everything that is looked at; exit code 1 when something needs the user."""
    found = []
    for one in upkeep.doctor(start, fix=fix):
        found.append(one)
        if as_json:
            continue
        standing = output.paint(f"{one.standing:<9}", _STYLES[one.standing])
        output.emit(f"{standing}  {one.name}: {one.text}")
        for command in one.commands:
            output.emit(f"             {command}")
    needed = sum(one.standing == "needs you" for one in found)
    if as_json:
        output.document({"ok": not needed, "findings": [asdict(one) for one in found]})
    else:
        output.note(f"{plural(needed, 'thing')} {'needs' if needed == 1 else 'need'} you" if needed else "all is well")
    return int(ExitCode.FAILED if needed else ExitCode.DONE)


def reindex(project: Project, *, as_json: bool) -> int:
    """Make the index anew, and say what it holds; exit code 1 when a run cannot be read."""
    number, unreadable = upkeep.reindex(project)
    if as_json:
        output.document({"runs": number, "unreadable": unreadable})
    else:
        output.emit(f"the index is new: {plural(number, 'run')}")
        for run, why in unreadable.items():
            output.note(f"run {run} cannot be read: {why}; see smithers doctor")
    return int(ExitCode.FAILED if unreadable else ExitCode.DONE)
