"""The messages of the commits that smithers makes: those of snapshots, and those that land, with their trailers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

RUN: Final = "Smithers-Run"
ENTRY: Final = "Smithers-Entry"
TREE: Final = "Smithers-Tree"
TICKET: Final = "Smithers-Ticket"

_TRAILER: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*):\s*(\S.*)")
_BETWEEN: Final = re.compile(r"\n[ \t]*\n")
"""What stands between two paragraphs."""
_SNAPSHOT: Final = re.compile(
    r"(\S+: attempt [0-9]+( failed \([a-z_]+\))?|\S+: taken over from \S+|\S+: by hand|found at a resume)\n?"
)
_SUBJECT: Final = 72
"""Characters of a first line: what `git log --oneline` and forges show whole."""


def snapshot(key: str, attempt: int, failed: str | None = None) -> str:
    """The message of the commit that holds what an attempt left; `failed` is the kind of its failure."""
    return f"{key}: attempt {attempt}" + (f" failed ({failed})" if failed else "")


def by_hand(key: str) -> str:
    """The message of the commit that holds what a person left in the workspace of a task."""
    return f"{key}: by hand"


def is_snapshot(message: str) -> bool:
    """Whether smithers made the commit to keep what an attempt left, and no person or agent wrote its message."""
    return bool(_SNAPSHOT.fullmatch(message))


def trailers(message: str) -> list[tuple[str, str]]:
    """(name, value) of each trailer: the last paragraph, when all its lines are `Name: value`, as git reads them."""
    blocks = _BETWEEN.split(message.strip())
    found = [_TRAILER.fullmatch(line.rstrip()) for line in blocks[-1].split("\n")] if len(blocks) > 1 else []
    return [(match[1], match[2]) for match in found if match] if all(found) else []


def trailer(message: str, name: str) -> str | None:
    """The value of the last trailer of that name; names are compared without case, as git does."""
    values = [value for key, value in trailers(message) if key.lower() == name.lower()]
    return values[-1] if values else None


def with_trailers(message: str, added: Sequence[tuple[str, str]]) -> str:
    """`message` with trailers at its end; those of the same names that it had are replaced, others stay."""
    text = message.strip() or "No message"
    names = {name.lower() for name, _ in added}
    kept = trailers(text)
    if kept:
        *_, last = _BETWEEN.finditer(text)
        text = text[: last.start()].rstrip()
    rows = [(name, value) for name, value in kept if name.lower() not in names] + list(added)
    return f"{text}\n\n" + "".join(f"{name}: {' '.join(value.split())}\n" for name, value in rows)


def subject(text: str) -> str:
    """The first line of `text` as the first line of a commit message."""
    line = " ".join(text.strip().partition("\n")[0].split())
    return line if len(line) <= _SUBJECT else line[: _SUBJECT - 1] + "…"
