"""The outside of a merge queue, simulated: gates and hooks, the branch that is landed on, and who waits for whom."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from kit.memory_git import MemoryObjects
from kit.memory_merge import MemoryMerger
from reliability.simulate.baton import FOREVER

from smithers_git.core import commit_message
from smithers_git.edge.git.hooks import HookOutcome
from smithers_git.service.lanes import GateOutcome

if TYPE_CHECKING:
    from reliability.simulate.outside import SimLock, SimProject
    from reliability.simulate.world import Process, World

ADA = "Ada <ada@example.test>"
_LOOK = 1.0
"""Virtual seconds between two looks of somebody who waits for an entry: each costs a turn."""


class SimSite:
    """A branch as the merge queue of one process reaches it: `service.landing.site.Site`, without a disk."""

    def __init__(self, project: SimProject, target: str) -> None:
        self._project, self._target = project, target
        self._world = project.process.world

    def merger(self, objects: MemoryObjects) -> Any:
        return MemoryMerger(objects, ADA)

    def titles(self, base: str, tip: str, *paths: str) -> list[str]:
        return []

    def tickets(self, tip: str) -> Collection[str]:
        found, commit = set[str](), self._project.objects.read_commit(tip)
        while True:
            ticket, entry = (commit_message.trailer(commit.message, name) for name in _TRAILERS)
            found |= {ticket} if ticket and entry else set()
            if not commit.parents:
                return found
            commit = self._project.objects.read_commit(commit.parents[0])

    def env(self) -> str:
        return "simulated"

    def has_hooks(self) -> bool:
        return bool(self._world.landings.hooked)

    def width(self) -> int:
        return self._world.landings.lanes

    def lanes(self) -> Any:
        return SimLanes(self._project.process)

    def lock(self) -> SimLock:
        return self._project.lock(f"queue/{self._target.removeprefix('refs/heads/')}")

    def checkouts(self) -> tuple[str, ...]:
        return ()

    def obstacle(self, old: str, new: str) -> str | None:
        """The user has changes in a checkout of the branch, for a while."""
        begin, end = self._world.landings.blocked
        return "there are uncommitted changes" if begin <= self._world.now < end and not self._world.calm else None

    def move(self, old: str, new: str, title: str) -> None:
        world = self._world
        number, world.moves = world.moves, world.moves + 1
        if number in world.landings.races and not world.calm:
            world.race()
            self._project.process.sleep(0.1)
        self._project.objects.advance(self._target, old, new)

    def catch_up(self, tip: str | None) -> Iterator[str]:
        return iter(())  # nobody has the branch checked out

    def follow(self, old: str, new: str, *, moved: bool, down: bool) -> Iterator[str]:
        return iter(())


_TRAILERS = (commit_message.TICKET, commit_message.ENTRY)


class SimLanes:
    """Gates and hooks: they take their time, and say what the files of the tree make them say, or what goes wrong."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def verify(self, tree: str, commit: str | None, gate: str, cancel: Any) -> GateOutcome:
        world, process = self._process.world, self._process
        number, said = world.gates, world.landings
        world.gates += 1
        began = world.now
        process.park(began + said.takes[number % len(said.takes)], cancel.is_set)
        outcome = "failed" if said.is_red(_names(world, tree), gate) else "passed"
        odd = None if world.calm else said.odd.get(number)
        if cancel.is_set() or odd == "break":
            return GateOutcome("broken", None, world.now - began, "", "it was ended")
        if odd == "flake":
            outcome = "passed" if outcome == "failed" else "failed"
        world.checker.queues.gate_ran(tree, gate, outcome)
        return GateOutcome(outcome, int(outcome == "failed"), world.now - began, "", "")  # type: ignore[arg-type]

    def hooks(self, before: str, commit: str, style: str, cancel: Any) -> HookOutcome:
        world = self._process.world
        self._process.park(world.now + 0.5, cancel.is_set)
        if cancel.is_set():
            return HookOutcome(False, "", "it was ended", broken=True)
        tree = world.project("hook").objects.read_commit(commit).tree
        passed = not (_names(world, tree) & set(world.landings.refused))
        world.checker.queues.hooks_ran(commit, passed)
        return HookOutcome(passed, "" if passed else "pre-commit", "")


def _names(world: World, tree: str) -> set[str]:
    return set(MemoryObjects(world.store).read_tree(tree))


class SimCondition:
    """What threads of one process wait for. They take turns anyway, so it is no lock."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._told = 0
        self._tells = False

    def __enter__(self) -> SimCondition:
        return self

    def __exit__(self, *_: object) -> None:
        if self._tells:  # whoever waits for it gets on now, before the lock is taken again
            self._tells = False
            self._process.sleep(0.0)

    def wait(self, timeout: float | None = None) -> None:
        told, world = self._told, self._process.world
        wakes: Callable[[], bool] = lambda: self._told != told  # noqa: E731 - it is one line
        self._process.park(FOREVER if timeout is None else world.now + max(timeout, _LOOK), wakes)

    def notify_all(self) -> None:
        self._told += 1
        self._tells = True
