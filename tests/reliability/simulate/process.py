"""One simulated process: its threads, what it has told and written, and how it is stopped at any deed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from reliability.simulate.baton import FOREVER, Actor, Killed
from reliability.simulate.rules import Violation

from smithers_git.names import TaskKey
from smithers_git.service.drive import Drive

if TYPE_CHECKING:
    from kit.memory_git import MemoryJournaled
    from reliability.simulate.world import World

_DEED = 0.0002
"""Virtual seconds that one deed takes."""
_PATIENCE = 4.0
_IDLE = 4000
"""Deeds of which none moves a ref, after which somebody turns in a circle."""


class Process:
    """A process: an engine with its workers, or a command that a person typed. It can be killed at every deed."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.pid = next(world.pids)
        self.dead = False
        self.robbed = False
        """Somebody took the lock of its run away while it was stopped."""
        self.told = False
        self.woke = 0.0
        """Virtual seconds at which it went on after a stop."""
        self.mute = False
        """Its disk was so full that it could not even write how it left its run."""
        self.lost = False
        """A result of its attempts will never come."""
        self.drive: Drive | None = None
        self.actors: list[Actor] = []
        self.writes: dict[object, tuple[tuple[str, ...], bytes]] = {}
        """What its programs have written and not finished."""
        self.journals: list[tuple[Actor | None, MemoryJournaled]] = []
        """As which its engines write, with the thread of each."""

    def begin(self, name: str, work: Callable[[], None], *, steady: bool = False) -> None:
        actor = Actor(f"{self.name} {name}", work, steady=steady)
        self.actors.append(actor)
        self.world.actors.append((self, actor))

    def step(self, what: str, name: str) -> None:
        """One deed that others can see. What can go wrong goes wrong here."""
        world = self.world
        if world.actor is None:  # the world itself looks
            return
        if self.dead:
            raise Killed
        world.steps += 1
        world.now += _DEED
        if world.steps > world.last + _IDLE:
            raise Violation(f"I5: {self.name} looks again and again, and does nothing")
        if what == "swapped":
            world.version += 1
            world.last = world.steps
            world.checker.swapped(self, name)
            if world.between and world.checker.continues(name):
                world.between = False
                world.kill(self)
                raise Killed
        if world.steps >= world.next_fault:
            world.fault(self, what)

    def park(self, until: float = FOREVER, wakes: Callable[[], bool] | None = None) -> None:
        actor = self.world.actor
        assert actor is not None
        actor.park(until, wakes)

    def work(
        self, attempt: tuple[str, TaskKey, int], folder: tuple[str, ...], seconds: float, cancelled: Callable[[], bool]
    ) -> str:
        """Write a file in part and take that time, as what an attempt does; returns the name of that file."""
        run, key, number = attempt
        half, unfinished = f"half-{key}.{number}", f"{run} {key} attempt {number}".encode()
        self.world.folders[folder][half] = unfinished
        self.writes[key, number] = (folder, unfinished)
        self.park(self.world.now + seconds, cancelled)
        del self.writes[key, number]
        return half

    def hides_nothing(self) -> None:
        """The engine of this thread waits: by then everybody sees its frames."""
        hidden = [one for actor, one in self.journals if actor is self.world.actor and one.hides]
        if hidden:
            raise Violation(f"I5: {self.name} waits, and nobody else sees its newest frames")

    def until_free(self, free: Callable[[], bool]) -> None:
        """Wait for the lock of a ref, as long as the product does."""
        if self.world.actor is not None:
            self.park(self.world.now + _PATIENCE, free)

    def sleep(self, seconds: float) -> None:
        self.park(self.world.now + seconds)

    def waits_to_land(self) -> bool:
        """Whether its engine has something in a merge queue: it then looks now and then whether that gets on."""
        engine = self.drive.engine if self.drive else None
        return engine is not None and "desk" in vars(engine.performer)

    def drives_two(self) -> bool:
        """Whether a run of it uses another one of it: that one looks now and then whether it is to stop."""
        return sum(owner is self for owner in self.world.locks.values()) > 1

    def due(self) -> float | None:
        """The virtual moment at which something is due in a run that one of its engines drives."""
        world = self.world
        states = [world.checker.lines[run].state for run in world.locks if self.drives(run)]
        found = [after for state in states if (after := world.until_due(state)) is not None]
        return world.now + min(found) if found else None

    def drives(self, run: str) -> bool:
        """Whether it owns that run, whose frame 0 is there."""
        return self.world.locks.get(run) is self and run in self.world.checker.lines
