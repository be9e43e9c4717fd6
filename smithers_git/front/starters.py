"""What `smithers starters` prints."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from smithers_git.edge import output
from smithers_git.edge.git.repository import discover
from smithers_git.errors import RepositoryError, UsageError
from smithers_git.service import starters


def show(start: Path, workflow: str | None, *, as_json: bool) -> None:
    """Print every starter, or those of one workflow. Raises UsageError: it has none."""
    try:
        worktree = discover(start).worktree
    except RepositoryError:  # the built-in ones are worth reading before there is a repository
        worktree = None
    found = starters.starters(worktree)
    names = list(dict.fromkeys(each.workflow for each in found))
    if workflow is not None and workflow not in names:
        raise UsageError(f"there are no starters for {workflow!r}", hint=f"there are some for: {', '.join(names)}")
    found = [each for each in found if workflow in (None, each.workflow)]
    if as_json:
        output.document({"starters": [asdict(each) for each in found]})
        return
    for each in found:
        output.emit(f"{output.paint(each.title, 'bold')}  ({each.workflow})")
        output.emit(f'  say   "{each.say}"')
        output.emit(f"  type  {each.command}")
    output.note("your coding agent knows what to do with the first line of each once it has: smithers skills add")
