"""What a survey of the tickets finds, and the board that says how each of them stands. Plain values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from pydantic import BaseModel

from smithers_git.core.ticket import Changes, Ticket

Column = Literal["todo", "doing", "review", "queued", "landed", "blocked", "failed"]
COLUMNS: tuple[Column, ...] = ("todo", "doing", "review", "queued", "landed", "blocked", "failed")


class Survey(BaseModel):
    """One look at the tickets of a checkout, and at what of them has landed."""

    onto: str
    """The branch that their results land on."""
    tickets: list[Ticket]
    """Those that were asked for, in the order in which they may go: by priority, then by id."""
    files: dict[str, str] = {}
    """Path of each ticket's file from the top of the checkout, by id."""
    landed: dict[str, str] = {}
    """The commit that brought a ticket home, by id, as the history has it; of tickets without a file too."""
    changes: Changes = Changes()
    """What differs from the look before."""
    notes: list[str] = []
    """What a person should know: each change, and each file that could not be used."""


class Card(BaseModel):
    """One ticket on the board."""

    ticket: str
    title: str
    column: Column
    why: str = ""
    """Why it failed or is blocked, or what it waits for."""
    by: list[str] = []
    """The tickets that it is blocked by, or waits for."""
    commit: str | None = None
    """The commit that landed."""
    before: bool = False
    """Whether that was before this run."""
    passes: int = 0
    """How often it was worked on in this run."""


class Board(BaseModel):
    """How every ticket ended."""

    landed: list[Card] = []
    blocked: list[Card] = []
    failed: list[Card] = []
    skipped: list[Card] = []
    """Had landed before the run began."""
    notes: list[str] = []
    """Tickets that were edited, added or deleted on the way."""


def blocked_tickets(
    tickets: Iterable[Ticket], landed: Collection[str], failed: Mapping[str, str], begun: Collection[str] = ()
) -> dict[str, Card]:
    """The tickets that will not be begun any more, by id, each with what is in its way.

    Args:
        tickets: all of them.
        landed: ids of those that have.
        failed: why, by id, for those that were given up.
        begun: ids of those that are being worked on, whatever they depend on by now.
    """
    rest = {one.id: one for one in tickets if one.id not in landed and one.id not in failed}
    possible = rest.keys() & set(begun)
    while more := {id for id in rest.keys() - possible if _free(rest[id], landed, possible)}:
        possible |= more
    found: dict[str, Card] = {}
    for id in rest.keys() - possible:
        by = [need for need in rest[id].depends_on if need not in landed and need not in possible]
        why = "; ".join(_reason(need, rest, failed) for need in by)
        found[id] = Card(ticket=id, title=rest[id].title, column="blocked", why=why, by=by)
    return {id: found[id] for id in rest if id in found}


def _free(ticket: Ticket, landed: Collection[str], possible: Collection[str]) -> bool:
    return all(need in landed or need in possible for need in ticket.depends_on)


def _reason(need: str, rest: Mapping[str, Ticket], failed: Mapping[str, str]) -> str:
    if need in failed:
        return f"{need} failed: {failed[need]}"
    return f"{need} is blocked itself" if need in rest else f"{need} has not landed and is not on this board"
