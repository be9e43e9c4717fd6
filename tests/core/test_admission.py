"""May one more agent begin on this machine? Numbers, memory, the line, and what a run does meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import simulate
from kit.simulate import begin, task

from smithers_git.core.admission import MOST, Limits, Machine, capacity, refusal
from smithers_git.core.nodes import Parallel
from smithers_git.core.plan import build
from smithers_git.core.schedule import decide

GIB = 1 << 30
OLD = 0.0
NOW = 1000.0


def machine(*working: str, ahead: tuple[str, ...] = (), memory: int = 64 * GIB, since: float = OLD) -> Machine:
    return Machine(NOW, memory, tuple((agent, since) for agent in working), ahead)


@pytest.mark.parametrize(
    ("limits", "there", "said"),
    [
        (Limits(max_agents=2), machine("a"), None),
        (Limits(max_agents=2), machine("a", "a"), "2 of 2 agents are at work"),
        (Limits(max_agents=1), machine("b"), "1 of 1 agent is at work"),
        (Limits(max_agents=2), machine("a", ahead=("b",)), "1 of 2 agents are at work on this machine, 1 before this"),
        (Limits(slots={"a": 1}), machine("a"), "1 of 1 a agent is at work"),
        (Limits(slots={"a": 1}), machine("b", "b"), None),
        (Limits(slots={"a": 2}), machine("a", ahead=("a",)), "1 before this one"),
        (Limits(max_agents=2, slots={"b": 1}), machine("b", ahead=("b", "b")), None),
        (Limits(min_free_memory=GIB), machine(memory=GIB - 1), "asks for 1 GiB"),
        (Limits(min_free_memory=GIB), machine(memory=GIB), None),
        (Limits(gap=1.0), machine("a", since=NOW - 0.5), "a moment ago"),
        (Limits(gap=1.0), machine("a", since=NOW - 1.0), None),
        (Limits(gap=1.0), machine("a", since=NOW + 50), None),
    ],
)
def test_an_agent_waits_for_its_number_for_memory_and_for_those_before_it(limits, there, said):
    found = refusal(limits, there, "a")
    assert (found is None) == (said is None)
    assert (said or "") in (found or "")


@pytest.mark.parametrize(
    ("there", "most"),
    [
        (machine(memory=0), 1),
        (machine(memory=4 * GIB), 2),
        (machine(memory=1 << 50), MOST),
        (machine("a", "a", memory=3 * GIB), 4),
        (machine("a", "a", memory=3 * GIB, since=NOW - 1), 2),
        (machine("a", "a", memory=0), 2),
    ],
)
def test_without_a_number_it_is_what_memory_carries_and_who_just_began_has_not_taken_its_own_yet(there, most):
    assert capacity(Limits(), there) == most


agents = st.sampled_from(["a", "b", "c"])


@given(
    st.builds(
        Limits,
        max_agents=st.integers(1, 4),
        slots=st.dictionaries(agents, st.integers(1, 3)),
    ),
    st.lists(agents, max_size=8),
    st.data(),
)
def test_no_number_is_exceeded_and_everybody_in_the_line_gets_a_turn(limits, line, data):
    """Whoever may begin does, one that works ends, until nobody waits: in any order of asking."""
    working: list[str] = []
    waiting = list(enumerate(line))
    turns = 0
    while waiting:
        began = False
        for place, agent in data.draw(st.permutations(waiting)):
            ahead = tuple(other for before, other in waiting if before < place)
            if refusal(limits, machine(*working, ahead=ahead), agent) is None:
                working.append(agent)
                waiting.remove((place, agent))
                began = True
        assert len(working) <= limits.max_agents
        assert all(working.count(agent) <= most for agent, most in limits.slots.items())
        assert began or working, "a line on an idle machine that nobody may leave"
        if working:
            working.pop(data.draw(st.integers(0, len(working) - 1)))
        turns += 1
        assert turns <= 2 * len(line) + 2, "somebody waits for ever"


@given(st.lists(agents, min_size=1, max_size=6), st.lists(agents, max_size=3))
def test_the_first_in_the_line_who_could_begin_may(line, busy):
    limits = Limits(max_agents=len(busy) + 1, slots={"a": 1})
    there = [refusal(limits, machine(*busy, ahead=tuple(line[:n])), agent) for n, agent in enumerate(line)]
    could = [not (agent == "a" and ("a" in busy or "a" in line[:n])) for n, agent in enumerate(line)]
    allowed = [n for n, reason in enumerate(there) if reason is None]
    assert allowed == [n for n, able in enumerate(could) if able][:1]


def test_who_waits_for_the_machine_takes_no_slot_of_the_run():
    tree = Parallel(task("first"), task("second"), max_concurrency=1)
    found = decide(
        build(tree, simulate.WHERE), begin(), 0.0, lambda start: "full" if start.key.node == "first" else None
    )
    assert [start.key.node for start in found.start] == ["second"]
    assert [(wait.key.node, wait.kind, wait.reason) for wait in found.waits] == [("first", "machine", "full")]


def test_a_run_that_only_waits_for_the_machine_is_no_deadlock():
    found = decide(build(task("only"), simulate.WHERE), begin(), 0.0, lambda _start: "full")
    assert (found.events, found.start, [wait.kind for wait in found.waits]) == ([], [], ["machine"])
