"""The outside of an engine, simulated: programs, workspaces, locks, index, time. What a `Project` reaches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.memory_git import MemoryJournaled, MemoryObjects, files_of
from reliability.simulate import flow
from reliability.simulate.agents import SimSlots, SimTalker
from reliability.simulate.baton import FOREVER
from reliability.simulate.landing import ADA, SimCondition, SimSite
from reliability.simulate.scenario import Talking

from smithers_git.core.codec import Owner
from smithers_git.core.redact import Redactor
from smithers_git.core.settings import BudgetSettings, Settings
from smithers_git.edge.git.entries import BLOB, Entry
from smithers_git.edge.git.repository import Repository
from smithers_git.edge.git.snapshot import Snapshot
from smithers_git.edge.index import Known, RunRow, row_of
from smithers_git.edge.process import Exit
from smithers_git.names import slug
from smithers_git.service.detach import Detached
from smithers_git.service.job import Result
from smithers_git.service.ports import Address
from smithers_git.service.project import Project
from smithers_git.service.source import Source

if TYPE_CHECKING:
    from reliability.simulate.world import Process

POLL = 0.1
"""What an engine waits at most before it looks again: see `smithers_git.service.engine`."""
_OF_QUEUES = ("smithers gate", "smithers hooks")
"""Work of a crew whose results are no attempts."""
_SETTINGS = Settings.model_validate({"disk": {"floor": "0"}, "isolate": {"mode": "never", "machine": True}})
_REDACTOR = Redactor()


def settings_of(talking: Talking | None) -> Settings:
    """The configuration of the repository."""
    if talking is None:
        return _SETTINGS
    return _SETTINGS.model_copy(update={"budget": BudgetSettings(soft=talking.soft, day_tokens=talking.day)})


_REPOSITORY = Repository(flow.FOLDER, flow.FOLDER / ".git", flow.FOLDER / ".git", None, "refs/heads/main")


class SimProject(Project):
    """The repository as one process has it."""

    def __init__(self, process: Process) -> None:
        self.process, world = process, process.world
        super().__init__(_REPOSITORY, {"HOME": str(world.agents.home)}, SimClock(process))
        objects = MemoryObjects(world.store, process.step, process.until_free)
        self.__dict__ |= {
            "objects": objects,
            "index": SimIndex(process),
            "settings": world.settings,
            "owner": Owner(process.pid, "simulated"),
            "state_dir": world.folder,
            "secrets": _Secrets(),
        }

    @property
    def user_state(self) -> Path:
        return self.process.world.folder / "user"

    def run_dir(self, run: str) -> Path:
        return self.process.world.run_dir(run)

    def apart(self) -> SimProject:
        return SimProject(self.process)

    def redactor(self) -> Redactor:
        return _REDACTOR

    def workspaces(self, run: str) -> Any:
        return SimWorkspaces(self, run)

    def journaled(self, run: str) -> Any:
        made = MemoryJournaled(self.process.world.store, self.process.step, self.process.until_free)
        self.process.journals.append((self.process.world.actor, made))
        return made

    def lock(self, run: str) -> Any:
        return SimLock(self.process, run)

    def turn(self, run: str) -> Any:
        return SimTurn()

    def is_turn_taken(self, run: str) -> bool:
        return False

    def is_owned(self, run: str) -> bool:
        return self.process.world.owner(run) is not None

    def source(self, run: str, state: Any, files: Any) -> Source:
        return self.process.world.source(run, state.workflow)

    def workflow(self, argument: str, cwd: Path) -> Source:
        return self.process.world.source("", argument)

    def crew(self) -> Any:
        return SimCrew(self.process)

    def talker(self, seat: Any, result: Any) -> Any:
        return SimTalker(self.process, seat, result)

    def slots(self) -> Any:
        return SimSlots()

    def background(self, name: str, work: Callable[[], None]) -> None:
        self.process.begin(name, work)

    def condition(self) -> Any:
        return SimCondition(self.process)

    def site(self, target: str) -> Any:
        return SimSite(self, target)

    def run_program(self, launch: Any, on_output: Any, cancel: Any, on_start: Any = None) -> Exit:
        return self.process.world.programs.run(self.process, launch, on_output, cancel)

    def begin_engine(self, run: str, *, accept_change: bool) -> Any:
        return Detached(self.process.world.engine(run).pid, Path("engine.log"), "then")

    def is_alive(self, pid: int, began: str) -> bool:
        return any(process.pid == pid and not process.dead for process, _ in self.process.world.actors)

    def end_orphans(self, run: str) -> list[int]:
        for path in (self.run_dir(run) / "pids").glob("*.json"):
            path.unlink()
        return []

    def ancestry(self, names: Collection[str]) -> list[dict[str, str]]:
        return []

    def require_writable(self) -> None:
        pass

    def free(self, place: Path) -> int:
        return 1 << 40

    def who(self) -> str:
        return ADA

    def signer(self) -> None:
        return None


class _Secrets:
    def redactor(self, _environ: object) -> Redactor:
        return Redactor()

    def environ(self, _agent: str) -> dict[str, str]:
        return {}


class SimClock:
    """The machine's clock, which may jump, and chance that the seed decides."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._world = process.world

    def now(self) -> float:
        return self._world.wall()

    def monotonic(self) -> float:
        return self._world.now

    def jitter(self) -> float:
        return self._world.chance.random()

    def token(self, digits: int) -> str:
        return f"{self._world.chance.getrandbits(4 * digits):0{digits}x}"

    def sleep(self, seconds: float) -> None:
        self._process.sleep(seconds)


class SimLock:
    """The lock of a run. A process that ends gives it back, however it ends."""

    def __init__(self, process: Process, run: str) -> None:
        self._process, self._run = process, run
        self._mine = False

    def try_acquire(self, info: Any = None) -> bool:
        self._process.step("lock", self._run)
        world = self._process.world
        if world.owner(self._run) is not None:
            return False
        world.locks[self._run] = world.drove[self._run] = self._process
        world.holders[self._run] = {"pid": self._process.pid, "host": "simulated", **(info or {})}
        self._mine = True
        return True

    def release(self) -> None:
        world = self._process.world
        if self._mine and world.locks.get(self._run) is self._process:
            del world.locks[self._run]
        self._mine = False

    def holds(self) -> bool:
        return self._mine and self._process.world.locks.get(self._run) is self._process

    def holder(self) -> dict[str, Any] | None:
        return self._process.world.holders.get(self._run)

    def holder_here(self) -> int | None:
        """None: no process of a simulated world is one of this machine, that could be looked at."""


class SimTurn:
    """Who decides something of a run from outside: nobody has to wait for that here, where each deed takes time."""

    def try_acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class SimIndex:
    """The rows of the index, in memory, made as the real one makes them."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def _rows(self) -> dict[str, RunRow]:
        return self._process.world.rows

    def record(self, state: Any, tip: str, known: Iterable[Known] = ()) -> bool:
        self._process.step("index", state.run)
        self._rows[state.run] = row_of(state, tip)
        for one in known:
            self._process.world.cached[one.key] = one
        return True

    def remove(self, runs: Iterable[str]) -> bool:
        for run in runs:
            self._rows.pop(run, None)
        return True

    def tips(self) -> dict[str, str]:
        return {run: row.tip for run, row in self._rows.items()}

    def runs(self) -> list[RunRow]:
        return sorted(self._rows.values(), key=lambda row: (-row.created, row.run))

    def cached(self, key: str) -> Known | None:
        return self._process.world.cached.get(key)


class SimWorkspaces:
    """Folders of files: a name to its bytes. What works in them is a program of the simulation."""

    def __init__(self, project: SimProject, run: str) -> None:
        self._project, self._run = project, run
        self._folders = project.process.world.folders
        self._filled = project.process.world.filled
        self.root = flow.FOLDER / "spaces"

    def path(self, space: str) -> Path:
        return self.root / self._run / space

    def address(self, space: str, wanted: int | None = None) -> Address:
        return Address(slug(self._run, space), wanted or 20_000)

    def ensure(self, space: str, branch: str, commit: str, *, cancel: object = None) -> Path:
        if (self._run, space) not in self._folders:
            self._lay_out(space, commit)
        return self.path(space)

    def save(self, space: str, branch: str, parent: str, message: str) -> Snapshot:
        objects, files = self._project.objects, self._folders[self._run, space]
        tree = objects.write_tree({name: Entry(BLOB, objects.write_blob(data)) for name, data in list(files.items())})
        commit = parent
        if tree != objects.read_commit(parent).tree:
            commit = objects.write_commit(tree, [parent], message, int(self._project.clock.now()))
        self._project.process.world.store.refs[branch] = commit
        self._filled[self._run, space] = commit
        self._project.process.world.thrown.pop((self._run, space), None)
        return Snapshot(commit, tree, commit != parent, [])

    def keep(self, space: str, branch: str, parent: str, message: str) -> Snapshot | None:
        return self.save(space, branch, parent, message) if (self._run, space) in self._folders else None

    def restore(self, space: str, branch: str, commit: str) -> None:
        self._lay_out(space, commit)
        self._project.process.world.store.refs[branch] = commit

    def edited(self, space: str, commit: str) -> list[str]:
        files = self._folders.get((self._run, space))
        if files is None:
            return []
        there = self._files(self.left_at(space, commit) or commit)
        return sorted(name for name in {*files, *there} if files.get(name) != there.get(name))

    def changed(self, space: str, commit: str) -> list[str]:
        files, there = self._folders[self._run, space], self._files(commit)
        return sorted(name for name in {*files, *there} if files.get(name) != there.get(name))

    def thrown_back(self, space: str, start: str) -> str | None:
        at = self._project.process.world.thrown.get((self._run, space))
        return at if at is not None and at != start and self._project.objects.is_ancestor(at, start) else None

    def left_at(self, space: str, commit: str) -> str | None:
        at = self._filled.get((self._run, space))
        if at is None or at == commit or self._project.objects.is_ancestor(commit, at):
            return None
        return at

    def heal(self, space: str, commit: str) -> list[str]:
        return []

    def drop_unknown(self, known: Collection[str]) -> None:
        for run, space in list(self._folders):
            if run == self._run and space not in known:
                del self._folders[run, space], self._filled[run, space]

    def _lay_out(self, space: str, commit: str) -> None:
        self._folders[self._run, space] = self._files(commit)
        self._filled[self._run, space] = commit
        self._project.process.world.thrown.pop((self._run, space), None)

    def _files(self, commit: str) -> dict[str, bytes]:
        return files_of(self._project.objects, commit)


class SimCrew:
    """The workers of one engine, and how results come back: in time, late, twice or never."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._back: list[Result] = []

    def begin(self, name: str, work: Callable[[], Result]) -> None:
        world = self._process.world
        hazard = None if name in _OF_QUEUES else world.next_hazard()

        def make() -> None:
            result = work()
            if hazard is None:
                self._back.append(result)
                return
            world.tell(self._process, f"result of {result.job.key}.{result.job.attempt}: {hazard.what}")
            if hazard.what == "lost":
                self._process.lost = True
                world.at(hazard.seconds, lambda: world.kill(self._process))
                return
            if hazard.what == "twice":
                self._back.append(result)
            world.at(hazard.seconds, lambda: self._back.append(result))

        self._process.begin(name, make, steady=True)

    def take(self, wait: float | None) -> Result | None:
        if not self._back and wait != 0:
            self._wait(wait)
        return self._back.pop(0) if self._back else None

    def _wait(self, wait: float | None) -> None:
        """Let time go by: all of it, until something changes, where the engine would only look again and again."""
        process, world = self._process, self._process.world
        if wait is None or wait >= POLL:
            process.hides_nothing()
        seen, until = world.version, FOREVER
        if wait is not None:
            due = process.due() if wait >= POLL else None
            until = world.now + wait if wait < POLL else FOREVER if due is None else due
            if process.waits_to_land() or process.drives_two():
                until = min(until, world.now + 1.0)
        process.park(max(until, world.now + 0.001), lambda: bool(self._back) or world.version != seen or process.told)
        process.told = False
