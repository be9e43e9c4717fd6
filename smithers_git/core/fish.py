"""JSON out of what an agent wrote: the whole text, fenced blocks, and what stands in prose."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

MAX_PROSE = 1024 * 1024
"""Characters at the end of a text that are searched for JSON in prose."""

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_MARKS = re.compile(r'["\\{}\[\]\n]')


def extract(text: str) -> Iterator[Any]:
    """JSON values in `text`, most likely first: the whole, fenced blocks from the last, then objects and arrays
    in prose from the last. Takes time linear in the length, whatever the text.
    """
    yield from _load(text.strip().removeprefix("\ufeff"))
    for block in reversed(_fenced(text)):
        yield from _load(block.strip())
    yield from _in_prose(text[-MAX_PROSE:])


def documents(text: str) -> list[Any]:
    """The JSON of a file or stream: one document, or one a line, or a document with words around it."""
    whole = list(_load(text.strip()))
    if whole:
        return whole
    lines = [value for line in text.split("\n") if line[:1] in ("{", "[") for value in _load(line)]
    return lines or [value for value in extract(text) if isinstance(value, dict | list)][:1]


def _load(text: str) -> list[Any]:
    """The value in a list, or an empty list. NaN and Infinity are not JSON."""
    try:
        return [json.loads(text, parse_constant=_refuse)]
    except (ValueError, RecursionError):  # RecursionError: nested deeper than about 1,000
        return []


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _fenced(text: str) -> list[str]:
    """The insides of fenced blocks; a fence that nobody closed ends with the text."""
    blocks: list[str] = []
    inside: list[str] = []
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if not fence and mark:
            fence, inside = mark[1], []
        elif fence and mark and mark[1].startswith(fence) and line.strip() == mark[1]:
            blocks.append("\n".join(inside))
            fence = ""
        elif fence:
            inside.append(line)
    return [*blocks, "\n".join(inside)] if fence else blocks


def _in_prose(text: str) -> Iterator[Any]:
    """Values in balanced brackets, from the last; one inside another only when the outer one is not JSON."""
    budget = 8 * len(text)  # nested spans that fail to load must not make the time quadratic
    outer = len(text)
    for start, end in sorted(_spans(text), key=lambda span: (-span[1], span[0])):
        if start >= outer or budget <= 0:
            continue
        budget -= end - start
        for value in _load(text[start:end]):
            outer = start
            yield value


def _spans(text: str) -> list[tuple[int, int]]:
    """Balanced `{…}` and `[…]`, found in one pass. Quotes count inside brackets only, and never across lines."""
    spans: list[tuple[int, int]] = []
    opened: list[tuple[str, int]] = []
    quoted, skip = False, -1
    for mark in _MARKS.finditer(text):
        sign, at = mark[0], mark.start()
        if at == skip:
            continue
        if sign == "\\":
            skip = at + 1 if quoted else -1
        elif sign == "\n":
            quoted = False  # a JSON string holds no raw line end: this was a quote in prose
        elif sign == '"':
            quoted = bool(opened) and not quoted
        elif quoted:
            continue
        elif sign in "{[":
            opened.append(("}" if sign == "{" else "]", at))
        elif opened:
            while opened and opened[-1][0] != sign:
                opened.pop()
            if opened:
                spans.append((opened.pop()[1], at + 1))
    return spans
