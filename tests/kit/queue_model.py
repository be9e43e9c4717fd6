"""A small world around the merge queue's planner, explored state by state: what can happen, happens in every order.

A commit is the path of changes that led to it, a tree the set of them. The driver of the world does what a plan says,
one step at a time; between any two steps it can crash, somebody can push, move a branch, hold or eject. A crash loses
what only memory held: gates in flight, candidates, the knowledge that a landing was about to go on.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from smithers_git.core.landing import events as ev
from smithers_git.core.landing.entry import Entry
from smithers_git.core.landing.plan import Check, Conflict, Merged, Plan, View, plan
from smithers_git.core.landing.state import QueueState, RunKey, apply

ENV = "env"
TARGET = "refs/heads/main"
Planner = Callable[[QueueState, View], Plan]


class Violation(AssertionError):
    """An invariant does not hold in a state that can be reached."""


@dataclass(frozen=True)
class Change:
    name: str
    gates: tuple[str, ...] = ("test",)
    needs: tuple[str, ...] = ()
    priority: int = 0
    commits: int = 1
    """2: a rebase that puts two commits on the target."""
    called: str = ""
    """The name of its entry, when that is not its own: a later one replaces an earlier one."""

    @property
    def entry(self) -> Entry:
        style = "rebase" if self.commits > 1 else "merge"
        return Entry(
            id=self.name, name=self.called or self.name, head=f"head-{self.name}", branch=f"refs/heads/{self.name}",
            gates=self.gates, depends_on=self.needs, priority=self.priority, style=style,
        )  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """What there is, and how much of each disturbance may happen."""

    changes: tuple[Change, ...]
    bad: tuple[frozenset[str], ...] = ()
    """A tree that holds all of one of these sets is red, at every gate unless the set names one as `gate:NAME`."""
    clash: tuple[frozenset[str], ...] = ()
    """Pairs that cannot be merged onto each other."""
    empty: frozenset[str] = frozenset()
    """Entries that hold nothing new wherever they are merged."""
    bad_hooks: frozenset[str] | None = None
    """Entries that the user's hooks refuse; None: there are no hooks."""
    pushes: tuple[tuple[str, ...], ...] = ()
    """What somebody else puts on the target."""
    acts: tuple[tuple[str, str], ...] = ()
    """(eject | hold | resume | move | enter, name or ""): each may happen once, at any moment, in any order."""
    flakes: int = 0
    breaks: int = 0
    crashes: int = 0
    lanes: int = 2
    blocked: str | None = None


@dataclass
class World:
    queue: QueueState
    tip: str
    checking: frozenset[Check] = frozenset()
    merges: frozenset[tuple[str, str]] = frozenset()
    hot: tuple[str, str] | None = None
    """(before, commit) of a landing that this driver has begun itself."""
    pushes: tuple[tuple[str, ...], ...] = ()
    acts: tuple[tuple[str, str], ...] = ()
    moved: frozenset[str] = frozenset()
    flakes: int = 0
    breaks: int = 0
    crashes: int = 0

    def key(self) -> tuple:
        """Equal for worlds with the same future."""
        queue = self.queue
        entries = tuple(
            (name, one.status, one.order, one.held, one.reason, one.tree, one.commit)
            for name, one in sorted(queue.entries.items())
        )
        matters = self.matters()
        runs = frozenset(
            (key, min(runs.passed, 1), runs.passed or min(runs.failed - runs.forgiven, 2), runs.passed or runs.broken)
            for key, runs in queue.runs.items()
            if matters(frozenset(key.tree.split("+")))
        )
        landing = queue.landing and (queue.landing.entry, queue.landing.before, queue.landing.commit)
        hooks = frozenset((commit, hooked.passed) for commit, hooked in queue.hooks.items())
        return (
            entries, runs, landing, hooks, queue.window, queue.held, frozenset(queue.tips), self.tip, self.checking,
            self.merges, self.hot, self.pushes, self.acts, self.moved, self.flakes, self.breaks, self.crashes,
        )  # fmt: skip

    def matters(self) -> Callable[[frozenset[str]], bool]:
        """Whether a tree can be a candidate from here on, or is one on a former tip; the rest is past."""
        here = changes_of(self.tip)
        alive = here | {name for name, one in self.queue.entries.items() if one.status == "waiting"}
        alive |= {name for act, name in self.acts if act in ("enter", "again")}
        alive |= {f"{name}.1" for name in alive}
        former = [changes_of(tip) for tip in self.queue.tips]

        def relevant(there: frozenset[str]) -> bool:
            return there <= alive and (here <= there or any(tip <= there for tip in former))

        return relevant

    def pruned(self) -> World:
        """Without the candidates that stand on what cannot be in the chain any more."""
        matters = self.matters()
        self.merges = frozenset(merge for merge in self.merges if matters(changes_of(merge[0]) | {merge[1]}))
        return self

    def split(self, **changes: object) -> World:
        return replace(self, **changes)

    def told(self, *events: ev.QueueEvent, **changes: object) -> World:
        """This world after the queue has written `events`."""
        queue = fork(self.queue)
        for event in events:
            apply(queue, event, 0.0)
        return replace(self, queue=queue, **changes)


def fork(queue: QueueState) -> QueueState:
    """A copy that shares nothing that the fold changes."""
    made = copy.copy(queue)
    made.entries = {name: copy.copy(one) for name, one in queue.entries.items()}
    made.runs = {key: copy.copy(runs) for key, runs in queue.runs.items()}
    for name in ("names", "hooks", "landed_names", "tips", "flakes"):
        setattr(made, name, dict(getattr(queue, name)))
    return made


# -- commits and trees


def path(commit: str) -> tuple[str, ...]:
    return tuple(commit.split(">"))


def changes_of(commit: str) -> frozenset[str]:
    return frozenset(path(commit))


def tree_of(commit: str) -> str:
    return tree(changes_of(commit))


def tree(changes: frozenset[str]) -> str:
    """A finished change swallows its own first half."""
    return "+".join(sorted(c for c in changes if not (c.endswith(".1") and c[:-2] in changes)))


def grows_from(commit: str, before: str) -> bool:
    return path(commit)[: len(path(before))] == path(before)


@dataclass
class Explorer:
    """Walks through all states of a scenario and raises Violation at the first one that breaks a promise."""

    scenario: Scenario
    planner: Planner = plan
    seen: dict[tuple, tuple | None] = field(default_factory=dict)
    """Key of a state to the key of the one that the driver makes of it."""
    ends: list[World] = field(default_factory=list)

    def run(self, limit: int = 200_000) -> Explorer:
        scenario = self.scenario
        late = {name for act, name in scenario.acts if act == "enter"}
        queue = apply(QueueState(), ev.QueueOpened(target=TARGET, base="base"), 0.0)
        for change in scenario.changes:
            if change.name not in late:
                apply(queue, ev.EntryEntered(entry=change.entry, by="you"), 0.0)
        start = World(
            queue, "base", pushes=scenario.pushes, acts=scenario.acts,
            flakes=scenario.flakes, breaks=scenario.breaks, crashes=scenario.crashes,
        )  # fmt: skip
        todo = deque([(start.key(), start)])
        self.seen[start.key()] = None
        while todo:
            key, world = todo.popleft()
            driven = self.drive(world)
            if driven is None:
                if not world.checking:
                    self.at_rest(world)
                    self.ends.append(world)
                following = list(self.finish(world))
            else:
                following = [driven]
            following += self.disturb(world)
            for number, one in enumerate(following):
                its_key = one.pruned().key()
                if driven is not None and number == 0:
                    self.seen[key] = its_key
                if its_key not in self.seen:
                    self.seen[its_key] = None
                    todo.append((its_key, one))
            if len(self.seen) > limit:
                raise Violation(f"more than {limit} states")
        self.no_circle()
        return self

    def no_circle(self) -> None:
        """The driver alone always comes to rest: what it does leads nowhere back."""
        done: set[tuple] = set()
        for key in self.seen:
            way: dict[tuple, None] = {}
            at: tuple | None = key
            while at is not None and at not in done:
                if at in way:
                    raise Violation("the queue turns in a circle without progress")
                way[at] = None
                at = self.seen[at]
            done.update(way)

    # -- what the planner sees

    def merge(self, onto: str, name: str) -> Merged | Conflict:
        change = self.change(name)
        there = changes_of(onto)
        if any(name in pair and pair - {name} <= there for pair in self.scenario.clash):
            return Conflict("both change a line")
        if name in self.scenario.empty:
            return Merged(onto, ())
        steps = [f"{name}.1", name] if change.commits == 2 else [name]
        commits = [">".join([onto, *steps[: n + 1]]) for n in range(len(steps))]
        return Merged(commits[-1], tuple(tree_of(commit) for commit in commits))

    def change(self, name: str) -> Change:
        return next(change for change in self.scenario.changes if change.name == name)

    def view(self, world: World) -> View:
        waiting = {one.entry.id for one in world.queue.waiting()}
        return View(
            tip=world.tip,
            tree=tree_of(world.tip),
            merges={key: self.merge(*key) for key in world.merges},
            checking=world.checking,
            lanes=self.scenario.lanes,
            env=ENV,
            moved=world.moved & waiting,
            contained=frozenset(waiting & changes_of(world.tip)),
            blocked=self.scenario.blocked,
            hooks=self.scenario.bad_hooks is not None,
        )

    def red(self, check: Check) -> bool:
        there = {*check.tree.split("+"), f"gate:{check.gate}"}
        return any(bad <= there for bad in self.scenario.bad)

    # -- what the driver does

    def drive(self, world: World) -> World | None:
        """The driver's next step; None when it waits for a gate, or for somebody."""
        if world.queue.landing is not None:
            return self.land(world, world.queue.landing)
        view = self.view(world)
        now = self.planner(world.queue, view)
        self.in_plan(world, now)
        if now.records:
            for event in now.records:
                self.may_refuse(world, event)
            return world.told(*now.records)
        if now.contained:
            name = now.contained[0]
            held = ev.EntryLanded(entry=name, before=world.tip, commit=world.tip, tree=tree_of(world.tip))
            return world.told(held)
        if now.merge or now.start or now.cancel:
            checking = (world.checking - set(now.cancel)) | set(now.start)
            return world.split(merges=world.merges | set(now.merge), checking=checking)
        if now.hook is not None:
            passed = now.hook[0] not in (self.scenario.bad_hooks or ())
            return world.told(ev.HookRan(entry=now.hook[0], commit=now.hook[2], passed=passed, message="no"))
        if now.land is not None:
            name, before, commit = now.land
            self.may_begin(world, name)
            return world.told(ev.LandingBegun(entry=name, before=before, commit=commit), hot=(before, commit))
        return None

    def land(self, world: World, begun: ev.LandingBegun) -> World:
        if world.hot is not None:
            if world.tip != begun.before:  # the compare-and-swap fails
                return world.told(ev.LandingVoid(entry=begun.entry, reason="moved"), hot=None)
            self.may_land(world, begun)
            return world.split(tip=begun.commit, hot=None)
        if not grows_from(world.tip, begun.commit):
            return world.told(ev.LandingVoid(entry=begun.entry, reason="not there"))
        landed = ev.EntryLanded(
            entry=begun.entry, before=begun.before, commit=begun.commit, tree=tree_of(begun.commit), receipt="receipt"
        )
        after = world.told(landed)
        self.kept(after)
        return after

    # -- what happens to it

    def finish(self, world: World) -> Iterator[World]:
        """A gate ends: as it must, by a fluke, or by the machine's fault."""
        for check in world.checking:
            left = {"checking": world.checking - {check}}
            red = self.red(check)
            yield self.ended(world, check, "failed" if red else "passed", left)
            if world.flakes:
                yield self.ended(world, check, "passed" if red else "failed", {**left, "flakes": world.flakes - 1})
            if world.breaks:
                yield self.ended(world, check, "broken", {**left, "breaks": world.breaks - 1})

    def ended(self, world: World, check: Check, outcome: ev.Outcome, changes: dict) -> World:
        return world.told(ev.GateRan(tree=check.tree, gate=check.gate, env=ENV, outcome=outcome), **changes)

    def disturb(self, world: World) -> Iterator[World]:
        if world.crashes:
            yield world.split(checking=frozenset(), merges=frozenset(), hot=None, crashes=world.crashes - 1)
        if world.pushes:
            tip = ">".join([world.tip, *(name for name in world.pushes[0] if name not in changes_of(world.tip))])
            yield world.split(tip=tip, pushes=world.pushes[1:])
        for number, (act, name) in enumerate(world.acts):
            after = self.act(world, act, name)
            if after is not None:
                yield after.split(acts=world.acts[:number] + world.acts[number + 1 :])

    def act(self, world: World, act: str, name: str) -> World | None:
        """What a person does; None while it makes no sense."""
        one = world.queue.entries.get(name)
        waits = one is not None and one.status == "waiting"
        if act == "enter":
            return world.told(ev.EntryEntered(entry=self.change(name).entry, by="you"))
        if act == "again":
            given_back = one is not None and one.status in ("refused", "ejected")
            return world.told(ev.EntryEntered(entry=self.change(name).entry, by="you")) if given_back else None
        if act == "move":
            return world.split(moved=world.moved | {name}) if waits else None
        if act == "eject":
            return world.told(ev.EntryEjected(entry=name, by="you")) if waits else None
        if act == "hold":
            return world.told(ev.EntryHeld(entry=name or None, by="you")) if waits or not name else None
        held = world.queue.held if not name else one and one.held
        return world.told(ev.EntryResumed(entry=name or None, by="you")) if held else None

    # -- what must hold

    def in_plan(self, world: World, now: Plan) -> None:
        """A plan uses no more lanes than there are, and every entry that has not ended stands in it."""
        running = (world.checking - set(now.cancel)) | set(now.start)
        if len(running) > max(self.scenario.lanes, len(world.checking)):
            raise Violation(f"more gates at once than lanes: {sorted(running)}")
        if set(now.start) & world.checking or set(now.cancel) - world.checking:
            raise Violation("a gate is started twice, or ended that does not run")
        if now.records:
            return
        placed = sorted(place.entry for place in now.line)
        if placed != sorted(one.entry.id for one in world.queue.waiting()):
            raise Violation(f"the line holds {placed}")

    def may_begin(self, world: World, name: str) -> None:
        """Nobody has said no to a landing that begins."""
        one = world.queue.entries[name]
        if one.status != "waiting":
            raise Violation(f"{name} lands although it is {one.status}")
        if world.queue.held or one.held:
            raise Violation(f"{name} lands although it is held")
        if self.scenario.blocked:
            raise Violation(f"{name} lands although the target cannot be moved")
        if name in world.moved:
            raise Violation(f"{name} lands although its branch holds something else by now")
        if name in (self.scenario.bad_hooks or ()):
            raise Violation(f"{name} lands although a hook refuses it")

    def may_land(self, world: World, begun: ev.LandingBegun) -> None:
        """I1, I2, I3, I7 at the moment at which the target moves."""
        one = world.queue.entries[begun.entry]
        here = changes_of(world.tip)
        if begun.entry in here:
            raise Violation(f"I7: {begun.entry} lands twice")
        if not grows_from(begun.commit, world.tip) or path(begun.commit)[-1] != begun.entry:
            raise Violation(f"I2: {begun.commit} does not grow from {world.tip}")
        commits = [
            ">".join(path(begun.commit)[:n]) for n in range(len(path(world.tip)) + 1, len(path(begun.commit)) + 1)
        ]
        for commit in commits:
            for gate in one.entry.gates:
                runs = world.queue.runs.get(RunKey(tree_of(commit), gate, ENV))
                if runs is None or not runs.passed:
                    raise Violation(f"I1: {commit} lands without a green {gate}")
        missing = set(one.entry.depends_on) - here - world.queue.landed_names.keys()
        if missing:
            raise Violation(f"I3: {begun.entry} lands before {missing}")

    def kept(self, world: World) -> None:
        """I4: what has landed is in the target; I7: once."""
        landed = [one for one in world.queue.entries.values() if one.status == "landed"]
        for one in landed:
            times = path(world.tip).count(one.entry.id)
            if times != (0 if one.entry.id in self.scenario.empty else 1):
                raise Violation(f"I4, I7: {one.entry.id} is {times} times in the target")

    def may_refuse(self, world: World, event: ev.QueueEvent) -> None:
        """An entry goes back only for what is its own fault, and shown to be."""
        assert isinstance(event, ev.EntryRefused)
        name, queue = event.entry, world.queue
        if queue.entries[name].status != "waiting":
            raise Violation(f"{name} is refused although it has ended")
        if event.reason == "conflict":
            fair = isinstance(self.merge(world.tip, name), Conflict)
        elif event.reason == "moved":
            fair = name in world.moved
        elif event.reason == "hook":
            fair = name in (self.scenario.bad_hooks or ())
        else:
            fair = self.shown(queue, event)
        if not fair:
            raise Violation(f"{name} is refused as {event.reason} without reason")

    def shown(self, queue: QueueState, event: ev.EntryRefused) -> bool:
        """Whether the runs prove that a gate is red, or cannot run, with the entry, and is green without it."""
        assert event.tree is not None
        assert event.gate is not None
        runs = queue.runs_of(event.tree, event.gate, ENV)
        there = set(event.tree.split("+"))
        if not there & {event.entry, f"{event.entry}.1"}:
            return False
        if event.reason == "broken":
            return runs.broken >= 3 and not runs.passed
        without = tree(frozenset(there - {event.entry, f"{event.entry}.1"}))
        green = queue.runs_of(without, event.gate, ENV).passed
        return runs.failed - runs.forgiven >= 2 and not runs.passed and bool(green)

    def at_rest(self, world: World) -> None:
        """I5: nothing is in flight and nothing to do, so each entry that waits has a blocker, with a good reason."""
        queue = world.queue
        now = self.planner(queue, self.view(world))
        for place in now.line:
            if not place.blocker:
                raise Violation(f"I5: {place.entry} waits and nobody says for what ({place.status})")
        if queue.held is not None or self.scenario.blocked:
            return
        checks = [Check(tree_of(world.tip), gate) for change in self.scenario.changes for gate in change.gates]
        at_tip = {queue.runs_of(check.tree, check.gate, ENV).verdict for check in checks}
        if at_tip & {"red", "broken"}:
            if not now.stopped and any(one.held is None for one in queue.waiting()):
                raise Violation("the target is red and the queue does not say so")
            return
        free = self.free(queue, world)
        if free:
            raise Violation(f"I5: {sorted(free)} could go on and do not: {now.line}")

    def free(self, queue: QueueState, world: World) -> set[str]:
        """Entries that wait, are not held, and depend only on what is there or is free itself."""
        free: set[str] = set()
        while True:
            more = {
                one.entry.id
                for one in queue.waiting()
                if one.held is None and all(need in free or need in queue.landed_names for need in one.entry.depends_on)
            }
            if more == free:
                return free
            free = more


def explore(scenario: Scenario, planner: Planner = plan) -> Explorer:
    """All states of `scenario`; raises Violation when one of them breaks a promise."""
    return Explorer(scenario, planner).run()
