"""Waits in the pure core: what starts, what ends them, what a reset gives back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from kit import simulate
from kit.simulate import begin
from pydantic import BaseModel

from smithers_git.core import events as ev
from smithers_git.core.nodes import Approval, Loop, Parallel, Sequence, Task
from smithers_git.core.plan import build
from smithers_git.core.schedule import Decision, decide
from smithers_git.core.state import State, apply
from smithers_git.core.wait_nodes import HumanTask, Poller, Signal, Timer
from smithers_git.errors import WorkflowError
from smithers_git.names import TaskKey


class Deploy(BaseModel):
    version: str


def look(tree, state: State, now: float) -> Decision:
    """Record facts at `now` until there are none, as the engine does; the last decision."""
    while True:
        decision = decide(build(tree, simulate.WHERE), state, now)
        if not decision.events:
            return decision
        for event in decision.events:
            apply(state, event, now)
        if state.end is not None:
            return decision


def arrive(state: State, id: str, at: float, *, name: str = "go", correlation: str | None = None, data=None) -> None:
    apply(state, ev.SignalArrived(id=id, name=name, correlation=correlation, data=data, by="eve"), at)


def ended(state: State) -> dict[str, str | None]:
    return {str(key): wait.end for key, wait in state.waits.items()}


def test_a_timer_waits_and_then_is_done():
    state, tree = begin(), Timer("t", for_=100)
    decision = look(tree, state, 10.0)
    assert ([wait.kind for wait in decision.waits], decision.wake_at, state.wake_at) == (["timer"], 110.0, 110.0)
    assert look(tree, state, 109.9).wake_at == 110.0
    look(tree, state, 500.0)
    assert (state.end, state.wake_at) == ("finished", None)


def test_a_timer_until_a_moment_that_is_past_is_done_at_once():
    state = begin()
    look(Timer("t", until=datetime(1970, 1, 1, tzinfo=UTC)), state, 10.0)
    assert state.end == "finished"


def test_the_earliest_thing_wakes_the_run():
    state = begin()
    tree = Parallel(Timer("t", for_=100), Signal("s", timeout=50), HumanTask("h", output=Deploy, expires=70))
    assert look(tree, state, 0.0).wake_at == 50.0
    assert state.wake_at == 50.0


def test_what_the_plan_does_not_come_to_any_more_is_not_waited_for():
    state, held = begin(), simulate.task("held", retries=1)
    tree = Parallel(Signal("go", timeout=50), Approval("ok", expires=60), held, simulate.task("a"))
    assert look(tree, state, 0.0).wake_at == 50.0
    apply(state, ev.TaskStarted(node="held", attempt=1), 0.0)
    apply(state, ev.TaskFailed(node="held", attempt=1, kind="exit", message="no", final=False, retry_at=40.0), 0.0)
    assert (state.wake_at, state.waiting()) == (40.0, [TaskKey("ok")])
    assert look(Parallel(simulate.task("a"), Timer("t", for_=9)), state, 30.0).wake_at == 39.0
    assert (state.wake_at, state.waiting(), set(state.open_waits)) == (39.0, [], {TaskKey("t")})
    assert ended(state) == {"go": "withdrawn", "t": None}
    assert look(tree, state, 31.0).wake_at == 81.0, "what the plan comes back to is asked anew"
    assert state.waiting() == [TaskKey("ok")]


def test_a_signal_that_has_come_is_due_at_once():
    state, tree = begin(), Signal("go")
    look(tree, state, 5.0)
    assert state.wake_at is None
    arrive(state, "1", 7.0)
    assert state.wake_at == 7.0
    look(tree, state, 8.0)
    assert (state.end, state.wake_at) == ("finished", None)


def test_the_oldest_wait_takes_the_oldest_signal():
    state, tree = begin(), Parallel(Signal("a", name="go"), Signal("b", name="go"))
    look(tree, state, 1.0)
    arrive(state, "first", 2.0, data=1)
    arrive(state, "second", 3.0, data=2)
    look(tree, state, 4.0)
    assert {str(key): wait.signal for key, wait in state.waits.items()} == {"a": "first", "b": "second"}


def test_one_signal_ends_one_wait():
    state, tree = begin(), Parallel(Signal("a", name="go"), Signal("b", name="go"))
    arrive(state, "only", 0.0)
    look(tree, state, 1.0)
    assert ended(state) == {"a": "resolved", "b": None}


def test_a_signal_after_the_time_limit_is_not_taken():
    state, tree = begin(), Sequence(Signal("go", timeout=10, on_timeout="skip"), Signal("again", name="go"))
    look(tree, state, 0.0)
    arrive(state, "late", 11.0)
    look(tree, state, 12.0)
    assert ended(state) == {"go": "expired", "again": "resolved"}


def test_a_signal_before_the_time_limit_is_taken_however_late_somebody_looks():
    state, tree = begin(), Signal("go", timeout=10)
    look(tree, state, 0.0)
    arrive(state, "in time", 9.0)
    look(tree, state, 99.0)
    assert ended(state) == {"go": "resolved"}


def test_an_early_signal_that_does_not_fit_is_put_aside_and_the_wait_goes_on():
    state, tree = begin(), Signal("go", output=Deploy)
    arrive(state, "bad", 0.0, data={"v": 1})
    arrive(state, "good", 0.5, data={"version": "1"})
    look(tree, state, 1.0)
    assert ended(state) == {"go": "resolved"}
    assert [signal.id for signal in state.signals] == ["good"]


@pytest.mark.parametrize(("policy", "status", "end"), [("fail", "failed", "failed"), ("skip", "skipped", "finished")])
def test_what_expires_follows_its_policy(policy, status, end):
    for tree in (
        HumanTask("x", output=Deploy, expires=10, on_expiry=policy),
        Signal("x", timeout=10, on_timeout=policy),
    ):
        state = begin()
        look(tree, state, 0.0)
        look(tree, state, 10.0)
        assert (state.node(TaskKey("x")).status, state.end) == (status, end)


def test_a_wait_may_fail_without_failing_the_run():
    state = begin()
    tree = Signal("x", timeout=10, continue_on_fail=True)
    look(tree, state, 0.0)
    look(tree, state, 10.0)
    assert (state.node(TaskKey("x")).status, state.end, state.failed_children) == ("failed", "finished", ["x"])


def test_a_resume_after_a_failure_waits_anew():
    state, tree = begin(), Signal("x", timeout=10)
    look(tree, state, 0.0)
    look(tree, state, 10.0)
    apply(state, ev.RunResumed(), 50.0)
    assert look(tree, state, 50.0).wake_at == 60.0


def test_a_reset_gives_the_signal_back():
    state, tree = begin(), Sequence(Signal("go"), Timer("t", for_=100))
    look(tree, state, 0.0)
    arrive(state, "1", 1.0)
    look(tree, state, 2.0)
    apply(state, ev.TaskReset(nodes=["go"]), 3.0)
    assert state.signals[0].taken is None
    look(tree, state, 4.0)
    assert state.waits[TaskKey("go")].signal == "1"


def test_what_is_skipped_is_waited_for_no_more():
    state = begin()
    look(Timer("t", for_=100), state, 0.0)
    look(Timer("t", for_=100, skip_if=True), state, 1.0)
    assert (state.end, state.open_waits, state.wake_at) == ("finished", {}, None)


def test_each_pass_of_a_loop_waits_anew():
    state = begin()

    def tree(done: bool) -> Loop:
        return Poller("p", Task("look", value=1), until=done, every=10)

    for number in (0, 1):
        look(tree(False), state, 100.0 * number)
        apply(state, ev.TaskStarted(node="look", iteration=number, attempt=1), 100.0 * number)
        apply(state, ev.TaskFinished(node="look", iteration=number, attempt=1), 100.0 * number)
        assert look(tree(False), state, 100.0 * number).wake_at == 100.0 * number + 10
    assert ended(state) == {"p.pause": "resolved", "p.pause@1": None}


def test_a_fork_waits_for_what_its_parent_waits_for():
    state = begin()
    look(Parallel(Timer("t", for_=100), Signal("s")), state, 0.0)
    apply(state, ev.RunForked(run="child", parent="r", frame=1), 5.0)
    assert (list(map(str, state.open_waits)), state.wake_at) == (["t", "s"], 100.0)


def test_a_retry_wakes_the_run_until_its_attempt_begins():
    state = begin()
    apply(state, ev.TaskStarted(node="a", attempt=1), 0.0)
    apply(state, ev.TaskFailed(node="a", attempt=1, kind="limit", message="", final=False, retry_at=900.0), 1.0)
    assert state.wake_at == 900.0
    apply(state, ev.TaskStarted(node="a", attempt=2), 900.0)
    assert state.wake_at is None


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Timer("t"), "none of them"),
        (lambda: Timer("t", for_=1, until=2.0), "both of them"),
        (lambda: Timer("t", for_=-1), "waits for -1 seconds"),
        (lambda: Timer("t", until=datetime(2030, 1, 1)), "no time zone"),  # noqa: DTZ001 - that is what is refused
        (lambda: Timer("t", until="tomorrow"), "until='tomorrow'"),
        (lambda: Timer("t", until=float("nan")), "until=nan"),
        (lambda: Timer("t", for_=float("inf")), "waits for inf seconds"),
        (lambda: Signal("s", on_timeout="wait"), "on_timeout='wait'"),
        (lambda: Signal("s", name=" "), "name=' '"),
        (lambda: Signal("s", output=int), "output=<class 'int'>"),
        (lambda: HumanTask("h", output=Deploy, on_cancel="ask"), "on_cancel='ask'"),
    ],
)
def test_a_broken_wait_is_refused_with_its_line(make, said):
    with pytest.raises(WorkflowError) as refused:
        build(make(), simulate.WHERE)
    assert said in refused.value.message
    assert "test_waits.py:" in refused.value.message


def test_a_poller_that_is_broken_names_the_line_of_its_author():
    with pytest.raises(WorkflowError) as refused:
        build(Poller("p", Task("a", value=1), until=False, every=-1), simulate.WHERE)
    assert "test_waits.py:" in refused.value.message
