"""Editing TOML as text: a table of its own at the end, so that nothing else moves."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from smithers_git.core.config_edit.insertion import CannotEdit, Insertion, line_end


def find(text: str, path: Sequence[str]) -> Any:
    """The value at `path`; None when there is none. Raises CannotEdit."""
    value: Any = _parsed(text)
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def holds(text: str, path: Sequence[str], entry: Mapping[str, Any]) -> bool:
    """Whether exactly `entry` stands at `path`. Raises CannotEdit."""
    return bool(find(text, path) == entry)


def insert(text: str, path: Sequence[str], entry: Mapping[str, Any]) -> Insertion:
    """Put the table `path` with `entry` at the end; raises CannotEdit."""
    before, feed = _parsed(text), line_end(text)
    if find(text, path) is not None:
        raise CannotEdit(f"has {'.'.join(path)} already")
    lines = [f"[{'.'.join(path)}]", *(f"{key} = {json.dumps(value)}" for key, value in entry.items())]
    gap = feed * (2 - (text.endswith("\n") + text.endswith(("\n\n", "\n\r\n")))) if text else ""
    found = Insertion(len(text), gap + feed.join(lines) + feed)
    after = _parsed(found.apply(text))
    inner = after
    for key in path[:-1]:
        inner = inner[key]
    if inner.pop(path[-1]) != dict(entry) or _pruned(after, path) != _pruned(before, path):
        raise CannotEdit(f"cannot take a table {'.'.join(path)}")
    return found


def remove(text: str, path: Sequence[str]) -> str:
    """`text` without the table `path` and those below it; raises CannotEdit."""
    name = r"\s*\.\s*".join(rf"[\"']?{re.escape(key)}[\"']?" for key in path)
    table = re.compile(rf"(?m)^[ \t]*\[[ \t]*{name}[ \t]*(?:\.[^\]]*)?\][^\n]*\n(?:(?![ \t]*\[)[^\n]*(?:\n|\Z))*")
    left = table.sub("", text)
    if find(left, path) is not None or left == text:
        raise CannotEdit(f"has no table [{'.'.join(path)}] of its own")
    return left


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise CannotEdit(f"is not TOML: {error}") from None


def _pruned(value: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """`value` without the empty tables on the way to `path`."""
    if len(path) > 1 and value.get(path[0]) == {}:
        return {key: inner for key, inner in value.items() if key != path[0]}
    return value
