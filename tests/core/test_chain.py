"""Who makes the next attempt. Pure: no run, no clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smithers_git.core.chain import Choice, choose
from smithers_git.core.parts import NodeState

CHAIN = ("a", "b", "c")


def next_one(node: NodeState, out: str = "", limits: dict[str, float] | None = None) -> Choice:
    return choose(CHAIN, node, set(out), limits or {}, now=100.0)


@pytest.mark.parametrize(
    ("tried", "spent", "out", "agent"),
    [
        ("", "", "", "a"),
        ("a", "", "", "b"),
        ("ab", "", "", "c"),
        ("abc", "", "", "c"),  # the last one again and again
        ("", "a", "", "b"),
        ("a", "b", "", "c"),
        ("abc", "c", "", "b"),
        ("", "", "a", "b"),
        ("b", "", "ac", "b"),
        ("", "ab", "c", None),
    ],
)
def test_the_first_that_has_not_failed_here_and_else_the_last_that_may(
    tried: str, spent: str, out: str, agent: str | None
) -> None:
    assert next_one(NodeState(tried=set(tried), spent=set(spent)), out).agent == agent


def test_a_limit_passes_over_an_agent_and_when_all_have_one_the_first_that_is_free_is_waited_for() -> None:
    assert next_one(NodeState(), limits={"a": 150.0}).agent == "b"
    assert next_one(NodeState(), limits={"a": 100.0}).agent == "a", "it is over"
    assert next_one(NodeState(tried={"a"}), limits={"b": 150.0, "c": 150.0}).agent == "a", "better than to wait"
    all_of_them = {"a": 300.0, "b": 200.0, "c": 400.0}
    assert next_one(NodeState(), limits=all_of_them) == Choice(None, 200.0, ("a", "b", "c"))
    assert next_one(NodeState(spent={"b"}), limits=all_of_them) == Choice(None, 300.0, ("a", "c"))
    assert next_one(NodeState(), out="ac", limits={"b": 200.0}) == Choice(None, 200.0, ("b",))
    assert next_one(NodeState(), out="abc", limits=all_of_them) == Choice(None)


names = st.sets(st.sampled_from(CHAIN))


@given(names, names, names, st.dictionaries(st.sampled_from(CHAIN), st.floats(0, 200)))
def test_nobody_is_chosen_who_may_not_and_nobody_waits_who_could_begin(tried, spent, out, limits) -> None:
    found = choose(CHAIN, NodeState(tried=tried, spent=spent), out, limits, now=100.0)
    may = {name for name in CHAIN if name not in spent | out}
    free = {name for name in may if limits.get(name, 0.0) <= 100.0}
    assert (found.agent in free) if free else (found.agent is None)
    assert (found.until is not None) == (not free and bool(may))
