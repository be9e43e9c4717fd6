"""All states that a small merge queue can come into, and planners with one fault each that the search has to catch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product

import pytest
from kit.queue_model import Change, Planner, Scenario, Violation, explore, fork

from smithers_git.core.landing import events as ev
from smithers_git.core.landing.plan import Conflict, Merged, Plan, View, plan
from smithers_git.core.landing.state import GateRuns, Held, QueueState, RunKey

A, B, C, D = map(Change, "abcd")


def sets(*words: str) -> tuple[frozenset[str], ...]:
    """`sets("a c", "b")`: which changes are red, or clash, together."""
    return tuple(frozenset(word.split()) for word in words)


EVERYDAY = {
    "four that are fine": Scenario((A, B, C, D), crashes=1),
    "a red one in the middle": Scenario((A, B, C, D), bad=sets("b"), crashes=1),
    "the first is red": Scenario((A, B, C), bad=sets("a"), crashes=2),
    "all are red": Scenario((A, B, C), bad=sets("a", "b", "c"), crashes=1),
    "two are red together": Scenario((A, B, C, D), bad=sets("a c", "b d"), crashes=1),
    "flakes": Scenario((A, B, C, D), bad=sets("b"), flakes=2),
    "a flake and a crash": Scenario((A, B, C), flakes=1, crashes=1),
    "gates that break": Scenario((A, B, C), breaks=4),
    "a red gate whose confirmation breaks": Scenario((A, B), bad=sets("a"), breaks=4),
    "the target is red": Scenario((A, B, C), bad=sets("base"), crashes=1, pushes=(("x",),)),
    "the target is red, says a fluke": Scenario((A, B), bad=sets("a"), flakes=2, crashes=1),
    "conflicts": Scenario((A, B, C, D), clash=sets("a c", "b d"), crashes=1),
    "a conflict with one that is red": Scenario((A, B, C), clash=sets("a c", "b c"), bad=sets("a"), crashes=1),
    "a conflict with a dependency": Scenario((A, Change("b", needs=("a",)), C), clash=sets("a b"), crashes=1),
    "a push": Scenario((A, B, C), pushes=(("x",),), bad=sets("x a"), crashes=1),
    "two pushes": Scenario((A, B), pushes=(("x",), ("y",)), bad=sets("x a"), crashes=1),
    "a push that conflicts": Scenario((A, B, C), pushes=(("x",),), clash=sets("x b"), bad=sets("c"), crashes=1),
    "a push that holds an entry": Scenario((A, B, C), pushes=(("b",),), bad=sets("a"), crashes=1),
    "a push of everything": Scenario((A, B), pushes=(("b", "a"),), crashes=2),
    "dependencies": Scenario((Change("a", needs=("c",)), B, C, Change("d", needs=("a",))), bad=sets("b"), crashes=1),
    "dependencies on a red one": Scenario((A, Change("b", needs=("a",)), Change("c", needs=("b",)), D), bad=sets("a")),
    "a missing dependency": Scenario((A, Change("b", needs=("nobody",)), Change("c", needs=("b",))), crashes=1),
    "a circle": Scenario((Change("a", needs=("b",)), Change("b", needs=("a",)), Change("c", needs=("b",)), D)),
    "priorities": Scenario((A, replace(B, priority=1), Change("c", needs=("a",), priority=2)), bad=sets("b")),
    "moved branches": Scenario((A, B, C), acts=(("move", "a"), ("move", "b")), crashes=1),
    "ejected": Scenario((A, B, Change("c", needs=("a",))), acts=(("eject", "a"), ("again", "a")), bad=sets("b")),
    "held": Scenario((A, B), acts=(("hold", "a"), ("resume", "a"), ("hold", ""), ("resume", "")), crashes=1),
    "tried again": Scenario((A, B), bad=sets("a"), acts=(("again", "a"),), crashes=1),
    "late": Scenario((A, B, C), acts=(("enter", "c"),), bad=sets("a"), crashes=1),
    "replaced": Scenario((A, B, Change("c", called="a")), acts=(("enter", "c"),), bad=sets("a"), crashes=1),
    "hooks": Scenario((A, B, C), bad_hooks=frozenset("b"), crashes=1),
    "rebased": Scenario((Change("a", commits=2), Change("b", commits=2), C), bad=sets("b.1"), crashes=1),
    "different gates": Scenario(
        (Change("a", gates=("lint",)), Change("b", gates=("lint", "test")), Change("c", gates=("test",))),
        bad=sets("a gate:test"), crashes=1,
    ),
    "no gates": Scenario((Change("a", gates=()), B), crashes=1),
    "nothing new": Scenario((A, B, Change("c", needs=("b",))), empty=frozenset("b"), crashes=1),
    "the target cannot be moved": Scenario((A, B, C), blocked="its checkout is dirty", bad=sets("a")),
}  # fmt: skip


@pytest.mark.parametrize("scenario", EVERYDAY.values(), ids=EVERYDAY)
def test_every_state_keeps_the_promises(scenario):
    assert explore(scenario).ends, "it never comes to rest"


def fates(scenario: Scenario) -> set[tuple[str, ...]]:
    return {
        tuple(f"{one.entry.id} {one.status}" for one in world.queue.entries.values())
        for world in explore(scenario).ends
    }


@pytest.mark.parametrize(
    ("scenario", "fate"),
    [
        (EVERYDAY["four that are fine"], "a landed, b landed, c landed, d landed"),
        (EVERYDAY["a red one in the middle"], "a landed, b refused, c landed, d landed"),
        (EVERYDAY["the first is red"], "a refused, b landed, c landed"),
        (EVERYDAY["two are red together"], "a landed, b landed, c refused, d refused"),
        (EVERYDAY["a flake and a crash"], "a landed, b landed, c landed"),
        (EVERYDAY["conflicts"], "a landed, b landed, c refused, d refused"),
        (EVERYDAY["dependencies"], "a landed, b refused, c landed, d landed"),
        (EVERYDAY["dependencies on a red one"], "a refused, b waiting, c waiting, d landed"),
        (EVERYDAY["a circle"], "a waiting, b waiting, c waiting, d landed"),
        (EVERYDAY["hooks"], "a landed, b refused, c landed"),
        (EVERYDAY["rebased"], "a landed, b refused, c landed"),
        (EVERYDAY["nothing new"], "a landed, b landed, c landed"),
        (EVERYDAY["the target cannot be moved"], "a refused, b waiting, c waiting"),
    ],
)
def test_what_becomes_of_an_entry_does_not_depend_on_the_order_of_events_or_a_crash(scenario, fate):
    assert fates(scenario) == {tuple(fate.split(", "))}


def test_nobody_is_blamed_for_a_red_target():
    scenario = Scenario((A, B, C), bad=sets("base"), crashes=1)
    assert fates(scenario) == {("a waiting", "b waiting", "c waiting")}


# -- the search itself can fail


def with_state(change) -> Planner:
    """A planner that sees another state than there is."""

    def planner(state: QueueState, view: View) -> Plan:
        seen = fork(state)
        change(seen, view)
        return plan(seen, view)

    return planner


def lands_unverified(state: QueueState, view: View) -> Plan:
    now = plan(state, view)
    for one in state.waiting():
        found = view.merges.get((view.tip, one.entry.id))
        if isinstance(found, Merged) and not now.records:
            return replace(now, start=[], merge=[], cancel=[], land=(one.entry.id, view.tip, found.commit))
    return now


def lands_on_an_old_tip(state: QueueState, view: View) -> Plan:
    now = plan(state, view)
    return replace(now, land=(now.land[0], "base", now.land[2])) if now.land else now


def lands_what_was_made_for_an_old_tip(state: QueueState, view: View) -> Plan:
    now = plan(state, view)
    return replace(now, land=(now.land[0], view.tip, f"base>{now.land[0]}")) if now.land else now


def ignores_dependencies(seen: QueueState, view: View) -> None:
    for one in seen.entries.values():
        one.entry = one.entry.model_copy(update={"depends_on": ()})


def counts_the_first_red(seen: QueueState, view: View) -> None:
    for runs in seen.runs.values():
        runs.failed *= 2


def trusts_the_target(seen: QueueState, view: View) -> None:
    for gate in ("lint", "test"):
        seen.runs[RunKey(view.tree, gate, view.env)] = GateRuns(passed=1)


def counts_what_broke(seen: QueueState, view: View) -> None:
    for runs in seen.runs.values():
        runs.failed += runs.broken
        runs.broken = 0


def overlooks_what_the_target_holds(state: QueueState, view: View) -> Plan:
    return plan(state, replace(view, contained=frozenset()))


def overlooks_moved_branches(state: QueueState, view: View) -> Plan:
    return plan(state, replace(view, moved=frozenset()))


def overlooks_obstacles(state: QueueState, view: View) -> Plan:
    return plan(state, replace(view, blocked=None))


def overlooks_hooks(state: QueueState, view: View) -> Plan:
    return plan(state, replace(view, hooks=False))


def overlooks_holds(seen: QueueState, view: View) -> None:
    seen.held = None
    for one in seen.entries.values():
        one.held = None


def holds_everybody(seen: QueueState, view: View) -> None:
    for one in seen.entries.values():
        one.held = Held("nobody")


def refuses_whoever_conflicts_with_one_ahead(state: QueueState, view: View) -> Plan:
    now = plan(state, view)
    for (_, name), found in view.merges.items():
        if isinstance(found, Conflict) and state.entries[name].status == "waiting":
            return replace(now, records=[ev.EntryRefused(entry=name, reason="conflict", message="")])
    return now


def names_no_blocker(state: QueueState, view: View) -> Plan:
    now = plan(state, view)
    return replace(now, line=[replace(place, blocker=None) for place in now.line])


def forgets_the_blocked(state: QueueState, view: View) -> Plan:
    now = plan(state, view)
    return replace(now, line=[place for place in now.line if place.status != "blocked"])


def never_starts(state: QueueState, view: View) -> Plan:
    return replace(plan(state, view), start=[])


def starts_and_ends(state: QueueState, view: View) -> Plan:
    return replace(plan(state, view), start=[], cancel=sorted(view.checking)) if view.checking else plan(state, view)


def starts_too_much(state: QueueState, view: View) -> Plan:
    return plan(state, replace(view, lanes=9))


def says_nothing_of_the_target(state: QueueState, view: View) -> Plan:
    return replace(plan(state, view), stopped=None)


RED, DEPENDENT = EVERYDAY["a red one in the middle"], EVERYDAY["dependencies on a red one"]

FAULTS = [
    (lands_unverified, RED, "I1"),
    (lands_on_an_old_tip, EVERYDAY["four that are fine"], "circle"),
    (lands_what_was_made_for_an_old_tip, EVERYDAY["four that are fine"], "I2"),
    (with_state(ignores_dependencies), EVERYDAY["dependencies"], "I3"),
    (with_state(counts_the_first_red), RED, "without reason"),
    (with_state(trusts_the_target), EVERYDAY["the target is red"], "without reason"),
    (with_state(counts_what_broke), EVERYDAY["gates that break"], "without reason"),
    (overlooks_what_the_target_holds, EVERYDAY["a push that holds an entry"], "I7"),
    (overlooks_moved_branches, EVERYDAY["moved branches"], "branch"),
    (overlooks_obstacles, EVERYDAY["the target cannot be moved"], "cannot be moved"),
    (overlooks_hooks, EVERYDAY["hooks"], "hook"),
    (with_state(overlooks_holds), EVERYDAY["held"], "held"),
    (with_state(holds_everybody), RED, "could go on"),
    (refuses_whoever_conflicts_with_one_ahead, EVERYDAY["conflicts"], "without reason"),
    (names_no_blocker, DEPENDENT, "nobody says for what"),
    (forgets_the_blocked, DEPENDENT, "the line holds"),
    (never_starts, RED, "I5"),
    (starts_and_ends, RED, "circle"),
    (starts_too_much, RED, "more gates at once"),
    (says_nothing_of_the_target, EVERYDAY["the target is red"], "does not say so"),
]


@pytest.mark.parametrize(("planner", "scenario", "promise"), FAULTS)
def test_a_planner_with_a_fault_is_caught(planner, scenario, promise):
    with pytest.raises(Violation, match=promise):
        explore(scenario, planner)


# -- many more


def many() -> Iterator[Scenario]:
    """Every pair of what is red and what clashes among four, with and without dependencies, each with a disturbance."""
    together = [frozenset(pair) for n in (1, 2) for pair in combinations("abcd", n)]
    needs = [{}, {"b": ("a",)}, {"c": ("a",), "d": ("c",)}, {"a": ("d",), "b": ("a", "c")}]
    disturbances = [
        {"crashes": 1},
        {"flakes": 1},
        {"breaks": 3},
        {"pushes": (("x",),)},
        {"acts": (("eject", "b"), ("move", "c"))},
    ]
    for bad, clash, needed, disturbance in product(together, (None, *combinations("abcd", 2)), needs, disturbances):
        changes = tuple(Change(name, needs=needed.get(name, ())) for name in "abcd")
        yield Scenario(changes, bad=(bad,), clash=(frozenset(clash),) if clash else (), **disturbance)


DEEP = {
    "flakes, breaks and crashes": Scenario((A, B, C, D), bad=sets("b"), flakes=1, breaks=1, crashes=2),
    "pushes while all goes wrong": Scenario(
        (A, B, C, D), bad=sets("b", "x c"), clash=sets("x d"), pushes=(("x",), ("a",)), crashes=2, flakes=1
    ),
    "two pushes and three entries": Scenario((A, B, C), pushes=(("x",), ("y",)), bad=sets("x a"), crashes=1),
    "people": Scenario(
        (A, B, Change("c", needs=("a",)), Change("d", called="b")), bad=sets("c"), crashes=1,
        acts=(("hold", "a"), ("resume", "a"), ("move", "c"), ("enter", "d"), ("eject", "a")),
    ),
    "three lanes": Scenario((A, B, C, D), bad=sets("a c"), lanes=3, flakes=1, crashes=2),
}  # fmt: skip


@pytest.mark.soak
@pytest.mark.parametrize("scenario", DEEP.values(), ids=DEEP)
def test_every_state_of_a_deep_scenario_keeps_the_promises(scenario):
    assert explore(scenario).ends


@pytest.mark.soak
def test_every_state_of_many_scenarios_keeps_the_promises():
    for scenario in many():
        try:
            assert explore(scenario).ends
        except Violation as violation:
            pytest.fail(f"{violation} in {scenario}")


def test_some_of_the_many_scenarios_keep_the_promises():
    chosen = list(many())[::61]
    assert len(chosen) > 20
    for scenario in chosen:
        assert explore(scenario).ends, scenario
