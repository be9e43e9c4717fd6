"""What `smithers ps` prints. Imports nothing heavy: people and programs ask this again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from smithers_git.clock import ago, iso, local
from smithers_git.edge import output
from smithers_git.front.words import count, money
from smithers_git.service import runs
from smithers_git.service.project import Project
from smithers_git.service.runs import RunView, Waiting

MOST: Final = 20
"""Runs that are shown unless all are asked for."""
_STYLES: Final = {
    "finished": "green",
    "failed": "red",
    "waiting": "yellow",
    "running": "blue",
    "interrupted": "red",
    "parked": "red",
}

_MARKS: Final = {"approval": "?", "question": "?", "signal": " (signal)", "timer": " (timer)", "child": " (run)"}


def document(project: Project, wanted: Sequence[str], first: int = 0, most: int | None = MOST) -> dict[str, Any]:
    """Runs for a program, newest first, of the `wanted` statuses (none: all): at most `most` from number `first` on."""
    views, unreadable = _select(project, wanted)
    shown = views[first:] if most is None else views[first : first + most]
    return {"runs": [_document(view) for view in shown], "total": len(views), "unreadable": unreadable}


def _select(project: Project, wanted: Sequence[str]) -> tuple[list[RunView], dict[str, str]]:
    found, unreadable = runs.survey(project)
    return [view for view in found if not wanted or view.status in wanted], unreadable


def show(project: Project, wanted: Sequence[str], *, everything: bool, as_json: bool) -> None:
    """Print the runs, newest first; of the given statuses only, when some are given."""
    views, unreadable = _select(project, wanted)
    for run, error in unreadable.items():
        output.note(f"run {run} cannot be read: {error}; see smithers doctor")
    shown = views if everything else views[:MOST]
    if as_json:
        output.document({"runs": [_document(view) for view in shown], "total": len(views), "unreadable": unreadable})
        return
    if not views:
        output.note(
            "no run" + (f" is {' or '.join(wanted)}" if wanted else " yet: start one with smithers up WORKFLOW")
        )
    _table(shown, project.clock.now())
    if len(shown) < len(views):
        output.note(f"{len(views) - len(shown)} older: smithers ps --all")
    _attention(shown)


def _document(view: RunView) -> dict[str, Any]:
    row = view.row
    return {
        "run": row.run,
        "workflow": row.workflow,
        "status": view.status,
        "frame": row.frame,
        "step": _step(view),
        "running": view.running,
        "stopped": view.stopped,
        "waiting": [waiting_document(row.run, one) for one in view.waiting],
        "wake_at": iso(row.wake_at) if row.wake_at is not None and row.end is None else None,
        "title": row.title,
        "parent": row.parent,
        "caller": row.caller,
        "predecessor": row.predecessor,
        "successor": row.successor,
        "done": row.done,
        "failed_children": row.failed,
        "tokens": row.tokens,
        "cost": round(row.cost, 6),
        "budget": {"usd": row.budget_usd, "tokens": row.budget_tokens},
        "error": row.error,
        "bypass": row.bypass or None,
        "created": iso(row.created),
        "updated": iso(row.updated),
    }


def waiting_document(run: str, one: Waiting) -> dict[str, Any]:
    """Something that a run waits for, for `--json`."""
    found = {**one._asdict(), "since": iso(one.since), "command": one.command(run)}
    if one.until is None:
        found.pop("until")
    else:
        found["until"] = iso(one.until)
    return found


def _step(view: RunView) -> str:
    """What happens in the run, or what it waits for."""
    if view.stopped is not None:
        return f"stopped: kill -CONT {view.stopped}"
    if view.status == "waiting":
        found = [_waits_for(one, view.row.updated) for one in view.waiting]
        return ", ".join(found) or "tries again later"
    if view.status == "parked" and view.row.parked:
        return view.row.parked
    if view.running:
        return ", ".join(view.running)
    if view.row.error and view.status == "failed":
        return view.row.error
    return f"{view.row.done} done"


def _waits_for(one: Waiting, now: float) -> str:
    if one.until is not None:
        return f"{one.title} until {local(one.until, now)[:-3]}"
    return f"{one.node}{_MARKS[one.kind]}"


def _table(views: Sequence[RunView], now: float) -> None:
    step, name = (14, 9) if output.columns() < 110 else (32, 24)
    heads = ["RUN", "STATUS", "UNASKED", "STEP", "AGE", "TOKENS", "COST", "WORKFLOW", "TITLE"]
    rows = [
        [
            view.row.run,
            view.status,
            {"isolated": "isolated", "open": "OPEN"}.get(view.row.bypass, ""),
            output.clip(_step(view), step),
            ago(now - view.row.created),
            _of(count(view.row.tokens) if view.row.tokens else "", view.row.budget_tokens, count),
            _of(money(view.row.cost), view.row.budget_usd, money),
            output.clip(view.row.workflow, name),
            view.row.title,
        ]
        for view in views
    ]
    kept = [i for i, head in enumerate(heads) if head in ("RUN", "TITLE") or any(row[i] for row in rows)]
    styles = [{1: _STYLES.get(view.status, ""), 2: "red" * (view.row.bypass == "open")} for view in views]
    output.table([heads[i] for i in kept], [[row[i] for i in kept] for row in rows], styles=styles)


def _of(spent: str, budget: float | None, words: Callable[[float], str]) -> str:
    return spent if budget is None else f"{spent or 0} of {words(budget)}"


def _attention(views: Sequence[RunView]) -> None:
    """The next command for what does not go on by itself."""
    stuck = [view for view in views if view.status in ("waiting", "interrupted", "parked")]
    for view in stuck[:3]:
        output.note(f"{view.row.run} is {view.status}: smithers why {view.row.run}")
