"""Tools for the tickets of the checkout."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from smithers_git.core.board import COLUMNS
from smithers_git.core.ticket import Ticket, is_ticket_id, parse, render, ticket_slug
from smithers_git.errors import TicketError
from smithers_git.front import board
from smithers_git.front.tools.base import Args, Paged, Scene, Tool, lean, page, text_page
from smithers_git.service.tickets import read_tickets, write_tickets


class ListTickets(Paged):
    run: str | None = Field(default=None, description="The tickets of this run; default: those of the checkout.")


def list_tickets(scene: Scene, args: ListTickets) -> dict[str, Any]:
    """List the tickets with how each stands: todo, doing, review, queued, landed, blocked or failed, and why. The
    workflow `kanban` brings them home."""
    found = board.document(scene.project, args.run)
    cards = [card for column in COLUMNS for card in found["columns"][column]]
    rows, more = page([lean({**card, "passes": card["passes"] or None}) for card in cards], args)
    facts = {name: found[name] for name in ("run", "status", "onto", "notes", "broken", "ahead")}
    return {"tickets": rows, **more, **lean({**facts, "ahead": facts["ahead"] or None})}


class ShowTicket(Args):
    id: str = Field(description="Id of the ticket.")
    limit: int = Field(default=8000, ge=100, le=100_000, description="Characters of its text in one answer.")
    cursor: int = Field(default=0, ge=0, description="`next_cursor` of the text in the answer before.")


def show_ticket(scene: Scene, args: ShowTicket) -> dict[str, Any]:
    """Show one ticket of the checkout: its text, what it depends on, and when it is done."""
    shelf = read_tickets(scene.project.worktree)
    ticket = next((one for one in shelf.tickets if one.id == args.id), None)
    if ticket is None:
        known = ", ".join(shelf.files) or "none"
        raise TicketError(f"there is no ticket {args.id!r} in the checkout", hint=f"tickets here: {known}")
    facts = ticket.model_dump(exclude={"body"})
    return {**lean(facts), "file": shelf.files[ticket.id], "body": text_page(ticket.body, args.cursor, args.limit)}


class CreateTicket(Args):
    title: str = Field(min_length=1, max_length=200, description="One line.")
    body: str = Field(default="", description="What is wanted, in Markdown.")
    id: str | None = Field(default=None, description="Default: made from the title.")
    depends_on: list[str] = Field(default=[], description="Ids of tickets that must have landed before.")
    priority: int = Field(default=0, description="Higher goes first.")
    acceptance: list[str] = Field(default=[], description="What must be true when it is done, each by itself.")


def create_ticket(scene: Scene, args: CreateTicket) -> dict[str, Any]:
    """Write a new ticket file into .smithers/tickets of the checkout. No existing file is ever changed; commit it with
    git."""
    id = args.id or ticket_slug(args.title)
    if not is_ticket_id(id):
        raise TicketError(f"{id!r} cannot be the id of a ticket", hint="use letters, digits and dashes, at most 48")
    ticket = Ticket(
        id=id,
        title=" ".join(args.title.split()),
        depends_on=args.depends_on,
        priority=args.priority,
        acceptance=args.acceptance,
        body=args.body,
    )
    parse(render(ticket), f"{id}.md")  # raises for what could be written and not be read again
    known = read_tickets(scene.project.worktree).files
    missing = [need for need in args.depends_on if need not in known]
    (path,) = write_tickets([ticket], scene.project.worktree)
    return {"id": id, "file": path, **lean({"not_in_the_checkout": missing})}


TOOLS: Final = (
    Tool(list_tickets, ListTickets, "reads"),
    Tool(show_ticket, ShowTicket, "reads"),
    Tool(create_ticket, CreateTicket, "writes"),
)
