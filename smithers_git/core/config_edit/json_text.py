"""Editing JSON as text: comments, trailing commas, order and spacing of everything else stay.

Takes what agents and editors call JSON: comments and trailing commas (Zed), bare keys and single quotes (JSON5,
OpenClaw).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from smithers_git.core.config_edit.insertion import CannotEdit, Insertion, line_end

_BLANK: Final = re.compile(r"(?:[\s\ufeff]|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|' r"'(?:[^'\\\n]|\\.)*'", re.DOTALL)
_WORD: Final = re.compile(r"[^\s,:{}\[\]\"'/]+")
_DEEPEST: Final = 100


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands."""

    start: int
    end: int
    value: Any
    members: dict[str, Node] = field(default_factory=dict)
    """Of an object."""
    keys: dict[str, int] = field(default_factory=dict)
    """Where the key of each member begins."""


def read(text: str) -> Node:
    """The whole file as a value with places; an empty file is an empty object. Raises CannotEdit."""
    start = _blank(text, 0)
    if start == len(text):
        return Node(start, start, {})
    node = _value(text, start, 0)
    if _blank(text, node.end) != len(text):
        raise CannotEdit(f"is not JSON from character {node.end} on")
    return node


def find(text: str, path: Sequence[str]) -> Any:
    """The value at `path`; None when there is none. Raises CannotEdit."""
    node: Node | None = read(text)
    for key in path:
        node = node.members.get(key) if node is not None else None
    return None if node is None else node.value


def holds(text: str, path: Sequence[str], entry: Mapping[str, Any]) -> bool:
    """Whether exactly `entry` stands at `path`. Raises CannotEdit."""
    return bool(find(text, path) == entry)


def insert(text: str, path: Sequence[str], entry: Mapping[str, Any]) -> Insertion:
    """Put `entry` at `path`, whose last key must be new; raises CannotEdit."""
    node, rest = read(text), list(path)
    if node.start == node.end:
        return Insertion(len(text), json.dumps(_nested(rest, entry), indent=2) + "\n")
    while rest[0] in node.members:
        node = node.members[rest.pop(0)]
        if not rest:
            raise CannotEdit(f"has {'.'.join(path)} already")
    if not isinstance(node.value, dict):
        raise CannotEdit(f"has something else than an object where {'.'.join(path)} belongs")
    return _into(text, node, rest[0], _nested(rest[1:], entry))


def remove(text: str, path: Sequence[str]) -> str:
    """`text` without the member at `path`, and the comma that it needed; raises CannotEdit when it is not there."""
    node = read(text)
    for key in path[:-1]:
        if key not in node.members:
            raise CannotEdit(f"has no {'.'.join(path)}")
        node = node.members[key]
    if path[-1] not in node.members:
        raise CannotEdit(f"has no {'.'.join(path)}")
    start, end = node.keys[path[-1]], node.members[path[-1]].end
    before = [member.end for member in node.members.values() if member.end < start]
    if before:
        return text[: max(before)] + text[end:]
    after = _blank(text, end)
    end = after + 1 if text[after] == "," else end
    return text[: node.start + 1] + text[end:]


def _nested(path: Sequence[str], entry: Mapping[str, Any]) -> Mapping[str, Any]:
    for key in reversed(path):
        entry = {key: entry}
    return entry


def _into(text: str, node: Node, key: str, value: Mapping[str, Any]) -> Insertion:
    feed = line_end(text)
    last = max((member.end for member in node.members.values()), default=None)
    if last is not None and "\n" not in text[node.start : node.end]:
        return Insertion(last, f", {json.dumps(key)}: {json.dumps(value)}")
    around = _margin(text, node.start)
    inside = _margin(text, min(node.keys.values())) if node.keys else around + "  "
    unit = inside[len(around) :] if inside.startswith(around) and len(inside) > len(around) else "  "
    body = json.dumps(value, indent=unit).replace("\n", feed + inside)
    member = f"{feed}{inside}{json.dumps(key)}: {body}"
    if last is None:
        interior = text[node.start + 1 : node.end - 1]
        return Insertion(node.start + 1, member if "\n" in interior else f"{member}{feed}{around}")
    comma = _blank(text, last)
    if text[comma] == ",":
        return Insertion(comma + 1, member)
    return Insertion(last, f",{member}")


def _margin(text: str, at: int) -> str:
    """The blanks that begin the line of `at`."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _value(text: str, at: int, depth: int) -> Node:
    if depth > _DEEPEST:
        raise CannotEdit("is nested too deeply")
    if text.startswith("{", at):
        return _object(text, at, depth)
    if text.startswith("[", at):
        return _array(text, at, depth)
    string = _STRING.match(text, at)
    if string:
        return Node(at, string.end(), _unquoted(string[0]))
    word = _WORD.match(text, at)
    if word is None:
        raise CannotEdit(f"is not JSON at character {at}")
    try:
        return Node(at, word.end(), json.loads(word[0]))
    except ValueError:
        return Node(at, word.end(), word[0])


def _object(text: str, at: int, depth: int) -> Node:
    members, keys, place = dict[str, Node](), dict[str, int](), _blank(text, at + 1)
    while not text.startswith("}", place):
        name = _STRING.match(text, place) or _WORD.match(text, place)
        if name is None:
            raise CannotEdit(f"is not JSON at character {place}")
        key, colon = _unquoted(name[0]), _blank(text, name.end())
        if not text.startswith(":", colon):
            raise CannotEdit(f"is not JSON at character {colon}")
        if key in members:
            raise CannotEdit(f"has the key {key!r} twice")
        members[key], keys[key] = _value(text, _blank(text, colon + 1), depth + 1), place
        place = _next(text, members[key].end, "}")
    return Node(at, place + 1, {name: member.value for name, member in members.items()}, members, keys)


def _array(text: str, at: int, depth: int) -> Node:
    items, place = list[Any](), _blank(text, at + 1)
    while not text.startswith("]", place):
        item = _value(text, place, depth + 1)
        items.append(item.value)
        place = _next(text, item.end, "]")
    return Node(at, place + 1, items)


def _next(text: str, end: int, closing: str) -> int:
    place = _blank(text, end)
    if text.startswith(",", place):
        return _blank(text, place + 1)
    if not text.startswith(closing, place):
        raise CannotEdit(f"is not JSON at character {place}")
    return place


def _unquoted(word: str) -> str:
    if word[:1] == '"':
        try:
            return str(json.loads(word, strict=False))
        except ValueError:
            raise CannotEdit(f"has a string that is not JSON: {word[:40]}") from None
    return word[1:-1] if word[:1] == "'" else word
