"""The merge queue on a simulated clock: rounds and gate runs against serial landing, and what planning costs.

Gates take one unit of time, the driver and its merges take none. What ends at one moment is told to the planner at
once; a gate that is cancelled counts as a whole run. An entry's own redness is drawn once: it is red in every tree
that holds it.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from statistics import mean

from smithers_git.core.landing import events as ev
from smithers_git.core.landing.entry import Entry
from smithers_git.core.landing.plan import Check, Conflict, Merged, Plan, View, plan
from smithers_git.core.landing.state import QueueState, apply

GATE = "test"
ENV = "env"


@dataclass(frozen=True)
class Cost:
    rounds: float
    """Gate lengths until every entry has landed or was refused."""
    runs: int
    """Gate runs that were started."""
    landed: int


class Clocked:
    """A queue in memory, and its driver."""

    def __init__(self, entries: int, lanes: int, red: set[str]) -> None:
        self.red = red
        self.lanes = lanes
        self.queue = QueueState()
        self.tip = "base"
        self.merges: dict[tuple[str, str], Merged | Conflict] = {}
        self.checking: set[Check] = set()
        self.runs = 0
        self.tell(ev.QueueOpened(target="refs/heads/main", base="base"))
        for number in range(entries):
            name = f"e{number}"
            entry = Entry(id=name, name=name, head=name, gates=(GATE,), title=name)
            self.tell(ev.EntryEntered(entry=entry, by="bench"))

    def tell(self, event: ev.QueueEvent) -> None:
        apply(self.queue, event, 0.0)

    def view(self) -> View:
        return View(
            tip=self.tip,
            tree=f"tree {self.tip}",
            merges=self.merges,
            checking=frozenset(self.checking),
            lanes=self.lanes,
            env=ENV,
        )

    def plan(self) -> Plan:
        return plan(self.queue, self.view())

    def settle(self) -> None:
        """Do what the planner says until it waits for gates."""
        while True:
            now = self.plan()
            self.checking -= set(now.cancel)
            self.checking |= set(now.start)
            self.runs += len(now.start)
            for onto, entry in now.merge:
                commit = f"{onto} {entry}"
                self.merges[onto, entry] = Merged(commit, (f"tree {commit}",))
            for event in now.records:
                self.tell(event)
            if now.land is not None:
                self.land(*now.land)
            if not (now.merge or now.records or now.start or now.land):
                return

    def land(self, entry: str, before: str, commit: str) -> None:
        self.tip = commit
        self.tell(ev.EntryLanded(entry=entry, before=before, commit=commit, tree=f"tree {commit}", receipt="receipt"))

    def end(self, check: Check) -> None:
        self.checking.discard(check)
        outcome: ev.Outcome = "failed" if self.red & set(check.tree.split()) else "passed"
        self.tell(ev.GateRan(tree=check.tree, gate=GATE, env=ENV, outcome=outcome))


def simulate(entries: int = 16, lanes: int = 4, pass_rate: float = 0.95, seed: int = 0, *, spread: float = 0.0) -> Cost:
    """What it takes until `entries`, each green with `pass_rate`, have ended; a gate takes 1 ± `spread`."""
    chance = random.Random(seed)
    red = {f"e{number}" for number in range(entries) if chance.random() >= pass_rate}
    world = Clocked(entries, lanes, red)
    now, due = 0.0, dict[Check, float]()
    world.settle()
    while world.checking:
        due = {check: due.get(check) or now + 1 + chance.uniform(-spread, spread) for check in sorted(world.checking)}
        now = min(due.values())
        for check in [check for check, end in due.items() if end == now]:
            del due[check]
            world.end(check)
        world.settle()
    ended = [one.status for one in world.queue.entries.values()]
    assert "waiting" not in ended, f"seed {seed}: the queue came to rest with {ended}"
    return Cost(now, world.runs, ended.count("landed"))


@dataclass(frozen=True)
class Comparison:
    """Means over seeds, lanes against one lane with the same confirmation of red."""

    rounds: float
    serial_rounds: float
    runs: float
    serial_runs: float

    @property
    def faster(self) -> float:
        return self.serial_rounds / self.rounds

    @property
    def more_runs(self) -> float:
        return self.runs / self.serial_runs


def compare(pass_rate: float, seeds: int = 300, lanes: int = 4, spread: float = 0.0) -> Comparison:
    ours = [simulate(lanes=lanes, pass_rate=pass_rate, seed=seed, spread=spread) for seed in range(seeds)]
    serial = [simulate(lanes=1, pass_rate=pass_rate, seed=seed, spread=spread) for seed in range(seeds)]
    return Comparison(
        mean(cost.rounds for cost in ours),
        mean(cost.rounds for cost in serial),
        mean(cost.runs for cost in ours),
        mean(cost.runs for cost in serial),
    )


def full_line(entries: int = 200) -> Clocked:
    """A queue in which all candidates are known, every tenth entry was red once, and gates are in flight."""
    world = Clocked(entries, 4, {f"e{number}" for number in range(0, entries, 10)})
    world.queue.window = entries
    world.lanes = entries
    world.settle()
    for check in list(world.checking):
        world.end(check)
    world.lanes = 4
    for _ in range(entries):
        now = world.plan()
        if not now.merge:
            break
        for onto, entry in now.merge:
            world.merges[onto, entry] = Merged(f"{onto} {entry}", (f"tree {onto} {entry}",))
    return world


def planning_ms(entries: int = 200, times: int = 50) -> float:
    """Milliseconds of one planning with `entries` in the line: the median."""
    world = full_line(entries)
    view = world.view()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        plan(world.queue, view)
        taken.append((time.perf_counter() - began) * 1000)
    return sorted(taken)[times // 2]


def main() -> None:
    for rate, spread in ((0.95, 0.0), (0.8, 0.0), (0.95, 0.2), (0.8, 0.2)):
        found = compare(rate, spread=spread)
        print(
            f"pass rate {rate}, gates of length 1 ± {spread}: "
            f"{found.rounds:.2f} rounds against {found.serial_rounds:.2f} ({found.faster:.2f}x), "
            f"{found.runs:.1f} gate runs against {found.serial_runs:.1f} ({found.more_runs:.2f}x)"
        )
    print(f"planning with 200 entries: {planning_ms():.2f} ms")


if __name__ == "__main__":
    main()
