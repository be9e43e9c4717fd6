"""May a run still spend? Its own budget and that of the day, against what frames say was spent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from smithers_git.clock import midnight
from smithers_git.core import budget
from smithers_git.core import events as ev
from smithers_git.core.budget import Over, Spent
from smithers_git.core.nodes import Budget
from smithers_git.core.settings import BudgetSettings
from smithers_git.core.state import State
from smithers_git.errors import FormatError, GitError, RefMoved, RunRefused
from smithers_git.names import REWOUND
from smithers_git.service import archive
from smithers_git.service.append import append
from smithers_git.service.frames import Chain, read_frame
from smithers_git.service.project import Project

_FRESH: Final = 1.0
"""Seconds for which what all other runs have spent today is taken as known."""


@dataclass(frozen=True, slots=True)
class _Seen:
    time: float
    spent: Spent
    before: str | None


@dataclass
class Day:
    """What all runs of a repository have spent since midnight, read from frames.

    Each frame counts once, however many runs reach it: a fork's part that is its parent's, and the tail that a rewind
    left, which is spent all the same. Frames never change, so each is read once.
    """

    project: Project
    _known: dict[str, _Seen] = field(default_factory=dict)
    _unreadable: set[str] = field(default_factory=set)

    def spent(self, now: float) -> Spent:
        since, total, counted = midnight(now), Spent(), set[str]()
        for tip in self._tips():
            for commit, seen in self._back(tip, since):
                if commit in counted:
                    break
                counted.add(commit)
                total += seen.spent
        return total

    def _tips(self) -> Iterator[str]:
        objects = self.project.objects
        yield from self.project.tips().values()
        yield from objects.refs(REWOUND).values()
        yield from (oid for name, oid in archive.refs(objects).items() if name.startswith(REWOUND))

    def _back(self, tip: str, since: float) -> Iterator[tuple[str, _Seen]]:
        """The frames from `tip` back to `since`, newest first."""
        commit: str | None = tip
        while commit is not None:
            seen = self._look(commit)
            if seen is None or seen.time < since:
                return
            yield commit, seen
            commit = seen.before

    def _look(self, commit: str) -> _Seen | None:
        if commit not in self._known and commit not in self._unreadable:
            try:
                frame = read_frame(self.project.objects, commit)
            except (FormatError, GitError):  # a damaged run is doctor's business, and must not stop the others
                self._unreadable.add(commit)
                return None
            self._known[commit] = _Seen(frame.data.time, budget.spent_in(frame.data.events), frame.before)
        return self._known.get(commit)


_NONE: Final = Budget()


class Purse:
    """What one run may still spend."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.settings: BudgetSettings = project.settings.budget
        self.daily = self.settings.day
        self._day = Day(project)
        self._looked: tuple[float, int, float] | None = None
        self._today = Spent()
        self._blind: set[str] = set()

    def look(self, state: State) -> Over | None:
        """The limit that keeps the run from starting anything; None while there is room."""
        if state.budget != _NONE:
            found = budget.over(Spent(state.cost, state.tokens), state.budget, self.settings.soft, "budget")
            if found is not None:
                return found
        if self.daily == _NONE:
            return None
        return budget.over(self._spent_today(state), self.daily, self.settings.soft, "day")

    def parking(self, parked: ev.RunParked, state: State) -> ev.RunParked | ev.RunResumed:
        """What is to be said of a run that is to be parked: its limit may be another or a higher one by now."""
        if parked.kind == "disk":
            return parked
        over = self.look(state)
        return ev.RunResumed() if over is None else ev.RunParked(reason=over.text, kind=over.kind)

    def is_raised(self, parked: ev.RunParked | None, state: State) -> bool:
        """Whether nothing keeps a run any more that was to be parked for a budget."""
        return parked is not None and isinstance(self.parking(parked, state), ev.RunResumed)

    def unpriced(self, state: State, told: Sequence[ev.Event]) -> Iterator[str]:
        """What the person must know of agents that used tokens and named no price: a limit in dollars is blind to them.

        Once for each agent.
        """
        if state.budget.usd is None and self.daily.usd is None:
            return
        for event in told:
            if (
                not isinstance(event, ev.TaskFinished | ev.TaskFailed)
                or event.agent is None
                or event.agent in self._blind
            ):
                continue
            if event.usage is not None and event.cost is None:
                self._blind.add(event.agent)
                yield f"{event.agent} names no price: a budget in dollars does not see it, one in tokens does"

    def _spent_today(self, state: State) -> Spent:
        now = self.project.clock.now()
        stale = self._looked is None or self._looked[:2] != (state.cost, state.tokens)
        if stale or self._looked is None or not 0 <= now - self._looked[2] < _FRESH:
            self._today = self._day.spent(now)
            self._looked = (state.cost, state.tokens, now)
        return self._today


def for_new_run(project: Project, own: Budget | None, given: Budget | None) -> ev.RunBudgeted | None:
    """The budget of a run that begins: what the person gave, else the lower of the workflow's and the configured one.

    Args:
        own: the workflow's; None when it names none.
        given: the person's; an empty one takes every limit away, None leaves them.
    """
    if given == _NONE:
        return None
    usual = budget.lower(own or _NONE, project.settings.budget.run)
    wanted = budget.merged(usual, given or _NONE)
    return None if wanted == _NONE else ev.RunBudgeted(usd=wanted.usd, tokens=wanted.tokens, by=_who(project, given))


def left(state: State) -> ev.RunBudgeted | None:
    """What a run that continues as a new one hands on of its budget: else a circle of runs would spend without end."""
    limit = state.budget
    if limit == _NONE:
        return None
    usd = None if limit.usd is None else max(0.0, round(limit.usd - state.cost, 6))
    tokens = None if limit.tokens is None else max(0, limit.tokens - state.tokens)
    return ev.RunBudgeted(usd=usd, tokens=tokens)


def _who(project: Project, given: Budget | None) -> str:
    return project.who() if given else ""


def change(project: Project, run: str, given: Budget) -> Budget:
    """Give a run another budget; the limits that `given` does not name stay. Returns what holds now.

    Raises RunRefused, with the figures, when that would leave nothing to spend.
    """
    by, soft = project.who(), project.settings.budget.soft
    wanted = given

    def decide(chain: Chain) -> list[ev.Event]:
        nonlocal wanted
        state = chain.state
        if state.end == "finished":
            raise RunRefused(f"run {run} is finished: it spends nothing any more", hint=f"smithers inspect {run}")
        wanted = given if given == _NONE else budget.merged(state.budget, given)
        spent = Spent(state.cost, state.tokens)
        found = budget.over(spent, wanted, soft, "budget")
        if found is not None:
            raise RunRefused(
                f"run {run} could not go on with that: {found.text}", hint=budget.raising(run, spent, wanted, soft)
            )
        same = wanted == state.budget
        return [] if same else [ev.RunBudgeted(usd=wanted.usd, tokens=wanted.tokens, by=by)]

    append(project, run, decide)
    return wanted


def require(project: Project, state: State) -> None:
    """Refuse to go on with a run that was parked for a budget while that is still spent; raises RunRefused."""
    refuse(project, state, spent_still(project, state))


def refuse(project: Project, state: State, found: Over | None) -> None:
    """Say why a parked run cannot go on, and what to type; nothing when it can. Raises RunRefused."""
    if found is None:
        return
    command = budget.goes_on(state, project.settings.budget.soft)
    hint = command if found.kind == "budget" else f"after midnight, or with a higher [budget] day_…: {command}"
    raise RunRefused(f"run {state.run} is parked: {found.text}", hint=hint)


def spent_still(project: Project, state: State) -> Over | None:
    """The limit for which the run was parked, or another one, when that still keeps it from starting anything."""
    return Purse(project).look(state) if state.parked_for in ("budget", "day") else None


def look_again(project: Project, chain: Chain) -> Over | None:
    """As `spent_still`, by the owner of the run: when that is the other limit now, the run says so."""
    state = chain.state
    found = spent_still(project, state)
    if found is not None and found.kind != state.parked_for and state.end is None:
        chain.add(ev.RunParked(reason=found.text, kind=found.kind), project.clock.now())
        try:
            chain.commit()
        except RefMoved:  # whoever looks next says it
            chain.reload()
    return found
