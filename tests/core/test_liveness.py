"""An agent that talks and gets nowhere is told from one that works hard. Times are seconds; nothing here waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smithers_git.core.liveness import Patience, Pulse
from smithers_git.core.reply import AgentEvent

PATIENCE = Patience(repeats=60, repeating=120, nothing_new=3600, retrying=900)


def ended_at(says: list[AgentEvent], *, every: float = 5.0, until: float = 20_000) -> tuple[float, str] | None:
    """When an agent that says these again and again, one each `every` seconds, is ended, and for what."""
    pulse, now, number = Pulse(PATIENCE, 0.0), 0.0, 0
    while now < until:
        now += every
        pulse.feed(says[number % len(says)], now)
        number += 1
        found = pulse.stall(now)
        if found:
            return now, found.kind
    return None


def tool(text: str) -> AgentEvent:
    return AgentEvent("tool", text)


def done(text: str) -> AgentEvent:
    return AgentEvent("tool_done", text)


@pytest.mark.parametrize(
    "says",
    [
        [tool("Read calc.py")],
        [tool("Bash make"), done("error: no rule")],
        [AgentEvent("text", "Let me look at the file again."), tool("Read a"), done("a"), tool("Read b"), done("b")],
        [tool("Read calc.py"), AgentEvent("text", "Hm."), AgentEvent("usage", "12 in"), AgentEvent("other", "x")],
    ],
    ids=["the same call", "a call and its outcome", "a cycle of five", "with small talk between"],
)
def test_a_circle_is_a_loop_within_minutes(says: list[AgentEvent]) -> None:
    found = ended_at(says)
    assert found is not None
    assert found[1] == "loop"
    assert found[0] <= 5.0 * (60 + 8) * 4


@pytest.mark.parametrize(
    "says",
    [
        [tool(f"Bash tail log {number}") for number in range(50)],
        [done(f"test {number} failed") if number % 5 else tool("Bash make") for number in range(400)],
    ],
    ids=["fifty different things", "the same call with other outcomes"],
)
def test_who_says_something_new_now_and_then_is_left_alone(says: list[AgentEvent]) -> None:
    assert ended_at(says) is None


def test_a_burst_of_equal_lines_is_no_loop_yet() -> None:
    pulse = Pulse(PATIENCE, 0.0)
    for _ in range(100_000):
        pulse.feed(AgentEvent("text", "warning: this is deprecated"), 1.0)
    assert pulse.stall(119.0) is None
    assert pulse.stall(121.0) is not None, "while it lasts longer, it is one"


def test_changed_files_excuse_a_circle() -> None:
    pulse = Pulse(PATIENCE, 0.0)
    for step in range(200):
        pulse.feed(tool("Edit calc.py"), step * 5.0)
        assert pulse.suspicious(step * 5.0) == (step >= 30), "it is to be looked at before it is ended"
        if pulse.suspicious(step * 5.0):
            break
    pulse.forgive(150.0)
    assert not pulse.suspicious(151.0)


@pytest.mark.parametrize(
    ("text", "kind"), [("429 rate_limit", "limit"), ("529 overloaded", "overload"), ("", "overload")]
)
def test_retry_notices_are_life_only_for_a_while(text: str, kind: str) -> None:
    assert ended_at([AgentEvent("retrying", text)], every=30) == (900.0, kind)
    assert ended_at([AgentEvent("retrying", text)] * 10 + [tool(str(n)) for n in range(9)], every=30) is None


def test_bytes_without_a_word_are_life_only_for_an_hour() -> None:
    pulse = Pulse(PATIENCE, 0.0)
    pulse.feed(AgentEvent("started"), 1.0)
    assert pulse.stall(3500.0) is None
    found = pulse.stall(3601.0)
    assert found is not None
    assert "nothing new for 60 minutes" in found.message


def test_what_is_turned_off_ends_nobody() -> None:
    pulse = Pulse(Patience(repeating=None, nothing_new=None, retrying=None), 0.0)
    for step in range(1000):
        pulse.feed(tool("Read a"), step * 100.0)
    pulse.feed(AgentEvent("retrying", "429"), 200_000.0)
    assert pulse.stall(900_000.0) is None


@given(st.lists(st.tuples(st.sampled_from(["text", "tool", "tool_done", "retrying", "usage", "started"]), st.text())))
def test_no_words_crash_it_and_nobody_is_ended_within_the_patience(words: list[tuple[str, str]]) -> None:
    pulse = Pulse(PATIENCE, 0.0)
    for kind, text in words:
        pulse.feed(AgentEvent(kind, text), 119.0)  # type: ignore[arg-type]
    assert pulse.stall(119.0) is None
