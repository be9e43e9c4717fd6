"""Turn the wheel of one merge queue: look, plan anew, do what the plan says, write what came of it.

`core.landing.plan` decides; this module only does. It is the one owner of the queue while it holds the queue's lock,
and the compare-and-swap of the target keeps truth even if it were not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from smithers_git.core.landing import events as ev
from smithers_git.core.landing.entry import shown
from smithers_git.core.landing.plan import plan
from smithers_git.core.landing.state import BREAKS, QueueState
from smithers_git.core.landing.view import Check, Plan
from smithers_git.edge.git import hooks
from smithers_git.errors import RefMoved
from smithers_git.service.crew import Crew
from smithers_git.service.landing import home
from smithers_git.service.landing.candidates import Candidates
from smithers_git.service.landing.line import open_ledger
from smithers_git.service.lanes import GateOutcome
from smithers_git.service.project import Project

POLL: Final = 0.1
"""Seconds between two looks at the refs while gates run."""

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Hooked:
    """What the user's hooks said of a commit."""

    entry: str
    commit: str
    outcome: hooks.HookOutcome


_Back = tuple[Check, GateOutcome] | _Hooked


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """Why the target cannot be moved now from one commit to another."""

    before: str
    commit: str
    why: str


class Driver:
    """Drives one queue until what is wanted has happened or nothing can go on. The caller holds the queue's lock."""

    def __init__(self, project: Project, target: str, note: Note) -> None:
        self.project = project
        self.target = target
        self.note = note
        self.objects = project.apart().objects  # of this thread: libgit2 is not shared between threads
        self.ledger = open_ledger(project, target, self.objects)
        self.candidates = Candidates(project, self.objects, target)
        self.site = self.candidates.site
        self.lanes = self.site.lanes()
        self._flying: dict[Check, threading.Event] = {}
        self._hooking: tuple[str, threading.Event] | None = None
        self._crew: Crew[_Back] = project.crew()
        self._back: list[_Back] = []
        """Results that no frame holds yet."""
        self._obstacle: _Obstacle | None = None
        """Looked for anew by each `drive`."""
        self._broken: dict[str, int] = {}
        """How often the hooks could not run, by commit."""
        self.plan = Plan()

    # -- the wheel

    def drive(self, enough: Callable[[QueueState], bool]) -> None:
        """Go on until `enough` holds, or until nothing can go on before something outside happens."""
        if self._obstacle is not None:
            self._obstacle = self._look(self._obstacle.before, self._obstacle.commit)
        try:
            for text in self.site.catch_up(self.objects.ref(self.target)):
                self.note(text)
            while True:
                try:
                    busy = self._turn()
                except RefMoved:
                    self.ledger.reload()
                    continue
                if not busy or enough(self.ledger.state):
                    return
        finally:
            self._end_all()

    def _turn(self) -> bool:
        """One pass; False when there is nothing to do and nothing in flight."""
        self.ledger.reload()
        self._take_back()
        home.settle(self.project, self.ledger, self.candidates.merger, self.note)
        blocked = self._obstacle.why if self._obstacle else None
        view = self.candidates.view(self.ledger.state, frozenset(self._flying), blocked)
        self.plan = now = plan(self.ledger.state, view)
        if now.records:
            return self._record(now.records)
        if now.contained:
            return self._already(now.contained, view.tip)
        for onto, entry in now.merge:
            self.candidates.make(onto, self.ledger.state.entries[entry])
        for check in now.cancel:
            self._flying[check].set()
        for check in now.start:
            self._start(check)
        if now.hook is not None and self._hooking is None:
            self._hook(*now.hook)
        if now.land is not None:
            self._land(*now.land)
            return True
        if now.merge:
            return True
        if not self._flying and self._hooking is None:
            return False
        self._wait()
        return True

    def _record(self, events: list[ev.QueueEvent]) -> bool:
        now = self.project.clock.now()
        for event in events:
            if isinstance(event, ev.EntryRefused):
                self.note(f"{self._name(event.entry)} goes back: {event.message.partition(chr(10))[0]}")
                self.ledger.add(self._with_evidence(event), now)
            else:
                self.ledger.add(event, now)
        return self.ledger.commit()

    def _name(self, entry: str) -> str:
        return self.ledger.state.entries[entry].entry.name

    def _with_evidence(self, event: ev.EntryRefused) -> ev.EntryRefused:
        """The refusal with the place of what its author needs to mend it."""
        data = ""
        if event.reason == "conflict":
            tip = self.objects.ref(self.target) or ""
            data = self.candidates.hunks(tip, event.entry)
        if not data:
            return event
        path = f"evidence/{event.entry}.txt"
        self.ledger.put_text(path, data)
        return event.model_copy(update={"evidence": path})

    # -- gates

    def _start(self, check: Check) -> None:
        cancel = self._flying[check] = threading.Event()
        commit = self.candidates.commit_of(check.tree)

        def work() -> _Back:
            try:
                found = self.lanes.verify(check.tree, commit, check.gate, cancel)
            except Exception as error:  # noqa: BLE001 - a gate that brings nothing back would be waited for for ever
                found = GateOutcome("broken", None, 0.0, "", f"{type(error).__name__}: {error}")
            return check, found

        self._crew.begin("smithers gate", work)

    def _hook(self, entry: str, before: str, commit: str) -> None:
        cancel = threading.Event()
        self._hooking = (commit, cancel)
        style = self.ledger.state.entries[entry].entry.style

        def work() -> _Back:
            try:
                found = self.lanes.hooks(before, commit, style, cancel)
            except Exception as error:  # noqa: BLE001 - as for a gate
                found = hooks.HookOutcome(False, "", f"{type(error).__name__}: {error}", broken=True)
            return _Hooked(entry, commit, found)

        self._crew.begin("smithers hooks", work)

    def _wait(self) -> None:
        found = self._crew.take(POLL)
        if found is not None:
            self._back.append(found)

    def _take_back(self) -> None:
        """Write what gates and hooks said. It stays in `_back` until a frame holds it."""
        while (found := self._crew.take(0)) is not None:
            self._back.append(found)
        if not self._back:
            return
        now = self.project.clock.now()
        for result in self._back:
            if isinstance(result, _Hooked):
                if not self._tried_again(result):
                    self.ledger.add(self._hook_event(result), now)
            elif not self._flying[result[0]].is_set():  # else it was cut off, and says nothing
                self.ledger.add(self._gate_event(*result), now)
        self.ledger.commit()
        for result in self._back:
            if isinstance(result, _Hooked):
                self._hooking = None
            else:
                del self._flying[result[0]]
        self._back = []

    def _gate_event(self, check: Check, found: GateOutcome) -> ev.GateRan:
        log = None
        if found.outcome == "broken":
            self.candidates.forget_missing()
        if found.outcome != "passed":
            log = self._keep(f"logs/{check.tree}-{self.ledger.state.number + 1}.txt", found.tail)
        words = {"passed": "green", "failed": "red", "broken": "could not run"}
        why = f": {found.message}" if found.outcome == "broken" else ""
        self.note(f"{shown(check.gate)} {words[found.outcome]} on {check.tree[:12]} ({found.seconds:.1f} s){why}")
        return ev.GateRan(
            tree=check.tree,
            gate=check.gate,
            env=self.candidates.env,
            outcome=found.outcome,
            exit_code=found.exit_code,
            seconds=round(found.seconds, 3),
            log=log,
            message=found.message,
        )

    def _tried_again(self, found: _Hooked) -> bool:
        """Whether hooks that could not run are asked once more: that says nothing of the commit, up to a limit."""
        if not found.outcome.broken:
            return False
        self._broken[found.commit] = self._broken.get(found.commit, 0) + 1
        return self._broken[found.commit] < BREAKS

    def _hook_event(self, found: _Hooked) -> ev.HookRan:
        said = found.outcome
        log = None if said.passed else self._keep(f"logs/{found.commit}-hook.txt", said.tail)
        message = "passed" if said.passed else f"the hook {said.name} said no"
        if said.broken:
            message = f"the hooks could not be run: {(said.tail.strip() or said.name).splitlines()[-1]}"
        return ev.HookRan(entry=found.entry, commit=found.commit, passed=said.passed, message=message, log=log)

    def _keep(self, path: str, text: str) -> str:
        self.ledger.put_text(path, text)
        return path

    # -- home

    def _land(self, entry: str, before: str, commit: str) -> None:
        """Move the target, unless a checkout that has it could not follow: then nothing is touched."""
        made = self.candidates.merged(before, entry)
        self._obstacle = self._look(before, commit)
        if self._obstacle is not None:
            return
        places = self.site.checkouts()
        begun = ev.LandingBegun(entry=entry, before=before, commit=commit, trees=made.trees, follow=places)
        home.land(self.project, self.ledger, self.candidates.merger, begun)

    def _look(self, before: str, commit: str) -> _Obstacle | None:
        why = self.site.obstacle(before, commit)
        return None if why is None else _Obstacle(before, commit, why)

    def _already(self, contained: Sequence[str], tip: str) -> bool:
        """Call landed what the target holds by somebody else's hand: it cannot land twice."""
        tree = self.objects.read_commit(tip).tree
        for entry in contained:
            self.ledger.add(ev.EntryLanded(entry=entry, before=tip, commit=tip, tree=tree), self.project.clock.now())
        return self.ledger.commit()

    def _end_all(self) -> None:
        """End what is in flight, and wait until it has ended: no gate outlives its queue's owner."""
        for cancel in self._flying.values():
            cancel.set()
        if self._hooking is not None:
            self._hooking[1].set()
        while self._flying or self._hooking is not None:
            result = self._back.pop() if self._back else self._crew.take(None)
            if isinstance(result, _Hooked):
                self._hooking = None
            elif result is not None:
                self._flying.pop(result[0], None)
