"""What an agent may do that asks for permission first: the answer that needs no person, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from smithers_git.core.acp.read import ToolCall
from smithers_git.core.acp.rpc import table, tables, word
from smithers_git.core.waiting import readable

Level = Literal["read", "edit", "full"]

_SHORT = 300
_LOOKING = frozenset(("read", "search", "think"))
_EDITING = frozenset(("edit", "delete", "move"))


@dataclass(frozen=True, slots=True)
class Option:
    """One answer that the agent takes."""

    id: str
    name: str
    kind: str
    """allow_once, allow_always, reject_once, reject_always, or what else the agent has."""


@dataclass(frozen=True, slots=True)
class Request:
    """The agent asks whether it may run a tool."""

    id: Any
    """Of the message that wants an answer."""
    call: ToolCall
    options: tuple[Option, ...]
    remarks: tuple[str, ...] = ()
    """What the agent says of its options: vibe says only there what it asks about."""

    def option(self, *kinds: str) -> Option | None:
        """The first option of the first of these kinds that has one."""
        found = (one for kind in kinds for one in self.options if one.kind == kind)
        return next(found, None)

    @property
    def allow(self) -> Option | None:
        """How to allow this and nothing else, so that the next call is judged too."""
        return self.option("allow_once", "allow_always")

    @property
    def reject(self) -> Option | None:
        return self.option("reject_once", "reject_always")

    def choices(self) -> dict[str, Option]:
        """What a person can choose, in words that differ."""
        found: dict[str, Option] = {}
        for one in self.options:
            name = readable(one.name) or readable(one.id)
            found[f"{name} ({one.id})" if name in found else name] = one
        return found


def request(message: Mapping[str, Any], call: ToolCall) -> Request:
    """The request that a message holds."""
    known = [one for one in tables(table(message.get("params")).get("options")) if isinstance(one.get("optionId"), str)]
    options = (Option(one["optionId"], word(one.get("name")), word(one.get("kind"))) for one in known)
    remarks = dict.fromkeys(text for one in known for text in _texts(one.get("_meta")))
    return Request(message.get("id"), call, tuple(options), tuple(remarks)[:10])


def _texts(value: Any, depth: int = 4) -> Iterator[str]:
    """Every text in a value that is not nested too deeply."""
    if isinstance(value, str):
        yield value[:_SHORT]
    elif depth and isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one, depth - 1)


def allowed(call: ToolCall, level: Level, inside: Callable[[str], bool], *, isolated: bool = False) -> bool:
    """Whether a tool call is within the permission level.

    Args:
        call: what the agent says of it. A call whose kind is unknown counts as one that could do anything.
        level: `read` looks and changes nothing; `edit` changes files in the workspace, and runs no commands, as
            nothing tells what a command does; `full` is everything.
        inside: whether a path, as the agent spells it, lies in the workspace when links are followed.
        isolated: whether the agent is in a sandbox in which only its workspace can be written: then a command at
            `edit` can do no more than an edit.
    """
    if level == "full" or call.kind in _LOOKING:
        return True
    if level == "edit" and isolated and call.kind == "execute":
        return True
    # An edit that names no file could be anywhere.
    return level == "edit" and call.kind in _EDITING and bool(call.paths) and all(map(inside, call.paths))


def question(agent: str, asked: Request, folder: str) -> str:
    """What a person is asked."""
    call = asked.call
    lines = [f"{agent} asks: {call.text}"]
    lines += [f"kind: {call.kind}"] if call.kind else []
    lines += [f"file: {path}" for path in call.paths[:20]]
    command = word(table(call.parts.get("rawInput")).get("command"))
    lines += [f"command: {command[:2000]}"] if command else []
    lines += [call.outcome] if call.outcome else []
    lines += asked.remarks if not call.paths and not command else ()
    return "\n".join([*lines, f"in {folder}"])
