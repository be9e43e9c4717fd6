"""A workflow is rendered again only when something that it read has changed."""

from __future__ import annotations

from typing import Any

import pytest
from kit.repos import write

from smithers_git.core import events as ev
from smithers_git.core.codec import Owner
from smithers_git.edge.git.objects import Objects
from smithers_git.errors import SmithersError, WorkflowError
from smithers_git.service import render, source
from smithers_git.service.frames import Chain
from smithers_git.service.render import Renderer

HEAD = """\
from pydantic import BaseModel
from smithers_git import Approval, Branch, Loop, Parallel, Sequence, Task, Worktree, workflow


class Request(BaseModel):
    count: int = 2


class Note(BaseModel):
    n: int = 0


@workflow(input=Request)
def flow(ctx):
"""


class Run:
    """A run whose events a test adds by hand, as the engine does."""

    def __init__(self, repo, body: str, **given: Any):
        write(repo, {"flow.py": HEAD + body})
        loaded = source.load(source.locate("flow.py", repo, repo))
        self.chain = Chain(Objects(repo / ".git", sync=False), "r", Owner(1, "here"))
        self.renderer = Renderer(loaded, self.chain)
        self.add(ev.RunCreated(run="r", workflow="flow.py", entry="flow.py", input=given, base="0" * 40))

    def add(self, event: ev.Event) -> None:
        self.chain.add(event, 1.0)
        self.renderer.note(event)

    def finish(self, node: str, value: Any, iteration: int = 0) -> None:
        self.add(ev.TaskStarted(node=node, iteration=iteration, attempt=1))
        path = f"outputs/000/{node}@{iteration}.json"
        self.chain.put_output(path, value)
        self.add(ev.TaskFinished(node=node, iteration=iteration, attempt=1, output=path))

    def ids(self) -> list[str]:
        return list(self.renderer.plan().items)


@pytest.fixture
def run(repo):
    return lambda body, **given: Run(repo, body, **given)


def test_a_workflow_that_reads_nothing_is_rendered_once(run):
    flow = run('    return Sequence(*(Task(f"t{n}", value=n) for n in range(50)))\n')
    for number in range(50):
        assert flow.ids()[0] == "t0"
        flow.finish(f"t{number}", number)
    flow.renderer.plan()
    assert flow.renderer.count == 1


def test_only_the_output_that_it_reads_renders_it_again(run):
    flow = run("""\
    seen = ctx.latest(Note, "b")
    return Sequence(Task("a", value=1), Task("b", value=Note()), seen and Task(f"c{seen.n}", value=1))
""")
    assert flow.ids() == ["a", "b"]
    flow.finish("a", 1)
    assert flow.ids() == ["a", "b"]
    assert flow.renderer.count == 1
    flow.finish("b", {"n": 7})
    assert flow.ids() == ["a", "b", "c7"]
    flow.finish("c7", 1)
    assert flow.ids() == ["a", "b", "c7"]
    assert flow.renderer.count == 2


def test_what_a_read_finds_today_can_change_what_is_read_tomorrow(run):
    flow = run("""\
    first = ctx.latest(Note, "a")
    second = ctx.latest(Note, "b") if first else None
    return Sequence(Task("a", value=Note()), Task("b", value=Note()), second and Task("c", value=1))
""")
    flow.ids()
    flow.finish("b", {"n": 1})
    flow.ids()
    assert flow.renderer.count == 1, "b is not read yet"
    flow.finish("a", {"n": 1})
    assert flow.ids() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("read", "event"),
    [
        ('ctx.error("a")', ev.TaskFailed(node="a", attempt=1, kind="error", message="m", final=True)),
        ('ctx.error("a")', ev.TaskSkipped(node="a", reason="skip_if")),
        ('ctx.iteration("l")', ev.LoopAdvanced(loop="l", iteration=1)),
        ('ctx.iteration("in")', ev.LoopAdvanced(loop="l", iteration=1, inner=["in"])),
        ('ctx.latest(Note, "a")', ev.TaskReset(nodes=["a"])),
        ("ctx.input.count", ev.RunForked(run="f", parent="r", frame=0, input={"count": 5})),
    ],
)
def test_everything_that_a_context_can_read_renders_it_again_when_it_changes(run, read, event):
    flow = run(f'    found = {read}\n    return Task("a", value=repr(found))\n')
    flow.add(ev.LoopEntered(loop="in", outer=["l"]))
    flow.add(ev.LoopAdvanced(loop="in", iteration=2))
    if isinstance(event, ev.TaskReset):
        flow.finish("a", {"n": 1})
    before = flow.renderer.plan().root.value
    flow.add(event)
    assert flow.renderer.plan().root.value != before


SAMPLES = [
    ev.TaskStarted(node="a", attempt=1),
    ev.ApprovalRequested(node="a", title="t"),
    ev.WaitStarted(node="a", kind="question", title="t"),
    ev.LoopEntered(loop="l", outer=["out"]),
    ev.LoopFinished(loop="l", reason="until", iterations=1),
    ev.SpaceCreated(space="main", branch="refs/heads/b", commit="0" * 40),
    ev.SpaceSaved(space="main", commit="0" * 40, reason="r"),
    ev.PauseRequested(),
    ev.CancelRequested(),
]


def test_events_that_change_nothing_that_can_be_read_do_not_render_again(run):
    assert set(render._UNREAD) <= set(map(type, SAMPLES))
    flow = run("""\
    everything = (
        ctx.latest(Note, "a"), ctx.output(Note, "a"), ctx.all(Note, "a"), ctx.error("a"), ctx.iteration("l"), ctx.input,
    )
    return Task("b", value=repr(everything))
""")
    flow.add(ev.SpaceCreated(space="main", branch="refs/heads/b", commit="0" * 40))
    before = flow.renderer.plan().root.value
    for event in SAMPLES:
        flow.add(event)
        assert flow.renderer.plan().root.value == before
        assert flow.renderer.count == 1
        flow.renderer.forget()
        assert flow.renderer.plan().root.value == before, f"{event} can be read after all"
        flow.renderer.count = 1


def test_a_state_that_was_read_anew_is_rendered_anew(run):
    flow = run('    return Task("a", value=1)\n')
    flow.ids()
    flow.renderer.forget()
    flow.ids()
    assert flow.renderer.count == 2


def test_the_input_is_its_model(run):
    flow = run('    return Sequence(*(Task(f"t{n}", value=n) for n in range(ctx.input.count)))\n', count=3)
    assert flow.ids() == ["t0", "t1", "t2"]


BROKEN = {
    "raises": ("    return 1 / 0\n", r"flow\.py:15: the workflow raised: ZeroDivisionError"),
    "a type error": ("    return Sequence('a')\n", r"flow\.py:15: the workflow raised: TypeError: 'a' cannot stand"),
    "a duplicate id": ("    return Sequence(Task('a', run='x'), Task('a', run='x'))\n", r"flow\.py:15: duplicate id"),
    "no node": ("    return 7\n", r"flow\.py:13: the workflow returned 7"),
    "a wrong model": ("    ctx.latest(Request, 'a')\n", r"the output of a is not a Request: count"),
    "a prompt file that is not there": ("    ctx.prompt('zzz.md')\n", r"flow\.py:15: prompt file 'zzz\.md' not found"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_render_that_fails_names_file_line_and_what(run, name):
    body, message = BROKEN[name]
    flow = run(body)
    flow.finish("a", {"count": "many"})
    with pytest.raises(WorkflowError, match=message) as caught:
        flow.renderer.plan()
    assert caught.value.hint
    with pytest.raises(WorkflowError, match=message):
        flow.renderer.plan()


def test_an_input_that_no_longer_fits_names_the_field(run):
    flow = run("    return None\n", count="many")
    with pytest.raises(SmithersError, match="count"):
        flow.renderer.plan()


@pytest.mark.parametrize(
    "body",
    [
        '    import itertools\n    flow.n = getattr(flow, "n", 0) + 1\n    return Task(f"t{flow.n}", value=1)\n',
        '    flow.n = getattr(flow, "n", 0) + 1\n    return Worktree(f"w{flow.n}", Task("t", value=1))\n',
        '    flow.n = getattr(flow, "n", 0) + 1\n    return Loop(Task("t", value=1), until=flow.n % 2)\n',
        '    flow.n = getattr(flow, "n", 0) + 1\n    return Task("t", value=1, skip_if=flow.n % 2)\n',
    ],
    ids=["id", "worktree", "until", "skip_if"],
)
def test_a_render_that_is_not_pure_is_found(run, body):
    with pytest.raises(WorkflowError, match="two renders of the same state differ") as caught:
        run(body).renderer.check_pure()
    assert "ctx alone" in caught.value.hint


def test_a_pure_render_is_fine(run):
    run('    return Loop(Task("a", value=[1]), until=False)\n').renderer.check_pure()


def test_reads_of_nodes_that_are_nowhere_are_told(run):
    flow = run("""\
    ctx.latest(Note, "a"), ctx.latest(Note, "typo"), ctx.iteration("a.loop")
    return Loop(Task("a", value=Note()), until=False)
""")
    assert flow.renderer.unknown_reads == ["typo"]
