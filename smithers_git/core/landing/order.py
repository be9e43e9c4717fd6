"""Who may stand in the line of a merge queue, in which order, and what keeps the others out of it."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from smithers_git.core.landing.state import EntryState, Held, QueueState
from smithers_git.core.landing.view import Position, View


@dataclass(slots=True)
class Order:
    """The line before anything of it is merged."""

    standing: list[EntryState] = field(default_factory=list)
    """In the order of landing: each behind what it depends on."""
    aside: list[Position] = field(default_factory=list)
    """Everybody else, with what is in the way."""
    done: set[str] = field(default_factory=set)
    """Names whose change is in the target."""


def order(state: QueueState, view: View) -> Order:
    """The line: by `depends_on`, then priority, then arrival. Who lacks a dependency does not stand in it."""
    found = Order(done={*state.landed_names, *view.landed})
    free: dict[str, EntryState] = {}
    for one in state.waiting():
        if one.entry.id in view.contained:
            found.done.add(one.entry.name)
            found.aside.append(Position(one.entry.id, "contained"))
        elif one.held is not None:
            found.aside.append(Position(one.entry.id, "held", held_by(one.held)))
        else:
            free[one.entry.name] = one
    found.standing = _sorted(free, found.done)
    placed = {one.entry.name for one in found.standing}
    left = {name: one for name, one in free.items() if name not in placed}
    for name, one in left.items():
        why = _circle(name, left, found.done) or _missing(state, one, found.done | placed)
        found.aside.append(Position(one.entry.id, "blocked", why))
    return found


def held_by(held: Held) -> str:
    """Who holds an entry or a queue, and why."""
    return f"held by {held.by}" + (f": {held.note}" if held.note else "")


def _sorted(free: dict[str, EntryState], done: set[str]) -> list[EntryState]:
    """Those of `free` whose dependencies are all done or in the result before them."""
    needs = {name: {need for need in one.entry.depends_on if need not in done} for name, one in free.items()}
    needed_by: dict[str, list[str]] = {}
    for name, wanted in needs.items():
        for need in wanted:
            needed_by.setdefault(need, []).append(name)
    ready = [_rank(free[name]) for name, wanted in needs.items() if not wanted]
    heapq.heapify(ready)
    result = []
    while ready:
        name = heapq.heappop(ready)[2]
        result.append(free[name])
        for other in needed_by.get(name, ()):
            needs[other].discard(name)
            if not needs[other]:
                heapq.heappush(ready, _rank(free[other]))
    return result


def _rank(one: EntryState) -> tuple[int, int, str]:
    return (-one.entry.priority, one.order, one.entry.name)


def _circle(name: str, left: dict[str, EntryState], done: set[str]) -> str | None:
    """The way from `name` back to itself, if the first thing that each one lacks leads there."""
    path = [name]
    while True:
        lacks = [need for need in left[path[-1]].entry.depends_on if need not in done and need in left]
        if not lacks:
            return None
        if lacks[0] == name:
            return f"waits for itself: {' → '.join([*path, name])}"
        if lacks[0] in path:
            return None
        path.append(lacks[0])


def _missing(state: QueueState, one: EntryState, there: set[str]) -> str:
    need = next(need for need in one.entry.depends_on if need not in there)
    other = state.entries.get(state.names.get(need, ""))
    return f"waits for {need}, which {_fate(other)}"


def _fate(other: EntryState | None) -> str:
    """Why what is depended on does not stand in the line."""
    if other is None:
        return "has not entered this queue"
    if other.status == "refused":
        return f"was refused ({other.reason})"
    if other.status == "ejected":
        return f"was {other.message or 'ejected'}"
    if other.held is not None:
        return f"is {held_by(other.held)}"
    return "is blocked itself"
