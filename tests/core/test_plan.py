"""Trees that are refused, and why; and what a checked plan knows of its nodes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from kit.simulate import Note, task

from smithers_git.core.nodes import Approval, Branch, Loop, Parallel, Sequence, Task, Worktree
from smithers_git.core.plan import build, dependents
from smithers_git.errors import WorkflowError

HERE = str(Path(__file__))


def agent(id: str, prompt="p", **options):
    return Task(id, agent="fast", prompt=prompt, output=options.pop("output", Note), **options)


REFUSED = {
    "duplicate id": (
        lambda: Sequence(task("a"), Parallel(task("a"))),
        "duplicate id 'a': it is already used at",
        "made from data",
    ),
    "duplicate id of a loop and a task": (
        lambda: Sequence(task("a"), Loop(task("b"), until=True, id="a")),
        "duplicate id 'a'",
        "made from data",
    ),
    "two loops whose ids come from nothing": (
        lambda: Sequence(Loop(None, until=True), Loop(None, until=True)),
        "duplicate id 'empty.loop'",
        "made from data",
    ),
    "unknown need": (
        lambda: Sequence(task("implement"), task("b", needs="implment")),
        "'b' needs 'implment', which is not in the plan",
        "did you mean 'implement'?",
    ),
    "need like nothing": (
        lambda: Sequence(task("a"), task("b", needs="zzz")),
        "'b' needs 'zzz'",
        "the plan has: a, b",
    ),
    "unknown parameter": (
        lambda: Sequence(task("implement"), agent("b", lambda implmnt: "")),
        "'b' asks for 'implmnt', which is not in the plan",
        "did you mean 'implement'?",
    ),
    "unknown parameter of a function": (
        lambda: Task("b", call=lambda nothing_like_it: 1),
        "'b' asks for 'nothing_like_it'",
        "name the parameter after a node",
    ),
    "unknown parameter of a summary": (
        lambda: Approval("ok", summary=lambda nothing_like_it: ""),
        "'ok' asks for 'nothing_like_it'",
        "name the parameter after a node",
    ),
    "a parameter that can mean two nodes": (
        lambda: Sequence(task("a-b"), task("a.b"), agent("c", lambda a_b: "")),
        "'c' asks for 'a_b', which can mean 'a-b' or 'a.b'",
        "rename",
    ),
    "a function that does not tell its parameters": (
        lambda: Task("a", call=dict),
        "the parameters of <class 'dict'> cannot be read",
        "lambda",
    ),
    "loop directly in a loop": (
        lambda: Loop(Loop(task("a"), until=True, id="in"), until=True, id="out"),
        "loop 'in' stands directly in loop 'out'",
        "put a Sequence between them",
    ),
    "loop without a pass": (
        lambda: Loop(task("a"), until=True, max_iterations=0),
        "loop 'a.loop' has max_iterations=0",
        "1 or more",
    ),
    "loop with an unknown end": (
        lambda: Loop(task("a"), until=True, on_max="stop"),
        "on_max='stop'",
        "'fail' or 'return-last'",
    ),
    "group in which nothing may start": (
        lambda: Parallel(task("a"), max_concurrency=0),
        "max_concurrency=0",
        "1 or more",
    ),
    "agent without an output model": (
        lambda: agent("a", output=None),
        "agent task 'a' has no output model",
        "output=YourModel",
    ),
    "agent without a prompt": (
        lambda: agent("a", prompt=None),
        "agent task 'a' has no prompt",
        "ctx.prompt",
    ),
    "prompt without an agent": (
        lambda: Task("a", run="true", prompt="p"),
        "task 'a' has a prompt but no agent",
        "add agent=",
    ),
    "two kinds": (
        lambda: Task("a", run="true", value=1),
        "task 'a' has run and value",
        "exactly one",
    ),
    "three kinds": (
        lambda: Task("a", agent="x", prompt="p", run="true", call=print, output=Note),
        "task 'a' has agent and run and call",
        "exactly one",
    ),
    "no kind": (
        lambda: Task("a"),
        "task 'a' has none of them",
        "exactly one",
    ),
    "empty command": (
        lambda: Task("a", run=[]),
        "task 'a' has an empty command",
        "run='make test'",
    ),
    "negative retries": (
        lambda: task("a", retries=-1),
        "retries=-1",
        "0 or more",
    ),
    "retries of the wrong kind": (
        lambda: task("a", retries=None),
        "task 'a' has retries=None",
        "help(smithers_git.Task)",
    ),
    "a command of other things than words": (
        lambda: Task("a", run=["make", 1]),
        "task 'a' has run=('make', 1)",
        "help(smithers_git.Task)",
    ),
    "a call that is no function": (
        lambda: Task("a", call="make"),
        "task 'a' has call='make'",
        "help(smithers_git.Task)",
    ),
    "a prompt that is no text": (
        lambda: agent("a", prompt=7),
        "task 'a' has prompt=7",
        "help(smithers_git.Task)",
    ),
    "an output that is no model": (
        lambda: agent("a", output=dict),
        "task 'a' has output=<class 'dict'>",
        "help(smithers_git.Task)",
    ),
    "a task among the needs": (
        lambda: task("a", needs=[task("b")]),
        "task 'a' has needs=(Task('b'),)",
        "help(smithers_git.Task)",
    ),
    "unknown way to deny": (
        lambda: Approval("ok", on_deny="retry"),
        "'ok' has on_deny='retry'",
        "'fail', 'continue' or 'skip'",
    ),
    "worktree that is called main": (
        lambda: Worktree("main", task("a")),
        "'main' cannot name a worktree",
        "not 'main'",
    ),
    "duplicate worktree": (
        lambda: Sequence(Worktree("w", task("a")), Worktree("w", task("b"))),
        "duplicate worktree 'w': it is already used at",
        "id of its own",
    ),
    "a task that needs itself": (
        lambda: task("a", needs="a"),
        "deadlock: 'a'",
        "drop one of the needs",
    ),
    "a circle of needs": (
        lambda: Parallel(task("a", needs="b"), task("b", needs="c"), task("c", needs="a")),
        "deadlock: ",
        "drop one of the needs",
    ),
    "a need against the order of a sequence": (
        lambda: Sequence(task("a", needs="b"), task("b")),
        "deadlock: 'a' and 'b' wait for each other",
        "reorder",
    ),
    "a need on what only comes after the own loop": (
        lambda: Sequence(Loop(task("a", needs="b"), until=True), task("b")),
        "deadlock: ",
        "reorder",
    ),
    "a need on a node in a loop that itself waits": (
        lambda: Parallel(Loop(task("a", needs="b"), until=True), task("b", needs="a")),
        "deadlock: ",
        "reorder",
    ),
    "a circle through the prompts": (
        lambda: Parallel(agent("a", lambda b: ""), agent("b", lambda a: "")),
        "deadlock: ",
        "reorder",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_tree_is_refused_with_file_line_and_node(name):
    make, message, hint = REFUSED[name]
    with pytest.raises(WorkflowError) as caught:
        build(make(), "flow.py:1")
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert re.match(r"\S+\.py:\d+: ", caught.value.message)


def test_the_line_is_that_of_the_node_and_not_of_the_plan():
    with pytest.raises(WorkflowError) as caught:
        build(
            Sequence(
                Task("a", value=1),
                Task("b", value=2, needs="zzz"),
            ),
            "flow.py:1",
        )
    number = int(caught.value.message.removeprefix(f"{HERE}:").partition(":")[0])
    assert "zzz" in Path(HERE).read_text().splitlines()[number - 1]


@pytest.mark.parametrize(
    "id",
    ["", " ", "a b", "a/b", "../a", "a..b", ".a", "-a", "a@1", "a\n", "ä", "a\0b", "x" * 121, "a\\b", "a%3Ab", None, 7],
)
def test_an_id_that_cannot_be_a_file_name_is_refused(id):
    with pytest.raises(WorkflowError, match="cannot be the id of a Task"):
        build(Task(id, value=1), "flow.py:1")


@pytest.mark.parametrize("id", ["a", "A-1", "test:unit", "a_b.c", "9", "x" * 120])
def test_ids_made_from_data_are_fine(id):
    assert list(build(Task(id, value=1), "flow.py:1").items) == [id]


@pytest.mark.parametrize("id", ["", "a/b", "..", "a..b", "a.lock", "x.", ".x", "a b", "a:b", "x" * 64])
def test_a_worktree_name_that_git_could_not_hold_is_refused(id):
    with pytest.raises(WorkflowError, match="cannot name a worktree"):
        build(Worktree(id, task("a")), "flow.py:1")


@pytest.mark.parametrize("root", ["text", 7, [Task], Task, object()])
def test_a_workflow_that_returns_no_node_is_told_so(root):
    with pytest.raises(WorkflowError, match=r"^flow\.py:1: the workflow returned") as caught:
        build(root, "flow.py:1")
    assert "Sequence(…)" in caught.value.hint


def test_nothing_to_do_is_a_plan_too():
    plan = build(None, "flow.py:1")
    assert (plan.items, plan.loops, plan.spaces) == ({}, {}, {})


def test_items_stand_in_the_order_of_the_tree():
    tree = Parallel(Sequence(task("b"), task("a")), None, [task("d"), [task("c")]], Branch(False, task("x"), task("e")))
    assert list(build(tree, "x:1").items) == ["b", "a", "d", "c", "e"]


def test_an_item_knows_its_loops_and_its_workspace():
    inner = Worktree("w", Loop(Sequence(task("c")), until=True, id="in"))
    tree = Sequence(task("a"), Loop(task("b"), Sequence(inner), until=True, id="out"))
    plan = build(tree, "x:1")
    assert [(i.node.id, i.space, i.loops) for i in plan.items.values()] == [
        ("a", "main", ()),
        ("b", "main", ("out",)),
        ("c", "w", ("out", "in")),
    ]
    assert plan.loops["in"].outer == ("out",)
    assert plan.spaces["w"].parent == "main"


def test_worktrees_nest():
    plan = build(Worktree("v", Worktree("w", task("a"))), "x:1")
    assert (plan.spaces["w"].parent, plan.spaces["v"].parent) == ("v", "main")


def test_parameters_name_nodes_and_are_needs():
    tree = Sequence(task("test:unit"), task("a-b"), agent("c", lambda test_unit, a_b, *, note="x": ""))
    item = build(tree, "x:1").items["c"]
    assert item.params == {"test_unit": "test:unit", "a_b": "a-b"}
    assert item.needs == ("test:unit", "a-b")


def test_a_parameter_spelled_like_a_node_is_that_node():
    tree = Sequence(task("a-b"), task("a_b"), agent("c", lambda a_b: ""))
    assert build(tree, "x:1").items["c"].params == {"a_b": "a_b"}


def test_a_parameter_means_what_is_rendered_now_before_what_was_once():
    tree = Sequence(task("a-b"), agent("c", lambda a_b: ""))
    assert build(tree, "x:1", frozenset({"a.b", "a_b"})).items["c"].params == {"a_b": "a-b"}


def test_what_was_once_rendered_can_still_be_asked_for():
    plan = build(agent("c", lambda a_b: "", needs="old"), "x:1", frozenset({"a.b", "old"}))
    assert plan.items["c"].params == {"a_b": "a.b"}
    assert plan.items["c"].needs == ("old", "a.b")


def test_a_function_may_ask_for_its_folder_and_take_what_it_is_not_given():
    item = build(Task("a", call=lambda workspace, *rest, **more: 1), "x:1").items["a"]
    assert (item.params, item.needs) == ({}, ())


def test_a_default_binds_a_value_and_names_no_node():
    tree = Parallel(*(Task(f"t{number}", call=lambda number=number: number) for number in range(3)))
    assert all(not item.params for item in build(tree, "x:1").items.values())


def test_the_same_tree_gives_the_same_plan():
    def tree():
        return Sequence(task("a"), Loop(task("b"), until=True), Worktree("w", task("c", needs="a")))

    assert build(tree(), "x:1").shape() == build(tree(), "x:1").shape()
    assert build(Sequence(task("a"), task("b")), "x:1").shape() != build(Parallel(task("b"), task("a")), "x:1").shape()


def test_a_deep_tree_and_a_wide_one_are_fine():
    deep = task("leaf")
    for _ in range(150):
        deep = Sequence(deep)
    assert list(build(deep, "x:1").items) == ["leaf"]
    assert len(build(Sequence(*(task(f"t{number}") for number in range(5000))), "x:1").items) == 5000


def test_needs_that_follow_the_order_are_no_deadlock():
    tree = Sequence(
        task("a"),
        Parallel(task("b", needs="a"), Sequence(task("c"), task("d", needs="b"))),
        Loop(task("e", needs=["a", "d"]), task("f", needs="e"), until=True),
        task("g", needs=["f", "a"]),
    )
    assert build(tree, "x:1").items["g"].needs == ("f", "a")


def test_dependents_are_what_comes_after_by_order_or_by_need():
    tree = Sequence(
        task("a"),
        Parallel(Sequence(task("b"), task("c")), task("d"), task("e", needs="b")),
        task("f"),
    )
    plan = build(tree, "x:1")
    assert dependents(plan, ["a"]) == {"b", "c", "d", "e", "f"}
    assert dependents(plan, ["b"]) == {"c", "e", "f"}
    assert dependents(plan, ["d"]) == {"f"}
    assert dependents(plan, ["f"]) == set()
    assert dependents(plan, ["c", "d"]) == {"f"}


def test_dependents_of_a_node_in_a_loop_are_the_rest_of_the_pass_and_what_waits_for_the_loop():
    plan = build(Sequence(Loop(task("a"), task("b"), until=True), task("c")), "x:1")
    assert dependents(plan, ["a"]) == {"b", "c"}
