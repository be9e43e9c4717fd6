"""What `smithers inbox` prints. Like `ps` it opens no run: the index knows what waits."""

from __future__ import annotations

from smithers_git.clock import ago
from smithers_git.edge import output
from smithers_git.front.listing import waiting_document
from smithers_git.service import runs
from smithers_git.service.project import Project


def show(project: Project, *, as_json: bool) -> None:
    """Print everything that waits for a person, oldest first, with the command that answers it."""
    views, unreadable = runs.survey(project)
    found = [
        (view, one)
        for view in views
        if view.row.end is None
        for one in view.waiting
        if one.kind in ("approval", "question")
    ]
    found.sort(key=lambda pair: pair[1].since)
    for run, error in unreadable.items():
        output.note(f"run {run} cannot be read: {error}; see smithers doctor")
    if as_json:
        rows = [
            {"run": view.row.run, "workflow": view.row.workflow, **waiting_document(view.row.run, one)}
            for view, one in found
        ]
        output.document({"waiting": rows, "unreadable": unreadable})
        return
    if not found:
        output.note("nobody is waited for")
    now = project.clock.now()
    for view, one in found:
        about = f"{view.row.workflow}{': ' + view.row.title if view.row.title else ''}"
        output.emit(f"{output.paint(one.title, 'bold')}  ({one.kind}, for {ago(now - one.since)}; {about})")
        output.emit(f"  {one.command(view.row.run)}")
