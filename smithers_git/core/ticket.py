"""Tickets: one piece of work each, as a Markdown file with a head. Pure: text in, values out.

    +++
    id = "split-remainder"
    title = "Pay every cent of a bill"
    depends_on = ["amounts-in-cents"]
    priority = 2
    acceptance = ["split(1001, 3) adds up to 1001"]
    +++

    What is wanted, in Markdown.

A ticket has no status: what has landed stands in git, what is being worked on in the run.
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePath
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict

from smithers_git.core.front_matter import Document, Plain, read, refuse, typed
from smithers_git.names import MAIN, is_space_id

LONGEST_ID: Final = 48
"""Characters. The id is part of node ids, folder names and branch names, which have bounds of their own."""
_KEYS: Final = ("id", "title", "depends_on", "priority", "acceptance")
_HEADING: Final = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
_CRITERIA: Final = re.compile(r"acceptance(\s+criteria)?:?", re.IGNORECASE)
_LIST_ITEM: Final = re.compile(r"\s{0,3}(?:[-*+]|\d{1,3}[.)])\s+(?:\[[ xX]\]\s+)?(.*)")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_ID_RULE: Final = (
    f"use 1 to {LONGEST_ID} letters, digits, dashes, dots and underscores, starting with a letter or digit"
)


class Ticket(BaseModel):
    """One piece of work."""

    model_config = ConfigDict(frozen=True)

    id: str
    title: str
    """One line."""
    depends_on: list[str] = []
    """Ids of the tickets that must have landed before this one is begun."""
    priority: int = 0
    """Higher goes first among those that may go."""
    acceptance: list[str] = []
    """What must be true when it is done, each by itself."""
    body: str = ""
    """The rest, in Markdown."""
    extra: dict[str, Any] = {}
    """Keys of the head that mean nothing to smithers; they are kept."""


class Changes(BaseModel):
    """What differs between two looks at the tickets, by id."""

    edited: list[str] = []
    added: list[str] = []
    deleted: list[str] = []


class Problem(NamedTuple):
    """Why a ticket cannot be done as it stands among the others."""

    ticket: str
    message: str


def is_ticket_id(text: str) -> bool:
    """Whether `text` can name a ticket: it becomes the name of a workspace, a branch and a trailer."""
    return len(text) <= LONGEST_ID and is_space_id(text) and text != MAIN


def ticket_slug(title: str) -> str:
    """An id made from a title: lower-case words with dashes, at most 40 characters, cut between words if possible."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain.replace("'", ""))
    text = ""
    for word in words:
        if text and len(text) + 1 + len(word) > 40:
            break
        text = f"{text}-{word}"[:41] if text else word[:40]
    return text if text and text != MAIN else "ticket"


def parse(text: str, name: str) -> Ticket:
    """The ticket in the file `name` (any path; messages show it as given) with this text.

    Without an `id` it is the file's name without `.md`; without a `title` it is the first heading. Criteria may stand
    in the head, in a section `## Acceptance criteria`, or in both.

    Raises:
        TicketError: naming file, line and what to type.
    """
    document = read(text, name)
    fields = _Fields(document, name)
    extra = {key: typed(value) for key, value in document.head.items() if key not in _KEYS}
    fields.refuse_misspelled(extra)
    stem = PurePath(name).name.removesuffix(".md")
    id = fields.text("id") or stem
    if not is_ticket_id(id):
        hint = _ID_RULE if "id" in document.head else f'add a line id = "{ticket_slug(stem)}" to the head'
        refuse(name, document.lines.get("id", 1), f"{id!r} cannot be the id of a ticket", hint)
    heading = next((match[2] for line in document.body.splitlines() if (match := _HEADING.match(line))), "")
    title = fields.text("title") or heading
    if not title:
        refuse(name, 1, "the ticket has no title", 'add a line title = "…" to the head, or a heading to the body')
    wanted = [*fields.texts("acceptance"), *_section(document.body)]
    return Ticket(
        id=id,
        title=title,
        depends_on=fields.ids("depends_on"),
        priority=fields.integer("priority"),
        acceptance=list(dict.fromkeys(wanted)),
        body=document.body,
        extra=extra,
    )


class _Fields:
    """The values of a head, each checked for what it must be."""

    def __init__(self, document: Document, name: str) -> None:
        self.head = document.head
        self.lines = document.lines
        self.name = name

    def _refuse(self, key: str, message: str, hint: str) -> None:
        refuse(self.name, self.lines.get(key, 1), message, hint)

    def refuse_misspelled(self, extra: Mapping[str, Any]) -> None:
        for key in extra:
            close = difflib.get_close_matches(key.lower().replace("-", "_"), _KEYS, 1, cutoff=0.8)
            if close and close[0] not in self.head:
                self._refuse(
                    key, f"there is no key {key!r}", f"did you mean {close[0]!r}? Other keys of your own are kept"
                )

    def text(self, key: str) -> str:
        value = self.head.get(key)
        if value is not None and not isinstance(value, str):
            self._refuse(key, f"{key} is {value!r} and must be text", f'write {key} = "{value}"')
        line = str(value or "").strip()
        if "\n" in line or not line.isprintable():
            self._refuse(key, f"{key} must be one line of text", "put the rest into the body")
        return line

    def texts(self, key: str) -> list[str]:
        value = self.head.get(key)
        if value is None or (isinstance(value, Plain) and value == ""):
            return []
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            self._refuse(key, f"{key} must be a list of texts", f'write {key} = ["…", "…"]')
        return [" ".join(one.split()) for one in found if one.strip()]

    def ids(self, key: str) -> list[str]:
        found = list(dict.fromkeys(self.texts(key)))
        for one in found:
            if not is_ticket_id(one):
                self._refuse(key, f"{one!r} in {key} cannot be the id of a ticket", _ID_RULE)
        return found

    def integer(self, key: str) -> int:
        value = typed(self.head.get(key))
        if value is None:
            return 0
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 1_000_000:
            self._refuse(key, f"{key} is {value!r} and must be a whole number", f"write {key} = 1; higher goes first")
        return int(value)


def _section(body: str) -> list[str]:
    """The list items below a heading `Acceptance criteria`."""
    found: list[str] = []
    level, fenced = 0, False
    for line in body.splitlines():
        fenced ^= line.lstrip().startswith("```")
        heading = None if fenced else _HEADING.match(line)
        if heading and not (level and len(heading[1]) > level):
            level = len(heading[1]) if _CRITERIA.fullmatch(heading[2]) else 0
        elif level and (item := _LIST_ITEM.match(line)):
            found.append(item[1])
        elif level and found and line.startswith("  ") and line.strip():
            found[-1] += " " + line
    return [" ".join(one.split()) for one in found if one.strip()]


def render(ticket: Ticket) -> str:
    """The file of a ticket, with a TOML head; `parse` of it gives the ticket back."""
    own = {key: value for key in _KEYS if (value := getattr(ticket, key)) or key in ("id", "title")}
    lines = [f"{_key(key)} = {_toml(value)}" for key, value in {**own, **ticket.extra}.items() if value is not None]
    return "\n".join(["+++", *lines, "+++", *(["", ticket.body] if ticket.body else []), ""])


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _toml(key)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return "[" + ", ".join(_toml(one) for one in value if one is not None) + "]"
    # A JSON string is a basic string of TOML, which besides forbids DEL as it is.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def compare(before: Iterable[Ticket], now: Iterable[Ticket]) -> Changes:
    """Which tickets are edited, new or gone. A file that was only renamed or laid out anew is none of these."""
    # As JSON: what comes out of a frame has text where a fresh file has a date.
    old, new = ({one.id: one.model_dump(mode="json") for one in some} for some in (before, now))
    return Changes(
        edited=[id for id, one in new.items() if id in old and old[id] != one],
        added=[id for id in new if id not in old],
        deleted=[id for id in old if id not in new],
    )


def ticket_problems(tickets: Sequence[Ticket], known: Iterable[str] = ()) -> list[Problem]:
    """What keeps tickets from being done as a set: an id that is used twice, an unknown dependency, a circle.

    `known` are further ids that may be depended on, say of tickets whose files are gone since they landed.
    """
    found: list[Problem] = []
    seen: dict[str, str] = {}
    for ticket in tickets:
        # On many file systems, refs that differ in case only are one ref.
        if ticket.id.lower() in seen:
            twin, other = seen[ticket.id.lower()], f" ({ticket.id!r})" * (ticket.id not in seen.values())
            found.append(Problem(ticket.id, f"two tickets have the id {twin!r}{other}"))
        seen.setdefault(ticket.id.lower(), ticket.id)
    ids = {ticket.id for ticket in tickets}
    for ticket in tickets:
        for need in ticket.depends_on:
            if need not in ids and need not in set(known):
                close = difflib.get_close_matches(need, ids, 1)
                meant = f" (did you mean {close[0]!r}?)" if close else ""
                found.append(Problem(ticket.id, f"it depends on {need!r}, which is no ticket{meant}"))
    return found + _circles(tickets)


def _circles(tickets: Sequence[Ticket]) -> list[Problem]:
    graph = {ticket.id: list(ticket.depends_on) for ticket in tickets}
    found: list[Problem] = []
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle: list[str] = error.args[1][::-1]  # each depends on the one behind it
            found += [Problem(id, f"it depends on itself: {' → '.join(circle)}") for id in sorted(set(circle))]
            for id in set(circle):  # without them: there may be another
                graph.pop(id, None)
        else:
            return found
