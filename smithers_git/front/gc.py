"""What `smithers gc` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from smithers_git.clock import ago, iso
from smithers_git.core import amounts
from smithers_git.edge import output
from smithers_git.edge.git.repository import require_writable
from smithers_git.errors import ExitCode, UsageError
from smithers_git.front.words import count, money, plural
from smithers_git.service import cost, gc
from smithers_git.service.gc import Kept, Step, Wanted
from smithers_git.service.project import Project

_DONE = {
    "remove worktree": "removed worktree",
    "remove files set aside": "removed files set aside",
    "remove lane": "removed lane",
    "remove leftover": "removed leftover",
    "fold": "folded",
    "prune": "pruned",
    "compress": "compressed",
}


def wanted(options: Mapping[str, Any]) -> Wanted:
    """What the options ask for; raises UsageError for a span or size that is none."""
    values: dict[str, Any] = {}
    for name in ("fold_after", "prune_after", "keep_size"):
        text = options[name]
        if text is not None:
            try:
                values[name] = amounts.size(text) if name == "keep_size" else amounts.span(text)
            except ValueError as error:
                raise UsageError(f"--{name.replace('_', '-')}: {error}", hint="smithers gc --help") from error
    return Wanted(idle=options["idle"], set_aside=options["set_aside"], **values)


def clear(project: Project, asked: Wanted, *, dry_run: bool, as_json: bool) -> int:
    """Do what there is to do, or say it; exit code 1 when something of it could not be done."""
    found = gc.plan(project, asked)
    done: list[Step] = []
    refused: list[Kept] = []
    if not dry_run:
        require_writable(project.repository)

        def told(step: Step) -> None:
            done.append(step)
            if not as_json:
                output.emit(_line(_DONE[step.action], step))

        refused = gc.carry_out(project, found, told)
    elif not as_json:
        for step in found.steps:
            output.emit(_line(f"would {step.action}", step))
    if as_json:
        output.document(
            {
                "dry_run": dry_run,
                "steps": [asdict(step) for step in (found.steps if dry_run else done)],
                "kept": [asdict(kept) for kept in found.kept],
                "refused": [asdict(kept) for kept in refused],
                "unreadable": found.unreadable,
                "runs": _documents(project),
            }
        )
    else:
        _rest(found, refused)
        _table(project)
    return int(ExitCode.FAILED if refused else ExitCode.DONE)


def _line(verb: str, step: Step) -> str:
    size = f"  ({amounts.shown(step.bytes)})" if step.bytes else ""
    return f"{verb} {step.target}{size}"


def _rest(found: gc.Plan, refused: list[Kept]) -> None:
    for kept in found.kept:
        output.note(f"kept {kept.target}: {kept.reason}")
    for kept in refused:
        output.note(f"not done: {kept.target}: {kept.reason}")
    for run, why in found.unreadable.items():
        output.note(f"run {run} cannot be read: {why}; see smithers doctor")
    if not found.steps:
        output.note("nothing to clear away")
    if any(step.action == "prune" for step in found.steps):
        output.note("git gc frees what pruned runs had in git, two weeks after they were pruned")


def costs(project: Project, *, as_json: bool) -> int:
    """Print what each run costs."""
    if as_json:
        output.document({"runs": _documents(project)})
    else:
        _table(project)
    return int(ExitCode.DONE)


def _documents(project: Project) -> list[dict[str, Any]]:
    return [{**asdict(one), "updated": iso(one.updated)} for one in cost.costs(project)]


def _table(project: Project) -> None:
    rows, now = [], project.clock.now()
    found = list(cost.costs(project))
    for one in found:
        status = f"{one.status}, folded" if one.folded else one.status
        frames = "?" if one.frames is None else amounts.shown(one.frames)
        spent = [count(one.tokens) if one.tokens else "", money(one.money)]
        rows.append([one.run, status, ago(now - one.updated), amounts.shown(one.worktrees), frames, *spent])
    if not rows:
        return
    output.emit()
    output.table(["RUN", "STATUS", "AGE", "WORKTREES", "FRAMES", "TOKENS", "COST"], rows)
    disk, kept = sum(one.worktrees for one in found), sum(one.frames or 0 for one in found)
    total = f"{plural(len(rows), 'run')}: {amounts.shown(disk)} of worktrees, about {amounts.shown(kept)} of frames"
    output.note(f"{total} (objects as git stores them; what runs share counts for the oldest)")
