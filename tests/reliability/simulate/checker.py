"""What must be true after every frame, and of everything at the end. It reads frames as any other program does.

It knows the rules and not the code: of the package it uses the decoder, `apply`, and what lies in the store.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kit.memory_git import MemoryObjects, files_of
from reliability.simulate.queues import HEADS, Queues
from reliability.simulate.rules import Violation, early, legal
from reliability.simulate.spending import Spending

from smithers_git.core import codec
from smithers_git.core import events as ev
from smithers_git.core.codec import FrameData
from smithers_git.core.state import State, apply
from smithers_git.edge.git.entries import TREE, Entry
from smithers_git.names import QUEUE, REWOUND, RUNS, TaskKey, run_ref

if TYPE_CHECKING:
    from reliability.simulate.world import Process, World

    from smithers_git.service.frames import Chain


@dataclass
class Line:
    """One run as the checker has followed it."""

    frames: list[tuple[str, FrameData]] = field(default_factory=list)
    """(commit, content), frame 0 first; those that a rewind left are gone from it."""
    state: State = field(default_factory=State)


class Checker:
    """Follows every ref of the simulated repository."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._objects = MemoryObjects(world.store)
        self.lines: dict[str, Line] = {}
        self.queues = Queues(world)
        self._spending = Spending(world)
        self.acked: set[str] = set()
        """Frames that somebody was told of."""
        self.ran: set[tuple[str, TaskKey, int]] = set()
        """Attempts whose program was started."""
        self._started: set[tuple[str, TaskKey, int]] = set()
        self._refs: dict[str, str] = {}
        self.left_behind: list[tuple[tuple[str, ...], bytes]] = []
        """What programs of killed processes had written."""
        self.frames = 0
        self._known: dict[str, FrameData] = {}
        self._there: dict[str, set[str]] = {}

    # -- as it happens

    def swapped(self, process: Process, name: str) -> None:
        """A ref was moved."""
        old, new = self._refs.get(name), self._world.store.refs[name]
        self._refs[name] = new
        if name.startswith(REWOUND):
            if old is not None:
                raise Violation(f"P9: the tail {name} was overwritten")
            return
        if name.startswith(QUEUE):
            self.queues.wrote(process, name, new)
        elif name.startswith(HEADS):
            self.queues.moved(process, name, new)
        if not name.startswith(RUNS):
            return
        run = name.removeprefix(RUNS)
        line = self.lines.get(run)
        if line is None:
            self._begin(process, run, new)
            return
        if self._parent(new) == old:
            self._frame(process, run, line, new)
            return
        commits = [commit for commit, _ in line.frames]
        if new not in commits:
            raise Violation(f"P2: {name} was moved to {new[:8]}, which is not one frame further and no frame of it")
        if new != old and old not in self._tails(run):
            raise Violation(f"P1: the frames of {run} up to {str(old)[:8]} were left and nothing keeps them")
        for _, data in line.frames[commits.index(new) + 1 :]:  # the numbers of their attempts are free again
            begun = [event for event in data.events if isinstance(event, ev.TaskStarted)]
            gone = {(run, TaskKey(one.node, one.iteration), one.attempt) for one in begun}
            self.ran -= gone
            self._started -= gone
        line.frames = line.frames[: commits.index(new) + 1]
        line.state = self._fold(line.frames)
        self._world.agents.rewound(run)
        self._world.tell(process, f"rewound {run} to frame {line.state.number}")

    def continues(self, name: str) -> bool:
        """Whether a ref is that of a run which another one continues as, and which has just begun."""
        line = self.lines.get(name.removeprefix(RUNS))
        return line is not None and line.state.number == 0 and line.state.predecessor is not None

    def _begin(self, process: Process, run: str, tip: str) -> None:
        data = self._read(tip)
        line = self.lines[run] = Line()
        before = self._parent(tip) if data.number else None
        while before is not None:
            older = self._read(before)
            line.frames.insert(0, (before, older))
            before = self._parent(before) if older.number else None
        line.state = self._fold(line.frames)
        self._frame(process, run, line, tip)

    def _frame(self, process: Process, run: str, line: Line, commit: str) -> None:
        data, state = self._read(commit), line.state
        self.frames += 1
        said = codec.subject(data.events)
        self._world.tell(process, f"{run} frame {data.number}: {said}")
        if data.number != state.number + 1 or data.run != run:
            raise Violation(f"P2: frame {data.number} of {data.run} was put behind frame {state.number} of {run}")
        if data.owner.pid != process.pid:
            raise Violation(f"frame {data.number} names process {data.owner.pid}, and {process.pid} wrote it")
        owner = self._world.owner(run)
        begins = data.number == 0 and line.state.predecessor is None  # whoever continues as it, owns that one
        # Of a run that it uses an engine asks that as a person does, when nobody drives it.
        asks = all(isinstance(event, ev.CancelRequested | ev.RunCancelled) for event in data.events)
        if process.drive is not None and owner is not process and not (process.robbed or begins or asks):
            raise Violation(
                f"P6: {process.name} wrote frame {data.number} of {run}, whose owner is {owner and owner.name}"
            )
        before = line.frames[-1][0] if line.frames else None
        self._outputs(before, commit, data)
        commits = {name: space.commit for name, space in state.spaces.items()}
        for event in data.events:
            problem = legal(event, state, self._world.programs.tasks)
            if problem is None and not self._world.scenario.jumps:
                problem = early(event, state, data.time)
            if problem is not None:
                raise Violation(f"{problem} (frame {data.number} of {run}: {said})")
            if isinstance(event, ev.RunFailed) and "the workflow raised" in event.error:
                raise Violation(f"the simulation itself is broken: {event.error}")
            self._spending.check(process, state, event, data.time)
            if isinstance(event, ev.TaskFinished | ev.TaskFailed | ev.TaskInterrupted):
                self._world.agents.said((run, TaskKey(event.node, event.iteration), event.attempt), event)
            if isinstance(event, ev.RunResumed):
                self._world.agents.works(event.agents)
            if isinstance(event, ev.TaskStarted):
                self._world.agents.started(process, event, data.time)
                self._started.add((run, TaskKey(event.node, event.iteration), event.attempt))
            apply(state, event, data.time)
        self._nothing_vanishes(run, commits, state)
        state.number = data.number
        line.frames.append((commit, data))
        self._there.setdefault(run, set()).add(commit)

    def _nothing_vanishes(self, run: str, before: dict[str, str], state: State) -> None:
        """P9: what a task has made in a workspace stays there, whatever comes behind it."""
        for name, space in state.spaces.items():
            old = before.get(name, space.commit)
            if old == space.commit or self._world.robbed:
                continue
            gone = files_of(self._objects, old).keys() - files_of(self._objects, space.commit).keys()
            gone = {path for path in gone if not path.startswith("half-")}  # a program's own, which it completes
            if gone:
                raise Violation(f"P9: {name} of {run} has lost {', '.join(sorted(gone))}")

    def _outputs(self, before: str | None, commit: str, data: FrameData) -> None:
        """Outputs are never taken away, and changed only by the frame that ends their task once more."""
        old = self._folder(before, "outputs") if before else {}
        new = self._folder(commit, "outputs")
        told = {event.output for event in data.events if getattr(event, "output", None)}
        for path in told - new.keys():
            raise Violation(f"P2: frame {data.number} names {path}, and does not hold it")
        if old == new:
            return
        for path in old.keys() - new.keys():
            raise Violation(f"P2: frame {data.number} has lost {path}")
        for path in new:
            if path not in told and old.get(path) != new[path]:
                raise Violation(f"frame {data.number} changes the output {path} of a task that has not ended in it")

    def program_begins(self, process: Process, run: str, key: TaskKey, attempt: int) -> None:
        """A program is started for an attempt."""
        if (run, key, attempt) not in self._started:
            raise Violation(f"P1: the program of {key}, attempt {attempt}, runs, and no frame says that it was started")
        if (run, key, attempt) in self.ran and not process.robbed:  # after a rewind its number may be used again
            raise Violation(f"P3: the program of {key}, attempt {attempt}, runs a second time")
        self.ran.add((run, key, attempt))
        self._begins_whole(process, run, key)

    def _begins_whole(self, process: Process, run: str, key: TaskKey) -> None:
        """P2: who works alone in a workspace finds there what its frame says: what all before it have made."""
        state, world = self.lines[run].state, self._world
        space = state.node(key).space
        beside = [one for one in state.running if one != key and state.node(one).space == space]
        if beside or process.robbed or world.robbed or space not in state.spaces:
            return
        missing = files_of(self._objects, state.spaces[space].commit).keys() - world.folders[run, space].keys()
        if missing:
            raise Violation(f"P2: {key} begins in {space}, which lacks {', '.join(sorted(missing))}")

    def failures(self, run: str, key: TaskKey) -> int:
        """How many failures of a task count, as its newest frame has it."""
        return self.lines[run].state.node(key).failures

    def acknowledged(self, process: Process, chain: Chain) -> None:
        """An engine has told its watchers of its newest frame."""
        tip = str(chain.tip)
        if tip not in self._there[chain.run]:
            raise Violation(f"P1: {process.name} told of frame {tip[:8]} of {chain.run}, which is not there")
        self.acked.add(tip)
        line = self.lines[chain.run]
        if self.frames % 4 == 0 and line.frames[-1][0] == tip and line.state != chain.state:
            raise Violation(f"P2: what {process.name} has in memory is not what frame {line.state.number} folds to")

    def _reached(self, run: str) -> set[str]:
        return {commit for commit, _ in self.lines[run].frames} | self._kept(run)

    def killed(self, process: Process) -> None:
        """Note what its programs had written: P9."""
        self.left_behind += process.writes.values()
        process.writes.clear()

    def left(self, process: Process, state: State) -> None:
        """An engine has let go of a run and said how it stands."""
        mine = self._world.drove.get(state.run) is process  # else a quicker one goes on with it
        if state.running and mine and not (self._world.robbed or process.mute) and state.end is None:
            raise Violation(f"{process.name} left {state.run} while {', '.join(map(str, state.running))} was running")

    # -- at the end

    def finally_(self) -> None:
        """Of the whole repository, when nothing goes on any more."""
        for run, line in self.lines.items():
            self._whole(run, line)
        self._lineage()
        reached = set().union(*(self._reached(run) for run in self.lines))
        for commit in self.acked:
            if commit not in reached:
                raise Violation(f"P1: frame {commit[:8]}, of which somebody was told, is gone")
        self._bytes()
        self.queues.finally_()

    def _whole(self, run: str, line: Line) -> None:
        tip = self._world.store.refs[run_ref(run)]
        if tip != line.frames[-1][0]:
            raise Violation(f"P2: {run} points at {tip[:8]} and not at its last frame")
        chain, commit = [], str(tip)
        while True:
            data = self._read(commit)
            chain.append((commit, data))
            if data.number == 0:
                break
            commit = self._parent(commit) or ""
        if [one.number for _, one in chain] != list(range(len(chain) - 1, -1, -1)):
            raise Violation(f"P2: the frames of {run} are not a line: {[one.number for _, one in chain]}")
        if self._fold(chain[::-1]) != line.state:
            raise Violation(f"P2: the frames of {run} fold to another state when they are read again")
        there = self._folder(tip, "outputs")
        for key, node in line.state.nodes.items():
            if node.output is not None and node.output not in there:
                raise Violation(f"P2: the output of {key} is not in the newest frame of {run}")

    def _lineage(self) -> None:
        """A run continues as exactly one other, unless somebody takes it back or has its last task done again."""
        before = Counter(line.state.predecessor for line in self.lines.values() if line.state.predecessor is not None)
        for run, line in self.lines.items():
            after = line.state.successor
            if after is not None and self.lines[after].state.predecessor != run:
                raise Violation(f"{run} continued as {after}, which does not know of that")
            resets = sum(isinstance(event, ev.TaskReset) for _, data in line.frames for event in data.events)
            if before[run] > 1 + resets and not self._tails(run):
                raise Violation(f"P3: {run} continued as {before[run]} runs")

    def _bytes(self) -> None:
        """P9: what a program had written when its process was killed is in a frame, or still where it wrote it."""
        if not self.left_behind:
            return
        kept = {data for data in self._world.store.objects.values() if isinstance(data, bytes)}
        for folder, data in self.left_behind:
            if data not in kept and data not in self._world.folders.get(folder, {}).values():
                raise Violation(f"P9: what a killed program left in {'/'.join(folder)} is gone: {data!r}")

    # -- reading

    def _read(self, commit: str) -> FrameData:
        data = self._known.get(commit)
        if data is None:
            blob = self._objects.find(self._objects.read_commit(commit).tree, "frame.json")
            if blob is None:
                raise Violation(f"P2: {commit[:8]} is no frame")
            data = self._known[commit] = codec.decode(self._objects.read_blob(blob), commit)
        return data

    def _parent(self, commit: str) -> str | None:
        parents = self._objects.read_commit(commit).parents
        return parents[0] if parents else None

    def _tails(self, run: str) -> set[str]:
        prefix = f"{REWOUND}{run}/"
        return {oid for name, oid in self._world.store.refs.items() if name.startswith(prefix)}

    def _kept(self, run: str) -> set[str]:
        found: set[str] = set()
        for tail in self._tails(run):
            commit: str | None = tail
            while commit is not None and commit not in found:
                found.add(commit)
                commit = self._parent(commit)
        return found

    @staticmethod
    def _fold(frames: list[tuple[str, FrameData]]) -> State:
        state = State()
        for _, data in frames:
            for event in data.events:
                apply(state, event, data.time)
            state.number = data.number
        return state

    def _folder(self, commit: str, name: str) -> dict[str, str]:
        found = self._objects.read_commit(commit).tree
        entry = self._objects.store.objects[found].get(name)  # type: ignore[union-attr]
        return _files(self._objects, name, entry) if entry is not None else {}


def _files(objects: MemoryObjects, path: str, entry: Entry) -> dict[str, str]:
    if entry.mode != TREE:
        return {path: entry.oid}
    found: dict[str, str] = {}
    for name, inner in objects.store.objects[entry.oid].items():  # type: ignore[union-attr]
        found |= _files(objects, f"{path}/{name}", inner)
    return found
