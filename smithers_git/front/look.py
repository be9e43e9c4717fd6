"""A run from close by: what `smithers inspect` prints."""

from __future__ import annotations

import json
from typing import Any, Final

from smithers_git.clock import ago, iso, local
from smithers_git.core import budget
from smithers_git.core.nodes import Budget
from smithers_git.core.plan import Plan
from smithers_git.core.state import NodeState, SignalState, State, WaitState
from smithers_git.edge import output
from smithers_git.front import summary
from smithers_git.front.words import count, money, unasked
from smithers_git.names import TaskKey, slug
from smithers_git.service import requests, runs
from smithers_git.service.preview import Preview, preview
from smithers_git.service.project import Project

STYLES: Final = {
    "finished": "green",
    "failed": "red",
    "waiting": "yellow",
    "running": "blue",
    "interrupted": "red",
    "cancelled": "red",
    "pending": "dim",
    "skipped": "dim",
}


def document(project: Project, run: str) -> dict[str, Any]:
    """How a run stands, in every part, for a program."""
    chain = project.chain(run)
    return _document(project, chain.state, preview(project, chain))


def _document(project: Project, state: State, seen: Preview) -> dict[str, Any]:
    facts = summary.run_document(project, state)
    return {
        **facts,
        "check": state.check,
        "nodes": [summary.node_document(key, node, facts["status"]) for key, node in _nodes(state, seen.plan)],
        "loops": _loops(state, seen.plan),
        "approvals": _approvals(project, state),
        "waits": _waits(state),
        "signals": [_signal(signal) for signal in state.signals],
        "workspaces": _workspaces(project, state),
    }


def inspect(project: Project, run: str, *, as_json: bool) -> None:
    """Print how a run stands, in every part."""
    chain = project.chain(run)
    state = chain.state
    seen = preview(project, chain)
    found = _document(project, state, seen)
    if as_json:
        output.document(found)
        return
    _head(project, state, found)
    _print_nodes(project, state, seen.plan, found["status"])
    _print_rest(found, project.clock.now(), state)
    for line in seen.changed:
        output.note(f"note: the workflow was changed since the start: {line}")
    if seen.trouble is not None:
        output.note(f"note: the plan cannot be shown: {seen.trouble.message}")


def _nodes(state: State, plan: Plan | None) -> list[tuple[TaskKey, NodeState]]:
    """What happened, in the order in which it happened, then what is still to come."""
    begun = {key.node for key in state.nodes}
    rest = [item.node.key for id, item in plan.items.items() if id not in begun] if plan and state.end is None else []
    return [*state.nodes.items(), *((key, NodeState()) for key in rest)]


def _loops(state: State, plan: Plan | None) -> list[dict[str, Any]]:
    names = dict.fromkeys([*(plan.loops if plan else ()), *state.loops])
    found = []
    for name in names:
        loop, item = state.loop(name), plan.loops.get(name) if plan else None
        found.append(
            {
                "loop": name,
                "iteration": loop.iteration - loop.base,
                "max_iterations": item.node.max_iterations if item else None,
                "finished": loop.finished,
            }
        )
    return found


def _approvals(project: Project, state: State) -> list[dict[str, Any]]:
    return [
        {
            "node": str(key),
            "title": asked.title,
            "summary": asked.summary,
            "mode": asked.mode,
            "options": list(asked.options),
            "allowed": list(asked.allowed),
            "digest": requests.digest(project.objects, key, asked),
            "requested": iso(asked.requested),
            "expires": None if asked.until is None else iso(asked.until),
            "approved": asked.approved,
            "by": asked.by,
            "note": asked.note,
            "how": asked.how if asked.approved is not None else None,
            "selected": asked.selected,
            "ranking": list(asked.ranking),
        }
        for key, asked in state.approvals.items()
    ]


def _waits(state: State) -> list[dict[str, Any]]:
    return [
        {
            "node": str(key),
            "kind": wait.kind,
            "title": wait.title,
            "prompt": wait.prompt,
            "answer": wait.answer,
            "choices": list(wait.choices),
            "asker": str(wait.asker) if wait.asker else None,
            "allowed": list(wait.allowed),
            "since": iso(wait.since),
            "until": iso(wait.until) if wait.until is not None else None,
            "end": wait.end,
            "by": wait.by or None,
        }
        for key, wait in state.waits.items()
    ]


def _signal(signal: SignalState) -> dict[str, Any]:
    return {
        "name": signal.name,
        "answers": signal.answers,
        "correlation": signal.correlation,
        "data": signal.data,
        "by": signal.by,
        "at": iso(signal.at),
        "taken": str(signal.taken) if signal.taken else None,
    }


def _workspaces(project: Project, state: State) -> list[dict[str, Any]]:
    spaces = project.workspaces(state.run)
    return [
        {
            "name": name,
            "branch": space.branch.removeprefix("refs/heads/"),
            "commit": space.commit,
            "path": str(spaces.path(name)),
            "exists": spaces.path(name).is_dir(),
            "slug": space.slug or slug(state.run, name),
            "ports": _ports(project, spaces.ports.find(spaces.path(name)) or space.port),
        }
        for name, space in state.spaces.items()
    ]


def _ports(project: Project, first: int | None) -> list[int] | None:
    """First and last port of a workspace: those it has on this machine, else those it was made with."""
    return None if first is None else [first, first + project.settings.ports.block - 1]


def _head(project: Project, state: State, document: dict[str, Any]) -> None:
    now, status = project.clock.now(), document["status"]
    output.emit(f"run {state.run}  {output.paint(status, STYLES.get(status, 'bold'))}  frame {state.number}")
    began = f"{local(state.created, now)} ({ago(now - state.created)} ago)"
    rows = [
        ("workflow", state.workflow),
        ("input", json.dumps(state.input, ensure_ascii=False)),
        ("started", began + (f", a fork of {state.parent} at frame {state.parent_frame}" if state.parent else "")),
        ("part of", f"{state.caller}, node {state.caller_node}" if state.caller else ""),
        ("follows", state.predecessor or ""),
        ("goes on", f"as {state.successor}" if state.successor else ""),
        ("updated", f"{local(state.updated, now)} ({ago(now - state.updated)} ago)"),
        ("base", state.base[:12] + (f" of {state.branch.removeprefix('refs/heads/')}" if state.branch else "")),
        ("spent", ", ".join(filter(None, [f"{count(state.tokens)} tokens" * bool(state.tokens), money(state.cost)]))),
        ("budget", budget.shown(state.budget) if state.budget != Budget() else ""),
        ("parked", state.parked or ""),
        ("check", " ".join(state.check or [])),
        ("error", (state.error or "").partition("\n")[0] if status == "failed" else ""),
        ("failed", ", ".join(state.failed_children)),
    ]
    for name, value in rows:
        if value:
            output.emit(f"  {name:<9} {output.clip(value, output.columns() - 12)}")


def _print_nodes(project: Project, state: State, plan: Plan | None, run: runs.RunStatus) -> None:
    rows, styles = [], []
    now = project.clock.now()
    for key, node in _nodes(state, plan):
        seconds, status = node.seconds, runs.node_status(node, run)
        if status == "running" and node.started is not None:
            seconds += now - node.started
        spent = [count(node.tokens) if node.tokens else "", money(node.cost)]
        error = node.error if node.status in ("failed", "skipped", "pending") else ""
        what = error or ("from the cache" if node.cached else "")
        time = f"{seconds:.1f}s" if seconds < 60 else ago(seconds)
        tries = str(node.attempt) if node.attempt else ""
        rows.append(
            [
                str(key),
                status,
                tries,
                " ".join(filter(None, (node.agent, unasked(node.bypass)))),
                time if seconds else "",
                *spent,
                what,
            ]
        )
        styles.append({1: STYLES[status]})
    output.emit()
    shown(["NODE", "STATUS", "TRIES", "AGENT", "TIME", "TOKENS", "COST", ""], rows, styles)


def shown(heads: list[str], rows: list[list[str]], styles: list[dict[int, str]]) -> None:
    """A table without the columns that are empty; the first two and the last stay."""
    kept = [i for i in range(len(heads)) if i < 2 or i == len(heads) - 1 or any(row[i] for row in rows)]
    output.table([heads[i] for i in kept], [[row[i] for i in kept] for row in rows], styles=styles)


def _print_rest(document: dict[str, Any], now: float, state: State) -> None:
    _section("loops", [_loop_line(loop) for loop in document["loops"]])
    lines = []
    for key, asked in state.approvals.items():
        said = {None: "waits for a decision", True: f"approved by {asked.by}", False: f"denied by {asked.by}"}
        note = f": {asked.note}" if asked.note else ""
        lines.append(f"{key}  {asked.title}  {said[asked.approved]}{note}  ({ago(now - asked.requested)} ago)")
    _section("approvals", lines)
    _section("waits", [_wait_line(str(key), wait, now) for key, wait in state.waits.items()])
    kept = [one for one in state.signals if one.taken is None]
    _section(
        "not taken yet", [f"{'answer to' if one.answers else 'signal'} {one.name!r} from {one.by}" for one in kept]
    )
    spaces = []
    for space in document["workspaces"]:
        spaces.append(f"{space['name']}  {space['branch']}  {space['commit'][:12]}")
        if space["ports"]:
            spaces.append(f"    {space['slug']}, ports {space['ports'][0]} to {space['ports'][1]}")
        spaces.append(f"    {space['path']}" + ("" if space["exists"] else "  (not there; a resume makes it again)"))
    _section("workspaces", spaces)
    _section("next", document["next"])


def _wait_line(node: str, wait: WaitState, now: float) -> str:
    until = f", until {local(wait.until, now)}" if wait.until is not None and wait.end is None else ""
    by = f" by {wait.by}" if wait.by and wait.by != "clock" else ""
    how = f"{wait.end}{by}" if wait.end else f"waits{until}"
    return f"{node}  {wait.kind}: {wait.title}  {how}  ({ago(now - wait.since)} ago)"


def _loop_line(loop: dict[str, Any]) -> str:
    ceiling = f" of at most {loop['max_iterations']}" if loop["max_iterations"] else ""
    ended = {None: "", "until": ", until holds", "max": ", reached its ceiling"}[loop["finished"]]
    return f"{loop['loop']}  pass {loop['iteration'] + 1}{ceiling}{ended}"


def _section(title: str, lines: list[str]) -> None:
    if lines:
        output.emit()
        output.emit(output.paint(title, "dim"))
        for line in lines:
            output.emit(f"  {line}")
