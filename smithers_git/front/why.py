"""What `smithers why` prints."""

from __future__ import annotations

from typing import Any

from smithers_git.clock import ago, iso, local
from smithers_git.edge import output
from smithers_git.front.look import STYLES
from smithers_git.service.project import Project
from smithers_git.service.why import Answer, Blocker, why


def document(project: Project, run: str) -> dict[str, Any]:
    """Every blocker of a run with the commands that clear it, for a program."""
    return _document(why(project, run), run)


def _document(answer: Answer, run: str) -> dict[str, Any]:
    return {"run": run, "status": answer.status, "blockers": [_blocker(blocker) for blocker in answer.blockers]}


def show(project: Project, run: str, *, as_json: bool) -> None:
    """Print every blocker of a run with the commands that clear it."""
    answer = why(project, run)
    if as_json:
        output.document(_document(answer, run))
        return
    status = output.paint(answer.status, STYLES.get(answer.status, "bold"))
    holder = project.lock(run).holder() if answer.status == "running" else None
    driven = f", driven by process {holder['pid']} on {holder['host']}" if holder and "pid" in holder else ""
    output.emit(f"run {run} is {status}{driven}")
    now = project.clock.now()
    for blocker in answer.blockers:
        _print(blocker, now)


def _print(blocker: Blocker, now: float) -> None:
    where = f"{blocker.node}: " if blocker.node else ""
    since = f" (for {ago(now - blocker.since)})" if blocker.since is not None else ""
    until = f" (at {local(blocker.until, now)}, in {ago(blocker.until - now)})" if blocker.until is not None else ""
    output.emit()
    output.emit(f"{where}{blocker.text}{until or since}")
    for line in blocker.details:
        output.emit(f"    {line}")
    for command in blocker.commands:
        output.emit(output.paint(f"  {command}", "bold"))


def _blocker(blocker: Blocker) -> dict[str, Any]:
    return {
        "kind": blocker.kind,
        "node": blocker.node,
        "text": blocker.text,
        "details": list(blocker.details),
        "since": iso(blocker.since) if blocker.since is not None else None,
        "until": iso(blocker.until) if blocker.until is not None else None,
        "commands": list(blocker.commands),
    }
