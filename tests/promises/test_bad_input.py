"""Bad input of every kind: a clear error with a hint and an exit code, and nothing half-made."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import engines as kit
from kit import proofs, repos, runs
from kit.refusals import FINE, Stage, make_stage

from smithers_git.core import events as ev
from smithers_git.edge import content
from smithers_git.names import TaskKey


@pytest.fixture
def stage(repo: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Stage:
    return make_stage(repo, home, monkeypatch, capsys)


# -- what is typed


@pytest.mark.parametrize(
    ("argv", "code", "kind", "words"),
    [
        (("up", "implemnt"), 1, "content", ["implemnt"]),
        (("up", "no/such/flow.py"), 1, "content", ["no/such/flow.py"]),
        (("up", "flow.py", "--input", "{not json"), 2, "usage", ["--input", "JSON"]),
        (("up", "flow.py", "--input", "[1]"), 2, "usage", ["object"]),
        (("up", "flow.py", "--input", '{"prompt": 7}'), 2, "usage", ["prompt"]),
        (("up", "flow.py", "--input", '{"promt": "x"}'), 2, "usage", ["promt"]),
        (("up", "flow.py", "--run-id", "../evil"), 2, "usage", ["../evil"]),
        (("up", "flow.py", "--run-id", "Upper"), 2, "usage", ["Upper"]),
        (("up", "flow.py", "--max-concurrency", "0"), 2, "usage", ["max-concurrency"]),
        (("up", "flow.py", "--accept-change"), 2, "usage", ["--resume"]),
        (("up",), 2, "usage", ["--resume"]),
        (("up", "flow.py", "--resume", "x"), 2, "usage", ["--resume"]),
        (("up", "--resume", "nothing"), 1, "run-not-found", ["nothing"]),
        (("inspect", "nothing"), 1, "run-not-found", ["nothing"]),
        (("approve", "nothing"), 1, "run-not-found", ["nothing"]),
        (("rewind", "nothing", "--frame", "0", "--yes"), 1, "run-not-found", ["nothing"]),
        (("fork", "nothing"), 1, "run-not-found", ["nothing"]),
        (("cancel", "nothing"), 1, "run-not-found", ["nothing"]),
        (("inspectt", "x"), 2, "usage", ["inspectt"]),
    ],
)
def test_what_cannot_be_meant_is_refused(
    stage: Stage, argv: tuple[str, ...], code: int, kind: str, words: list[str]
) -> None:
    stage.smithers.write(FINE)
    message = stage.refused(*argv, code=code, kind=kind)
    assert all(word in message for word in words)


def test_a_prompt_for_a_workflow_that_takes_none_is_refused(stage: Stage) -> None:
    (stage.repo / "flow.py").write_text(runs.HEAD.replace("input=Request", "").replace("workflow()", "workflow") + FINE)
    assert "prompt" in stage.refused("up", "flow.py", "--prompt", "do it", code=2, kind="usage")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[worktree\nsetup = 1", ["config.toml", "line 1"]),
        ("[worktree]\nsettup = 'make'", ["config.toml", "worktree.settup"]),
        ("[run]\nmax_concurrency = 'many'", ["config.toml", "run.max_concurrency"]),
        ("[run]\nmax_concurrency = 0", ["config.toml", "run.max_concurrency"]),
        ("check = 3", ["config.toml", "check"]),
        (b"check = '\xff'", ["config.toml"]),
    ],
)
def test_a_broken_configuration_names_file_and_key(stage: Stage, text: str | bytes, words: list[str]) -> None:
    stage.smithers.write(FINE)
    repos.write(stage.repo, {".smithers/config.toml": text})
    message = stage.refused("up", "flow.py", kind="config")
    assert all(word in message for word in words)


def test_a_broken_agent_profile_names_file_and_key(stage: Stage) -> None:
    stage.smithers.write('    return Task("x", agent="mine", output=Change, prompt="go")\n')
    builtin = content.find_agent("script", None)
    assert builtin is not None
    whole = builtin.read_text("utf-8")
    repos.write(stage.repo, {".smithers/agents/mine.toml": "progam = ['x']\n" + whole})
    message = stage.refused("up", "flow.py", kind="config")
    assert "mine.toml" in message
    assert "progam" in message
    repos.write(stage.repo, {".smithers/agents/mine.toml": "[[["})
    assert "mine.toml" in stage.refused("up", "flow.py", kind="config")


# -- the workflow

BROKEN: dict[str, tuple[str, list[str]]] = {
    "duplicate id": (
        '    return Sequence(\n        Task("a", value=1),\n        Task("a", value=2),  # HERE\n    )\n',
        ["duplicate id 'a'", "flow.py:16"],
    ),
    "unknown needs": ('    return Sequence(Task("aa", value=1), Task("b", value=1, needs="ab"))  # HERE\n', ["'ab'"]),
    "unknown parameter": (
        '    return Sequence(Task("aa", value=1), Task("b", call=lambda ab: ab))  # HERE\n',
        ["'ab'"],
    ),
    "loop in loop": (
        '    one = Loop(Task("a", value=1), until=1, id="in")  # HERE\n    return Loop(one, until=True, id="out")\n',
        ["'in'", "'out'"],
    ),
    "missing output model": ('    return Task("a", agent="script", prompt="x")  # HERE\n', ["no output model"]),
    "missing prompt": ('    return Task("a", agent="script", output=Change)  # HERE\n', ["no prompt"]),
    "prompt file not found": (
        '    return Task("a", agent="script", output=Change, prompt=ctx.prompt("no.md"))  # HERE\n',
        ["no.md"],
    ),
    "unknown agent": ('    return Task("a", agent="clade", output=Change, prompt="x")  # HERE\n', ["'clade'"]),
    "two kinds of work": ('    return Task("a", run="x", value=1)  # HERE\n', ["run and value"]),
    "no work": ('    return Task("a")  # HERE\n', ["'a'"]),
    "an empty command": ('    return Task("a", run=[])  # HERE\n', ["'a'"]),
    "raises": ("    nothing = None\n    return nothing.node  # HERE\n", ["AttributeError", "'node'"]),
    "raises in a helper": (
        "    return helper()\n\n\ndef helper():\n    raise ValueError('no luck')  # HERE\n",
        ["no luck"],
    ),
    "deadlock": (
        '    return Sequence(Task("a", value=1, needs="b"), Task("b", value=1))  # HERE\n',
        ["deadlock", "'a'", "'b'"],
    ),
    "syntax error": ("    return Task('a' value=1)  # HERE\n", ["SyntaxError"]),
    "wrong indentation": ("    x = 1\n  return None  # HERE\n", ["Indentation"]),
    "no node": ("    return 7\n", ["returned 7"]),
    "a child that is no node": ("    return Sequence(Task('a', value=1), 'b')  # HERE\n", ["'b'"]),
    "unknown import": ("    return None\n\n\nimport no_such_module  # HERE\n", ["no_such_module"]),
    "two workflows": ("    return None\n\n\n@workflow\ndef other(ctx):\n    return None\n", ["2 workflows", "other"]),
    "not pure": (
        "    import random\n    return Task(f'a-{random.random()}', value=1)\n",
        ["two renders", "differ"],
    ),
    "a loop that never runs": ('    return Loop(Task("a", value=1), until=False, max_iterations=0)  # HERE\n', ["0"]),
    "a bad node id": ('    return Task("a b", value=1)  # HERE\n', ["'a b'"]),
    "a bad worktree name": ('    return Worktree("main", Task("a", value=1))  # HERE\n', ["'main'"]),
}


@pytest.mark.parametrize("command", ["up", "graph"])
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_workflow_names_file_and_line_and_makes_no_run(stage: Stage, what: str, command: str) -> None:
    body, words = BROKEN[what]
    path = stage.smithers.write(body)
    message = stage.refused(command, "flow.py")
    lines = path.read_text().splitlines()
    here = next((number for number, line in enumerate(lines, 1) if line.endswith("# HERE")), None)
    assert "flow.py" in message
    assert here is None or f"flow.py:{here}" in message, message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("text", ["", "x = 1\n", "from smithers_git import workflow\n"])
def test_a_file_without_a_workflow_is_told_so(stage: Stage, text: str) -> None:
    (stage.repo / "flow.py").write_text(text)
    assert "no workflow" in stage.refused("up", "flow.py", kind="workflow")


def test_a_broken_template_names_its_own_line(stage: Stage) -> None:
    stage.smithers.write('    return Task("a", agent="script", output=Change, prompt=ctx.prompt("p.md"))\n')
    repos.write(stage.repo, {"prompts/p.md": "one\n{% if %}\n"})
    assert "p.md:2" in stage.refused("up", "flow.py", kind="workflow")
    repos.write(stage.repo, {"prompts/p.md": "one\n{{ nothing }}\n"})
    message = stage.refused("up", "flow.py", kind="workflow")
    assert "nothing" in message
    assert "flow.py:15" in message


def test_a_workflow_that_breaks_in_the_middle_fails_the_run_and_goes_on_when_it_is_mended(stage: Stage) -> None:
    body = """\
    first = ctx.latest(CommandResult, "first")
    return Sequence(
        Task("first", run="echo x >> x.txt"),
        Task("second", run="echo y >> y.txt") if not first else Task(BAD),
    )
"""
    stage.smithers.write(body)
    document = stage.smithers.json("up", "flow.py", code=1)
    assert "flow.py:18" in document["error"]
    assert "BAD" in document["error"]
    assert document["hint"]
    run = document["run"]
    stage.smithers.write(body.replace("Task(BAD)", 'Task("second", run="echo z >> z.txt")'))
    said = stage.smithers("up", "--resume", run, "--json", code=1)
    assert said.json["error"]["code"] == "source-changed"
    assert "changed flow.py" in said.json["error"]["message"]
    stage.smithers("up", "--resume", run, "--accept-change")
    assert proofs.tree(stage.repo, f"smithers/{run}/main")["x.txt"][1] == b"x\n", "the first step ran once"
    [resumed] = [event for event in kit.events(stage.repo, run) if isinstance(event, ev.RunResumed)]
    assert resumed.accepted == ["changed flow.py"]


# -- what a resume refuses


def test_a_resume_refuses_another_input_and_another_workflow_and_changes_nothing(stage: Stage) -> None:
    stage.smithers.write('    return Sequence(Approval("ship"), Task("only", run="echo x > x.txt"))\n')
    run = stage.smithers.json("up", "flow.py", "--prompt", "one", code=3)["run"]
    message = stage.refused("up", "--resume", run, "--prompt", "two", kind="run-refused")
    assert "another input" in message
    stage.smithers("up", "--resume", run, "--prompt", "one", code=3)
    stage.smithers.write(FINE)
    assert "changed flow.py" in stage.refused("up", "--resume", run, kind="source-changed")
    assert "changed flow.py" in stage.refused("up", "--resume", run, "--detach", kind="source-changed")


def test_a_finished_run_is_left_alone_by_a_resume(stage: Stage) -> None:
    stage.smithers.write(FINE)
    run = stage.smithers.json("up", "flow.py")["run"]
    stage.smithers.write(FINE.replace("echo x", "echo changed"))
    before = proofs.refs(stage.repo), proofs.folder(proofs.space_path(stage.repo, run))
    assert stage.smithers.json("up", "--resume", run)["status"] == "finished"
    assert (proofs.refs(stage.repo), proofs.folder(proofs.space_path(stage.repo, run))) == before


def test_a_run_id_that_is_taken_is_refused(stage: Stage) -> None:
    stage.smithers.write(FINE)
    stage.smithers("up", "flow.py", "--run-id", "mine")
    before = proofs.refs(stage.repo)
    said = stage.smithers("up", "flow.py", "--run-id", "mine", "--json", code=1)
    assert said.json["error"]["code"] == "run-refused"
    assert proofs.refs(stage.repo) == before


def test_a_failed_task_fails_the_run_and_says_what_to_type(stage: Stage) -> None:
    stage.smithers.write('    return Task("only", run="echo no >&2; exit 7", retries=0)\n')
    document = stage.smithers.json("up", "flow.py", code=1)
    assert document["status"] == "failed"
    assert "only" in document["error"]
    assert "7" in document["error"]
    assert f"smithers up --resume {document['run']}" in document["next"]
    assert kit.state_of(stage.repo, document["run"]).node(TaskKey("only")).kind == "exit"
