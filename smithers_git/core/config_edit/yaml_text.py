"""Editing YAML as text: one entry below a key of the top level, in block style, which is how agents write theirs.

Without a parser: what is looked at is a line that begins in the first column, and how far the lines below it are
indented. Where the file is written in another way, it is left alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from smithers_git.core.config_edit.insertion import CannotEdit, Insertion, line_end


def find(text: str, path: Sequence[str]) -> Any:
    """The text of the entry at `path` (two keys); None when there is none. Raises CannotEdit."""
    place = _entry(text, path)
    return None if place is None else text[place[0] : place[1]]


def holds(text: str, path: Sequence[str], entry: Mapping[str, Any]) -> bool:
    """Whether exactly the lines that `insert` writes stand at `path`, however far indented. Raises CannotEdit."""
    lines = str(find(text, path) or "").splitlines()
    return [line.strip() for line in lines if line.strip()] == [row.strip() for row in _rows(path[-1], entry, "")]


def insert(text: str, path: Sequence[str], entry: Mapping[str, Any]) -> Insertion:
    """Put `entry` at `path` (two keys); raises CannotEdit."""
    top, name = path
    if find(text, path) is not None:
        raise CannotEdit(f"has {top}.{name} already")
    feed = line_end(text)
    head = _head(text, top)
    if head is None:
        gap = feed if text and not text.endswith("\n") else ""
        return Insertion(len(text), gap + feed.join([f"{top}:", *_rows(name, entry, "  ")]) + feed)
    inside = _indent(text, head) or "  "
    lead = "" if text[:head].endswith("\n") else feed
    return Insertion(head, lead + feed.join(_rows(name, entry, inside)) + feed)


def remove(text: str, path: Sequence[str]) -> str:
    """`text` without the entry at `path`; raises CannotEdit."""
    place = _entry(text, path)
    if place is None:
        raise CannotEdit(f"has no {'.'.join(path)}")
    return text[: place[0]] + text[place[1] :]


def _rows(name: str, entry: Mapping[str, Any], indent: str) -> list[str]:
    """The lines of one entry. A value is written as JSON, which is YAML too."""
    return [f"{indent}{name}:", *(f"{indent}  {key}: {json.dumps(value)}" for key, value in entry.items())]


def _head(text: str, top: str) -> int | None:
    """Where the line after `top:` begins; None when there is no such key."""
    lines = list(re.finditer(rf"(?m)^(?:{re.escape(top)}|\"{re.escape(top)}\"|'{re.escape(top)}')[ \t]*:(.*)$", text))
    if not lines:
        return None
    if len(lines) > 1:
        raise CannotEdit(f"has {top} twice")
    rest = lines[0][1].strip()
    if rest and not rest.startswith("#"):
        raise CannotEdit(f"has {top} on one line, as {rest[:40]}")
    return min(lines[0].end() + 1, len(text))


def _indent(text: str, head: int) -> str:
    """The blanks before the first entry below the key; empty when it has none."""
    for line in text[head:].splitlines():
        bare = line.lstrip(" ")
        if bare and not bare.startswith("#"):
            if bare.startswith("- "):
                raise CannotEdit("has a list there, where entries with names belong")
            if "\t" in line[: len(line) - len(bare)] or bare.startswith("\t"):
                raise CannotEdit("is indented with tabs")
            return line[: len(line) - len(bare)]
    return ""


def _entry(text: str, path: Sequence[str]) -> tuple[int, int] | None:
    top, name = path
    head = _head(text, top)
    if head is None:
        return None
    indent, at, start = _indent(text, head), head, None
    for line in text[head:].splitlines(keepends=True):
        bare = line.strip()
        depth = len(line) - len(line.lstrip(" "))
        outside = bool(bare) and depth < max(len(indent), 1)
        if start is not None and bare and depth <= len(indent):
            return start, at
        if outside:
            return None
        if indent and depth == len(indent) and re.match(rf"[\"']?{re.escape(name)}[\"']?[ \t]*:", bare):
            start = at
        at += len(line)
    return None if start is None else (start, at)
