"""Land and MergeQueue in a plan: defaults, places, slots."""

from __future__ import annotations

import pytest
from kit import simulate
from kit.simulate import begin, task

from smithers_git.core import events as ev
from smithers_git.core.nodes import Loop, Parallel, Worktree
from smithers_git.core.plan import build
from smithers_git.core.queue_nodes import Land, MergeQueue
from smithers_git.core.records import Landing
from smithers_git.core.schedule import decide
from smithers_git.core.state import apply
from smithers_git.errors import WorkflowError


def lands(tree) -> dict[str, Land]:
    return {id: item.node for id, item in build(tree, simulate.WHERE).items.items() if isinstance(item.node, Land)}


def test_a_worktree_in_a_queue_lands_at_its_end():
    plan = build(MergeQueue(Worktree("a", task("x")), Worktree("b", task("y"))), simulate.WHERE)
    assert list(plan.items) == ["x", "a.land", "y", "b.land"]
    assert plan.items["a.land"].space == "a"
    assert plan.items["a.land"].node.where == plan.spaces["a"].node.where


def test_a_worktree_that_lands_by_itself_gets_no_second_landing():
    tree = MergeQueue(Worktree("a", Loop(task("x"), Land("mine", check=False), until=False)))
    assert list(lands(tree)) == ["mine"]


def test_a_queue_gives_its_landings_what_they_leave_open():
    tree = MergeQueue(
        Worktree("a", task("x")),
        Worktree("b", task("y"), Land("b.in", onto="other", gates=["own"], style="merge")),
        onto="line",
        gates=[["make", "test"]],
        style="squash",
    )
    found = lands(tree)
    assert (found["a.land"].onto, found["a.land"].entry_gates, found["a.land"].style) == (
        "line", (("make", "test"),), "squash",
    )  # fmt: skip
    assert (found["b.in"].onto, found["b.in"].entry_gates, found["b.in"].style) == ("other", ("own",), "merge")


def test_a_landing_has_its_own_output_model_and_is_never_tried_again_by_itself():
    land = Land("x")
    assert (land.kind, land.output, land.retries) == ("land", Landing, 0)


def test_what_waits_for_its_turn_to_land_takes_no_slot():
    tree = Parallel(Worktree("a", Land("l1")), Worktree("b", Land("l2")), Worktree("c", task("x"), task("y")))
    state = begin()
    state.max_concurrency = 1
    started = [str(start.key) for start in decide(build(tree, simulate.WHERE), state, 0.0).start]
    assert started == ["l1", "l2", "x"]
    for name in ("l1", "l2"):
        apply(state, ev.TaskStarted(node=name, attempt=1), 1.0)
    assert [str(start.key) for start in decide(build(tree, simulate.WHERE), state, 0.0).start] == ["x"]


def test_what_waits_to_land_takes_no_slot_of_its_group():
    tree = MergeQueue(Worktree("a", Land("l1")), Worktree("b", task("x")), max_concurrency=1)
    state = begin()
    apply(state, ev.TaskStarted(node="l1", attempt=1), 1.0)
    assert [str(start.key) for start in decide(build(tree, simulate.WHERE), state, 0.0).start] == ["x"]


@pytest.mark.parametrize(
    ("land", "said"),
    [
        (lambda: Land("x", style="octopus"), "style='octopus'"),
        (lambda: Land("x", onto=""), "onto=''"),
        (lambda: Land("x", title="two\nlines"), "title="),
        (lambda: Land("x", gates=[[]]), "an empty gate"),
        (lambda: Land("../x"), "cannot be the id of a Land"),
    ],
)
def test_a_landing_that_cannot_be_meant_is_refused_with_its_line(land, said):
    with pytest.raises(WorkflowError, match=r"test_queue_nodes\.py:[0-9]+: ") as caught:
        build(land(), simulate.WHERE)
    assert said in caught.value.message
