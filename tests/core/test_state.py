"""The fold from events to state: the only place where a status changes."""

from __future__ import annotations

import copy

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kit import histories
from kit.simulate import begin

from smithers_git.core import describe, state
from smithers_git.core import events as ev
from smithers_git.core.state import LoopState, SpaceState, State, apply
from smithers_git.names import TaskKey

A = TaskKey("a")
QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def fold(history, start: State | None = None) -> State:
    folded = State() if start is None else start
    for event, at in history:
        apply(folded, event, at)
    return folded


def after(*events: ev.Event) -> State:
    return fold([(event, float(number + 1)) for number, event in enumerate(events)], begin())


# -- any history


@QUICK
@given(histories.histories(), st.data())
def test_a_fold_can_stop_anywhere_and_go_on(history, data):
    cut = data.draw(st.integers(0, len(history)))
    first = fold(history[:cut])
    assert fold(history[cut:], copy.deepcopy(first)) == fold(history)


@QUICK
@given(histories.histories())
def test_the_same_events_give_equal_states_and_are_not_changed_by_it(history):
    before = copy.deepcopy(history)
    assert fold(history) == fold(history)
    assert history == before


@QUICK
@given(histories.histories())
def test_what_is_counted_agrees_with_what_is_kept(history):
    folded = fold(history)
    done = {key for key, node in folded.nodes.items() if node.status in ("finished", "skipped") or node.continued}
    assert folded.done == done
    assert set(folded.running) == {key for key, node in folded.nodes.items() if node.status == "running"}
    for name, iteration in folded.latest.items():
        assert iteration == max(key.iteration for key, node in folded.nodes.items() if key.node == name and node.output)
    paths = [node.output for node in folded.nodes.values() if node.output]
    assert folded.outputs == len(paths) == len(set(paths))


def test_every_kind_of_event_changes_the_state_and_can_be_told():
    kinds = set(histories.KINDS)
    assert len(kinds) > 15
    assert kinds == set(state._APPLY), "an event without a handler would stop a run for good"
    assert kinds == set(describe._SAY)


def test_every_event_has_a_type_name_of_its_own():
    names = [kind.model_fields["type"].default for kind in histories.KINDS]
    assert len(set(names)) == len(names)


@settings(deadline=None, max_examples=80)
@given(histories.events)
@example(ev.RunFailed(error="\x1b[31mred\0\n\nSmithers-Run: other\udcff"))
def test_every_event_is_told_in_words(event):
    said = describe.describe(event)
    assert said
    assert said.isprintable(), "one line, without escape sequences, and UTF-8 can hold it"
    name = describe.node_of(event)
    assert name is None or name in said


# -- attempts


def test_a_finished_task():
    folded = after(
        ev.TaskStarted(node="a", attempt=1, agent="claude", space="s"),
        ev.TaskFinished(node="a", attempt=1, output="outputs/000/a@0.json", agent="claude", seconds=2.5),
    )
    node = folded.node(A)
    assert (node.status, node.attempt, node.output, node.seconds) == ("finished", 1, "outputs/000/a@0.json", 2.5)
    assert (node.started, node.ended, folded.updated) == (1.0, 2.0, 2.0)
    assert (folded.done, folded.running, folded.latest, folded.outputs) == ({A}, {}, {"a": 0}, 1)


def test_a_task_that_finishes_without_a_start_is_a_whole_one():
    node = after(ev.TaskFinished(node="a", attempt=1, cached=True)).node(A)
    assert (node.status, node.started, node.attempt, node.cached) == ("finished", 1.0, 1, True)


def test_a_failure_that_is_tried_again():
    folded = after(
        ev.TaskStarted(node="a", attempt=1),
        ev.TaskFailed(node="a", attempt=1, kind="overload", message="busy", final=False, retry_at=9.0),
    )
    node = folded.node(A)
    assert (node.status, node.failures, node.retry_at, node.error, node.kind) == ("pending", 1, 9.0, "busy", "overload")
    assert (folded.running, folded.done) == ({}, set())
    apply(folded, ev.TaskStarted(node="a", attempt=2), 10.0)
    assert (folded.node(A).status, folded.node(A).attempt, folded.node(A).retry_at) == ("running", 2, None)


def test_a_failure_for_free_does_not_count_against_the_retries():
    folded = after(ev.TaskFailed(node="a", attempt=1, kind="limit", message="m", final=False, free=True))
    assert folded.node(A).failures == 0


def test_a_final_failure_lets_dependents_go_on_only_when_continued():
    failed = ev.TaskFailed(node="a", attempt=1, kind="error", message="m", final=True)
    assert after(failed).done == set()
    assert after(failed.model_copy(update={"continued": True})).done == {A}


def test_a_failure_that_is_not_final_is_not_done_although_it_would_be_continued():
    folded = after(ev.TaskFailed(node="a", attempt=1, kind="error", message="m", final=False, continued=True))
    assert folded.done == set()
    assert not folded.node(A).continued, "nobody went on without it yet"


def test_an_interrupted_attempt_is_pending_again_and_keeps_its_number():
    folded = after(
        ev.TaskStarted(node="a", attempt=1), ev.TaskInterrupted(node="a", attempt=1, reason="its engine ended")
    )
    assert (folded.node(A).status, folded.node(A).attempt, folded.running) == ("pending", 1, {})
    assert folded.node(A).failures == 0, "the engine's death is not the task's failure"


def test_tokens_and_cost_add_up_over_attempts_and_nodes():
    usage = ev.Usage(input=100, output=10, cached=90)
    folded = after(
        ev.TaskFailed(node="a", attempt=1, kind="empty", message="m", final=False, usage=usage, cost=0.5, seconds=1.0),
        ev.TaskFinished(node="a", attempt=2, usage=usage, cost=0.25, seconds=2.0),
        ev.TaskFinished(node="b", attempt=1, usage=ev.Usage(output=1)),
    )
    assert (folded.node(A).tokens, folded.node(A).cost, folded.node(A).seconds) == (220, 0.75, 3.0)
    assert (folded.tokens, folded.cost) == (221, 0.75)


def test_a_conversation_is_remembered_with_the_agent_that_it_belongs_to():
    folded = after(
        ev.TaskFailed(node="a", attempt=1, kind="crash", message="m", final=False, session="s1", agent="claude"),
        ev.TaskFailed(node="a", attempt=2, kind="crash", message="m", final=False, agent="codex"),
    )
    node = folded.node(A)
    assert (node.session, node.session_agent, node.agent) == ("s1", "claude", "codex")


def test_what_an_attempt_left_becomes_the_commit_of_its_workspace():
    folded = after(
        ev.SpaceCreated(space="main", branch="refs/heads/x", commit="1" * 40),
        ev.TaskFailed(node="a", attempt=1, kind="error", message="m", final=True, commit="2" * 40),
    )
    assert folded.spaces["main"] == SpaceState("refs/heads/x", "2" * 40, "1" * 40)
    assert folded.node(A).commit == "2" * 40


def test_bytes_found_in_a_workspace_stay_or_are_put_back():
    created = ev.SpaceCreated(space="main", branch="refs/heads/x", commit="1" * 40)
    kept = ev.SpaceSaved(space="main", commit="2" * 40, reason="found")
    assert after(created, kept).spaces["main"].commit == "2" * 40
    back = kept.model_copy(update={"restored": "1" * 40})
    assert after(created, back).spaces["main"].commit == "1" * 40


def test_an_output_that_is_written_again_stays_where_it_was():
    folded = after(
        ev.TaskFinished(node="a", attempt=1, output="outputs/000/a@0.json"),
        ev.TaskFinished(node="a", attempt=2, output="outputs/000/a@0.json"),
    )
    assert folded.outputs == 1


def test_the_newest_output_is_that_of_the_highest_iteration_whatever_came_last():
    folded = after(
        ev.TaskFinished(node="a", iteration=2, attempt=1, output="p2"),
        ev.TaskFinished(node="a", iteration=1, attempt=1, output="p1"),
        ev.TaskSkipped(node="a", iteration=3, reason="skip_if"),
    )
    assert folded.latest == {"a": 2}


# -- loops


def test_a_loop_that_goes_on_starts_its_inner_loops_afresh():
    folded = after(
        ev.LoopEntered(loop="in", outer=["out"]),
        ev.LoopAdvanced(loop="in", iteration=1),
        ev.LoopFinished(loop="in", reason="max", iterations=2),
        ev.LoopAdvanced(loop="out", iteration=1, inner=["in"]),
    )
    assert folded.loop("out") == LoopState(iteration=1)
    assert folded.loop("in") == LoopState(iteration=2, base=2, finished=None, outer=("out",))


# -- approvals


def ask(node: str = "a", **options) -> ev.ApprovalRequested:
    return ev.ApprovalRequested(node=node, title="Ship?", **options)


def decide(approved: bool, **options) -> ev.ApprovalDecided:
    return ev.ApprovalDecided(node="a", approved=approved, by="Ada", **options)


def test_what_waits_is_listed_oldest_first_until_it_is_decided():
    folded = after(ask("b"), ask("a"))
    assert folded.waiting() == [TaskKey("b"), A]
    apply(folded, decide(True), 5.0)
    assert folded.waiting() == [TaskKey("b")]


@pytest.mark.parametrize(
    ("request_", "approved", "status", "done"),
    [
        (ask(), True, "finished", True),
        (ask(), False, "failed", False),
        (ask(on_deny="continue"), False, "finished", True),
        (ask(on_deny="skip"), False, "skipped", True),
        (ask(gate=True), True, "pending", False),
        (ask(gate=True), False, "failed", False),
    ],
)
def test_a_decision(request_, approved, status, done):
    folded = after(request_, decide(approved, note="because", output="outputs/000/a@0.json"))
    assert folded.node(A).status == status
    assert (A in folded.done) == done
    assert folded.approvals[A].by == "Ada"
    assert folded.approvals[A].note == "because"
    if status == "failed":
        assert folded.node(A).error == "denied by Ada: because"
        assert folded.node(A).kind == "denied"


# -- the run as a whole


def test_a_resume_gives_what_failed_a_fresh_round():
    folded = after(
        ask(gate=True),
        decide(True),
        ev.TaskFailed(node="a", attempt=3, kind="error", message="m", final=True),
        ev.TaskFailed(node="b", attempt=1, kind="error", message="m", final=True, continued=True),
        ev.LoopFinished(loop="l", reason="max", iterations=5),
        ev.LoopFinished(loop="k", reason="until", iterations=5),
        ev.RunFailed(error="a failed: m", hint="h"),
        ev.RunResumed(),
    )
    assert (folded.end, folded.error, folded.error_hint) == (None, None, "")
    assert (folded.node(A).status, folded.node(A).failures, folded.node(A).attempt) == ("pending", 0, 3)
    assert A not in folded.approvals, "asked again"
    assert folded.node(TaskKey("b")).status == "failed", "it was let pass"
    assert folded.loop("l").finished is None
    assert folded.loop("k").finished == "until"


def test_a_resume_clears_requests_to_pause_and_cancel():
    folded = after(ev.PauseRequested(by="Ada"), ev.CancelRequested(by="Ada"))
    assert (folded.pause_requested, folded.cancel_requested) == (True, "Ada")
    apply(folded, ev.RunResumed(), 9.0)
    assert (folded.pause_requested, folded.cancel_requested) == (False, None)


def test_a_cancelled_run_has_nothing_running():
    folded = after(ev.TaskStarted(node="a", attempt=1), ev.CancelRequested(), ev.RunCancelled(by="Ada"))
    assert (folded.end, folded.running, folded.node(A).status) == ("cancelled", {}, "pending")
    assert folded.cancel_requested is None


def test_a_fork_is_a_run_of_its_own_that_stands_where_the_other_stood():
    parent = after(
        ev.SpaceCreated(space="main", branch="refs/heads/x", commit="1" * 40),
        ev.TaskFinished(node="a", attempt=1, output="p", commit="2" * 40),
        ev.TaskStarted(node="b", attempt=1),
        ev.CancelRequested(by="Ada"),
        ev.RunFailed(error="e"),
    )
    before = copy.deepcopy(parent)
    child = apply(copy.deepcopy(parent), ev.RunForked(run="c", parent="r", frame=7, input={"n": 1}), 50.0)
    assert (child.run, child.parent, child.parent_frame, child.input, child.created) == ("c", "r", 7, {"n": 1}, 50.0)
    assert (child.end, child.error, child.cancel_requested, child.running) == (None, None, None, {})
    assert child.done == {A}
    assert child.node(TaskKey("b")).status == "pending"
    assert child.spaces["main"].base == "2" * 40, "it is compared with where it began"
    assert parent == before


def test_a_fork_without_an_input_keeps_that_of_its_parent():
    folded = after(ev.RunForked(run="c", parent="r", frame=0))
    assert folded.input == {}


def test_a_reset_takes_a_node_back_and_counts_its_attempts_on():
    folded = after(
        ask(gate=True),
        decide(True),
        ev.TaskFinished(node="a", attempt=2, output="p0", cost=1.0),
        ev.TaskFinished(node="a", iteration=1, attempt=1, output="p1"),
        ev.TaskFinished(node="b", attempt=1, output="p2"),
        ev.RunFinished(),
        ev.TaskReset(nodes=["a@1", "b"]),
    )
    assert folded.done == {A}
    assert folded.latest == {"a": 0}
    assert folded.end is None
    apply(folded, ev.TaskReset(nodes=["a"]), 9.0)
    assert (folded.done, folded.latest, folded.approvals) == (set(), {}, {})
    node = folded.node(A)
    assert (node.status, node.attempt, node.failures, node.cost, node.output) == ("pending", 2, 0, 1.0, None)


def test_a_reset_takes_back_only_the_iteration_that_is_named():
    done = [ev.TaskFinished(node="a", iteration=number, attempt=1) for number in range(12)]
    folded = after(*done, ev.TaskReset(nodes=["a@0", "a@11"]))
    assert folded.done == {TaskKey("a", number) for number in range(1, 11)}


def test_a_reset_reopens_and_restarts_loops():
    folded = after(
        ev.LoopAdvanced(loop="l", iteration=3),
        ev.LoopFinished(loop="l", reason="until", iterations=4),
        ev.LoopAdvanced(loop="k", iteration=2),
        ev.TaskReset(nodes=[], reopened=["l"], restarted=["k"]),
    )
    assert folded.loop("l") == LoopState(iteration=3)
    assert folded.loop("k") == LoopState()
