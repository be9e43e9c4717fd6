"""Which scenario a seed is. Some seeds have a merge queue on which several runs land, or runs that go on as others."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from reliability.simulate.scenario import (
    Deed,
    Drawer,
    Landings,
    Scenario,
    Spec,
    Talking,
    Trouble,
    faults,
    hazards,
    jumps,
    ordinary,
)

from smithers_git.core.nodes import Budget

LANDING = 17
"""One seed of so many has a merge queue: it takes as long as four others."""
AGAIN = 17
"""One seed of so many has a run that continues as another one."""
USING = 17
"""One seed of so many has a run that uses another one."""
TALKING = 17
"""One seed of so many has agents, what they cost, and what they may cost."""
WATCHED = 17
"""Two seeds of so many have somebody look with `supervise` while all goes wrong."""
AGENTS = ("claude", "codex", "pi")
_DEEDS = {
    "push": 3, "merge": 2, "move": 1, "hold": 2, "let": 2, "eject": 2, "cancel": 1, "pause": 1, "resume": 2,
    "rewind": 2, "fork": 1, "retry": 1,
}  # fmt: skip


def draw(seed: int) -> Scenario:
    """The scenario of a seed: the same on every machine, and in every process."""
    if seed % LANDING == 5:
        return _landing(seed)
    found = _watched(ordinary(seed)) if seed % WATCHED in (4, 14) else ordinary(seed)
    if seed % USING == 8:
        return _using(found)
    if seed % TALKING == 14:
        return _talking(_using(found) if seed % 5 == 1 else _again(found) if seed % 5 == 2 else found)
    return _again(found) if seed % AGAIN == 11 else found


def _watched(found: Scenario) -> Scenario:
    """The same with somebody who looks with `supervise` now and then."""
    chance = random.Random(found.seed)
    looks = [Deed(round(chance.uniform(0, 40), 2), "supervise", 0) for _ in range(chance.randrange(1, 6))]
    return _meddled(found, looks)


def _meddled(found: Scenario, more: list[Deed]) -> Scenario:
    """The same with more that people do."""
    return replace(found, deeds=tuple(sorted((*found.deeds, *more), key=lambda deed: deed.at)))


def _using(found: Scenario) -> Scenario:
    """The same as the workflow that another one uses, between two tasks of its own."""
    chance = random.Random(found.seed)
    drawer = Drawer(chance, found.steady, count=100)
    used = _again(found).root if found.seed % 5 == 3 else found.root
    use = Spec("subflow", "use", (used,), {"continue_on_fail": not found.steady and chance.random() < 0.3})
    kind = chance.choice(("sequence", "sequence", "parallel"))
    around = (drawer.task("run"), use, drawer.task("value"))
    return replace(found, root=Spec(kind, "top", around, {"limit": None} if kind == "parallel" else {}))


def _talking(found: Scenario) -> Scenario:
    """The same with agents in place of most commands."""
    chance = random.Random(found.seed)
    root = _with_agents(found.root, chance, found.steady)
    uses = chance.choice((500, 1000, 1000, 4000))
    troubles = []
    for _ in range(chance.choice((0, 2, 4))):
        kind = "limit" if found.steady else chance.choice(("limit", "limit", "overload", "auth"))
        begin = round(chance.uniform(0, 25), 2)
        troubles.append(
            Trouble(
                chance.choice(AGENTS),
                kind,
                begin,
                begin + chance.choice((2.0, 15.0, 60.0, 4000.0)),
                chance.random() < 0.6,
            )
        )
    budget = Budget(
        usd=uses * chance.choice((2, 5, 20)) / 10_000 if chance.random() < 0.3 else None,
        tokens=uses * chance.choice((1, 2, 5, 20)) if chance.random() < 0.5 else None,
    )
    talking = Talking(
        tokens=uses,
        unpriced=tuple(agent for agent in AGENTS if chance.random() < 0.2),
        budget=budget,
        day=uses * chance.choice((3, 6, 30)) if chance.random() < 0.3 else None,
        soft=chance.choice((0.5, 0.8, 1.0)),
        troubles=tuple(troubles),
        forgets=tuple(round(chance.uniform(0, 30), 2) for _ in range(chance.choice((0, 0, 1, 2)))),
    )
    more = [
        Deed(
            round(chance.uniform(0, 25), 2),
            chance.choice(("raise", "raise", "lower", "unlimit", "rewind")),
            chance.randrange(64),
        )
        for _ in range(0 if found.steady else chance.randrange(3))
    ]
    return _meddled(replace(found, root=root, talking=talking), more)


def _with_agents(spec: Spec, chance: random.Random, steady: bool) -> Spec:
    if spec.kind == "run" and chance.random() < 0.8:
        return Spec("agent", spec.id, options=spec.options | _agent(spec.options["ends"], chance, steady))
    return replace(spec, children=tuple(_with_agents(child, chance, steady) for child in spec.children))


def _agent(ends: tuple[str, ...], chance: random.Random, steady: bool) -> dict[str, Any]:
    """What an agent's task has besides what a command's has: `ends` is how the attempts of that would end."""
    broken = ("exit", "invalid") if steady else ("exit", "invalid", "astray")
    ways = {
        "exit": broken,
        "timeout": ("timeout",) if steady else ("timeout", "refusal"),
        "gate": ("gate",),
    }
    # What an attempt that was cut off has left counts as a change: then nobody tells the next one that it is idle.
    well = ("ok", "ok", "slip") if steady else ("ok", "ok", "slip", "idle")
    own: dict[str, Any] = {
        "ends": tuple(chance.choice(ways.get(end, well)) for end in ends),
        "agents": tuple(chance.sample(AGENTS, chance.choice((1, 1, 2, 3)))),
        "loses": chance.random() < 0.2,
        "same": chance.random() < 0.3,
        "changes": chance.random() < 0.5,
    }
    if not steady and chance.random() < 0.15:
        own["budget"] = chance.choice((500, 2000, 8000))
    return own


def _again(found: Scenario) -> Scenario:
    """The same, and at its end the run continues as another one, once or twice."""
    more = Spec("again", "again", options={"times": 1 + found.seed % 2})
    return replace(found, root=Spec("sequence", "all", (found.root, more)), between=found.seed % 3 > 0)


def _landing(seed: int) -> Scenario:
    chance = random.Random(seed)
    queue, runs = _queue(Drawer(chance, steady=False)), chance.choice((1, 2, 2, 3))
    deeds = [
        Deed(round(chance.uniform(0, 30), 2), what, chance.randrange(64), chance.random() < 0.2)
        for what in chance.choices(list(_DEEDS), list(_DEEDS.values()), k=chance.randrange(6))
    ]
    return Scenario(
        seed,
        steady=False,
        root=queue,
        max_concurrency=chance.choice((2, 4, 4)),
        driven_here=True,
        deeds=tuple(sorted(deeds, key=lambda deed: deed.at)),
        faults=faults(chance),
        hazards=hazards(chance),
        jumps=jumps(chance),
        landings=_landings(chance, queue, runs),
    )


def _queue(drawer: Drawer) -> Spec:
    """Worktrees side by side, each with work and a landing at its end."""
    chance = drawer.chance
    options: dict[str, Any] = {
        "gates": chance.choice((("lint",), ("lint", "test"))),
        "style": chance.choice(("merge", "merge", "rebase", "squash")),
        "names": chance.choice(("run", "run", "shared")),
    }
    trees: list[Spec] = []
    for _ in range(chance.randrange(1, 4)):
        name = drawer.name()
        work = tuple(_work(drawer) for _ in range(chance.choice((1, 1, 2))))
        land = {
            "check": chance.random() < 0.3,
            "depends": tuple(tree.id for tree in trees if chance.random() < 0.3),
            "priority": chance.choice((0, 0, 0, 1, 2)),
            "ticket": chance.random() < 0.3,
            "continue_on_fail": chance.random() < 0.5,
        }
        trees.append(Spec("worktree", name, (*work, Spec("land", f"{name}.land", options=land))))
    queue = Spec("queue", drawer.name(), tuple(trees), options)
    return Spec("sequence", "root", (queue, drawer.task("value")) if chance.random() < 0.5 else (queue,))


def _work(drawer: Drawer) -> Spec:
    chance = drawer.chance
    options = {
        "takes": tuple(chance.choice((0.1, 1.0, 1.0, 6.0)) for _ in range(2)),
        "ends": chance.choice((("ok",), ("ok",), ("ok",), ("exit", "ok"))),
        "retries": 2,
        "gate": False,
        "shares": chance.random() < 0.2,
    }
    return Spec("run", drawer.name(), options=options)


def _landings(chance: random.Random, queue: Spec, runs: int) -> Landings:
    names = ["sim", "sim-2", "sim-3"][:runs]
    files = [f"{run}.{leaf.id}" for run in names for leaf in queue.leaves() if leaf.kind == "run"]
    bad: list[tuple[str, ...]] = []
    for _ in range(chance.choice((0, 1, 1, 2))):
        found = chance.sample(files, min(len(files), chance.choice((1, 2, 2))))
        bad.append((*found, *(("gate:test",) if chance.random() < 0.3 else ())))
    odd = {number: chance.choice(("flake", "break")) for number in chance.sample(range(12), chance.choice((0, 1, 3)))}
    hooked = chance.random() < 0.3
    begin = round(chance.uniform(0, 15), 2)
    return Landings(
        target=chance.choice(("main", "main", None)),
        runs=runs,
        lanes=chance.choice((1, 2, 3)),
        takes=tuple(chance.choice((0.2, 1.0, 4.0, 12.0)) for _ in range(4)),
        bad=tuple(bad),
        odd=dict(sorted(odd.items())),
        races=tuple(sorted(chance.sample(range(4), chance.choice((0, 0, 1, 2))))),
        hooked=hooked,
        refused=(chance.choice(files),) if hooked and chance.random() < 0.5 else (),
        blocked=(begin, begin + 10.0) if chance.random() < 0.2 else (0.0, 0.0),
    )
