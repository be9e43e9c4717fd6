"""Write a set of tickets: an agent cuts a larger piece of work into them, with dependencies; each becomes a file.

known -> ( propose -> check [-> approve] ) until sound -> write
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from smithers_git import (
    Approval,
    Context,
    Decision,
    Loop,
    Node,
    Sequence,
    Task,
    Ticket,
    is_ticket_id,
    read_tickets,
    ticket_problems,
    workflow,
    write_tickets,
)


class Request(BaseModel):
    """What is to be cut into tickets."""

    prompt: str = Field(min_length=1, description="What is wanted: a plan, an issue, a wish.")
    approve: bool = Field(default=False, description="Ask a person before the files are written.")
    max_tickets: int = Field(default=12, ge=1, le=100, description="No more than this many.")
    max_rounds: int = Field(default=4, ge=1, le=20, description="Proposals before the run gives up.")


class Known(BaseModel):
    """The tickets that there are already."""

    tickets: list[Ticket]


class Piece(BaseModel):
    """One ticket as the agent proposes it."""

    id: str = Field(description="Two to five lower-case words with dashes; names the file and the branch.")
    title: str = Field(min_length=1, description="One line in the imperative: what will have been done.")
    body: str = Field(description="Markdown: why, what exactly, where in the code, and what is not part of it.")
    acceptance: list[str] = Field(min_length=1, description="What is true when it is done, each checkable by itself.")
    depends_on: list[str] = Field(default=[], description="Ids of tickets, new or existing, that must land first.")
    priority: int = Field(default=0, ge=-100, le=100, description="Higher goes first among those that may go.")


class Proposal(BaseModel):
    """The set as the agent proposes it."""

    tickets: list[Piece] = Field(min_length=1)
    not_included: list[str] = Field(default=[], description="What was asked for, or could be expected, but is in none.")


class Findings(BaseModel):
    """What keeps a proposal from being written."""

    problems: list[str]


class Written(BaseModel):
    """The new tickets."""

    ids: list[str]
    paths: list[str]
    """From the top of the checkout, in the same order."""
    not_included: list[str]


@workflow(input=Request, name="tickets-create")
def tickets_create(ctx: Context[Request]) -> Node:
    """Write a set of tickets: an agent cuts a larger piece of work into them; each becomes a file."""
    asked = ctx.input
    known = ctx.latest(Known, "known")
    before = ctx.latest(Proposal, "propose")
    found = ctx.latest(Findings, "check")
    decision = ctx.latest(Decision, "approve") if asked.approve else None
    problems = found.problems if found else []
    sound = bool(found and not problems)

    def check(propose: Proposal, known: Known) -> Findings:
        return Findings(problems=findings(propose, known, asked.max_tickets))

    return Sequence(
        Task("known", call=look, retries=0),
        Loop(
            Task(
                "propose",
                agent=["plan", "smart"],
                output=Proposal,
                same_conversation=True,
                prompt=lambda: ctx.prompt(
                    "tickets.md", known=known, before=before, problems=problems, decision=decision
                ),
                needs="known",
            ),
            Task("check", call=check),
            Approval(
                "approve",
                title="Write these tickets?",
                summary=lambda propose: ctx.prompt("approve.md", proposal=propose),
                on_deny="continue",  # the note goes into the next proposal
            )
            if asked.approve and sound
            else None,
            until=sound and (not asked.approve or bool(decision and decision.approved)),
            max_iterations=asked.max_rounds,
            id="until-sound",
        ),
        Task("write", call=write, retries=0),
    )


def look(checkout: Path) -> Known:
    """The tickets of the user's checkout."""
    return Known(tickets=read_tickets(checkout).tickets)


def findings(proposal: Proposal, known: Known, most: int) -> list[str]:
    """What is wrong with the proposal, by itself and beside the tickets that there are."""
    problems = [f"there are {len(proposal.tickets)} tickets, at most {most} are wanted"] * (
        len(proposal.tickets) > most
    )
    taken = {one.id.lower() for one in known.tickets}
    for piece in proposal.tickets:
        if not is_ticket_id(piece.id):
            problems.append(f"{piece.id!r} cannot be an id: use at most 48 lower-case letters, digits and dashes")
        elif piece.id.lower() in taken:
            problems.append(f"there is a ticket {piece.id!r} already: leave it out if it is the same, else rename it")
        if not piece.title.strip().isprintable():
            problems.append(f"{piece.id}: the title must be one line")
    new = [made(piece) for piece in proposal.tickets]
    fresh = {one.id for one in new if one.id.lower() not in taken}
    return problems + [f"{id}: {said}" for id, said in ticket_problems([*known.tickets, *new]) if id in fresh]


def write(propose: Proposal, checkout: Path) -> Written:
    """The files. Only in the checkout: on a branch of the run they would stand in the way of merging it there."""
    tickets = [made(piece) for piece in propose.tickets]
    paths = write_tickets(tickets, checkout)
    return Written(ids=[one.id for one in tickets], paths=paths, not_included=propose.not_included)


def made(piece: Piece) -> Ticket:
    """A piece as a ticket."""
    return Ticket(
        id=piece.id,
        title=" ".join(piece.title.split()),
        depends_on=piece.depends_on,
        priority=piece.priority,
        acceptance=[" ".join(one.split()) for one in piece.acceptance if one.strip()],
        body=piece.body.strip(),
    )
