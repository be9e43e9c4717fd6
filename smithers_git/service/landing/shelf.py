"""What the frames of a queue fold to, kept beside them so that a long queue opens at once. Disposable at any moment.

Of a queue with 1,000 landings the fold takes a second, and every command would pay it. Nothing is true because it
stands here: it names the frame that it reflects, and one that is not on the way to the newest frame is passed over.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from smithers_git.core.landing.state import GateRuns, QueueState, RunKey
from smithers_git.core.receipt import Pass

VERSION: Final = 2
"""Raised with every change of what is written. A file of another number is made anew."""

_STATE: Final = TypeAdapter(QueueState)
_PASSES: Final = TypeAdapter(list[Pass])


@dataclass(slots=True)
class Folded:
    """A queue's state at one of its frames."""

    tip: str
    state: QueueState
    passes: list[Pass]


def load(path: Path) -> Folded | None:
    """What was saved; None when there is nothing, or nothing of use."""
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        if found["version"] != VERSION:
            return None
        state = _STATE.validate_python(found["state"])
        state.runs = {RunKey(tree, _gate(gate), env): GateRuns(**runs) for tree, gate, env, runs in found["runs"]}
        state.flakes = {_gate(gate): times for gate, times in found["flakes"]}
        return Folded(found["tip"], state, _PASSES.validate_python(found["passes"]))
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None  # torn by a crash, or of another make: the frames have it all


def save(path: Path, folded: Folded) -> None:
    """Write it, whole or not at all. Not being able to is no trouble: the next reader folds the frames."""
    state = folded.state
    plain = _STATE.dump_python(state, mode="json", exclude={"runs", "flakes"})
    document = {
        "version": VERSION,
        "tip": folded.tip,
        "state": plain,
        "runs": [[key.tree, key.gate, key.env, asdict(runs)] for key, runs in state.runs.items()],
        "flakes": [[gate, times] for gate, times in state.flakes.items()],
        "passes": _PASSES.dump_python(folded.passes, mode="json"),
    }
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(document), "utf-8")
        fresh.replace(path)
    except OSError:
        return


def _gate(gate: str | list[str]) -> str | tuple[str, ...]:
    return gate if isinstance(gate, str) else tuple(gate)
