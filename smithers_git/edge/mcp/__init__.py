"""The sole home of the Model Context Protocol: a server for tools that somebody else defines.

What a tool does is a plain function that is called on a thread of its own; here is only how it travels. The official
package takes 0.4 s to import, so the modules beside this one are imported where a server is started.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as a client sees it."""

    name: str
    title: str
    description: str
    schema: dict[str, Any]
    """JSON schema of its arguments, an object."""
    reads: bool
    """It changes nothing."""
    destroys: bool
    """It may take away what was there, or stop what runs."""
    repeats: bool
    """A second call with the same arguments changes nothing more."""
    waits: bool = False
    """It takes long by nature, doing nothing: such calls do not stand in the way of others."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of a tool."""

    name: str
    arguments: dict[str, Any]
    client: str
    """How the program that asks calls itself; empty when it does not say."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when nobody waits for the answer any more."""
    folders: tuple[Path, ...] = ()
    """Where the program that asks works, as it says; only where the offer wants to know."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call: a JSON object."""

    document: dict[str, Any]
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that a client may read by its address."""

    uri: str
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server serves. The functions are called on threads, many at once, and answer also when they fail."""

    name: str
    version: str
    instructions: str
    """What a model should know before it uses the tools."""
    tools: Sequence[Tool]
    call: Callable[[Call], Answer]
    resources: Callable[[], list[Resource]]
    read: Callable[[str], Answer]
    """From an address to what stands there."""
    template: Resource
    """The shape of the addresses, with a `{name}` in it."""
    asks_folders: bool = False
    """Whether to ask a client for the folders that it works in (roots), and to hand them over with each call."""


__all__ = ["Answer", "Call", "Offer", "Resource", "Tool"]
