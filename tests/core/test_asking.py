"""What is asked of a person, who may answer, when it is asked anew, and what decides itself. Pure."""

from __future__ import annotations

import pytest
from kit.simulate import begin, task

from smithers_git.core import asking
from smithers_git.core import events as ev
from smithers_git.core.approval_rules import may_decide
from smithers_git.core.nodes import Approval, NeedsApproval, Parallel, Sequence, Task, Worktree
from smithers_git.core.plan import build
from smithers_git.core.schedule import decide
from smithers_git.core.state import State, apply
from smithers_git.errors import WorkflowError
from smithers_git.names import TaskKey

ADA = "Ada Tester <ada@example.test>"


@pytest.mark.parametrize(
    ("allowed", "who", "may"),
    [
        ((), "anybody", True),
        (("ada@example.test",), ADA, True),
        (("ADA@example.TEST",), ADA, True),
        (("Ada Tester",), ADA, True),
        (("ada tester",), "Ada Tester", True),
        ((ADA,), ADA, True),
        (("ada@example.test",), "ada@example.test", True),
        (("Eve", "ada@example.test"), ADA, True),
        (("ada@example.test",), "Ada Tester", False),
        (("Ada",), ADA, False),
        (("ada@example.test",), "ada@example.test <eve@example.test>", False),
        (("example.test",), ADA, False),
        (("Ada Tester",), "Eve <Ada Tester>", False),
        ((ADA,), "Ada Tester <eve@example.test>", False),
        (("Ada Tester",), "", False),
    ],
)
def test_who_may_decide(allowed: tuple[str, ...], who: str, may: bool) -> None:
    assert may_decide(allowed, who) is may


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (lambda: Approval("a", mode="vote"), "mode='vote'"),
        (lambda: Approval("a", mode="select"), "at least 1"),
        (lambda: Approval("a", mode="rank", options=["x"]), "at least 2"),
        (lambda: Approval("a", options=["x"]), "drop them"),
        (lambda: Approval("a", mode="select", options=["x", "x"]), "each of them once"),
        (lambda: Approval("a", mode="select", options=["x", 1]), "texts of one line"),
        (lambda: Approval("a", mode="rank", options=["x,y", "z"]), "without commas"),
        (lambda: Approval("a", allowed=["ada", ""]), "names or mail addresses"),
        (lambda: Approval("a", expires=0), "above 0"),
        (lambda: Approval("a", on_expiry="skip"), "'deny', 'fail' or 'approve'"),
        (lambda: Approval("a", mode="select", options=["x"], on_expiry="approve"), "only a person"),
        (lambda: Approval("a", mode="select", options=["x"], auto_after=2), "only a person"),
        (lambda: Approval("a", auto_after=0), "1 or more"),
        (lambda: task("a", needs_approval=NeedsApproval(on_deny="continue")), "'fail' or 'skip'"),
        (lambda: task("a", needs_approval=3), "NeedsApproval"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(node, said: str) -> None:
    with pytest.raises(WorkflowError) as caught:
        build(node(), "x:1")
    assert said in f"{caught.value.message} {caught.value.hint}"
    assert "test_asking.py" in caught.value.message or "simulate.py" in caught.value.message


def space(state: State, name: str, commit: str) -> None:
    apply(state, ev.SpaceCreated(space=name, branch=f"refs/heads/{name}", commit=commit), 0.0)


def finish(state: State, node: str, at: str, name: str = "main") -> None:
    apply(state, ev.TaskStarted(node=node, attempt=1, space=name), 0.0)
    apply(state, ev.TaskFinished(node=node, attempt=1, space=name, commit=at), 0.0)


def ask(state: State, tree, now: float = 0.0) -> list[ev.Event]:
    """What is recorded of the tree at `now`; folded into the state."""
    events = decide(build(tree, "x:1"), state, now).events
    for event in events:
        apply(state, event, now)
    return events


def test_a_request_is_made_anew_when_its_files_change_and_only_then() -> None:
    state, tree = begin(), Parallel(Approval("ok"), Task("work", run="true"))
    space(state, "main", "a" * 40)
    assert [event.commits for event in ask(state, tree)] == [{"main": "a" * 40}]
    assert ask(state, tree) == []
    finish(state, "work", "c" * 40)
    (again,) = ask(state, tree, 5.0)
    assert again.commits == {"main": "c" * 40}
    assert state.approvals[TaskKey("ok")].requested == 5.0
    assert ask(state, tree) == []


def test_a_workspace_that_begins_as_it_was_is_no_change() -> None:
    state, tree = begin(), Parallel(Approval("ok"), Task("work", run="true"))
    ask(state, tree)
    space(state, "main", state.base)
    assert ask(state, tree) == []


@pytest.mark.parametrize(
    "other",
    [
        Approval("ok", title="Other?"),
        Approval("ok", mode="select", options=["x"]),
        Approval("ok", allowed="ada"),
        Approval("ok", on_deny="skip"),
        Approval("ok", expires=5),
        Approval("ok", auto_after=2),
    ],
    ids=["title", "mode", "people", "denial", "expiry", "row"],
)
def test_a_request_is_made_anew_when_the_workflow_asks_something_else(other: Approval) -> None:
    state = begin()
    ask(state, Approval("ok"))
    assert len(ask(state, other)) == 1
    assert ask(state, other) == []


def test_what_was_decided_is_not_asked_anew_whatever_changes() -> None:
    state = begin()
    space(state, "main", "a" * 40)
    tree = Sequence(Approval("ok"), Task("work", run="true"))
    ask(state, tree)
    apply(state, ev.ApprovalDecided(node="ok", approved=True, by=ADA), 1.0)
    apply(state, ev.SpaceSaved(space="main", commit="d" * 40, reason="edited"), 2.0)
    assert [start.key.node for start in decide(build(tree, "x:1"), state, 3.0).start] == ["work"]


def test_an_approval_shows_the_worktrees_in_which_nothing_goes_on() -> None:
    state = begin()
    for name in ("main", "ready", "busy"):
        space(state, name, name[0] * 40)
    finish(state, "one", "r" * 40, "ready")
    tree = Parallel(
        Sequence(Worktree("ready", Task("one", run="true")), Approval("ok"), Task("behind", run="true")),
        Worktree("busy", Task("two", run="true")),
    )
    (asked,) = ask(state, tree)
    assert set(asked.commits) == {"main", "ready"}


def test_an_approval_in_a_worktree_is_about_that_one_and_those_inside() -> None:
    state = begin()
    for name in ("main", "mine", "inner", "other"):
        space(state, name, name[0] * 40)
    finish(state, "deep", "i" * 40, "inner")
    finish(state, "far", "o" * 40, "other")
    tree = Sequence(
        Worktree("other", Task("far", run="true")),
        Worktree("mine", Worktree("inner", Task("deep", run="true")), Approval("ok")),
    )
    (asked,) = ask(state, tree)
    assert set(asked.commits) == {"mine", "inner"}


@pytest.mark.parametrize(
    ("policy", "approved", "status"),
    [("deny", False, "skipped"), ("fail", False, "failed"), ("approve", True, "finished")],
)
def test_what_nobody_decided_in_time_decides_itself(policy, approved: bool, status: str) -> None:
    state = begin()
    tree = Approval("ok", expires=10, on_expiry=policy, on_deny="skip")
    (asked,) = ask(state, tree, 100.0)
    waiting = decide(build(tree, "x:1"), state, 109.9)
    assert (asked.until, waiting.events, waiting.wake_at, state.wake_at) == (110.0, [], 110.0, 110.0)
    (decided,) = ask(state, tree, 110.0)
    assert (decided.approved, decided.how, decided.by) == (approved, "expired", "clock")
    assert state.node(TaskKey("ok")).status == status


def test_a_long_row_approves_and_a_short_one_waits() -> None:
    for streak, ends in ((1, False), (2, True), (3, True)):
        state, tree = begin(), Approval("ok", auto_after=2)
        (asked,) = decide(build(tree, "x:1"), state, 0.0).events
        apply(state, asked.model_copy(update={"streak": streak}), 0.0)
        assert bool(ask(state, tree)) is ends
        assert state.approvals[TaskKey("ok")].approved is (True if ends else None)


def test_a_digest_tells_requests_apart_by_all_that_a_person_sees() -> None:
    def digest(trees: dict[str, str], node: str = "a", **changes) -> str:
        state = begin()
        request = ev.ApprovalRequested(node="a", title="t", summary="s").model_copy(update=changes)
        apply(state, request, 0.0)
        return asking.digest(TaskKey(node), state.approvals[TaskKey("a")], trees)

    tree = {"main": "1" * 40}
    found = [
        digest(tree),
        digest({"main": "2" * 40}),
        digest({"side": "1" * 40}),
        digest(tree, "b"),
        digest(tree, title="T"),
        digest(tree, summary="S"),
        digest(tree, mode="rank"),
        digest(tree, options=["x"]),
    ]
    assert len(set(found)) == len(found)
    assert digest(tree) == found[0]
