"""Take secrets out of what a frame is going to hold: events, whoever they come from. Pure."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import BaseModel

from smithers_git.core.redact import Redactor

NAMES: Final = frozenset({
    "type", "node", "iteration", "attempt", "run", "space", "branch", "commit", "session", "successor", "child",
    "output", "model", "agent", "agents", "cache_key", "gates", "gate", "kind", "workflow", "entry", "base", "check",
    "version", "caller", "caller_node", "predecessor", "nodes", "reopened", "restarted", "regions", "loop", "outer",
    "inner", "slug", "restored", "commits", "digest", "cause", "steps", "inside", "dropped", "again", "loops", "tip",
    "accepted", "name", "correlation", "id", "answers", "asker", "signal", "allowed", "by", "how", "target", "tree",
    "trees", "env", "before", "follow", "head", "depends_on", "style", "approval", "ticket", "log", "evidence",
    "receipt", "outcome", "permission",
})  # fmt: skip
"""Fields that hold no text but a name, an id or a command that something else refers to. All others are looked at, so
that a new field is safe before anybody thinks of it."""


Model = TypeVar("Model", bound=BaseModel)


def scrub(record: Model, redactor: Redactor) -> Model:
    """The record, secrets in its texts replaced; itself when there is none."""
    changed = {}
    for name in type(record).model_fields:
        old = getattr(record, name)
        if old is None or isinstance(old, int | float) or (name in NAMES and not isinstance(old, BaseModel)):
            continue
        new = _scrubbed(old, redactor)
        if new != old:
            changed[name] = new
    return record.model_copy(update=changed) if changed else record


def _scrubbed(value: Any, redactor: Redactor) -> Any:
    if isinstance(value, BaseModel):
        return scrub(value, redactor)
    if isinstance(value, tuple | list) and any(isinstance(one, BaseModel) for one in value):
        return type(value)(_scrubbed(one, redactor) for one in value)
    return redactor.value(value)
