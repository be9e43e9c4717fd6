"""One node of a run: its attempts and its output."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from smithers_git.clock import ago, iso, local
from smithers_git.core.attempts import Attempt
from smithers_git.core.state import NodeState
from smithers_git.edge import output
from smithers_git.errors import RunRefused, UsageError
from smithers_git.front import summary
from smithers_git.front.look import STYLES
from smithers_git.front.words import count, money, unasked
from smithers_git.names import TaskKey
from smithers_git.service import runs
from smithers_git.service.frames import Chain
from smithers_git.service.history import frames, select
from smithers_git.service.project import Project
from smithers_git.service.travel import key_of


@dataclass(frozen=True, slots=True)
class _Seen:
    """One node, looked at."""

    key: TaskKey
    node: NodeState
    run: runs.RunStatus
    tries: list[Attempt]
    value: Any

    @property
    def gates(self) -> list[str]:
        return next((one.gates for one in reversed(self.tries) if one.status == "finished"), [])


def _look(project: Project, run: str, node: str) -> _Seen:
    chain = project.chain(run)
    key = key_of(chain.state, node)
    known = chain.state.nodes[key]
    status = runs.status(project, chain.state)
    tries = [one for one in select(run, [frame.data for frame in frames(project, run)], None) if one.key == key]
    if status != "running":  # nobody drives it: an attempt without an end was cut off
        tries = [replace(one, status="interrupted") if one.status == "running" else one for one in tries]
    return _Seen(key, known, status, tries, chain.load(known.output) if known.output else None)


def document(project: Project, run: str, node: str) -> dict[str, Any]:
    """One node with every attempt of the iteration that is meant, and its output, for a program."""
    return _document(run, _look(project, run, node))


def _document(run: str, seen: _Seen) -> dict[str, Any]:
    return {
        "run": run,
        **summary.node_document(seen.key, seen.node, seen.run),
        "tries": [_attempt(one) for one in seen.tries],
        "gates": seen.gates,
        "value": seen.value,
    }


def show(project: Project, run: str, node: str, *, as_json: bool) -> None:
    """Print one node with every attempt of the iteration that is meant, and its output."""
    seen = _look(project, run, node)
    if as_json:
        output.document(_document(run, seen))
        return
    now = project.clock.now()
    stands = runs.node_status(seen.node, seen.run)
    output.emit(f"{seen.key} of run {run}  {output.paint(stands, STYLES[stands])}")
    for one in seen.tries:
        _print(one, now)
    for gate in seen.gates:
        output.emit(f"  green: {gate}")
    if seen.node.output:
        output.emit()
        output.emit(json.dumps(seen.value, indent=2, ensure_ascii=False))
    for line in _next(run, seen.key, seen.node):
        output.note(line)


def _attempt(one: Attempt) -> dict[str, Any]:
    return {
        "attempt": one.number,
        "status": one.status,
        "agent": one.agent,
        "model": one.model,
        "permission": one.permission,
        "isolated": one.isolated,
        "frame": one.frame,
        "ended_in_frame": one.ended_in,
        "started": iso(one.started),
        "ended": iso(one.ended) if one.ended is not None else None,
        "seconds": one.seconds,
        "tokens": one.usage.tokens if one.usage else 0,
        "usage": one.usage.model_dump() if one.usage else None,
        "cost": one.cost,
        "kind": one.kind,
        "message": one.message or None,
        "session": one.session,
        "conversation": one.conversation,
        "space": one.space,
        "base": one.base,
        "commit": one.commit,
        "gates": one.gates,
        "cached": one.cached,
    }


def _print(one: Attempt, now: float) -> None:
    spent = f"{count(one.usage.tokens)} tokens" if one.usage else ""
    seconds = one.seconds if one.ended is not None else now - one.started
    took = f"{seconds:.1f}s" if seconds < 60 else ago(seconds)
    how = output.paint(one.status, STYLES.get(one.status, "")) + (f" ({one.kind})" if one.kind else "")
    facts = [
        how,
        one.agent or "",
        one.model or "",
        took,
        spent,
        money(one.cost or 0),
        "cached" * one.cached,
        unasked(one.bypass),
    ]
    output.emit(f"  attempt {one.number}  {local(one.started, now)}  {'  '.join(filter(None, facts))}")
    for line in one.message.splitlines():
        output.emit(f"      {line}")
    files = f"commit {one.commit[:12]} in {one.space}, " if one.commit else ""
    span = f"frames {one.frame} to {one.ended_in}" if one.ended_in else f"from frame {one.frame} on"
    output.emit(output.paint(f"      {files}{span}", "dim"))
    if one.session:
        output.emit(output.paint(f"      session {one.session}{_kind(one)}", "dim"))


def _kind(one: Attempt) -> str:
    return f", {one.conversation}" if one.conversation else ""


def _next(run: str, key: TaskKey, known: NodeState) -> list[str]:
    lines = [f"what it said: smithers chat {run} {key}"] if known.attempt else []
    if known.commit:
        lines.append(f"what it changed: smithers diff {run} {key}")
    if known.status == "failed":
        lines.append(f"try it again: smithers retry-task {run} {key}")
    return lines


def value(project: Project, run: str, node: str | None, iteration: int | None, *, as_json: bool) -> None:
    """Print the output of a node as JSON; of every node when none is named."""
    chain = project.chain(run)
    if node is None:
        _values(chain, run, as_json=as_json)
        return
    output.document(_value(chain, _meant(node, iteration)))


def _meant(node: str, iteration: int | None) -> str:
    if iteration is None:
        return node
    if "@" in node:
        raise UsageError(f"{node!r} names an iteration already", hint="leave --iteration out")
    return f"{node}@{iteration}"


def _value(chain: Chain, node: str) -> Any:
    """The output; of `NODE` in its newest iteration that has one."""
    state = chain.state
    key = key_of(state, node)
    if "@" not in node and state.nodes[key].output is None:
        key = TaskKey(key.node, state.latest.get(key.node, key.iteration))
    known = state.nodes[key]
    if known.output is None:
        raise RunRefused(
            f"{key} of run {chain.run} has no output: it is {known.status}", hint=f"smithers why {chain.run} says why"
        )
    return chain.load(known.output)


def _values(chain: Chain, run: str, *, as_json: bool) -> None:
    nodes = [(key, node.output) for key, node in chain.state.nodes.items() if node.output]
    found = [(key, chain.load(path)) for key, path in nodes]
    if as_json:
        output.document(
            {
                "run": run,
                "outputs": [{"node": key.node, "iteration": key.iteration, "value": value} for key, value in found],
            }
        )
        return
    if not found:
        output.note(f"run {run} has no output yet: smithers why {run}")
    output.table(["NODE", "OUTPUT"], [[str(key), json.dumps(value, ensure_ascii=False)] for key, value in found])
