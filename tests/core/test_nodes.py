"""The values that a workflow function returns."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel, RootModel

from smithers_git.core.nodes import (
    Approval,
    Backoff,
    Branch,
    Loop,
    Parallel,
    Ralph,
    Sequence,
    Task,
    Worktree,
)


class Note(BaseModel):
    text: str = ""


def make_note(review: str) -> Note:
    return Note(text=review)


def make_number() -> int:
    return 1


def ids(group) -> list[str]:
    return [child.id for child in group.children]


def test_none_vanishes_and_lists_are_opened():
    group = Sequence(None, Task("a", value=1), [Task("b", value=1), None, [Task("c", value=1)]], (), iter([None]))
    assert ids(group) == ["a", "b", "c"]


def test_tasks_can_come_from_a_comprehension():
    assert ids(Parallel(Task(f"t-{name}", value=name) for name in ("x", "y"))) == ["t-x", "t-y"]


@pytest.mark.parametrize("child", ["text", b"bytes", 7, True, {"a": 1}, Task, object(), [["a"]]])
def test_what_is_no_node_is_refused_where_it_stands(child):
    with pytest.raises(TypeError, match="cannot stand in a plan"):
        Sequence(Task("a", value=1), child)


def test_a_branch_has_only_the_side_that_was_chosen():
    then, otherwise = Task("then", value=1), Task("otherwise", value=1)
    assert ids(Branch(True, then, otherwise)) == ["then"]
    assert ids(Branch([], then, otherwise)) == ["otherwise"]
    assert ids(Branch(None, then)) == []


def test_a_branch_may_choose_a_list():
    assert ids(Branch(True, [Task("a", value=1), Task("b", value=1)])) == ["a", "b"]


def test_a_loop_is_named_after_its_first_task_unless_it_has_a_name():
    assert Loop(Sequence(None, Parallel(Task("fix", value=1))), until=True).id == "fix.loop"
    assert Loop(Task("fix", value=1), until=True, id="mine").id == "mine"
    assert Loop(None, until=True).id == "empty.loop"
    assert Ralph is Loop


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"agent": "claude", "prompt": "p", "output": Note}, "agent"),
        ({"run": "make test"}, "run"),
        ({"call": make_number}, "call"),
        ({"value": None}, "value"),
        ({"value": 0}, "value"),
    ],
)
def test_the_kind_of_a_task(options, kind):
    assert Task("a", **options).kind == kind


def test_one_name_or_many_are_the_same():
    assert Task("a", agent="x", needs="n").agent == ("x",)
    assert Task("a", agent=["x", "y"], needs=["n", "m"]).agent == ("x", "y")
    assert Task("a", value=1, needs="abc").needs == ("abc",)
    assert Approval("a", needs="abc").needs == ("abc",)
    assert Task("a", run=["make", "test"], gates=["ruff .", ["make", "lint"]]).gates == ("ruff .", ("make", "lint"))


def test_what_the_author_changes_later_does_not_change_the_plan():
    words, needs = ["make"], ["a"]
    task = Task("t", run=words, needs=needs)
    words.append("clean")
    needs.append("b")
    assert (task.run, task.needs) == (("make",), ("a",))


def test_durations_are_seconds_or_timedeltas():
    task = Task("a", value=1, timeout=timedelta(minutes=2), idle_timeout=3)
    assert (task.timeout, task.idle_timeout) == (120.0, 3)
    assert Task("a", value=1).timeout is None


def test_defaults():
    task = Task("a", value=1)
    assert (task.retries, task.label, task.continue_on_fail, task.cache, task.check) == (2, "a", False, False, True)
    assert task.backoff == Backoff()
    assert Approval("ship").title == "ship"
    assert Approval("ship").on_deny == "fail"


@pytest.mark.parametrize(
    ("options", "model"),
    [
        ({"value": Note(text="x")}, Note),
        ({"value": 1}, None),
        ({"call": make_note}, Note),
        ({"call": make_number}, None),
        ({"call": lambda: 1}, None),
        ({"call": make_note, "output": RootModel[str]}, RootModel[str]),
        ({"call": len}, None),
    ],
)
def test_the_output_model_is_that_of_the_value_or_of_the_functions_annotation(options, model):
    assert Task("a", **options).output is model


def test_every_node_knows_where_it_was_made():
    made = [
        Task("a", value=1), Approval("b"), Sequence(), Parallel(), Branch(True), Loop(until=True), Worktree("w"),
    ]  # fmt: skip
    source = Path(__file__).read_text().splitlines()
    for node in made:
        file, _, line = node.where.rpartition(":")
        assert file == __file__
        assert type(node).__name__ in source[int(line) - 1]


def test_nodes_show_themselves():
    assert repr(Sequence(Task("a", value=1), Approval("b"))) == "Sequence(Task('a'), Approval('b'))"
    assert repr(Parallel(Task("a", value=1))) == "Parallel(Task('a'),)"


def test_a_pause_doubles_from_one_second_to_five_minutes():
    assert [Backoff().pause(number, 0.0) for number in (1, 2, 3, 9, 10, 99, 10**6)] == [1, 2, 4, 256, 300, 300, 300]
    assert Backoff().pause(1, 0.999) == pytest.approx(1.25, abs=0.001)
