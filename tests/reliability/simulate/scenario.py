"""A seed as a scenario: a workflow, how every attempt of it ends, what breaks and when, and who meddles."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from smithers_git.core.nodes import Budget

GROUPS = ("sequence", "parallel", "loop", "branch", "worktree", "saga", "try")
NESTED = (*GROUPS, "queue")
WAITS = ("approval", "question", "signal", "timer")


@dataclass(frozen=True)
class Spec:
    """One node of the workflow, as data."""

    kind: str
    id: str
    children: tuple[Spec, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def leaves(self) -> Iterator[Spec]:
        if self.kind not in NESTED:
            yield self
        for child in self.children:
            yield from child.leaves()

    def lines(self, depth: int = 0) -> Iterator[str]:
        said = " ".join(f"{name}={value!r}" for name, value in self.options.items())
        yield f"{'  ' * depth}{self.kind} {self.id} {said}".rstrip()
        for child in self.children:
            yield from child.lines(depth + 1)


@dataclass(frozen=True)
class Deed:
    """What a person does at a moment, whatever the run is at."""

    at: float
    """Virtual seconds."""
    what: str
    pick: int
    """Which of those that there are: an approval, a node, a frame."""
    twice: bool = False
    """Two people do it at once."""


@dataclass(frozen=True)
class Fault:
    """What happens to a process at its next deed after so many deeds of all."""

    step: int
    what: str
    """switch: others go first · kill · stall: it is stopped and goes on later · rob: as stall, and another engine takes
    its run over · full: the disk is full, once."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Hazard:
    """What happens to the result of the n-th attempt of all."""

    number: int
    what: str
    """twice: it comes a second time · late · lost: it never comes, and its engine dies."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Landings:
    """Several runs of the workflow land on one branch."""

    target: str | None = None
    """None: the integration branch of the settings."""
    runs: int = 1
    lanes: int = 2
    """Gates at once."""
    takes: tuple[float, ...] = (1.0,)
    """Virtual seconds of the gates, in turn."""
    bad: tuple[tuple[str, ...], ...] = ()
    """A tree that holds all files of one of these is red; at one gate only, where `gate:NAME` is among them."""
    odd: Mapping[int, str] = field(default_factory=dict)
    """What happens to the n-th gate of all. flake: it says the opposite · break: it is ended from outside."""
    races: tuple[int, ...] = ()
    """Landings at which somebody else pushes just before the branch is moved."""
    hooked: bool = False
    """The user has hooks."""
    refused: tuple[str, ...] = ()
    """Files that they say no to."""
    blocked: tuple[float, float] = (0.0, 0.0)
    """Virtual seconds between which a checkout of the branch has changes."""

    def is_red(self, names: set[str], gate: str) -> bool:
        there = names | {f"gate:{gate}"}
        return any(there.issuperset(bad) for bad in self.bad)


@dataclass(frozen=True)
class Trouble:
    """What keeps the service of an agent from answering for a while."""

    agent: str
    kind: str
    """limit · overload · auth."""
    begin: float
    """Virtual seconds."""
    end: float
    told: bool = True
    """Whether it says when it ends."""


@dataclass(frozen=True)
class Talking:
    """Agents take part."""

    tokens: int = 1000
    """What one turn uses; at ten dollars for 100,000."""
    unpriced: tuple[str, ...] = ()
    """Agents that name no price."""
    budget: Budget = field(default_factory=Budget)
    """Of the run."""
    day: int | None = None
    """Tokens that all runs may use in one day."""
    soft: float = 0.8
    troubles: tuple[Trouble, ...] = ()
    forgets: tuple[float, ...] = ()
    """Virtual seconds at which the files of all conversations are removed."""


@dataclass(frozen=True)
class Scenario:
    seed: int
    steady: bool
    """Only machines fail: then the run must end as it ends when nothing does."""
    root: Spec
    max_concurrency: int
    driven_here: bool
    deeds: tuple[Deed, ...] = ()
    faults: tuple[Fault, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    jumps: tuple[tuple[float, float], ...] = ()
    """(virtual seconds, by how many the wall clock jumps)."""
    landings: Landings | None = None
    talking: Talking | None = None
    between: bool = False
    """The engine dies when it has begun the run that another one continues as."""

    def __str__(self) -> str:
        lines = [f"seed {self.seed}{' (steady)' * self.steady}, at most {self.max_concurrency} at once"]
        lines += self.root.lines(1)
        for name in ("deeds", "faults", "hazards", "jumps"):
            lines += [f"  {name[:-1]}: {one}" for one in getattr(self, name)]
        lines += [f"  {one}" for one in (self.landings, self.talking) if one is not None]
        return "\n".join(lines)


def ordinary(seed: int) -> Scenario:
    """The scenario of a seed without a merge queue."""
    chance = random.Random(seed)
    steady = seed % 3 == 0
    root = Drawer(chance, steady).root()
    deeds: list[Deed] = []
    if not steady:
        kinds = (
            "approve",
            "deny",
            "answer",
            "signal",
            "cancel",
            "pause",
            "resume",
            "rewind",
            "fork",
            "retry",
            "withdraw",
        )
        weights = (4, 2, 3, 3, 1, 2, 3, 2, 1, 2, 1)
        for what in chance.choices(kinds, weights, k=chance.randrange(7)):
            deeds.append(Deed(round(chance.uniform(0, 25), 2), what, chance.randrange(64), chance.random() < 0.3))
    return Scenario(
        seed,
        steady,
        root,
        chance.choice((1, 2, 4, 4)),
        driven_here=chance.random() < 0.9,
        deeds=tuple(sorted(deeds, key=lambda deed: deed.at)),
        faults=faults(chance),
        hazards=hazards(chance),
        jumps=jumps(chance),
    )


def faults(chance: random.Random) -> tuple[Fault, ...]:
    kinds, weights = ("switch", "kill", "stall", "rob", "full"), (6, 4, 2, 2, 1)
    found, step = [], 0
    gap = chance.choice((15, 40, 120))
    for what in chance.choices(kinds, weights, k=chance.randrange(9)):
        step += 1 + int(chance.expovariate(1 / gap))
        found.append(Fault(step, what, round(chance.expovariate(1 / 3), 2)))
    return tuple(found)


def hazards(chance: random.Random) -> tuple[Hazard, ...]:
    numbers = sorted(chance.sample(range(12), chance.randrange(4)))
    return tuple(
        Hazard(number, chance.choice(("twice", "twice", "late", "lost")), round(chance.expovariate(1 / 4), 2))
        for number in numbers
    )


def jumps(chance: random.Random) -> tuple[tuple[float, float], ...]:
    if chance.random() > 0.25:
        return ()
    return ((round(chance.uniform(0, 20), 2), chance.choice((-3600.0, -5.0, 5.0, 60.0, 86400.0))),)


@dataclass
class Drawer:
    """Draws nodes of a workflow."""

    chance: random.Random
    steady: bool
    count: int = 0
    known: list[Spec] = field(default_factory=list)
    """Leaves so far that every render has and that no region may drop."""
    fragile: int = 0
    """How many branches and regions are around."""

    def root(self) -> Spec:
        kind = self.chance.choice(("sequence", "sequence", "sequence", "parallel"))
        limit = {"limit": None} if kind == "parallel" else {}
        return Spec(kind, "root", tuple(self.node(2) for _ in range(self.chance.randrange(1, 4))), limit)

    def name(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def node(self, depth: int) -> Spec:
        if depth and self.count < 8 and self.chance.random() < 0.5:
            kind = self.chance.choice(GROUPS)
            if not (self.steady and kind == "branch"):
                return getattr(self, kind)(depth)
        return self.leaf()

    def several(self, depth: int, most: int = 3) -> tuple[Spec, ...]:
        return tuple(self.node(depth - 1) for _ in range(self.chance.randrange(1, most + 1)))

    def sequence(self, depth: int) -> Spec:
        return Spec("sequence", self.name(), self.several(depth))

    def parallel(self, depth: int) -> Spec:
        return Spec("parallel", self.name(), self.several(depth), {"limit": self.chance.choice((None, None, 1, 2))})

    def worktree(self, depth: int) -> Spec:
        return Spec("worktree", self.name(), self.several(depth, 2))

    def loop(self, depth: int) -> Spec:
        most = self.chance.randrange(1, 4)
        fails = not self.steady and self.chance.random() < 0.3
        options = {
            "holds_at": self.chance.randrange(4 if fails else most),
            "most": most,
            "on_max": "fail" if fails else "return-last",
        }
        return Spec("loop", self.name(), self.several(depth, 2), options)

    def branch(self, depth: int) -> Spec:
        name = self.name()
        on = self.chance.choice(self.known).id if self.known else None
        self.fragile += 1
        children = (self.node(depth - 1), self.node(depth - 1))
        self.fragile -= 1
        return Spec("branch", name, children, {"on": on})

    def saga(self, depth: int) -> Spec:
        name = self.name()
        self.fragile += 1
        steps = tuple(
            Spec("sequence", self.name(), (self.node(depth - 1), self.task("run")))
            for _ in range(self.chance.randrange(1, 3))
        )
        self.fragile -= 1
        how = self.chance.choice(("compensate-and-fail", "compensate", "fail"))
        return Spec("saga", name, steps, {"on_failure": how})

    def try_(self, depth: int) -> Spec:
        name = self.name()
        self.fragile += 1
        children = (self.node(depth - 1), self.leaf(), self.leaf())
        self.fragile -= 1
        return Spec("try", name, children, {"catch": self.chance.random() < 0.7})

    def leaf(self) -> Spec:
        kinds = ("value", "run", "call", *WAITS)
        kind = self.chance.choices(kinds, (3, 8, 1, 2, 1, 1, 1))[0]
        return self.wait(kind) if kind in WAITS else self.task(kind)

    def wait(self, kind: str) -> Spec:
        options: dict[str, Any] = {}
        if kind == "timer":
            options["for_"] = self.chance.choice((0.5, 4.0, 100.0))
        elif not self.steady and self.chance.random() < 0.3:
            options["expires"] = self.chance.choice((2.0, 40.0))
            options["on_expiry"] = self.chance.choice(
                ("fail", "approve", "deny") if kind == "approval" else ("fail", "skip")
            )
        if kind == "approval":
            options["approve"] = self.steady or self.chance.random() < 0.8
            options["on_deny"] = self.chance.choice(("fail", "continue", "skip"))
        return self.keep(Spec(kind, self.name(), options=options | self.needs()))

    def task(self, kind: str) -> Spec:
        chance, options = self.chance, dict[str, Any]()
        if kind == "run":
            options["takes"] = tuple(chance.choice((0.1, 1.0, 1.0, 6.0, 45.0)) for _ in range(2))
            options["ends"] = self.ends()
            options["retries"] = chance.randrange(len(options["ends"]) - 1, 4) if self.steady else chance.randrange(3)
            options["gate"] = "gate" in options["ends"] or chance.random() < 0.1
        if chance.random() < 0.1:
            options["skip_if"] = True
        if not self.steady and chance.random() < 0.25:
            options["continue_on_fail"] = True
        if kind == "run" and chance.random() < 0.1:
            options["needs_approval"] = True
        return self.keep(Spec(kind, self.name(), options=options | self.needs()))

    def ends(self) -> tuple[str, ...]:
        """How the attempts end, by how many have failed so far; the last one goes on."""
        chance = self.chance
        bad = [chance.choice(("exit", "exit", "timeout", "gate")) for _ in range(2)]
        if self.steady:
            return (*bad[: chance.choice((0, 0, 0, 1, 2))], "ok")
        return chance.choice((("ok",), ("ok",), ("ok",), (bad[0], "ok"), (*bad, "ok"), (bad[0],)))

    def needs(self) -> dict[str, Any]:
        if self.known and self.chance.random() < 0.25:
            return {"needs": (self.chance.choice(self.known).id,)}
        return {}

    def keep(self, spec: Spec) -> Spec:
        if not self.fragile:
            self.known.append(spec)
        return spec


setattr(Drawer, "try", Drawer.try_)  # a kind is called as in a workflow, and `try` cannot be the name of a method
