"""What a workflow function may read, and what is noted of it."""

from __future__ import annotations

import pytest
from kit.simulate import begin
from pydantic import BaseModel

import smithers_git
from smithers_git.core import events as ev
from smithers_git.core.nodes import Task
from smithers_git.core.state import apply
from smithers_git.core.workflow import Context, NoInput, Workflow, workflow
from smithers_git.errors import UsageError, WorkflowError


class Request(BaseModel):
    prompt: str
    count: int = 1


class Review(BaseModel):
    approved: bool


class Files:
    """Outputs and prompts in memory."""

    def __init__(self):
        self.outputs: dict[str, object] = {}
        self.asked: list[str] = []

    def load(self, path):
        self.asked.append(path)
        return self.outputs[path]

    def render(self, name, values):
        return f"{name} {sorted(values)} {values['input'].prompt}"


@pytest.fixture
def files():
    return Files()


@pytest.fixture
def state():
    return begin()


@pytest.fixture
def ctx(files, state):
    return Context(Request(prompt="go"), state, files, files)


def finish(state, files, value, node="review", iteration=0):
    path = f"outputs/{node}@{iteration}.json"
    files.outputs[path] = value
    apply(state, ev.TaskFinished(node=node, iteration=iteration, attempt=1, output=path), 1.0)


def test_there_is_nothing_before_the_first_output(ctx):
    assert ctx.latest(Review, "review") is None
    assert ctx.output(Review, "review") is None
    assert ctx.all(Review, "review") == []
    assert ctx.error("review") is None
    assert ctx.iteration("loop") == 0


def test_outputs_come_as_their_model(ctx, files, state):
    finish(state, files, {"approved": False}, iteration=0)
    finish(state, files, {"approved": True}, iteration=2)
    assert ctx.latest(Review, "review") == Review(approved=True)
    assert ctx.output(Review, "review") == Review(approved=False)
    assert ctx.output(Review, "review", 1) is None
    assert ctx.all(Review, "review") == [Review(approved=False), Review(approved=True)]


def test_an_output_of_another_model_names_the_field_and_the_node(ctx, files, state):
    finish(state, files, {"approved": "perhaps"})
    with pytest.raises(WorkflowError, match=r"the output of review is not a Review: approved: ") as caught:
        ctx.latest(Review, "review")
    assert "'review'" in caught.value.hint


def test_what_was_read_is_noted_whatever_it_held(ctx):
    ctx.latest(Review, "a")
    ctx.output(Review, "b")
    ctx.all(Review, "c")
    ctx.error("d")
    ctx.iteration("e")
    assert ctx.reads == {"a", "b", "c", "d", "e"}


def test_input_check_and_prompts_are_no_reads(ctx):
    assert ctx.input.prompt == "go"
    assert ctx.run == "r"
    assert ctx.check is None
    asked = ctx.prompt("review.md", feedback=None)
    assert asked.startswith("review.md [")
    assert asked.endswith("] go")
    assert all(name in asked for name in ("'check'", "'feedback'", "'input'"))
    assert ctx.reads == set()


def test_the_error_is_that_of_the_newest_iteration(ctx, state):
    for number in (0, 1):
        failed = ev.TaskFailed(node="a", iteration=number, attempt=1, kind="error", message=f"m{number}", final=True)
        apply(state, failed, 1.0)
    assert ctx.error("a") == "m1"
    apply(state, ev.TaskFinished(node="a", iteration=1, attempt=2), 2.0)
    assert ctx.error("a") is None


def test_the_iteration_of_an_inner_loop_counts_from_where_it_began_afresh(ctx, state):
    apply(state, ev.LoopAdvanced(loop="in", iteration=1), 1.0)
    apply(state, ev.LoopAdvanced(loop="out", iteration=1, inner=["in"]), 1.0)
    assert (ctx.iteration("in"), ctx.iteration("out")) == (0, 1)
    apply(state, ev.LoopAdvanced(loop="in", iteration=3), 1.0)
    assert ctx.iteration("in") == 1


def test_a_bare_decorator_makes_a_workflow_without_input():
    @workflow
    def plan(ctx):
        """Make a plan.

        At length.
        """
        return Task("a", value=1)

    assert isinstance(plan, Workflow)
    assert (plan.name, plan.request, plan.summary) == ("plan", NoInput, "Make a plan.")
    assert plan.parse({}) == NoInput()
    assert plan.where.startswith(__file__)


def test_a_decorator_with_options():
    @workflow(input=Request, name="other")
    def plan(ctx): ...

    assert (plan.name, plan.request, plan.summary) == ("other", Request, "")
    assert plan.parse({"prompt": "x", "count": "3"}) == Request(prompt="x", count=3)


@pytest.mark.parametrize(
    ("value", "message"),
    [({}, "prompt: Field required"), ({"prompt": "x", "count": "many"}, "count: "), ({"prompt": None}, "prompt: ")],
)
def test_an_input_that_does_not_fit_names_the_field_and_says_what_there_is(value, message):
    flow = workflow(input=Request)(lambda ctx: None)
    with pytest.raises(UsageError, match=f"does not fit workflow '<lambda>': {message}") as caught:
        flow.parse(value)
    assert "prompt, count" in caught.value.hint


def test_authors_import_everything_from_the_package():
    for name in smithers_git.__all__:
        assert getattr(smithers_git, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        smithers_git.Nonsense  # noqa: B018
