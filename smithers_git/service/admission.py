"""Let the agents of one run begin when the machine, which all runs of the user share, has room for them.

The engine asks before an attempt starts, not after: an agent that waits holds none of the run's own slots, and what
needs no agent goes on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final

from smithers_git.core.admission import Limits, refusal
from smithers_git.core.nodes import Task
from smithers_git.core.schedule import Start
from smithers_git.core.settings import AdmissionSettings
from smithers_git.errors import AgentError
from smithers_git.names import TaskKey
from smithers_git.service import pools
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project
from smithers_git.service.slots import Claim, Slot, Ticket

_AGAIN: Final = 0.2
"""Seconds until the next look at a machine without room, and up to half as much again."""


class Admission:
    """The slots of one run's agents. Of one thread, the engine's."""

    def __init__(self, project: Project, chain: Chain, noted: Callable[[str], None]) -> None:
        self._project, self._chain, self._noted = project, chain, noted
        self._slots = project.slots()
        self._limits = limits(project.settings.admission)
        self._held: dict[TaskKey, Slot] = {}
        self._line: dict[str, Ticket] = {}
        """By agent: the next one of each is in the line, not every task that would like to."""
        self._asked: set[str] = set()
        self._full: dict[str, str] = {}
        """Agents for which there was no room at the last look, with why."""
        self._again_at = 0.0

    def admit(self, starts: Sequence[Start]) -> list[Start]:
        """Those of `starts` that may begin now; an agent among them has its slot then."""
        return [start for start in starts if not _has_agent(start) or self._enter(start)]

    def hold(self, start: Start) -> str | None:
        """Why a task has to wait for the machine, as the last look has it; None when nothing is known against it."""
        if not self._full or not _has_agent(start):
            return None
        agent = self._agent(start)
        return self._full.get(agent) if agent else None

    def wake(self, otherwise: float | None) -> float | None:
        """When to look again, in Unix seconds: `otherwise` when nothing waits for the machine."""
        return min(self._again_at, otherwise or self._again_at) if self._full else otherwise

    def keep(self, flying: Collection[TaskKey]) -> None:
        """Give back the slots of all tasks but these, and forget what was full when it is time to look again."""
        if not self._held and not self._line:
            return
        over = [key for key in self._held if key not in flying]
        for key in over:
            self._held.pop(key).give_back()
        if over or self._project.clock.now() >= self._again_at:
            self._full.clear()
            for agent in self._line.keys() - self._asked:  # the plan wants it no more
                self._line.pop(agent).give_back()
            self._asked.clear()

    def close(self) -> None:
        """Give everything back."""
        for slot in self._held.values():
            slot.give_back()
        for ticket in self._line.values():
            ticket.give_back()
        self._held.clear()
        self._line.clear()

    def _agent(self, start: Start) -> str | None:
        task = start.item.node
        assert isinstance(task, Task)
        try:
            return pools.choose(self._project, task.agent, self._chain.state, start.key).agent
        except AgentError:  # what is wrong with it, its attempt says
            return None

    def _enter(self, start: Start) -> bool:
        agent = self._agent(start)
        if agent is None:
            return True
        if agent in self._full:
            return False
        now = self._project.clock.now()
        claim = Claim(agent, self._chain.run, str(start.key), str(self._project.worktree), now)
        ticket = self._line.get(agent)
        rule = (lambda _: None) if self._is_covered() else partial(refusal, self._limits, agent=agent)
        found = self._slots.take(claim, ticket, rule)
        self._asked.add(agent)
        if isinstance(found, Slot):
            self._held[start.key] = found
            if ticket is not None:
                self._line.pop(agent).give_back()
            return True
        self._full[agent] = found
        self._again_at = now + _AGAIN * (1 + self._project.clock.jitter() / 2)
        if ticket is None:
            ticket = self._line[agent] = self._slots.queue(claim)
        if not ticket.claim.reason:
            self._noted(f"{start.key} waits for its turn on this machine: {found}")
        ticket.tell(found)
        return False

    def _is_covered(self) -> bool:
        """Whether this run was started by an agent at work, and has none at work itself.

        That agent waits for this run, on its own slot: were it to wait for another one, both could wait for ever.
        """
        told = [self._project.environ.get(f"SMITHERS_{name}") for name in ("RUN", "NODE", "ITERATION")]
        if self._held or None in told:
            return False
        outer = (told[0], str(TaskKey(str(told[1]), int(str(told[2])))))
        return any((claim.run, claim.node) == outer for claim in self._slots.working())


def _has_agent(start: Start) -> bool:
    return isinstance(start.item.node, Task) and start.item.node.kind == "agent"


def limits(settings: AdmissionSettings) -> Limits:
    return Limits(settings.max_agents, settings.memory, settings.slots, settings.gap)


def in_line(project: Project, run: str) -> list[Claim]:
    """The agents of a run that wait for the machine."""
    here = str(project.worktree)
    return [claim for claim in project.slots().waiting() if (claim.run, claim.place) == (run, here)]
