"""What a scripted model can do with one request, in words that hold for every protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

_COUNTS = ("input_tokens", "output_tokens", "cached_tokens")


@dataclass(frozen=True)
class Step:
    """What the model does with one request. Token counts are what the CLI must report back.

    `input_tokens` mean what each vendor's mean: Anthropic's are without the cached ones, everybody else's with them.
    """

    kind: Literal["text", "write", "run", "call", "refuse", "decline", "hang", "drop"]
    text: str = ""
    path: str = ""
    status: int = 200
    error: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    clean: bool = False
    then: str = ""
    """What is said behind an edit in the same message, for a model without tools."""
    input_tokens: int = 100
    output_tokens: int = 10
    cached_tokens: int = 0
    tool: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict)


def say(text: str, **counts: int) -> Step:
    """A final answer."""
    return Step("text", text=text, **counts)


def write(path: str, text: str, **counts: int) -> Step:
    """A tool call that writes a file, with whatever tool the CLI offers for it."""
    return Step("write", path=path, text=text, **counts)


def run(command: str, **counts: int) -> Step:
    """A tool call that runs a shell command."""
    return Step("run", text=command, **counts)


def call(tool: str, **arguments: object) -> Step:
    """A call of the very tool `tool`, say one of an MCP server."""
    return Step("call", tool=tool, arguments=arguments)


def refuse(status: int, kind: str, message: str, **headers: str) -> Step:
    """An HTTP refusal, with the error kind that the vendor uses."""
    return Step("refuse", status=status, error=kind, text=message, headers=headers)


def decline(text: str) -> Step:
    """The model itself declines: a stop reason, a finish reason or a failed response that says so."""
    return Step("decline", text=text)


def hang() -> Step:
    """No byte ever comes."""
    return Step("hang")


def drop(text: str, *, clean: bool = False) -> Step:
    """Half an answer, then the connection is gone; `clean`: then the stream ends as if there were no more to say."""
    return Step("drop", text=text, clean=clean)


def joined(steps: Sequence[Step]) -> list[Step]:
    """The same for a model without tools: an edit and the answer behind it are one message."""
    found: list[Step] = []
    for step in steps:
        before = found[-1] if found else None
        if before is not None and before.kind == "write" and step.kind == "text":
            counts = {name: getattr(before, name) + getattr(step, name) for name in _COUNTS}
            found[-1] = replace(before, then=step.text, **counts)
        else:
            found.append(step)
    return found
