"""What happens next: order, limits, loops, failures, approvals. Pure: no repository, no clock."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from kit import simulate
from kit.simulate import Driver, begin, task

from smithers_git.core import events as ev
from smithers_git.core.nodes import Approval, Backoff, Branch, Loop, Parallel, Sequence, Task, Worktree
from smithers_git.core.plan import build
from smithers_git.core.retry import FATAL, FREE_OVERLOADS, Met, Retry, after_failure
from smithers_git.core.schedule import decide
from smithers_git.core.state import State, apply
from smithers_git.errors import WorkflowError
from smithers_git.names import TaskKey

KINDS: list[ev.FailureKind | None] = [None, None, None, "error", "timeout", "auth", "bad_request"]


def starts(tree, state: State | None = None, now: float = 0.0) -> list[str]:
    state = begin() if state is None else state
    return [str(start.key) for start in decide(build(tree, simulate.WHERE), state, now).start]


def waits(tree, state: State, now: float = 0.0) -> dict[str, str]:
    return {str(wait.key): wait.kind for wait in decide(build(tree, simulate.WHERE), state, now).waits}


def finish(state: State, *nodes: str, iteration: int = 0) -> None:
    for node in nodes:
        apply(state, ev.TaskStarted(node=node, iteration=iteration, attempt=1), 1.0)
        apply(state, ev.TaskFinished(node=node, iteration=iteration, attempt=1, output=f"outputs/{node}.json"), 1.0)


def fail(state: State, node: str, *, final: bool = True, retry_at: float | None = None, continued: bool = False):
    attempt = state.node(TaskKey(node)).attempt + 1
    apply(state, ev.TaskStarted(node=node, attempt=attempt), 1.0)
    event = ev.TaskFailed(
        node=node, attempt=attempt, kind="error", message="no", final=final, retry_at=retry_at, continued=continued
    )
    apply(state, event, 1.0)


# -- any plan


@st.composite
def cases(draw):
    spec = draw(simulate.specs())
    return spec, draw(simulate.wanted(simulate.steady(spec))), draw(st.integers(0, 2**32)), draw(st.integers(1, 4))


@settings(deadline=None, max_examples=250, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(cases())
def test_a_run_of_any_plan_keeps_every_rule_and_ends(case):
    spec, needs, seed, concurrency = case
    chance = random.Random(seed)
    driver = Driver(
        lambda state: simulate.render(spec, state, needs),
        ends=lambda _key, _attempt: chance.choice(KINDS),
        approves=lambda _key: chance.random() < 0.7,
        chance=chance,
        state=begin(concurrency),
    )
    try:
        driver.plan()
    except WorkflowError as error:
        assume("deadlock" not in error.message)  # refused at the start, as it should be
        raise
    state = driver.run()
    assert not state.running
    keys = driver.started
    attempts = {key: keys.count(key) for key in keys}
    assert all(state.node(key).attempt == count for key, count in attempts.items())
    if state.end == "finished":
        plan = driver.plan()
        assert simulate.is_over(plan, state, plan.root)
        failed = {key: node for key, node in state.nodes.items() if node.status == "failed"}
        assert state.failed_children == sorted(str(key) for key, node in failed.items() if node.continued)
        ended = {simulate.key_of(plan, state, id) for id in plan.items}
        assert not ended & {key for key, node in failed.items() if not node.continued}, "only what vanished is ignored"
    else:
        assert state.end == "failed"
        assert state.error
        assert "deadlock" not in state.error


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(cases())
def test_a_plan_that_was_used_decides_like_a_fresh_one(case):
    spec, needs, seed, concurrency = case
    chance = random.Random(seed)
    driver = Driver(lambda state: simulate.render(spec, state, needs), chance=chance, state=begin(concurrency))
    try:
        used = driver.plan()
    except WorkflowError:
        assume(False)
    while driver.state.end is None:
        fresh = driver.plan()
        if fresh.shape() == used.shape() and _same(fresh.root, used.root):
            assert _said(decide(used, driver.state, driver.now)) == _said(decide(fresh, driver.state, driver.now))
        else:
            used = fresh
        driver.turn()


def _said(decision):
    return [s.key for s in decision.start], decision.waits, decision.events, decision.wake_at


def _same(one, other) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, Task | Approval):
        return one.id == other.id
    if getattr(one, "until", None) != getattr(other, "until", None):
        return False
    pairs = zip(one.children, other.children, strict=False)
    return len(one.children) == len(other.children) and all(_same(a, b) for a, b in pairs)


# -- order and limits


def test_a_sequence_starts_its_first_open_child_only():
    tree = Sequence(task("a"), task("b"), task("c"))
    state = begin()
    assert starts(tree, state) == ["a"]
    finish(state, "a")
    assert starts(tree, state) == ["b"]


def test_tasks_start_depth_first_and_left_to_right():
    tree = Parallel(
        Sequence(Parallel(task("a"), task("b")), task("late")),
        task("c"),
        Worktree("w", Branch(True, task("d"), task("never")), task("later")),
    )
    assert starts(tree) == ["a", "b", "c", "d"]
    state = begin(max_concurrency=2)
    assert starts(tree, state) == ["a", "b"]
    assert waits(tree, state) == {"c": "slot", "d": "slot"}


def test_the_groups_limit_and_the_limit_of_the_group_around_it_both_hold():
    inner = Parallel(task("a"), task("b"), task("c"), max_concurrency=2)
    tree = Parallel(inner, task("d"), task("e"), max_concurrency=3)
    assert starts(tree, begin(max_concurrency=9)) == ["a", "b", "d"]


def test_a_running_task_takes_its_slot_in_every_group_around_it():
    tree = Parallel(Parallel(task("a"), task("b"), max_concurrency=1), task("c"), max_concurrency=2)
    state = begin(max_concurrency=9)
    apply(state, ev.TaskStarted(node="a", attempt=1), 0.0)
    assert starts(tree, state) == ["c"]


def test_a_running_task_that_the_plan_no_longer_has_still_takes_a_slot_of_the_run():
    state = begin(max_concurrency=1)
    apply(state, ev.TaskStarted(node="gone", attempt=1), 0.0)
    assert starts(task("a"), state) == []
    assert decide(build(Sequence(), "x:1"), state, 0.0).events == [], "its result is waited for"


def test_an_empty_plan_finishes_at_once():
    assert decide(build(None, "x:1"), begin(), 0.0).events == [ev.RunFinished()]


# -- needs


def test_a_task_waits_for_a_node_in_another_branch():
    tree = Parallel(Sequence(task("a"), task("b")), task("c", needs="b"))
    state = begin()
    assert starts(tree, state) == ["a"]
    assert waits(tree, state) == {"c": "needs"}
    finish(state, "a", "b")
    assert starts(tree, state) == ["c"]


def test_a_need_inside_a_loop_waits_for_the_whole_loop():
    def tree(done: bool):
        return Parallel(Loop(task("a"), until=done, id="l"), task("b", needs="a"))

    driver = Driver(lambda state: tree(state.loop("l").iteration >= 2))
    assert driver.run().end == "finished"
    assert [str(key) for key in driver.started] == ["a", "a@1", "a@2", "b"]


def test_a_need_within_the_same_loop_is_that_of_the_same_pass():
    def tree(state):
        body = Parallel(task("a"), task("b", needs="a"))
        return Loop(body, until=state.loop("l").iteration >= 1, id="l")

    driver = Driver(tree)
    driver.run()
    assert [str(key) for key in driver.started] == ["a", "b", "a@1", "b@1"]


def test_a_need_out_of_a_nested_loop_waits_for_the_outermost_loop_that_is_not_shared():
    def tree(state):
        inner = Loop(task("a"), until=state.loop("in").iteration - state.loop("in").base >= 1, id="in")
        outer = Loop(Sequence(inner), until=state.loop("out").iteration >= 1, id="out")
        return Parallel(outer, task("b", needs="a"))

    driver = Driver(tree)
    driver.run()
    assert [str(key) for key in driver.started] == ["a", "a@1", "a@2", "a@3", "b"]


def test_a_result_of_a_node_that_is_no_longer_rendered_is_kept_and_can_be_needed():
    state = begin()
    finish(state, "gone")
    plan = build(task("a", needs="gone"), "x:1", frozenset(state.latest))
    assert [str(start.key) for start in decide(plan, state, 0.0).start] == ["a"]
    assert state.node(TaskKey("gone")).output == "outputs/gone.json"


def test_a_failure_of_a_node_that_is_no_longer_rendered_is_ignored():
    state = begin()
    fail(state, "gone")
    assert starts(task("a"), state) == ["a"]


# -- skipping and failing


def test_skip_if_skips_and_lets_dependents_go_on():
    driver = Driver(lambda _state: Sequence(task("a", skip_if=True), task("b", needs="a")))
    state = driver.run()
    assert state.node(TaskKey("a")).status == "skipped"
    assert [str(key) for key in driver.started] == ["b"]
    assert state.end == "finished"


def test_a_failed_task_ends_the_run_after_what_is_in_flight():
    tree = Parallel(task("a"), task("b"), Sequence(task("c"), task("d")))
    state = begin()
    apply(state, ev.TaskStarted(node="b", attempt=1), 0.0)
    apply(state, ev.TaskStarted(node="c", attempt=1), 0.0)
    fail(state, "a")
    decision = decide(build(tree, "x:1"), state, 0.0)
    assert (decision.start, decision.events) == ([], [])
    apply(state, ev.TaskFinished(node="c", attempt=1), 0.0)
    assert starts(tree, state) == []
    apply(state, ev.TaskFinished(node="b", attempt=1), 0.0)
    (event,) = decide(build(tree, "x:1"), state, 0.0).events
    assert isinstance(event, ev.RunFailed)
    assert (event.node, event.error) == ("a", "a failed: no")
    assert event.hint == "smithers retry-task r a"


def test_nothing_is_asked_of_a_person_after_a_failure():
    tree = Parallel(task("a"), Sequence(task("b"), Approval("ask")))
    state = begin()
    apply(state, ev.TaskStarted(node="b", attempt=1), 0.0)
    fail(state, "a")
    apply(state, ev.TaskFinished(node="b", attempt=1), 0.0)
    (event,) = decide(build(tree, "x:1"), state, 0.0).events
    assert isinstance(event, ev.RunFailed)


def test_no_loop_goes_on_after_a_failure_beside_it():
    tree = Parallel(task("a"), Loop(task("b"), until=False, id="l"))
    state = begin()
    apply(state, ev.TaskStarted(node="b", attempt=1), 0.0)
    fail(state, "a")
    apply(state, ev.TaskFinished(node="b", attempt=1), 0.0)
    (event,) = decide(build(tree, "x:1"), state, 0.0).events
    assert isinstance(event, ev.RunFailed)


def test_continue_on_fail_lets_siblings_and_dependents_go_on_and_is_reported():
    driver = Driver(
        lambda _state: Sequence(task("a", continue_on_fail=True, retries=0), task("b", needs="a")),
        ends=lambda key, _attempt: "error" if key.node == "a" else None,
    )
    state = driver.run()
    assert state.end == "finished"
    assert state.failed_children == ["a"]
    assert [str(key) for key in driver.started] == ["a", "b"]


def test_a_deterministic_failure_ends_after_its_retries():
    driver = Driver(lambda _state: Task("a", value=1), ends=lambda _key, _attempt: "error")
    state = driver.run()
    assert state.end == "failed"
    assert len(driver.started) == 3, "the first attempt and two retries by default"


# -- retries


def test_a_retry_waits_for_its_time():
    state = begin()
    fail(state, "a", final=False, retry_at=50.0)
    decision = decide(build(task("a"), "x:1"), state, 49.0)
    assert decision.start == []
    assert decision.wake_at == 50.0
    assert [(w.kind, w.until) for w in decision.waits] == [("retry", 50.0)]
    assert starts(task("a"), state, now=50.0) == ["a"]


def test_the_soonest_retry_wakes_the_engine():
    state = begin()
    for name, at in (("a", 90.0), ("b", 70.0), ("c", 80.0)):
        fail(state, name, final=False, retry_at=at)
    tree = Parallel(task("a"), task("b"), task("c"))
    assert decide(build(tree, "x:1"), state, 60.0).wake_at == 70.0


@pytest.mark.parametrize("failures", range(1, 5))
def test_retries_are_counted_and_then_final(failures):
    retry = after_failure(task("a", retries=3), Met("error", failures), now=100.0, chance=0.0)
    assert retry.final == (failures > 3)
    if not retry.final:
        assert retry.at == 100.0 + 2.0 ** (failures - 1)


backoffs = st.builds(
    Backoff, first=st.floats(0, 100), factor=st.floats(1, 10), most=st.floats(0, 1000), jitter=st.floats(0, 1)
)


@given(backoffs, st.integers(1, 2000), st.floats(0, 1, exclude_max=True))
def test_a_pause_grows_to_its_ceiling_and_jitter_only_adds(backoff, failures, chance):
    pause = backoff.pause(failures, chance)
    assert 0 <= pause <= backoff.most * (1 + backoff.jitter)
    assert backoff.pause(failures, 0.0) <= pause
    assert backoff.pause(failures, 0.0) <= backoff.pause(failures + 1, 0.0)


@pytest.mark.parametrize("kind", sorted(FATAL))
def test_what_the_same_agent_would_meet_again_goes_to_the_next_of_the_chain_and_then_ends(kind):
    node = Task("a", agent=["one", "two"], prompt="p", output=simulate.Note, retries=0)
    retry = after_failure(node, Met(kind, 1, others=True), now=5.0, chance=0.5)
    assert (retry.final, retry.at, retry.free) == (False, 5.0, True), "at once: there is nothing to wait for"
    assert after_failure(node, Met(kind, 1, others=False), now=5.0, chance=0.5).final


def test_a_limit_never_ends_a_task_and_costs_it_nothing():
    node = Task("a", agent="one", prompt="p", output=simulate.Note, retries=0)
    assert after_failure(node, Met("limit", 99), now=5.0, chance=0.5) == Retry(final=False, at=5.0, free=True)
    assert after_failure(Task("a", run="true", retries=0), Met("limit", 1), now=5.0, chance=0.5).final


def test_a_service_that_is_too_busy_gets_some_time_before_that_counts():
    node = Task("a", agent="one", prompt="p", output=simulate.Note, retries=0)
    pauses = []
    for times in range(1, FREE_OVERLOADS + 1):
        retry = after_failure(node, Met("overload", 1, overloads=times), now=5.0, chance=0.0)
        assert (retry.final, retry.free) == (False, True)
        pauses.append(retry.at)
    assert pauses == sorted(set(pauses)), "with a longer pause each time"
    assert after_failure(node, Met("overload", 1, overloads=FREE_OVERLOADS + 1), now=5.0, chance=0.0).final


@pytest.mark.parametrize("kind", sorted(FATAL))
@pytest.mark.parametrize("options", [{"run": "true"}, {"call": lambda: 1}, {"value": 1}])
def test_what_is_not_an_agent_is_never_tried_again_after_a_final_kind(kind, options):
    assert after_failure(Task("a", **options), Met(kind, 1), now=0.0, chance=0.0).final


def test_a_function_whose_output_does_not_fit_is_not_called_again():
    assert after_failure(Task("a", call=lambda: 1), Met("invalid", 1), 0.0, 0.0).final
    agent = Task("a", agent="x", prompt="p", output=simulate.Note)
    assert not after_failure(agent, Met("invalid", 1), 0.0, 0.0).final


# -- loops


def looping(holds_at: int, **options):
    def tree(state):
        return Loop(task("a"), task("b"), until=state.loop("l").iteration >= holds_at, id="l", **options)

    return tree


def test_a_loop_goes_on_until_its_condition_holds_and_keeps_every_output():
    driver = Driver(looping(2))
    state = driver.run()
    assert [str(key) for key in driver.started] == ["a", "b", "a@1", "b@1", "a@2", "b@2"]
    assert state.end == "finished"
    paths = [state.node(TaskKey(node, number)).output for node in "ab" for number in range(3)]
    assert None not in paths
    assert len(set(paths)) == 6
    assert state.latest == {"a": 2, "b": 2}
    assert ev.LoopFinished(loop="l", reason="until", iterations=3) in [event for event, _ in driver.history]


def test_a_loop_at_its_ceiling_fails_the_run_and_says_so():
    driver = Driver(looping(99, max_iterations=2))
    state = driver.run()
    assert state.end == "failed"
    assert state.error == "loop l reached its ceiling of 2 iterations and `until` never held"
    assert "return-last" in state.error_hint
    assert len(driver.started) == 4


def test_a_loop_at_its_ceiling_goes_on_with_its_last_pass_when_told_so():
    driver = Driver(lambda state: Sequence(looping(99, max_iterations=2, on_max="return-last")(state), task("c")))
    state = driver.run()
    assert state.end == "finished"
    assert [str(key) for key in driver.started][-1] == "c"
    assert state.loop("l").finished == "max", "the user is told"


def test_until_that_holds_at_the_last_pass_is_no_ceiling():
    state = Driver(looping(1, max_iterations=2)).run()
    assert (state.end, state.loop("l").finished) == ("finished", "until")


def test_until_is_looked_at_when_the_pass_is_over_and_not_before():
    driver = Driver(lambda state: Loop(task("a"), task("b"), until="a" in state.latest, id="l"))
    driver.run()
    assert [str(key) for key in driver.started] == ["a", "b"]


def test_a_loop_advances_as_soon_as_its_own_subtree_is_over():
    tree = Parallel(Loop(task("a"), until=False, id="l"), task("slow"))
    state = begin()
    apply(state, ev.TaskStarted(node="slow", attempt=1), 0.0)
    finish(state, "a")
    assert decide(build(tree, "x:1"), state, 0.0).events == [ev.LoopAdvanced(loop="l", iteration=1)]


def nested(inner_passes: int, outer_passes: int, **inner):
    def tree(state):
        loop, out = state.loop("in"), state.loop("out")
        body = Loop(task("a"), until=loop.iteration - loop.base >= inner_passes - 1, id="in", **inner)
        return Loop(Sequence(task("p"), body), until=out.iteration >= outer_passes - 1, id="out")

    return tree


def test_an_inner_loop_begins_afresh_in_each_pass_of_the_outer_one():
    driver = Driver(nested(2, 3))
    state = driver.run()
    assert [str(key) for key in driver.started] == [
        "p", "a", "a@1",
        "p@1", "a@2", "a@3",
        "p@2", "a@4", "a@5",
    ]  # fmt: skip
    assert state.end == "finished"
    assert len({state.node(TaskKey("a", number)).output for number in range(6)}) == 6


def test_an_inner_loop_has_its_whole_ceiling_in_each_pass_of_the_outer_one():
    driver = Driver(nested(99, 2, max_iterations=3, on_max="return-last"))
    driver.run()
    assert [str(key) for key in driver.started if key.node == "a"] == ["a", "a@1", "a@2", "a@3", "a@4", "a@5"]


def test_an_inner_loop_that_is_not_rendered_when_the_outer_one_advances_begins_afresh_too():
    def tree(state):
        inner = Loop(task("fix"), until=True, id="in")
        # Wanted until it was made: gone from the plan by the time the outer pass ends.
        wanted = state.latest.get("fix", -1) < state.loop("out").iteration
        return Loop(Sequence(task("look"), Branch(wanted, inner)), until=state.loop("out").iteration >= 2, id="out")

    driver = Driver(tree)
    driver.run()
    assert [str(key) for key in driver.started if key.node == "fix"] == ["fix", "fix@1", "fix@2"]


def test_an_inner_loop_that_was_given_up_half_way_begins_afresh_in_the_next_pass():
    def tree(state):
        out = state.loop("out").iteration
        inner = Loop(task("a"), task("b"), until=True, id="in")
        given_up = out == 0 and "a" in state.latest
        return Loop(Sequence(task("p"), Branch(not given_up, inner)), until=out >= 1, id="out")

    driver = Driver(tree)
    driver.run()
    assert [str(key) for key in driver.started] == ["p", "a", "p@1", "a@1", "b@1"]


def test_a_loop_without_children_ends():
    state = Driver(lambda _state: Loop(None, until=False, id="l", on_max="return-last", max_iterations=7)).run()
    assert state.end == "finished"


def test_a_branch_is_decided_again_after_each_output():
    driver = Driver(lambda state: Sequence(task("a"), Branch("a" in state.latest, task("then"), task("otherwise"))))
    driver.run()
    assert [str(key) for key in driver.started] == ["a", "then"]


# -- approvals


def test_an_approval_asks_once_and_waits_without_anything_running():
    state = begin()
    tree = Sequence(Approval("ship", title="Ship it?"), task("a"))
    (asked,) = decide(build(tree, "x:1"), state, 0.0).events
    assert (asked.node, asked.title, asked.gate) == ("ship", "Ship it?", False)
    apply(state, asked, 0.0)
    decision = decide(build(tree, "x:1"), state, 0.0)
    assert (decision.events, decision.start, decision.wake_at) == ([], [], None)
    assert waits(tree, state) == {"ship": "approval"}


def test_an_approval_shows_the_commits_of_every_workspace():
    state = begin()
    apply(state, ev.SpaceCreated(space="main", branch="refs/heads/b", commit="c" * 40), 0.0)
    (asked,) = decide(build(Approval("ship"), "x:1"), state, 0.0).events
    assert asked.commits == {"main": "c" * 40}


@pytest.mark.parametrize(
    ("on_deny", "status", "end"),
    [("fail", "failed", "failed"), ("continue", "finished", "finished"), ("skip", "skipped", "finished")],
)
def test_a_denial_fails_continues_or_skips(on_deny, status, end):
    driver = Driver(lambda _state: Sequence(Approval("ship", on_deny=on_deny), task("a")), approves=lambda _key: False)
    state = driver.run()
    assert state.node(TaskKey("ship")).status == status
    assert state.end == end
    assert [str(key) for key in driver.started] == (["a"] if end == "finished" else [])


def test_a_denied_run_asks_again_after_a_resume():
    driver = Driver(lambda _state: Sequence(Approval("ship"), task("a")), approves=lambda _key: False)
    assert driver.run().end == "failed"
    driver.add(ev.RunResumed())
    driver.approves = lambda _key: True
    assert driver.run().end == "finished"
    assert sum(isinstance(event, ev.ApprovalRequested) for event, _ in driver.history) == 2


def test_needs_approval_asks_before_the_task_and_only_then_starts_it():
    driver = Driver(lambda _state: task("a", needs_approval="Really?"))
    assert driver.turn().start == []
    assert driver.state.approvals[TaskKey("a")].title == "Really?"
    assert driver.run().end == "finished"
    assert len(driver.started) == 1


def test_a_denied_task_never_starts():
    driver = Driver(lambda _state: task("a", needs_approval=True), approves=lambda _key: False)
    assert driver.run().end == "failed"
    assert driver.started == []
    assert driver.state.error == "a failed: denied by Ada"


def test_each_pass_of_a_loop_asks_again():
    driver = Driver(lambda state: Loop(Approval("ok"), task("a"), until=state.loop("l").iteration >= 1, id="l"))
    driver.run()
    asked = [event for event, _ in driver.history if isinstance(event, ev.ApprovalRequested)]
    assert [event.iteration for event in asked] == [0, 1]


# -- resume


def test_going_on_after_a_failure_gives_the_failed_task_all_its_attempts_again():
    bad = True
    driver = Driver(
        lambda _state: Sequence(task("a"), task("b")), ends=lambda key, _: "error" if bad and key.node == "b" else None
    )
    assert driver.run().end == "failed"
    bad = False
    driver.add(ev.RunResumed())
    assert driver.run().end == "finished"
    assert [str(key) for key in driver.started] == ["a", "b", "b", "b", "b"], "what was done is not done again"
    assert driver.state.node(TaskKey("b")).attempt == 4


def test_going_on_after_a_ceiling_continues_the_loop_when_the_ceiling_was_raised():
    driver = Driver(looping(3, max_iterations=2))
    assert driver.run().end == "failed"
    driver.render = looping(3, max_iterations=5)
    driver.add(ev.RunResumed())
    assert driver.run().end == "finished"
    assert [str(key) for key in driver.started] == ["a", "b", "a@1", "b@1", "a@2", "b@2", "a@3", "b@3"]


def test_a_run_that_is_over_starts_nothing():
    state = begin()
    apply(state, ev.RunFinished(), 1.0)
    decision = decide(build(task("a"), "x:1"), state, 0.0)
    assert (decision.start, decision.events, decision.waits) == ([], [], [])


def test_a_finished_run_stays_finished_when_resumed():
    state = begin()
    apply(state, ev.RunFinished(failed_children=["x"]), 1.0)
    apply(state, ev.RunResumed(), 2.0)
    assert (state.end, state.failed_children) == ("finished", ["x"])


def test_a_plan_that_waits_only_for_itself_fails_instead_of_waiting_for_ever():
    state = begin()
    plan = build(Parallel(task("a"), task("b", needs="a")), "x:1")
    plan.items["a"].needs = ("b",)  # what `build` refuses
    (event,) = decide(plan, state, 0.0).events
    assert isinstance(event, ev.RunFailed)
    assert "deadlock" in event.error
