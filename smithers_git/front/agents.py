"""What `smithers agents` prints."""

from __future__ import annotations

import signal
import threading
from dataclasses import asdict
from types import FrameType
from typing import Any

from smithers_git.edge import output
from smithers_git.errors import ExitCode
from smithers_git.front.look import shown
from smithers_git.front.words import count, money
from smithers_git.service import pools, prove
from smithers_git.service.project import Project
from smithers_git.service.prove import Agent, Step


def document(project: Project) -> dict[str, Any]:
    """Every agent and every pool, for a program."""
    return _document(prove.agents(project), _chains(project))


def _document(found: list[Agent], chains: dict[str, list[str]]) -> dict[str, Any]:
    return {"agents": [{**asdict(agent), "installed": agent.program is not None} for agent in found], "pools": chains}


def _chains(project: Project) -> dict[str, list[str]]:
    names = dict.fromkeys([*pools.ROLES, *project.settings.pools])
    return {name: pools.expand(project, [name], f"the pool {name!r}") for name in names}


def show(project: Project, *, as_json: bool) -> None:
    """Print every agent and every pool."""
    found, chains = prove.agents(project), _chains(project)
    if as_json:
        output.document(_document(found, chains))
        return
    login = {None: "", True: "yes", False: "no"}
    heads = ["AGENT", "INSTALLED", "VERSION", "LOGGED IN", ""]
    rows_ = [
        [agent.name, "yes" if agent.program else "no", agent.version, login[agent.logged_in], _remark(agent)]
        for agent in found
    ]
    shown(heads, rows_, [{1: "green" if agent.program else "dim", 3: _login_style(agent)} for agent in found])
    output.emit()
    configured = project.settings.pools
    pool_rows = [[name, ", ".join(chain), "" if name in configured else "(default)"] for name, chain in chains.items()]
    output.table(["POOL", "AGENTS, IN THIS ORDER", ""], pool_rows)
    output.note("prove one with: smithers agents test NAME")


def _login_style(agent: Agent) -> str:
    return "red" if agent.logged_in is False else ""


def _remark(agent: Agent) -> str:
    if agent.trouble:
        return agent.trouble
    if agent.program is None:
        return agent.install or "its program was not found on PATH"
    return agent.note or ("" if agent.builtin else f"from {agent.origin}")


def test(project: Project, name: str, limit: float, *, as_json: bool) -> int:
    """Give one agent a tiny task, and print step by step what works; returns the exit code."""
    cancel = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        cancel.set()

    def told(step: Step) -> None:
        if not as_json:
            mark = output.paint("ok    ", "green") if step.ok else output.paint("FAILED", "red")
            output.emit(f"{mark}  {step.name:<18} {output.clip(step.text, max(40, output.columns() - 28))}")
            if step.hint and not step.ok:
                output.note(f"hint: {step.hint}")

    before = signal.signal(signal.SIGINT, stop)
    try:
        trial = prove.prove(project, name, cancel, told, limit)
    finally:
        signal.signal(signal.SIGINT, before)
    if as_json:
        output.document({**asdict(trial), "ok": trial.ok})
    elif trial.ok:
        spent = ", ".join(filter(None, [f"{count(trial.tokens)} tokens" * bool(trial.tokens), money(trial.cost)]))
        output.emit(f"{name} works" + (f" ({spent})" if spent else ""))
    else:
        output.note(f"{name} cannot do work here yet; the profile that drives it: smithers agents list")
    if cancel.is_set():
        return int(ExitCode.INTERRUPTED)
    return int(ExitCode.DONE if trial.ok else ExitCode.FAILED)
