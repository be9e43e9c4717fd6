"""The crash sweep and the error sweep: one operation, cut off at its n-th call that changes the disk, for every n."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import Any

from reliability import sweep_oracle as oracle
from reliability.case_server import Said
from reliability.shim import Action, Kind
from reliability.sweep_operations import Operation
from reliability.sweep_world import World

HANG = 40.0
"""Seconds. Patience with a lock that nobody gives back is the longest that an operation waits: some ten."""

_AT_ONCE = 8
"""At every eighth point the next command comes at once, when nothing that was left looks old."""

ERRORS = {
    "ENOSPC": (errno.ENOSPC, Kind.OPEN | Kind.WRITE | Kind.RENAME | Kind.LINK | Kind.MKDIR | Kind.TRUNC | Kind.SYNC),
    "EIO": (errno.EIO, Kind.CHANGES),
    "EACCES": (errno.EACCES, Kind.CHANGES & ~(Kind.WRITE | Kind.SYNC | Kind.TRUNC) | Kind.REOPEN),
    "EMFILE": (errno.EMFILE, Kind.OPEN | Kind.REOPEN),
    "EINTR": (errno.EINTR, Kind.OPEN | Kind.REOPEN | Kind.WRITE | Kind.SYNC | Kind.TRUNC),
}
"""Each error with the calls that may give it."""

LASTING = ("ENOSPC+", "EIO+", "EACCES+", "EMFILE+")
"""Those that may go on and on. EINTR does not: whoever tries again, as Python does, would do so for ever."""

CRASHES = ("kill-before", "kill-after", "tear")


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at a point: a crash, or an error at one call (`EIO`) or from one call on (`EIO+`)."""

    name: str

    @property
    def crash(self) -> bool:
        return self.name in CRASHES

    @property
    def kinds(self) -> Kind:
        """The calls that it can meet; where nothing is written there is nothing to tear."""
        if self.crash:
            return Kind.WRITE if self.name == "tear" else Kind.CHANGES
        return ERRORS[self.name.removesuffix("+")][1]

    @property
    def action(self) -> Action:
        if self.crash:
            return {"kill-before": Action.KILL_BEFORE, "kill-after": Action.KILL_AFTER, "tear": Action.TEAR}[self.name]
        return Action.FAIL_FROM if self.name.endswith("+") else Action.FAIL

    @property
    def error(self) -> int:
        return 0 if self.crash else ERRORS[self.name.removesuffix("+")][0]


@dataclass(slots=True)
class Violation:
    """A promise that did not hold, and how to see it again."""

    operation: str
    fault: str
    point: int
    call: str
    what: list[str]

    def __str__(self) -> str:
        again = f"SMITHERS_TEST_SWEEP={self.operation}:{self.fault}:{self.point} pytest tests/reliability/test_sweep.py"
        lines = "\n  ".join(self.what)
        return f"{self.operation}, {self.fault} at {self.point} ({self.call})\n  {lines}\n  again: {again} -k replay"


class Sweep:
    """The cases of one operation, in one world."""

    def __init__(self, world: World, operation: Operation) -> None:
        self.world = world
        self.operation = operation
        operation.prepare(world)
        world.smithers("ps", "--json")  # what a first look makes is there
        self.template = world.keep()
        self._expect()

    def _expect(self) -> None:
        """Let it run undisturbed, and keep what it reaches."""
        world, operation = self.world, self.operation
        world.restore(self.template)
        world.smithers(*operation.argv, codes=(operation.code,))
        self.reached = self._digest()
        world.smithers("ps", "--json")
        operation.again(world)  # twice is as good as once
        self.done = self._digest()
        self.names = oracle.names(world)
        proofs = oracle.users_own(world, operation.allowed) + oracle.index(world) + oracle.sound(world)
        assert not proofs, proofs
        world.restore(self.template)
        operation.again(world)  # as if it had never begun
        assert not oracle.differs(self.done, self._digest(), "begun by the recovery")
        self.names |= oracle.names(world)
        if operation.onward:
            operation.onward(world)
        self.ended = self._digest()

    def _digest(self) -> dict[str, Any]:
        return oracle.digest(self.world, self.operation.targets)

    def points(self, fault: Fault) -> int:
        """How many calls of the operation the fault can meet."""
        world = self.world
        world.restore(self.template)
        world.page.arm(world.root, fault.kinds, spare=not fault.crash)
        said = self._go()
        assert said.code == self.operation.code, said.err
        return world.page.counter

    def case(
        self, fault: Fault, point: int, match: str = "", *, thorough: bool = True, onward: bool = True
    ) -> Violation | None:
        """One case; None when nothing is wrong. `thorough`: git and the index too; `onward`: the run to its end.

        `match` has only calls of that name and place counted; one that never comes is a violation, too.
        """
        world = self.world
        world.restore(self.template)
        world.page.arm(world.root, fault.kinds, spare=not fault.crash)
        world.page.at(point, fault.action, fault.error, match)
        said = self._go()
        world.told = said.err
        call = self._met()
        try:
            wrong = self._judge(fault, point, said, thorough=thorough, onward=onward)
        except AssertionError as error:
            wrong = [str(error)]
        if match and not call:
            wrong.append(f"there is no call {match}")
        found = Violation(self.operation.name, fault.name, point, call, wrong)
        return found if wrong else None

    def _met(self) -> str:
        """The call at which it happened."""
        return self.world.page.what.replace(str(self.world.root) + "/", "")

    def _go(self) -> Said:
        world = self.world
        world.server.begin(world.repo, *self.operation.argv, doctor=world.doctor)
        try:
            return world.server.finish(HANG, world.page.end)
        finally:
            world.page.end()
            world.page.off()

    def _judge(self, fault: Fault, point: int, said: Said, *, thorough: bool, onward: bool) -> list[str]:
        world, operation, call = self.world, self.operation, self._met()
        died = fault.crash and world.page.dead
        wrong = [] if died else oracle.quiet(said.code, said.err)
        wrong += oracle.owners(world)
        if point % _AT_ONCE:
            world.age_locks()
        at_death = oracle.stand(world)
        named = "did not follow: " in said.err  # the landing stands, and what to type for the checkout is said
        if not died and said.code == operation.code and not operation.partial and not named:  # it says that all is well
            wrong += oracle.differs(self.reached, self._digest(), f"it said {said.code}, yet")
        world.smithers("ps", "--json")
        if thorough:
            wrong += oracle.index(world)
        operation.again(world)
        wrong += self._differs(self.done, fault, "P2")
        if not operation.forgets:
            wrong += oracle.acknowledged(world, at_death, said.err)
        wrong += oracle.once(at_death, world.done(), operation.repeats, disturbed=world.page.hits > 0)
        wrong += oracle.users_own(world, operation.allowed)
        wrong += oracle.leftovers(world, self.names, undeleted=not fault.crash and call.startswith("unlink "))
        if operation.edits:
            wrong += oracle.in_some_frame(world, operation.edits)
        if thorough:
            wrong += oracle.index(world) + oracle.sound(world)
        if onward and operation.onward:
            operation.onward(world)
            wrong += self._differs(self.ended, fault, "at the end")
        return wrong

    def _differs(self, expected: dict[str, Any], fault: Fault, what: str) -> list[str]:
        found = self._digest()
        if found != expected and not fault.crash and oracle.cut_short(self.world):
            expected, found = oracle.without_files(expected), oracle.without_files(found)
        return oracle.differs(expected, found, what)


def replayed() -> tuple[str, str, int] | None:
    """The one case that SMITHERS_TEST_SWEEP asks for."""
    told = os.environ.get("SMITHERS_TEST_SWEEP")
    if not told:
        return None
    operation, fault, point = told.split(":")
    return operation, fault, int(point)
