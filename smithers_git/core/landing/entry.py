"""One change that wants to land, and its id, which comes from its content: a retry is the same entry."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

Gate = str | tuple[str, ...]
"""A command whose exit code on an exact tree is evidence: a string for the shell, or its words."""

Style = Literal["merge", "rebase", "squash"]

CONTENT: Final = ("name", "head", "gates", "depends_on", "style", "title", "body", "ticket")


class Entry(BaseModel):
    """A change that wants to land on the queue's target."""

    # Unknown keys are ignored so that an older program can read what a newer minor version wrote.
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    """From `entry_id`."""
    name: str
    """What `depends_on` names: the ticket id, or RUN/SPACE. A new entry of the same name replaces one that waits."""
    head: str
    """Commit id of the change."""
    branch: str | None = None
    """Full name of the branch that must still be at `head` when it lands."""
    gates: tuple[Gate, ...] = ()
    depends_on: tuple[str, ...] = ()
    """Names of entries that land before this one."""
    priority: int = 0
    """Higher goes first."""
    approval: str | None = None
    """Who approved it."""
    style: Style = "merge"
    title: str = ""
    body: str = ""
    run: str | None = None
    ticket: str | None = None


def entry_id(target: str, **content: Any) -> str:
    """16 hex digits from the full name of the target branch and the content of an entry.

    Args:
        target: the branch that is landed on.
        content: the fields name, head, gates, depends_on, style, title, body and ticket; all of them, no others.
    """
    if content.keys() != set(CONTENT):
        raise TypeError(f"an entry's id is made of {', '.join(CONTENT)}")
    text = json.dumps({"target": target, **content}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def shown(gate: Gate) -> str:
    """A gate as people write it."""
    return gate if isinstance(gate, str) else " ".join(gate)
