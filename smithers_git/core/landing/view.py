"""What the planner of a merge queue looks at, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from smithers_git.core.landing.entry import Gate
from smithers_git.core.landing.events import QueueEvent


class Check(NamedTuple):
    """A gate to run on a tree."""

    tree: str
    gate: Gate


@dataclass(frozen=True, slots=True)
class Merged:
    """A candidate: what the target would be with the entry on top."""

    commit: str
    trees: tuple[str, ...]
    """Trees of the commits that it would put on the target, oldest first; none when the entry holds nothing new."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """The entry cannot be merged onto that commit."""

    message: str


@dataclass(frozen=True, slots=True)
class View:
    """What is known at this moment besides the queue's state."""

    tip: str
    """Commit of the target."""
    tree: str
    """Its tree."""
    merges: Mapping[tuple[str, str], Merged | Conflict] = field(default_factory=dict)
    """Candidates by (commit that they stand on, entry id), as far as they were made."""
    checking: frozenset[Check] = frozenset()
    """In flight."""
    lanes: int = 1
    """Checks at once that the machine carries."""
    env: str = ""
    """Digest of the machine and tools that gates run on."""
    moved: frozenset[str] = frozenset()
    """Ids of entries whose branch is no longer at their head."""
    contained: frozenset[str] = frozenset()
    """Ids of entries that the target holds already."""
    blocked: str | None = None
    """Why the target cannot be moved now."""
    hooks: bool = False
    """Whether the user has hooks that look at a commit that lands."""
    landed: frozenset[str] = frozenset()
    """Names that are in the target though this queue's frames do not say so."""


Place = Literal[
    "landing",  # the target is about to move
    "green",  # verified; lands when what is ahead of it has
    "checking",  # its gates run
    "queued",  # waits for a lane, or for its turn
    "merging",  # its candidate is being made
    "suspect",  # red once: it is confirmed before that counts
    "conflict",  # with an entry ahead that has not landed
    "blocked",  # what it depends on is not there
    "held",
    "contained",  # the target holds it already
    "refused",  # goes back to its author right now
]


@dataclass(frozen=True, slots=True)
class Position:
    """Where an entry stands in the line."""

    entry: str
    status: Place
    blocker: str | None = None
    """What has to happen first, and it is not this entry's own merge, gate, hook or landing. None: it is moving."""
    onto: str | None = None
    """The commit that its candidate stands on."""
    commit: str | None = None
    """Its candidate."""


@dataclass(slots=True)
class Plan:
    """What to do now. `records` are facts to write first; after them, plan again."""

    line: list[Position] = field(default_factory=list)
    """All entries that have not ended, in the order in which they would land; blocked ones last."""
    records: list[QueueEvent] = field(default_factory=list)
    merge: list[tuple[str, str]] = field(default_factory=list)
    """Candidates to make: (commit, entry id)."""
    start: list[Check] = field(default_factory=list)
    cancel: list[Check] = field(default_factory=list)
    """In flight, and of no more use."""
    hook: tuple[str, str, str] | None = None
    """(entry id, tip, commit): the user's hooks are to look at the commit, unless they are just doing so."""
    land: tuple[str, str, str] | None = None
    """(entry id, tip, commit): move the target from the tip to the commit."""
    contained: list[str] = field(default_factory=list)
    """Ids of entries that the target holds already: to be recorded as landed."""
    stopped: str | None = None
    """Why the whole queue does not go on."""
