"""What `smithers agents` prints."""

from __future__ import annotations

import signal
import threading
from dataclasses import asdict
from types import FrameType
from typing import Any, Final

from smithers_git.edge import output
from smithers_git.errors import ExitCode
from smithers_git.front.look import shown
from smithers_git.front.words import count, money
from smithers_git.service import adopt, pools, prove, sdk, survey
from smithers_git.service.project import Project
from smithers_git.service.prove import Order, Step

_MARKS: Final = {
    "ok": ("ok", "green"),
    "warning": ("ok, but", "yellow"),
    "failed": ("FAILED", "red"),
    "unsupported": ("has none", "dim"),
}


def data(project: Project) -> dict[str, Any]:
    """Every agent and every pool, for a program."""
    names = dict.fromkeys([*pools.ROLES, *project.settings.pools])
    chains = {name: pools.expand(project, [name], f"the pool {name!r}") for name in names}
    rows = []
    for agent in survey.agents(project):
        usable, why = survey.reason(agent)
        rows.append({**asdict(agent), "installed": agent.program is not None, "usable": usable, "why": why})
    models = [{**asdict(offer), "usable": offer.usable} for offer in sdk.offers(project)]
    return {"agents": rows, "models": models, "pools": chains}


def show(project: Project, *, as_json: bool) -> None:
    """Print every agent and every pool."""
    found = data(project)
    if as_json:
        output.document(found)
        return
    rows = [[row["name"], "yes" if row["usable"] else "no", row["version"], row["why"]] for row in found["agents"]]
    shown(["AGENT", "USABLE", "VERSION", "WHY"], rows, [{1: _colour(row)} for row in found["agents"]])
    output.emit()
    models = [
        [
            f"{row['provider']}/MODEL",
            "yes" if row["usable"] else "no",
            "; ".join(filter(None, (row["trouble"], row["how"]))),
        ]
        for row in found["models"]
    ]
    output.table(["A MODEL WITHOUT A CLI", "USABLE", "WHY"], models)
    output.emit()
    configured = project.settings.pools
    pool_rows = [
        [name, ", ".join(chain), "" if name in configured else "(default)"] for name, chain in found["pools"].items()
    ]
    output.table(["POOL", "AGENTS, IN THIS ORDER", ""], pool_rows)
    output.note("prove one with: smithers agents test NAME; describe another CLI with: smithers agents add NAME")


def _colour(row: dict[str, Any]) -> str:
    return "green" if row["usable"] else "red" if row["trouble"] or row["logged_in"] is False else "dim"


def add(project: Project, name: str, program: str | None, *, as_json: bool) -> None:
    """Write a profile of the repository's own, and say what it is and what comes next."""
    added = adopt.adopt(project, name, program)
    path = added.path.relative_to(project.worktree).as_posix()
    if as_json:
        output.document({**asdict(added), "path": path})
        return
    if added.builtin:
        output.emit(f"{path}: a copy of the profile that comes with smithers, yours to change")
    else:
        output.emit(f"{path}: drives {added.program}" + (f" {added.version}" if added.version else ""))
        for one in added.seen:
            output.emit(f"  seen in its help: {one}")
        if added.seen:
            output.emit("  each stands there as a comment; nothing of it is switched on")
    output.note(f"next: read it, then `smithers agents test {name}`")


def test(project: Project, order: Order, *, as_json: bool) -> int:
    """Give one agent a few tiny tasks, and print step by step what works; returns the exit code."""
    cancel = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        cancel.set()

    def told(step: Step) -> None:
        if as_json:
            return
        word, colour = _MARKS[step.standing]
        mark = output.paint(f"{word:<8}", colour)
        output.emit(f"{mark}  {step.name:<8} {output.clip(step.text, max(40, output.columns() - 20))}")
        if step.hint and step.standing != "unsupported":
            output.note(f"hint: {step.hint}")

    before = signal.signal(signal.SIGINT, stop)
    try:
        trial = prove.prove(project, order, cancel, told)
    finally:
        signal.signal(signal.SIGINT, before)
    if as_json:
        output.document({**asdict(trial), "ok": trial.ok})
    elif trial.ok:
        spent = ", ".join(filter(None, [f"{count(trial.tokens)} tokens" * bool(trial.tokens), money(trial.cost)]))
        output.emit(f"{order.agent} works" + (f" ({spent})" if spent else ""))
    else:
        output.note(f"{order.agent} cannot do all of its work here yet")
    if cancel.is_set():
        return int(ExitCode.INTERRUPTED)
    return int(ExitCode.DONE if trial.ok else ExitCode.FAILED)
