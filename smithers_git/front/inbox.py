"""What `smithers inbox` prints. Like `ps` it opens no run: the index knows what waits."""

from __future__ import annotations

from typing import Any

from smithers_git.clock import ago
from smithers_git.edge import output
from smithers_git.front.listing import waiting_document
from smithers_git.service import runs
from smithers_git.service.project import Project
from smithers_git.service.runs import RunView, Waiting


def _look(project: Project) -> tuple[list[tuple[RunView, Waiting]], dict[str, str]]:
    """Everything that waits for a person, oldest first, with its run; and the runs that cannot be read, with why."""
    views, unreadable = runs.survey(project)
    found = [
        (view, one)
        for view in views
        if view.row.end is None
        for one in view.waiting
        if one.kind in ("approval", "question")
    ]
    return sorted(found, key=lambda pair: pair[1].since), unreadable


def document(project: Project) -> dict[str, Any]:
    """Everything that waits for a person, oldest first, for a program."""
    found, unreadable = _look(project)
    rows = [
        {"run": view.row.run, "workflow": view.row.workflow, **waiting_document(view.row.run, one)}
        for view, one in found
    ]
    return {"waiting": rows, "unreadable": unreadable}


def show(project: Project, *, as_json: bool) -> None:
    """Print everything that waits for a person, oldest first, with the command that answers it."""
    if as_json:
        output.document(document(project))
        return
    found, unreadable = _look(project)
    for run, error in unreadable.items():
        output.note(f"run {run} cannot be read: {error}; see smithers doctor")
    if not found:
        output.note("nobody is waited for")
    now = project.clock.now()
    for view, one in found:
        about = f"{view.row.workflow}{': ' + view.row.title if view.row.title else ''}"
        output.emit(f"{output.paint(one.title, 'bold')}  ({one.kind}, for {ago(now - one.since)}; {about})")
        output.emit(f"  {one.command(view.row.run)}")
