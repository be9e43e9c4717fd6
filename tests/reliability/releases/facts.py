"""What `smithers` says of a repository, as far as every later version has to say the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

Ask = Callable[..., Any]
"""Runs one command and returns its JSON document."""

_RUN: Final = (
    "status", "workflow", "frame", "input", "base", "parent", "caller", "successor", "parked", "error", "tokens",
    "cost",
)  # fmt: skip
_NODE: Final = ("node", "iteration", "status", "attempts", "agent", "kind", "error", "space", "commit", "output")
_FRAME: Final = ("frame", "commit", "events", "nodes")
_ENTRY: Final = ("id", "name", "status", "head", "commit")


def facts(ask: Ask) -> dict[str, Any]:
    """Runs with their nodes, outputs and frames, and the entries of the queues."""
    runs = [one["run"] for one in ask("ps", "--all")["runs"]]
    return {"runs": {run: _run(ask, run) for run in sorted(runs)}, "queues": _queues(ask)}


def text(told: dict[str, Any]) -> str:
    """The facts as a file: a line for each run, so that a change of one shows."""
    runs = ",\n".join(f"{json.dumps(run)}: {json.dumps(about, sort_keys=True)}" for run, about in told["runs"].items())
    return f'{{"queues": {json.dumps(told["queues"], sort_keys=True)},\n"runs": {{\n{runs}\n}}}}\n'


def _run(ask: Ask, run: str) -> dict[str, Any]:
    found = ask("inspect", run)
    nodes = [_only(one, _NODE) for one in found["nodes"]]
    return {
        **_only(found, _RUN),
        "waiting": [_only(one, ("node", "kind", "title")) for one in found["waiting"]],
        "nodes": nodes,
        "frames": [list(_only(one, _FRAME).values()) for one in ask("timeline", run)["frames"]],
        "outputs": ask("output", run),
    }


def _queues(ask: Ask) -> list[Any]:
    return [
        {"queue": queue["queue"], "entries": [_only(one, _ENTRY) for one in queue["entries"]]}
        for queue in ask("queue", "--all")
    ]


def _only(found: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: found[name] for name in names}
