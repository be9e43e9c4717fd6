"""The tickets of a checkout: read, written without ever replacing one, and found again in the history once landed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from smithers_git.core.board import Survey
from smithers_git.core.commit_message import ENTRY, TICKET
from smithers_git.core.ticket import Changes, Ticket, compare, parse, render, ticket_problems
from smithers_git.edge import config
from smithers_git.edge.git.command import git
from smithers_git.errors import TicketError

FOLDER: Final = Path(".smithers") / "tickets"
LARGEST: Final = 256 << 10
"""Bytes of one file."""
MOST: Final = 20_000
"""Files that are read."""

_MOST_LANDED: Final = 20_000
# One walk over the history: 0.75 s for 100,000 commits (measured). The pattern only spares output; whether a commit
# has the trailer is decided by git's own rules for trailers, so that text in a message is none.
_LOG: Final = (
    "log", "--no-show-signature", "--ignore-missing", f"--max-count={_MOST_LANDED}", "--regexp-ignore-case",
    f"--grep=^{TICKET}:",
    "--format=%H"
    + "".join(f"%x09%(trailers:key={key},valueonly,separator=%x20)" for key in (TICKET, ENTRY)),
)  # fmt: skip


@dataclass(slots=True)
class Shelf:
    """The ticket files of a checkout."""

    tickets: list[Ticket] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    """Path from the top of the checkout, by id."""
    broken: dict[str, str] = field(default_factory=dict)
    """Why a file cannot be used, with what to type, by path."""


def read_tickets(checkout: Path) -> Shelf:
    """Every `.smithers/tickets/*.md` below the folder `checkout`, by name; broken files are named, not raised.

    Raises:
        TicketError: there are more than 20,000 files, or the folder cannot be read.
    """
    shelf = Shelf()
    folder = checkout / FOLDER
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".md") if folder.is_dir() else []
    except OSError as error:
        raise TicketError(f"{folder} cannot be read: {error.strerror}", hint=f"see `ls -ld {folder}`") from error
    if len(paths) > MOST:
        raise TicketError(
            f"{folder} holds {len(paths)} tickets, more than {MOST}", hint="move those that have landed somewhere else"
        )
    top, home = checkout.resolve(), folder.resolve()
    for path in paths:
        name = f"{FOLDER.as_posix()}/{path.name}"
        try:
            ticket = parse(_text(home / path.name, name, top), name)
        except TicketError as error:
            shelf.broken[name] = f"{error.message}; {error.hint}"
            continue
        known = shelf.files.get(ticket.id)
        if known is not None:
            shelf.broken[name] = f"{name}: its id {ticket.id!r} is that of {known} too; give one of them another id"
            continue
        shelf.tickets.append(ticket)
        shelf.files[ticket.id] = name
    return shelf


def _text(path: Path, name: str, top: Path) -> str:
    place = path.resolve() if path.is_symlink() else path  # resolving each of 10,000 files took half of all the time
    if not place.is_relative_to(top):
        raise TicketError(f"{name} is a link that leads out of the repository", hint="put the file itself there")
    if not path.is_file():
        raise TicketError(f"{name} is no file", hint="take it out of the folder")
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise TicketError(f"{name} cannot be read: {error.strerror}", hint=f"see `ls -l {path}`") from error
    if len(data) > LARGEST:
        raise TicketError(f"{name} is over {LARGEST >> 10} KiB", hint="keep data out of tickets, or split it")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TicketError(f"{name}:{line}: this is not UTF-8", hint="save the file as UTF-8") from error


def landed_tickets(checkout: Path, refs: Iterable[str]) -> dict[str, str]:
    """The newest commit of each ticket that landed, by id, in the history of `refs`; one that is missing has none.

    What counts is a commit that the merge queue made: with both trailers, `Smithers-Ticket` and `Smithers-Entry`.
    """
    found: dict[str, str] = {}
    for line in git(checkout, *_LOG, "--end-of-options", *refs, "--").splitlines():
        commit, tickets, entries = line.split("\t")
        for id in tickets.split() if entries.strip() else ():
            found.setdefault(id, commit)
    return found


def survey_tickets(
    checkout: Path, base: str, *, onto: str | None = None, only: Collection[str] = (), before: Survey | None = None
) -> Survey:
    """Read the tickets and find out which of them have landed.

    Args:
        checkout: top of the user's checkout.
        base: commit whose history counts, besides that of the branch `onto`.
        onto: branch that results land on; default: `[landing] branch` of the configuration.
        only: ids that are asked for; none means all.
        before: the look before this one. What differs is named, and a file that is broken now keeps its old text.

    Raises:
        TicketError: at the first look, a file is broken, an id of `only` is unknown, tickets do not fit together, or
            there is no branch `onto`: only the default one is made by itself.
    """
    default = before.onto if before else config.load(checkout, os.environ).landing.branch
    branch = (onto or default).removeprefix("refs/heads/")
    if branch != default:
        _require_branch(checkout, branch)
    shelf = read_tickets(checkout)
    landed = landed_tickets(checkout, [f"refs/heads/{branch}", base])
    notes: list[str] = []
    if before is None:
        _refuse_broken(shelf)
        _refuse_unknown(shelf, only, landed)
        troubles = [f"{shelf.files[id]}: {said}" for id, said in ticket_problems(shelf.tickets, landed)]
        _refuse(troubles, "the tickets do not fit together", "mend the files named above")
    else:
        notes = _keep(shelf, before)
    tickets = [one for one in shelf.tickets if not only or one.id in only]
    tickets.sort(key=lambda one: (-one.priority, one.id))
    changes = compare(before.tickets, tickets) if before else Changes()
    for kind in ("edited", "added", "deleted"):
        notes += [f"ticket {id} was {kind}" for id in getattr(changes, kind)]
    if before is not None:
        notes += [f"{shelf.files[id]}: {said}" for id, said in ticket_problems(shelf.tickets, landed)]
    return Survey(onto=branch, tickets=tickets, files=shelf.files, landed=landed, changes=changes, notes=notes)


def _require_branch(checkout: Path, branch: str) -> None:
    if not git(checkout, "rev-parse", "-q", "--verify", f"refs/heads/{branch}^{{commit}}", check=False):
        raise TicketError(
            f"there is no branch {branch!r} to land on",
            hint=f"make it: git branch {branch}; or leave onto out: the default branch is made by itself",
        )


def _keep(shelf: Shelf, before: Survey) -> list[str]:
    """Leave tickets whose files are broken now as they were; says which."""
    old = {one.id: one for one in before.tickets}
    notes = []
    for id, path in before.files.items():
        if path in shelf.broken and id in old and id not in shelf.files:
            shelf.tickets.append(old[id])
            shelf.files[id] = path
            notes.append(f"ticket {id} stays as it was: {shelf.broken[path]}")
    known = set(shelf.files.values())
    return notes + [f"not taken up: {said}" for path, said in shelf.broken.items() if path not in known]


def _refuse_broken(shelf: Shelf) -> None:
    _refuse(list(shelf.broken.values()), "a ticket cannot be used", "mend it, or move it out of .smithers/tickets")


def _refuse_unknown(shelf: Shelf, only: Collection[str], landed: Collection[str]) -> None:
    unknown = [id for id in only if id not in shelf.files and id not in landed]
    if unknown or not (shelf.files or only):
        raise TicketError(
            f"there is no ticket {unknown[0]!r}" if unknown else f"there is no ticket in {FOLDER}",
            hint=f"tickets here: {', '.join(shelf.files)}"
            if shelf.files
            else "smithers up tickets-create -p '…' writes some",
        )


def _refuse(troubles: Sequence[str], what: str, hint: str) -> None:
    if len(troubles) == 1:
        raise TicketError(troubles[0], hint=hint)
    if troubles:
        more = f" (and {len(troubles) - 8} more)" if len(troubles) > 8 else ""
        raise TicketError(f"{what}: " + "; ".join(troubles[:8]) + more, hint=hint)


def write_tickets(tickets: Sequence[Ticket], checkout: Path) -> list[str]:
    """Write one file for each ticket into `.smithers/tickets` of `checkout`. No existing file is ever changed.

    A file is named after the id, or `ID-2.md` when that name is taken by something else. What already stands there with
    the very same text counts as written, so that a task that was cut off can be done again.

    Returns:
        Paths from the top of the checkout, in the order of `tickets`.

    Raises:
        TicketError: an id is taken, and then nothing is written; or the folder cannot be written.
    """
    shelf = read_tickets(checkout)
    for ticket in tickets:
        known = shelf.files.get(ticket.id)
        if known is not None and (checkout / known).read_bytes() != _bytes(ticket):
            raise TicketError(
                f"there is a ticket {ticket.id!r} already, in {known}", hint="give the new one another id"
            )
    return [shelf.files.get(ticket.id) or (FOLDER / _create(_place(checkout), ticket)).as_posix() for ticket in tickets]


def _bytes(ticket: Ticket) -> bytes:
    return render(ticket).encode("utf-8", "replace")


def _place(top: Path) -> Path:
    folder = top / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TicketError(f"{folder} cannot be made: {error.strerror}", hint=f"see `ls -ld {folder.parent}`") from error
    if not folder.resolve().is_relative_to(top.resolve()):
        raise TicketError(f"{folder} is a link that leads out of the repository", hint="make it a folder")
    return folder


def _create(folder: Path, ticket: Ticket) -> str:
    """A new file, whole or not at all: it is written under another name and then linked, which replaces nothing."""
    part = folder / f".{ticket.id}.{os.getpid()}.new"
    try:
        part.write_bytes(_bytes(ticket))
        for name in (f"{ticket.id}.md", *(f"{ticket.id}-{number}.md" for number in range(2, 100))):
            with suppress(FileExistsError):
                os.link(part, folder / name)
                return name
    except OSError as error:
        raise TicketError(f"{folder} cannot be written: {error.strerror}", hint=f"see `ls -ld {folder}`") from error
    finally:
        part.unlink(missing_ok=True)
    raise TicketError(f"{folder / ticket.id}.md is there already", hint="move it away, or give the ticket another id")
