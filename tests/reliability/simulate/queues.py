"""What must be true of merge queues and of the branches that they land on: P1, P2 of their frames, and I1 to I7."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kit.memory_git import MemoryObjects
from kit.memory_merge import MemoryMerger
from reliability.simulate.rules import Violation

from smithers_git.core.codec import FrameData
from smithers_git.core.landing import events as ev
from smithers_git.core.landing import frame as queue_frame
from smithers_git.core.landing.state import EntryState, QueueState, apply
from smithers_git.edge.git.merge import Candidate
from smithers_git.names import QUEUE
from smithers_git.service.landing.verify import verify

if TYPE_CHECKING:
    from reliability.simulate.world import Process, World

HEADS = "refs/heads/"


class Queues:
    """Follows every queue, and the branches of the user's."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._objects = MemoryObjects(world.store)
        self._merger = MemoryMerger(self._objects)
        self.states: dict[str, QueueState] = {}
        """By the name of the branch."""
        self._tips: dict[str, str] = {}
        self._heads: dict[str, str] = {}
        self._gates: Counter[tuple[str, str, str]] = Counter()
        """(tree, gate, what it said), as it really was."""
        self._hooks: dict[str, bool] = {}
        self._home: dict[str, set[str]] = {}
        """Entries by branch with which we moved it."""
        self.landed = self.foreign = 0

    # -- what really happens

    def gate_ran(self, tree: str, gate: str, outcome: str) -> None:
        self._gates[tree, gate, outcome] += 1

    def hooks_ran(self, commit: str, passed: bool) -> None:
        self._hooks[commit] = passed

    def begins(self, name: str, commit: str) -> None:
        """A branch of the user's, as it is before anything happens."""
        self._heads[name] = commit

    # -- frames

    def wrote(self, process: Process, name: str, tip: str) -> None:
        """A frame of a queue was written."""
        branch = name.removeprefix(QUEUE)
        state = self.states.setdefault(branch, QueueState())
        parents = self._objects.read_commit(tip).parents
        old = self._tips.get(branch)
        if old is not None and (not parents or parents[0] != old):
            raise Violation(f"P2: {name} was moved to {tip[:8]}, which is not one frame further")
        data = self._read(tip)
        self._world.tell(process, f"queue {branch} frame {data.number}: {queue_frame.subject(data.events)}")  # type: ignore[arg-type]
        if data.number != state.number + 1:
            raise Violation(f"P2: frame {data.number} of the queue of {branch} comes behind frame {state.number}")
        for event in data.events:
            problem = self._illegal(event, state, branch)  # type: ignore[arg-type]
            if problem is not None:
                raise Violation(f"{problem} (frame {data.number} of the queue of {branch})")
            apply(state, event, data.time)  # type: ignore[arg-type]
        state.number = data.number
        self._tips[branch] = tip

    def _illegal(self, event: ev.QueueEvent, state: QueueState, branch: str) -> str | None:
        """Why the event may not come next."""
        if isinstance(event, ev.LandingBegun):
            return self._may_begin(event, state)
        if isinstance(event, ev.EntryLanded):
            return self._may_be_landed(event, state, branch)
        if isinstance(event, ev.GateRan) and event.outcome != "broken":
            runs = state.runs_of(event.tree, event.gate, event.env)
            told = runs.passed if event.outcome == "passed" else runs.failed
            if told >= self._gates[event.tree, str(event.gate), event.outcome]:
                return f"I1: {event.gate} {event.outcome} on {event.tree[:8]} is told more often than it was so"
        if isinstance(event, ev.EntryRefused):
            one = state.entries[event.entry]
            if one.status != "waiting":
                return f"{one.entry.name} is refused and was {one.status}"
            if event.reason == "red" and not self._gates[str(event.tree), str(event.gate), "failed"]:
                return f"{one.entry.name} is refused for {event.gate}, which has never failed on {str(event.tree)[:8]}"
        return None

    def _may_begin(self, event: ev.LandingBegun, state: QueueState) -> str | None:
        one = state.entries[event.entry]
        if state.landing is not None:
            return f"{one.entry.name} begins to land while another landing is open"
        if one.status != "waiting":
            return f"{one.entry.name} lands although it was {one.status}"
        if state.held is not None or one.held is not None:
            return f"{one.entry.name} lands although it is held"
        return None

    def _may_be_landed(self, event: ev.EntryLanded, state: QueueState, branch: str) -> str | None:
        one, tip = state.entries[event.entry], self._heads.get(HEADS + branch)
        if one.status == "landed":
            return f"I7: {one.entry.name} is called landed twice"
        begun = state.landing is not None and state.landing.entry == event.entry
        if event.receipt is None and begun:
            return f"I1: {one.entry.name} landed by our hand and has no receipt"
        held = tip is not None and event.commit in self._line(tip)
        if not held or not (begun or self._adds_nothing(event.commit, one.entry.head)):
            return f"P1: {one.entry.name} is called landed, and the target does not hold it"
        return None

    def _adds_nothing(self, tip: str, head: str) -> bool:
        made = self._merger.candidate(tip, head, "squash", lambda _tree, _text: "", 0)
        return isinstance(made, Candidate) and not made.trees

    # -- the branches

    def moved(self, process: Process, name: str, new: str) -> None:
        """A branch was moved: by a person, or by a queue that has said so before."""
        old = self._heads.get(name)
        self._heads[name] = new
        branch = name.removeprefix(HEADS)
        by_hand = process.name.startswith("person")
        if old is None:
            return  # an integration branch begins
        if old not in self._line(new):
            raise Violation(f"I2: {branch} was at {old[:8]}, which {new[:8]} does not grow from")
        self._world.tell(process, f"{branch} is moved to {new[:8]}")
        if by_hand:
            self.foreign += 1
            return
        state = self.states.get(branch)
        begun = state.landing if state else None
        if state is None or begun is None or (begun.before, begun.commit) != (old, new):
            raise Violation(f"I6: {process.name} moved {branch} to {new[:8]}, and no frame says that it was about to")
        self._lands(state.entries[begun.entry], branch, old, new)

    def _lands(self, one: EntryState, branch: str, old: str, new: str) -> None:
        entry, state = one.entry, self.states[branch]
        home = self._home.setdefault(branch, set())
        if entry.id in home:
            raise Violation(f"I7: {entry.name} lands on {branch} a second time")
        home.add(entry.id)
        self.landed += 1
        for commit in self._line(new):
            if commit == old:
                break
            tree = self._objects.read_commit(commit).tree
            for gate in entry.gates:
                if not self._gates[tree, str(gate), "passed"]:
                    raise Violation(f"I1: {entry.name} puts {commit[:8]} on {branch}, and {gate} never passed on it")
        if self._world.landings.hooked and not self._hooks.get(new, False):
            raise Violation(f"I1: {entry.name} lands on {branch}, and the hooks did not pass")
        missing = [need for need in entry.depends_on if need not in state.landed_names]
        if missing and not set(missing) <= set(self._world.project("looker").site(HEADS + branch).tickets(old)):
            raise Violation(f"I3: {entry.name} lands on {branch} before {missing}")
        lost = self._merger.lost(entry.head, old, new)
        if lost:
            raise Violation(f"I4: {entry.name} lands on {branch} without its {lost}")

    def _line(self, commit: str) -> list[str]:
        """A commit and its first parents, newest first."""
        found = [commit]
        while parents := self._objects.read_commit(found[-1]).parents:
            found.append(parents[0])
        return found

    # -- at the end

    def finally_(self) -> None:
        """Of all queues, when nothing goes on any more and somebody has driven each of them to where it stops."""
        project = self._world.project("looker")
        for branch, state in self.states.items():
            if state.landing is not None:
                raise Violation(f"I5: the landing of {state.landing.entry} on {branch} stays open")
            left = [one.entry.name for one in state.waiting()]
            if left:
                raise Violation(f"I5: {left} wait for {branch} for ever")
            tip = self._heads.get(HEADS + branch)
            if tip is None:
                continue
            first = self._line(tip)[-1]
            for found in verify(project, f"{first}..{tip}"):
                if found.verdict == "wrong":
                    raise Violation(f"I1: {found.commit[:8]} on {branch}: {found.wrong}")
            ours = [found for found in verify(project, f"{first}..{tip}") if found.receipt is not None]
            times = Counter(one.receipt.entry.id for one in ours if one.receipt)
            twice = [id for id, often in times.items() if often > 1]
            if twice:
                raise Violation(f"I7: {twice} are on {branch} twice")

    def _read(self, commit: str) -> FrameData:
        blob = self._objects.find(self._objects.read_commit(commit).tree, "frame.json")
        if blob is None:
            raise Violation(f"P2: {commit[:8]} is no frame of a queue")
        return queue_frame.decode(self._objects.read_blob(blob), commit)
