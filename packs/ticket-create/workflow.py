"""Write one ticket: an agent looks at the code, proposes it, and it becomes a file in .smithers/tickets.

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
    """What the ticket is to be about."""

    prompt: str = Field(min_length=1, description="What is wanted, in a few words or many.")
    approve: bool = Field(default=False, description="Ask a person before the file is written.")
    max_rounds: int = Field(default=4, ge=1, le=20, description="Proposals before the run gives up.")


class Known(BaseModel):
    """The tickets that there are already."""

    tickets: list[Ticket]


class Proposal(BaseModel):
    """A ticket as the agent proposes it."""

    id: str = Field(description="Two to five lower-case words with dashes; names the file and the branch.")
    title: str = Field(min_length=1, description="One line in the imperative: what will have been done.")
    body: str = Field(description="Markdown: why, what exactly, where in the code, and what is not part of it.")
    acceptance: list[str] = Field(min_length=1, description="What is true when it is done, each checkable by itself.")
    depends_on: list[str] = Field(default=[], description="Ids of existing tickets that must land first.")
    priority: int = Field(default=0, ge=-100, le=100, description="Higher goes first; 0 unless urgency was asked for.")


class Findings(BaseModel):
    """What keeps a proposal from being written."""

    problems: list[str]


class Written(BaseModel):
    """The new ticket."""

    id: str
    path: str
    """From the top of the checkout."""


@workflow(input=Request, name="ticket-create")
def ticket_create(ctx: Context[Request]) -> Node:
    """Write one ticket: an agent looks at the code and proposes it; it becomes a file in .smithers/tickets."""
    asked = ctx.input
    known = ctx.latest(Known, "known")
    before = ctx.latest(Proposal, "propose")
    found = ctx.latest(Findings, "check")
    decision = ctx.latest(Decision, "approve") if asked.approve else None
    problems = found.problems if found else []
    sound = bool(found and not problems)

    return Sequence(
        Task("known", call=look, retries=0),
        Loop(
            Task(
                "propose",
                agent=["plan", "smart"],
                output=Proposal,
                same_conversation=True,
                prompt=lambda: ctx.prompt(
                    "ticket.md", known=known, before=before, problems=problems, decision=decision
                ),
                needs="known",
            ),
            Task("check", call=check),
            Approval(
                "approve",
                title="Write this ticket?",
                summary=lambda propose: ctx.prompt("approve.md", ticket=propose),
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


def check(propose: Proposal, known: Known) -> Findings:
    """What is wrong with the proposal beside the tickets that there are."""
    problems = []
    if not is_ticket_id(propose.id):
        problems.append(f"{propose.id!r} cannot be an id: use at most 48 lower-case letters, digits and dashes")
    elif any(one.id.lower() == propose.id.lower() for one in known.tickets):
        problems.append(f"there is a ticket {propose.id!r} already: if it is the same work, say so in a narrower one")
    if not propose.title.strip().isprintable():
        problems.append("the title must be one line")
    if not problems:
        problems = [said for id, said in ticket_problems([*known.tickets, made(propose)]) if id == propose.id]
    return Findings(problems=problems)


def write(propose: Proposal, checkout: Path) -> Written:
    """The file. Only in the checkout: on a branch of the run it would stand in the way of merging that branch there."""
    (path,) = write_tickets([made(propose)], checkout)
    return Written(id=propose.id, path=path)


def made(proposal: Proposal) -> Ticket:
    """The proposal as a ticket."""
    return Ticket(
        id=proposal.id,
        title=" ".join(proposal.title.split()),
        depends_on=proposal.depends_on,
        priority=proposal.priority,
        acceptance=[" ".join(one.split()) for one in proposal.acceptance if one.strip()],
        body=proposal.body.strip(),
    )
