"""Bring tickets home: each is implemented in a worktree of its own, and lands as soon as it is green and may go.

survey -> every ticket: ( [merge what landed ->] implement -> check -> review [-> approve] -> land ) -> board

A ticket begins when all that it depends on has landed; there are no waves. What the merge queue refuses goes back into
the ticket's next pass with the evidence. Tickets that landed before are passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final

from smithers_git import (
    Board,
    Card,
    Context,
    MergeQueue,
    Node,
    Sequence,
    Survey,
    Task,
    WorkflowError,
    blocked_tickets,
    survey_tickets,
    workflow,
)

from .models import Request
from .work import Work, is_begun

AHEAD: Final = 100
"""Tickets in the plan of which nothing was begun: a plan is made again after every step, at 0.5 ms a ticket."""


@workflow(input=Request)
def kanban(ctx: Context[Request]) -> Node:
    """Bring tickets home: each in a worktree of its own, landing as soon as it is green and may go."""
    command = _command(ctx)
    # Whatever happened to the files while nobody looked is found out at each resume.
    names = ["survey", *(f"survey-{number}" for number in range(1, ctx.resumes + 1))]
    found = [survey for name in names if (survey := ctx.latest(Survey, name)) is not None]
    looks = [
        Task(name, call=_look(ctx, found[:number][-1] if found[:number] else None), retries=0)
        for number, name in enumerate(names)
    ]
    if not found:
        return Sequence(looks)
    works = _works(ctx, found)
    here = {id: work for id, work in works.items() if work.landed}
    return Sequence(
        looks,
        MergeQueue(
            [work.node(command, here) for work in works.values()],
            onto=found[-1].onto,
            style=ctx.input.style,
            max_concurrency=ctx.input.max_concurrency,
        ),
        Task("board", value=_board(found, works)),
        Task("strict", call=_all_landed, retries=0) if ctx.input.strict else None,
    )


def _command(ctx: Context[Request]) -> list[str]:
    """The project's check. Without one, nothing could say when a ticket is done: refused before a token is spent."""
    if not ctx.check:
        raise WorkflowError(
            "kanban needs the project's check command, and none is configured or was found",
            hint='set check = "…" in .smithers/config.toml, say check = "make test"; smithers init writes the file',
        )
    return ctx.check


def _look(ctx: Context[Request], before: Survey | None) -> Callable[..., Survey]:
    base, onto, only = ctx.base, ctx.input.onto, ctx.input.tickets

    def look(checkout: Path) -> Survey:
        return survey_tickets(checkout, base, onto=onto, only=only, before=before)

    return look


def _works(ctx: Context[Request], found: list[Survey]) -> dict[str, Work]:
    """The tickets that are worked on, or may be now, in their order.

    One that was begun goes on, even when its file is gone. One that was not begins when all it depends on has landed;
    of those that may, the first AHEAD are in the plan, and as they begin others come after them.
    """
    survey = found[-1]
    known = {one.id: one for look in found for one in look.tickets}
    now = {one.id: one for one in survey.tickets}
    order = {**now, **known}
    works = {id: Work(ctx, now.get(id, known[id]), survey) for id in order if is_begun(ctx, id)}
    home = {id for id, work in works.items() if work.landed} | survey.landed.keys()
    ready = (
        id
        for id, ticket in now.items()
        if id not in works and id not in home and all(need in home for need in ticket.depends_on)
    )
    works |= {id: Work(ctx, now[id], survey) for id in islice(ready, AHEAD)}
    return {id: works[id] for id in order if id in works}


def _board(found: list[Survey], works: dict[str, Work]) -> Board:
    """How every ticket ended."""
    survey = found[-1]
    cards = [work.card for work in works.values()]
    landed = [card for card in cards if card.column == "landed"]
    failed = [card for card in cards if card.column == "failed"]
    before = [
        Card(ticket=one.id, title=one.title, column="landed", commit=survey.landed[one.id], before=True)
        for one in survey.tickets
        if one.id in survey.landed and one.id not in works
    ]
    home = {card.ticket for card in landed} | survey.landed.keys()
    given_up = {card.ticket: card.why for card in failed}
    late = [work.id for work in works.values() if work.landed and work.text != work.ticket]
    return Board(
        landed=landed,
        failed=failed,
        blocked=list(blocked_tickets(survey.tickets, home, given_up).values()),
        skipped=before,
        notes=[
            *(note for look in found for note in look.notes),
            *(f"ticket {id} landed as it was before it was edited" for id in late),
        ],
    )


def _all_landed(board: Board) -> None:
    left = [*board.failed, *board.blocked]
    if left:
        many = len(board.landed) + len(board.skipped) + len(left)
        said = "; ".join(f"{card.ticket} ({card.column}: {card.why})" for card in left)
        raise WorkflowError(f"{len(left)} of {many} tickets did not land: {said}", hint="smithers board shows them")
