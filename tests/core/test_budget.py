"""What a run may spend: amounts as people write them, limits, and sums that no resume or fork loses."""

from __future__ import annotations

import copy

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kit import histories
from kit.simulate import begin

from smithers_git.core import budget
from smithers_git.core import events as ev
from smithers_git.core.budget import Spent
from smithers_git.core.nodes import Budget
from smithers_git.core.state import State, apply
from smithers_git.names import TaskKey


@pytest.mark.parametrize(
    ("text", "usd", "tokens"),
    [
        ("5usd", 5.0, None),
        ("5 USD", 5.0, None),
        ("$0.50", 0.5, None),
        ("200k", None, 200_000),
        ("1.5M", None, 1_500_000),
        ("200000 tokens", None, 200_000),
        ("12ktok", None, 12_000),
        ("5usd,200k", 5.0, 200_000),
        ("200k, $5", 5.0, 200_000),
        ("none", None, None),
    ],
)
def test_a_budget_is_read_as_people_write_it(text, usd, tokens):
    assert budget.parse(text) == Budget(usd, tokens)


@pytest.mark.parametrize(
    "text", ["", "5", "five", "-5usd", "0usd", "0k", "5usd,6usd", "5usd,", "5eur", "1k,2k", "none,5usd"]
)
def test_what_is_no_budget_is_refused_with_how_to_write_one(text):
    with pytest.raises(ValueError, match=r"write it like 5usd|none means no limit"):
        budget.parse(text)


@given(
    st.none() | st.sampled_from((0.0001, 0.5, 1e6, 2.5e7)) | st.integers(1, 10**4).map(float),
    st.none() | st.integers(1, 10**9),
)
def test_a_budget_that_is_shown_can_be_typed_again(usd, tokens):
    assert budget.parse(budget.shown(Budget(usd, tokens))) == Budget(usd, tokens)


@pytest.mark.parametrize(
    ("usd", "tokens", "hard", "said"),
    [
        (3.99, 0, None, ""),
        (4.0, 0, False, "$4.00 of $5.00"),
        (5.0, 0, True, "$5.00 of $5.00"),
        (0.0, 79_999, None, ""),
        (0.0, 80_000, False, "80000 of 100000 tokens"),
        (4.5, 100_001, True, "100001 of 100000 tokens"),
    ],
)
def test_the_soft_limit_comes_before_the_hard_one_and_the_figures_are_said(usd, tokens, hard, said):
    found = budget.over(Spent(usd, tokens), Budget(5.0, 100_000), 0.8, "budget")
    assert (found and found.hard) == hard
    assert said in (found.text if found else "")


def test_without_a_limit_nothing_is_too_much():
    assert budget.over(Spent(1e9, 10**15), Budget(), 0.1, "day") is None


def test_a_limit_that_is_set_takes_the_place_of_that_one_only():
    assert budget.merged(Budget(5.0, 1000), Budget(usd=9.0)) == Budget(9.0, 1000)
    assert budget.lower(Budget(5.0), Budget(9.0, 1000)) == Budget(5.0, 1000)


@example(1.0, 0.0, 1, 2, 0.8)
@example(3.0, 3.0, 3000, 3000, 0.5)
@example(0.0, 0.0, 0, 0, 0.8)  # what a run that has spent everything hands on to the one that it continues as
@given(
    st.just(0.0) | st.floats(0.01, 1e4),
    st.just(0.0) | st.floats(1e-4, 1e4),
    st.none() | st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.floats(0.01, 1),
)
def test_a_suggested_budget_leaves_room(usd, spent, tokens, used, soft):
    old = Budget(usd, tokens)
    given = budget.parse(budget.shown(budget.more(Spent(spent, used), old, soft)))
    assert budget.over(Spent(spent, used), given, soft, "budget") is None


# -- sums are in frames


def fold(history, start: State | None = None) -> State:
    state = State() if start is None else start
    for event, at in history:
        apply(state, event, at)
    return state


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(histories.histories(), st.data())
def test_sums_are_those_of_the_ended_attempts_over_any_cut_resume_and_fork(history, data):
    priced = []
    for ended, at in history:
        event = ended
        if isinstance(event, ev.TaskFinished | ev.TaskFailed):
            usage = ev.Usage(input=data.draw(st.integers(0, 1000)), output=data.draw(st.integers(0, 1000)))
            event = event.model_copy(update={"usage": usage, "cost": float(data.draw(st.integers(0, 100)))})
        priced.append((event, at))
    cut = data.draw(st.integers(1, len(priced)))
    crossed = [
        *priced[:cut],
        (ev.RunBudgeted(usd=3.0, tokens=10), 1.0),
        (ev.RunResumed(), 2.0),
        (ev.RunForked(run="f", parent="r", frame=1), 3.0),
    ]
    known = fold(crossed)
    assert Spent(known.cost, known.tokens) == budget.spent_in(tuple(event for event, _ in priced[:cut]))
    assert known.budget == Budget(3.0, 10), "a resume and a fork carry it"
    whole = fold(priced)
    assert Spent(whole.cost, whole.tokens) == budget.spent_in(tuple(event for event, _ in priced))


def test_what_an_attempt_used_before_it_was_cut_off_is_spent():
    state = begin()
    apply(state, ev.TaskStarted(node="a", attempt=1), 1.0)
    cut = ev.TaskInterrupted(node="a", attempt=1, reason="stop", usage=ev.Usage(input=10, output=5), cost=0.5)
    apply(state, cut, 2.0)
    assert (state.tokens, state.cost) == (15, 0.5)
    assert (state.node(TaskKey("a")).tokens, state.node(TaskKey("a")).cost) == (15, 0.5)
    assert budget.spent_in((cut,)) == Spent(0.5, 15)


def test_a_parked_run_is_not_parked_any_more_once_it_goes_on():
    state = begin()
    apply(state, ev.RunParked(reason="its budget is spent", kind="budget"), 1.0)
    assert (state.parked, state.parked_for) == ("its budget is spent", "budget")
    again = apply(copy.deepcopy(state), ev.RunResumed(), 2.0)
    assert (again.parked, again.parked_for) == (None, None)
    forked = apply(state, ev.RunForked(run="f", parent="r", frame=1), 2.0)
    assert (forked.parked, forked.parked_for) == (None, None)


def test_what_a_park_cut_off_was_stopped_by_nobody():
    state = begin()
    apply(state, ev.TaskStarted(node="a", attempt=1), 1.0)
    apply(state, ev.TaskInterrupted(node="a", attempt=1, reason="$5.00 of $5.00 spent"), 2.0)
    apply(state, ev.RunParked(reason="$5.00 of $5.00 spent", kind="day"), 2.0)
    assert (state.interrupted, state.running) == (False, {})


def test_a_park_of_an_older_program_was_for_the_disk():
    assert ev.RunParked.model_validate({"reason": "full"}).kind == "disk"
