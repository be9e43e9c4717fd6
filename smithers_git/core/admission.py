"""May one more agent begin on this machine? Pure: from what there is at one moment to a reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from smithers_git.core import amounts

NEED: Final = 3 << 29
"""Bytes that an agent is expected to take: CLI, language servers and a build. 1.5 GiB."""
MOST: Final = 16
"""Agents at once when no number is configured, however much memory there is."""
GROWTH: Final = 20.0
"""Seconds after which the memory of an agent shows in what the machine says is free."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is allowed. `slots` is the most of one agent at once, `gap` the seconds between two that begin."""

    max_agents: int | None = None
    min_free_memory: int = 0
    slots: Mapping[str, int] = field(default_factory=dict)
    gap: float = 0.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is at one moment."""

    now: float
    """Unix seconds."""
    memory: int
    """Bytes that are free."""
    working: tuple[tuple[str, float], ...] = ()
    """The agents at work: name, and the Unix seconds at which each began."""
    ahead: tuple[str, ...] = ()
    """The agents of those who wait for longer."""


def refusal(limits: Limits, machine: Machine, agent: str) -> str | None:
    """Why `agent` may not begin now; None when it may. Who waits for longer goes first, unless it could not begin."""
    ahead = machine.ahead.count(agent)
    room = _room(limits, machine, agent)
    if room is not None and room - ahead <= 0:
        return _at_work(_number(machine, agent), limits.slots[agent], f"{agent} ") + _line(ahead)
    if machine.memory < limits.min_free_memory:
        free, least = amounts.shown(machine.memory), amounts.shown(limits.min_free_memory)
        return f"this machine has {free} of memory free, [admission] min_free_memory asks for {least}"
    first = sum(_could(limits, machine, name) for name in set(machine.ahead))
    most = capacity(limits, machine)
    if len(machine.working) + first >= most:
        return _at_work(len(machine.working), most) + _line(first)
    newest = max((began for _, began in machine.working), default=0.0)
    if 0 <= machine.now - newest < limits.gap:
        return "another agent began on this machine a moment ago"
    return None


def capacity(limits: Limits, machine: Machine) -> int:
    """Agents at once: the configured number, else what memory carries, at least 1 and at most MOST."""
    if limits.max_agents is not None:
        return limits.max_agents
    young = sum(0 <= machine.now - began < GROWTH for _, began in machine.working)
    more = max(0, machine.memory - young * NEED) // NEED
    return max(1, min(MOST, len(machine.working) + more))


def _number(machine: Machine, agent: str) -> int:
    return sum(name == agent for name, _ in machine.working)


def _room(limits: Limits, machine: Machine, agent: str) -> int | None:
    """Free slots of one agent; None when it has no number of its own."""
    limit = limits.slots.get(agent)
    return None if limit is None else limit - _number(machine, agent)


def _could(limits: Limits, machine: Machine, agent: str) -> int:
    """How many of those who wait for `agent` could begin, were it only for its own slots."""
    room, wanted = _room(limits, machine, agent), machine.ahead.count(agent)
    return wanted if room is None else max(0, min(wanted, room))


def _at_work(number: int, most: int, agent: str = "") -> str:
    are = "agents are" if most != 1 else "agent is"
    return f"{number} of {most} {agent}{are} at work on this machine"


def _line(ahead: int) -> str:
    return f", {ahead} before this one" if ahead else ""
