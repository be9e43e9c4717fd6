"""JSON-RPC 2.0 as the Agent Client Protocol has it: one message a line."""

from __future__ import annotations

import json
from typing import Any

MISSING = -32601
"""The error code of a method that the other side does not have."""


def encode(**message: Any) -> bytes:
    """One message with its line end."""
    return json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def decode(line: str) -> list[dict[str, Any]]:
    """The messages of a line: one, or those of a batch. What is no message gives none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):  # RecursionError: nested deeper than about 1,000
        return []
    found = value if isinstance(value, list) else [value]
    return [one for one in found if isinstance(one, dict) and ("method" in one or "id" in one)]


def table(value: Any, *names: str) -> dict[str, Any]:
    """The object that is reached through `names`; an empty one where there is none. Agents leave out what they like."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def tables(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def word(value: Any) -> str:
    """`value` where it is text, else nothing."""
    return value if isinstance(value, str) else ""
