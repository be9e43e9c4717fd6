"""The world around the engines: who runs, when, and what goes wrong. One baton, one clock, one source of chance."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from kit.memory_git import MemoryObjects, Store
from reliability.simulate import flow
from reliability.simulate.agents import Agents
from reliability.simulate.baton import FOREVER, Actor, Killed
from reliability.simulate.checker import Checker
from reliability.simulate.outside import SimProject, settings_of
from reliability.simulate.process import Process
from reliability.simulate.programs import Programs
from reliability.simulate.scenario import Fault, Hazard, Landings, Scenario

from smithers_git.clock import midnight
from smithers_git.core import events as ev
from smithers_git.core.nodes import Budget
from smithers_git.core.state import State
from smithers_git.edge.git.entries import BLOB, Entry
from smithers_git.edge.index import Known, RunRow
from smithers_git.errors import DiskFull, SmithersError
from smithers_git.service.drive import Drive, Resume, go_through
from smithers_git.service.frames import Chain
from smithers_git.service.source import Source
from smithers_git.service.supervise import supervise
from smithers_git.service.watcher import Watcher

RUN = "sim"
RUNS = (RUN, "sim-2", "sim-3")
BEGINNING = 1_700_000_000.0
SUPERVISED = 3
"""One seed of so many ends under the eyes of `supervise`."""
_QUEUE = "queue/"
"""How the locks of queues begin."""


class World:
    """Everything that there is in one scenario."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.folder = scenario, folder
        self.chance = random.Random(scenario.seed ^ 0x5EED)
        self.store = Store()
        self.rows: dict[str, RunRow] = {}
        self.cached: dict[str, Known] = {}
        self.folders: dict[tuple[str, ...], dict[str, bytes]] = {}
        self.filled: dict[tuple[str, ...], str] = {}
        """The commit that each folder was last saved or laid out as."""
        self.thrown: dict[tuple[str, ...], str] = {}
        """The older commit to which an agent has taken a folder back."""
        self.locks: dict[str, Process] = {}
        self.drove: dict[str, Process] = {}
        """Who had each lock last."""
        self.holders: dict[str, dict[str, Any]] = {}
        """What they said of themselves; it goes with the file of a lock."""
        self._sources: dict[str, Source] = {}
        self.landings = scenario.landings or Landings()
        self.between = scenario.between
        self.gates = self.moves = 0
        """Gates, and moves of a branch, that merge queues have begun."""
        self.race: Callable[[], None] = lambda: None
        """Has somebody push."""
        self.settings = settings_of(scenario.talking)
        self.checker = Checker(self)
        self.programs = Programs(self)
        self.agents = Agents(self)
        self.pids = count(101)
        self.now = self.offset = 0.0
        self.last = 0
        """The deed that moved a ref the last time."""
        self.steps = self.version = self.attempts = self.engines = 0
        self.actors: list[tuple[Process, Actor]] = []
        self.actor: Actor | None = None
        self.trace: list[str] = []
        self.robbed = False
        """Two owners were at work at once: a step that the one began, the other leaves to whoever comes next."""
        self._looks = self._calm_looks = 0
        self.given_up: set[str] = set()
        """Runs that `supervise` leaves to a person: their engines died again and again."""
        self.calm = False
        """Faults have stopped."""
        self.supervised = False
        """Nobody starts engines any more but `supervise`, and people who are asked to."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._places: dict[str, Path] = {}
        self._faults = list(scenario.faults)
        self.next_fault: float = self._faults[0].step if self._faults else FOREVER
        self._hazards = {hazard.number: hazard for hazard in scenario.hazards}

    def source(self, run: str, workflow: str = "simulated") -> Source:
        """The workflow of a run: one for all but for what their landings are called, and what another one uses."""
        name = workflow if workflow == flow.USED else run if self.scenario.landings is not None else RUN
        if name not in self._sources:
            used = name == flow.USED
            self._sources[name] = flow.used_of(self.scenario) if used else flow.source_of(self.scenario, name)
        return self._sources[name]

    def run_dir(self, run: str) -> Path:
        if run not in self._places:
            self._places[run] = self.folder / "runs" / run
        return self._places[run]

    # -- time

    def wall(self) -> float:
        return round(BEGINNING + self.offset + self.now, 6)

    def until_due(self, state: State) -> float | None:
        """Seconds until the next thing is due by itself. What is overdue, nobody does: a plan may have dropped it."""
        moments = [wait.until for wait in state.open_waits.values()]
        moments += [state.approvals[key].until for key in state.waiting()]
        moments += [state.node(key).retry_at for key in state.pauses]
        wall = self.wall()
        if state.parked_for == "day":
            moments.append(midnight(midnight(wall) + 36 * 3600.0) + 1.0)
        return min((moment - wall for moment in moments if moment is not None and moment > wall), default=None)

    def at(self, seconds: float, do: Callable[[], None]) -> None:
        """Have `do` happen so many virtual seconds from now."""
        heapq.heappush(self._events, (self.now + seconds, next(self._order), do))

    def tell(self, process: Process | None, text: str) -> None:
        self.trace.append(f"{self.now:10.4f} {process.name if process else 'world'}: {text}")

    # -- turns

    def play(self, until: float = FOREVER) -> None:
        """Let everybody act until nobody has anything to do, or that moment has come."""
        while True:
            ready = [(process, actor) for process, actor in self.actors if self._is_ready(actor)]
            if ready:
                process, actor = ready[0] if len(ready) == 1 else ready[self.chance.randrange(len(ready))]
                self._resume(process, actor)
                continue
            moment = min((actor.until for _, actor in self.actors), default=FOREVER)
            if self._events and self._events[0][0] <= moment:
                moment = self._events[0][0]
            if moment == FOREVER or moment > until:
                return
            self.now = max(self.now, moment)
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()

    def _is_ready(self, actor: Actor) -> bool:
        return actor.doomed or actor.until <= self.now or (actor.wakes is not None and actor.wakes())

    def _resume(self, process: Process, actor: Actor) -> None:
        self.actor = actor
        actor.resume()
        self.actor = None
        if actor.over:
            self.actors.remove((process, actor))
            process.actors.remove(actor)
            if actor.error is not None:
                raise actor.error
            if process.dead:
                self._bury(process)

    def next_hazard(self) -> Hazard | None:
        self.attempts += 1
        return None if self.calm else self._hazards.get(self.attempts - 1)

    # -- what goes wrong

    def fault(self, process: Process, what: str) -> None:
        actor = self.actor
        assert actor is not None
        if self.calm or (self._faults[0].what in ("switch", "stall", "rob") and actor.steady):
            return  # it comes at the next deed of somebody else
        fault = self._faults.pop(0)
        self.next_fault = self._faults[0].step if self._faults else FOREVER
        self.tell(process, f"{fault.what} {fault.seconds:g} at deed {self.steps} ({what})")
        self._befall(process, actor, fault, what)

    def _befall(self, process: Process, actor: Actor, fault: Fault, what: str) -> None:
        if fault.what == "switch":
            process.sleep(0.0)
            process.woke = self.now
        elif fault.what in ("stall", "rob"):
            for run, owner in list(self.locks.items()):
                if fault.what == "rob" and owner is process:
                    del self.locks[run], self.holders[run]
                    process.robbed = self.robbed = True
                    if not run.startswith(_QUEUE):
                        self.at(0.1, lambda run=run: self.engine(run))
            process.sleep(fault.seconds)
            process.woke = self.now
        elif fault.what == "kill":
            self.kill(process)
            raise Killed
        elif what in ("write", "swap"):
            raise DiskFull("no space left on device", hint="free disk space")

    def kill(self, process: Process) -> None:
        """kill -9: every thread of the process ends where it stands, and the system gives its locks back."""
        if process.dead:
            return
        self.tell(process, "killed")
        process.dead = True
        for _, journal in process.journals:
            journal.leave()
        self.checker.killed(process)
        for actor in process.actors:
            actor.doomed = True
        if not process.actors:
            self._bury(process)

    def _exit(self, process: Process) -> None:
        """The process ends by itself, and with it what it still does in the background."""
        process.dead = True
        for actor in process.actors:
            actor.doomed = actor.doomed or actor is not self.actor

    def _bury(self, process: Process) -> None:
        if process.actors or process not in self.locks.values():
            return
        for run, owner in list(self.locks.items()):
            if owner is process:
                del self.locks[run]
                if run.startswith(_QUEUE) or self.supervised:
                    continue
                self.at(0.5 + 3 * self.chance.random(), lambda run=run: self.engine(run))

    def calm_down(self) -> None:
        """From now on nothing goes wrong; whoever was stopped goes on."""
        self.calm = True
        self.supervised = self.scenario.seed % SUPERVISED == 1 and self.scenario.landings is None
        self.next_fault = FOREVER
        self.tell(None, "nothing goes wrong any more")

    def free_from_hung(self) -> None:
        """End engines that wait for a result that will never come: it was lost, and so are they."""
        for process in {process for process, _ in self.actors}:
            if process.lost:
                self.kill(process)

    def release(self) -> None:
        """Let all threads go, at the end of a world that was given up."""
        for process, _ in self.actors:
            process.dead = True
        while self.actors:
            process, actor = self.actors.pop()
            actor.doomed = True
            self.actor = actor
            actor.resume()
        self.actor = None

    # -- engines

    def process(self, name: str) -> Process:
        return Process(self, name)

    def project(self, name: str) -> SimProject:
        """The repository as a process has it that only looks, outside of everything that happens."""
        return SimProject(Process(self, name))

    def owner(self, run: str) -> Process | None:
        return self.locks.get(run)

    def engine(self, run: str, *, revive: bool = False) -> Process:
        """Somebody starts an engine: `supervise`, or a person."""
        self.engines += 1
        process = Process(self, f"engine-{self.engines}")
        process.begin(run, lambda: self._drive(process, run, revive=revive))
        return process

    def supervise(self) -> None:
        """Somebody has `smithers supervise` look once."""
        self._looks += 1
        process = Process(self, f"supervise-{self._looks}")
        process.begin("look", lambda: self._look(process), steady=True)

    def _look(self, process: Process) -> None:
        self._calm_looks += self.calm
        found = supervise(SimProject(process), 8)
        for one in found.started:
            self.tell(process, f"starts {one.run}: {one.why}")
        if self._calm_looks < 2:  # later none has a reason to die: who is given up then, was overlooked
            self.given_up |= {one.run for one in found.given_up}
        for stuck in (*found.stuck, *found.given_up):
            self.tell(process, f"does not start {stuck.run}: {stuck.why}")

    def _noted(self, process: Process, text: str) -> None:
        self.tell(process, text)
        process.mute = process.mute or text.startswith("not even a frame could be written")

    def _drive(self, process: Process, run: str, *, revive: bool) -> None:
        drive = process.drive = Drive()

        def recorded(state: object, _events: object, _at: float) -> None:
            assert drive.engine is not None
            self.checker.acknowledged(process, drive.engine.chain)

        drive.watcher = Watcher(recorded=recorded, noted=lambda text: self._noted(process, text))
        self.tell(process, f"drives {run}{' (revived)' * revive}")
        try:
            state = go_through(SimProject(process), run, Resume(revive=revive), drive)
        except SmithersError as error:
            self.tell(process, f"refused: {type(error).__name__}: {error.message}")
            return
        finally:
            self._exit(process)
        self.checker.left(process, state)
        self.tell(process, f"leaves {state.run}: {state.end or 'waits'}")
        if state.end is None and state.wake_at is not None and not (state.pause_requested or self.supervised):
            after = state.wake_at - self.wall()
            if after > 0:  # what is overdue, and nobody does, is for the next look of `supervise`
                self.at(after, lambda: self.engine(state.run))

    # -- the beginning

    def begin(self) -> None:
        """Frame 0, as `smithers up` writes it."""
        objects = MemoryObjects(self.store)
        tree = objects.write_tree({"README": Entry(BLOB, objects.write_blob(b"hello\n"))})
        base = objects.write_commit(tree, [], "first", int(BEGINNING))
        self.store.refs["refs/heads/main"] = base
        self.checker.queues.begins("refs/heads/main", base)
        for run in RUNS[: self.landings.runs]:
            self._create(run, base)
            self.engine(run)
        self.agents.begins()
        for at, by in self.scenario.jumps:
            self.at(at, lambda by=by: self._jump(by))

    def _create(self, run: str, base: str) -> None:
        process = Process(self, "up")
        chain = Chain(MemoryObjects(self.store), run, SimProject(process).owner)
        created = ev.RunCreated(
            run=run,
            workflow="simulated",
            entry="workflow.py",
            input={},
            base=base,
            max_concurrency=self.scenario.max_concurrency,
        )
        chain.add(created, self.wall())
        limit = self.agents.talking.budget
        if limit != Budget():
            chain.add(ev.RunBudgeted(usd=limit.usd, tokens=limit.tokens), self.wall())
        for path, data in self.source(run).files.items():
            chain.put(f"source/pack/{path}", data)
        chain.commit()
        self.checker.swapped(process, chain.ref)

    def _jump(self, by: float) -> None:
        self.tell(None, f"the wall clock jumps by {by:g} s")
        self.offset += by
        self.version += 1
