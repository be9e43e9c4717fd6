"""A file that holds one server and nothing else, in a folder where each server has one: Continue's blocks, in YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from smithers_git.core.config_edit.insertion import CannotEdit, Insertion


def find(text: str, path: Sequence[str]) -> Any:  # noqa: ARG001 - all editors have one shape
    """The whole file; None when it is empty."""
    return text or None


def holds(text: str, path: Sequence[str], entry: Mapping[str, Any]) -> bool:
    """Whether this is the file that `insert` writes."""
    return text == _written(path[-1], entry)


def insert(text: str, path: Sequence[str], entry: Mapping[str, Any]) -> Insertion:
    """The whole file; raises CannotEdit when there is one."""
    if text:
        raise CannotEdit("is there already")
    return Insertion(0, _written(path[-1], entry))


def remove(text: str, path: Sequence[str]) -> str:  # noqa: ARG001
    """Nothing is left of a file that is about this server; raises CannotEdit when it is about others too."""
    if text.count("\n  - ") != 1:
        raise CannotEdit("holds more than one server")
    return ""


def _written(name: str, entry: Mapping[str, Any]) -> str:
    rows = [f"    {key}: {json.dumps(value)}" for key, value in entry.items()]
    head = [f"name: {name}", "version: 0.0.1", "schema: v1", "mcpServers:"]
    return "\n".join([*head, f"  - {rows[0].strip()}", *rows[1:], ""])
