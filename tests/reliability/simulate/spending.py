"""Budgets, looked at from outside: nothing starts that may not be paid, and nothing is parked that may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reliability.simulate.rules import Violation

from smithers_git.clock import midnight
from smithers_git.core import events as ev
from smithers_git.core.nodes import Budget
from smithers_git.core.state import State

if TYPE_CHECKING:
    from reliability.simulate.world import Process, World

_LATE = 1.5
"""Virtual seconds after which an engine must know what other runs have spent."""


def used_of(usage: ev.Usage | None) -> int:
    """Tokens that count against a budget."""
    return usage.input + usage.output if usage else 0


class Spending:
    """What all runs have spent, as the frames tell."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._paid: list[tuple[float, float, str, float, int]] = []
        """(Unix seconds of the frame, virtual seconds, run, dollars, tokens)."""

    def check(self, process: Process, state: State, event: ev.Event, at: float) -> None:
        """Look whether `event` may follow `state`, as far as money is concerned, and note what it cost."""
        problem = self._problem(process, state, event, at)
        if problem is not None:
            raise Violation(f"budget: {problem} (frame {state.number + 1} of {state.run})")
        if isinstance(event, ev.TaskFinished | ev.TaskFailed | ev.TaskInterrupted):
            self._paid.append((at, self._world.now, state.run, event.cost or 0.0, used_of(event.usage)))

    def _problem(self, process: Process, state: State, event: ev.Event, at: float) -> str | None:
        talking = self._world.scenario.talking
        if talking is None:
            return None
        if isinstance(event, ev.TaskStarted):
            if _over(state.cost, state.tokens, state.budget, talking.soft):
                return f"{event.node} starts although {state.cost:g} $ and {state.tokens} tokens are spent"
            if _over(*self._today(process, state.run, at), Budget(tokens=talking.day), talking.soft):
                return f"{event.node} starts although the budget of the day is spent"
        parks = isinstance(event, ev.RunParked) and event.kind == "budget"
        if parks and not _over(state.cost, state.tokens, state.budget, talking.soft):
            return f"the run is parked for its budget, of which {state.cost:g} $ and {state.tokens} are spent"
        return None

    def _today(self, process: Process, run: str, at: float) -> tuple[float, int]:
        """What was spent today, as far as the engine must know."""
        world = self._world
        if world.scenario.jumps or world.now - process.woke < _LATE:
            return 0.0, 0
        since = midnight(at)
        known = [
            (usd, tokens)
            for moment, virtual, whose, usd, tokens in self._paid
            if moment >= since and (whose == run or virtual < world.now - _LATE)
        ]
        return sum(usd for usd, _ in known), sum(tokens for _, tokens in known)


def _over(usd: float, tokens: int, budget: Budget, soft: float) -> bool:
    pairs = ((usd, budget.usd), (tokens, budget.tokens))
    return any(limit is not None and amount >= soft * limit for amount, limit in pairs)
