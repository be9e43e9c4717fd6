"""How the tickets stand: those of a run, or those of the checkout with the newest run that works on them.

A run works on tickets when it has a task `survey` (and `survey-1`, … after a resume) whose output is a `Survey`, and a
ticket's tasks are called `TICKET.implement`, `TICKET.review`, `TICKET.land`, in a loop `TICKET.loop`, as in `kanban`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from smithers_git.core.board import Board, Card, Survey, blocked_tickets
from smithers_git.core.records import Landing
from smithers_git.core.state import NodeState, State
from smithers_git.core.ticket import Ticket
from smithers_git.edge.git.command import git
from smithers_git.errors import RunRefused
from smithers_git.names import TaskKey
from smithers_git.service import runs
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project
from smithers_git.service.tickets import landed_tickets, read_tickets

M = TypeVar("M", bound=BaseModel)

WORKFLOW: Final = "kanban"
_SURVEY: Final = re.compile(r"survey(?:-([0-9]{1,9}))?")
_STEPS: Final = ("ticket", "merge", "implement", "markers", "check", "review", "approve", "land")


@dataclass(slots=True)
class View:
    """A board as it stands now."""

    cards: list[Card]
    onto: str
    run: str | None = None
    status: runs.RunStatus | None = None
    notes: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    """Why a ticket file of the checkout cannot be used, by path."""
    ahead: int = 0
    """How many commits `onto` has that the user's HEAD does not have."""


def of_run(project: Project, run: str) -> View:
    """The board of a run; raises RunRefused when it works on no tickets."""
    found = _Run(project.chain(run))
    if not found.surveys:
        raise RunRefused(
            f"run {run} works on no tickets (yet)", hint="smithers board without a run shows those of the checkout"
        )
    survey = found.surveys[-1]
    cards = found.cards(survey.tickets, survey.landed)
    status = runs.status(project, found.state)
    return View(cards, survey.onto, run, status, found.notes(), ahead=_ahead(project, survey.onto))


def of_checkout(project: Project) -> View:
    """The tickets of the user's checkout, as the newest run of `kanban` and the history have them."""
    shelf = read_tickets(project.worktree)
    newest = _newest(project)
    onto = newest.surveys[-1].onto if newest else project.settings.landing.branch
    landed = landed_tickets(project.worktree, [f"refs/heads/{onto.removeprefix('refs/heads/')}", "HEAD"])
    tickets = sorted(shelf.tickets, key=lambda one: (-one.priority, one.id))
    ahead = _ahead(project, onto)
    if newest is None:
        return View(_resting(tickets, landed, {}), onto, broken=shelf.broken, ahead=ahead)
    status = runs.status(project, newest.state)
    return View(newest.cards(tickets, landed), onto, newest.state.run, status, newest.notes(), shelf.broken, ahead)


def _ahead(project: Project, onto: str) -> int:
    branch = f"refs/heads/{onto.removeprefix('refs/heads/')}"
    trees = git(project.worktree, "rev-parse", "-q", "HEAD^{tree}", f"{branch}^{{tree}}", "--", check=False).split()
    if len(trees) < 2 or trees[0] == trees[1]:
        return 0  # there is none, or its work came home squashed
    return int(git(project.worktree, "rev-list", "--count", f"HEAD..{branch}", "--", check=False) or 0)


def _newest(project: Project) -> _Run | None:
    for view in runs.views(project):
        if view.row.workflow.rpartition("/")[2] == WORKFLOW:
            found = _Run(project.chain(view.row.run))
            if found.surveys:
                return found
    return None


class _Run:
    """What the frames of a run say about its tickets."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.state: State = chain.state
        numbers = {int(match[1] or 0): name for name in self.state.latest if (match := _SURVEY.fullmatch(name))}
        looks = [self._load(Survey, TaskKey(numbers[number])) for number in sorted(numbers)]
        self.surveys = [look for look in looks if look is not None]
        self.board = self._load(Board, TaskKey("board"))

    def notes(self) -> list[str]:
        """What was noticed about the tickets on the way."""
        return self.board.notes if self.board else [note for look in self.surveys for note in look.notes]

    def cards(self, tickets: Iterable[Ticket], landed: dict[str, str]) -> list[Card]:
        """A card for each of `tickets`, and for what was begun although its file is gone."""
        known = {one.id: one for look in self.surveys for one in look.tickets}
        wanted = {one.id: one for one in tickets}
        begun = {id: self._begun(one) for id, one in {**known, **wanted}.items() if self._steps(id)}
        rest = [one for id, one in wanted.items() if id not in begun]
        return [*begun.values(), *_resting(rest, landed, begun)]

    def _load(self, model: type[M], key: TaskKey) -> M | None:
        path = self.state.node(key).output
        try:
            return model.model_validate(self.chain.load(path)) if path else None
        except ValidationError:
            return None  # a task of another workflow that happens to have this name

    def _steps(self, id: str) -> dict[str, NodeState]:
        """What happened in the newest pass of a ticket, by step."""
        number = self.state.loop(f"{id}.loop").iteration
        nodes = {step: self.state.nodes.get(TaskKey(f"{id}.{step}", number)) for step in _STEPS}
        return {step: node for step, node in nodes.items() if node is not None}

    def _begun(self, ticket: Ticket) -> Card:
        id, loop, steps = ticket.id, self.state.loop(f"{ticket.id}.loop"), self._steps(ticket.id)
        card = Card(ticket=id, title=ticket.title, column="doing", passes=loop.iteration + 1)
        landing = self._load(Landing, TaskKey(f"{id}.land", loop.iteration))
        if landing is not None and landing.landed:
            return card.model_copy(update={"column": "landed", "commit": landing.commit})
        if loop.finished is not None:
            return card.model_copy(update={"column": "failed", "why": self._why(id, steps, landing)})
        if _in_flight(steps, "land"):
            return card.model_copy(update={"column": "queued"})
        if _in_flight(steps, "approve"):
            return card.model_copy(update={"column": "review", "why": "waits for a person"})
        if _in_flight(steps, "review"):
            return card.model_copy(update={"column": "review"})
        step = next((name for name in reversed(_STEPS) if name in steps), "")
        return card.model_copy(update={"why": f"pass {loop.iteration + 1}: {step}"})

    def _why(self, id: str, steps: dict[str, NodeState], landing: Landing | None) -> str:
        """Why a ticket was given up: as the run says at its end, until then as far as its state tells."""
        said = next((card.why for card in self.board.failed if card.ticket == id), "") if self.board else ""
        broken = next((f"{step} failed: {node.error}" for step, node in steps.items() if node.status == "failed"), "")
        refused = f"the queue refused it ({landing.reason})" if landing else ""
        many = self.state.loop(f"{id}.loop").iteration + 1
        return said or broken or refused or f"given up after {many} pass{'es' * (many > 1)}"


def _in_flight(steps: dict[str, NodeState], step: str) -> bool:
    """Whether a step has begun and has not ended; one that was cut off goes on at the next resume."""
    node = steps.get(step)
    return node is not None and (
        node.status in ("running", "waiting") or (node.status == "pending" and node.attempt > 0)
    )


def _resting(tickets: Iterable[Ticket], landed: dict[str, str], begun: dict[str, Card]) -> list[Card]:
    """Cards of tickets that no run has begun: landed before, blocked, or to do."""
    tickets = list(tickets)
    home = landed.keys() | {id for id, card in begun.items() if card.column == "landed"}
    failed = {id: card.why for id, card in begun.items() if card.column == "failed"}
    working = {id: Ticket(id=id, title=card.title) for id, card in begun.items() if id not in home | failed.keys()}
    stuck = blocked_tickets([*tickets, *working.values()], home, failed, working)
    cards = []
    for ticket in tickets:
        needs = [need for need in ticket.depends_on if need not in home]
        card = Card(ticket=ticket.id, title=ticket.title, column="todo", by=needs)
        if ticket.id in landed:
            card = card.model_copy(update={"column": "landed", "commit": landed[ticket.id], "before": True, "by": []})
        elif ticket.id in stuck:
            card = stuck[ticket.id]
        elif needs:
            card = card.model_copy(update={"why": f"waits for {', '.join(needs)}"})
        cards.append(card)
    return cards
