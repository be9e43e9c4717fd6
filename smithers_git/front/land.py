"""`smithers land`: the plan, the question, what happens meanwhile, and how it ended."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Mapping
from typing import Any, Final

from smithers_git.edge import ask, output
from smithers_git.errors import ExitCode
from smithers_git.front.foreground import signals
from smithers_git.front.words import plural
from smithers_git.service.landing import line, request
from smithers_git.service.landing.desk import Desk, Ticket
from smithers_git.service.landing.entries import Wish
from smithers_git.service.landing.request import Preview, Request
from smithers_git.service.project import Project

_LINES: Final = 60
"""Lines of evidence that a person sees; --json has all."""
_PATIENCE: Final = 1.0
"""Seconds after which a queue that cannot go on is reported instead of waited for."""


def land(project: Project, options: Mapping[str, Any]) -> int:
    """Land what was named; returns the exit code: 0 landed, 1 refused, 3 it waits for something."""
    asked = Request(
        name=options["name"],
        onto=options["onto"],
        space=options["space"],
        style=options["style"],
        gates=tuple(options["gates"]),
        title=options["title"],
        by=project.who(),
    )
    wish = request.make(project, asked)
    seen = request.preview(project, wish)
    as_json = options["as_json"]
    if options["dry_run"]:
        if as_json:
            output.document(plan(wish, seen))
        else:
            _show(wish, seen)
        return int(ExitCode.DONE if seen.already or (seen.commit and not seen.obstacle) else ExitCode.FAILED)
    if output.is_terminal() and not as_json:
        _show(wish, seen)
        if not options["yes"] and not seen.conflict and not seen.already and not ask.confirm("Land it?"):
            output.note("nothing was changed")
            return int(ExitCode.INTERRUPTED)
    return _go(project, wish, asked, as_json=as_json)


def _go(project: Project, wish: Wish, asked: Request, *, as_json: bool) -> int:
    stop = threading.Event()
    with signals(lambda _reason: stop.set()):
        ticket, text = hand_in(project, wish, asked.by, stop)
    if as_json:
        output.document(outcome(wish, ticket, text))
    else:
        _conclude(wish, asked, ticket, text)
    return int(_code(ticket))


def hand_in(project: Project, wish: Wish, by: str, stop: threading.Event) -> tuple[Ticket, str]:
    """Land it, unless `stop` is set before; what became of it, and the evidence when it was refused."""
    ticket = Desk(project, output.note).land(wish, by, stop, patience=_PATIENCE)
    return ticket, line.evidence(project, wish.target, ticket.state) if ticket.state else ""


def _code(ticket: Ticket) -> ExitCode:
    status = ticket.state.status if ticket.state else "waiting"
    return {"landed": ExitCode.DONE, "waiting": ExitCode.WAITING}.get(status, ExitCode.FAILED)


def outcome(wish: Wish, ticket: Ticket, evidence: str) -> dict[str, Any]:
    """How it ended, for a program."""
    state, branch = ticket.state, wish.target.removeprefix("refs/heads/")
    landed = state is not None and state.status == "landed"
    return {
        "entry": wish.entry.id,
        "name": wish.entry.name,
        "onto": branch,
        "landed": landed,
        "status": state.status if state else "waiting",
        "commit": state.commit if state else None,
        "reason": state.reason if state else None,
        "message": ticket.blocker or (state.message if state else ""),
        "evidence": evidence,
        "next": [f"smithers verify {state.commit}"] if landed and state else [f"smithers queue {branch}"],
    }


def _conclude(wish: Wish, asked: Request, ticket: Ticket, evidence: str) -> None:
    """How it ended, for a person, and what to type next."""
    state, branch = ticket.state, wish.target.removeprefix("refs/heads/")
    if state is None or state.status == "waiting":
        output.emit(f"{wish.entry.name} {output.paint('waits', 'yellow')}: {ticket.blocker or 'it was stopped'}")
        output.note(f"{branch} was not moved; when that is settled: smithers land {shlex.quote(asked.name)}")
    elif state.status == "landed":
        commit = (state.commit or "")[:12]
        output.emit(f"landed on {branch} as {output.paint(commit, 'green')}")
        output.note(f"check it at any time: smithers verify {commit}")
    else:
        output.emit(f"{wish.entry.name} was {output.paint(state.status, 'red')}: {state.message}")
        for text in evidence.splitlines()[-_LINES:]:
            output.emit(f"  {text}")
        output.note(f"{branch} was not moved; when it is mended: smithers land {shlex.quote(asked.name)}")


def plan(wish: Wish, seen: Preview) -> dict[str, Any]:
    """What would happen, for a program; `landed`: the target holds it already."""
    return {
        "entry": wish.entry.id,
        "name": wish.entry.name,
        "onto": wish.target.removeprefix("refs/heads/"),
        "tip": seen.tip,
        "head": seen.head,
        "commits": seen.commits,
        "style": seen.style,
        "gates": [gate if isinstance(gate, str) else list(gate) for gate in seen.gates],
        "hooks": seen.hooks,
        "conflict": seen.conflict,
        "obstacle": seen.obstacle,
        "follows": seen.follows,
        "title": wish.entry.title,
        "landed": seen.already,
    }


def _show(wish: Wish, seen: Preview) -> None:
    """The plan, as a person reads it."""
    branch = wish.target.removeprefix("refs/heads/")
    if seen.already:
        output.emit(f"{branch} holds {wish.entry.name} ({seen.head[:12]}) already: nothing to do")
        return
    output.emit(
        f"{output.paint(wish.entry.name, 'bold')} ({plural(seen.commits, 'commit')}) onto {branch} at {seen.tip[:12]}"
    )
    for text in seen.stat.splitlines():
        output.emit(f"  {text}")
    output.emit(f"as      {seen.style}: {wish.entry.title}")
    output.emit("gates   " + "; ".join(gate if isinstance(gate, str) else shlex.join(gate) for gate in seen.gates))
    if seen.hooks:
        output.emit(f"hooks   {', '.join(seen.hooks)}")
    for path in seen.follows:
        output.emit(f"follows {path}")
    if seen.conflict:
        output.emit(output.paint("it conflicts with the target:", "red"))
        output.emit(seen.conflict.rstrip())
    if seen.obstacle:
        output.emit(output.paint(f"not now: {seen.obstacle}", "yellow"))
