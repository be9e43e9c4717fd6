"""Subflow: one run uses another one, whatever that waits for, and whoever dies."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import repos, runs
from kit.runs import Smithers

from smithers_git.core.state import State
from smithers_git.errors import StorageError
from smithers_git.service import approvals, drive, subflow
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project

OUTER = """\
    return Sequence(
        Task("before", run="echo outer > outer.txt"),
        Subflow("inner", "inner.py", {"prompt": "go"}, of="sum"),
        Task("after", call=lambda inner: inner["total"] + 1),
    )
"""
INNER = """\
    return Sequence(
        Task("read", run="cat outer.txt && echo inner > inner.txt"),
        Task("sum", value={"total": 41, "prompt": ctx.input.prompt}),
        Task("last", value=0),
    )
"""
ASKING = """\
    return Sequence(Approval("ask", title="Go on?"), Task("sum", value={"total": 41}))
"""
SPENDING = """\
    from pydantic import BaseModel

    class Change(BaseModel):
        summary: str = ""

    return Sequence(
        Task("one", agent="script", output=Change, prompt="1"),
        Task("two", agent="script", output=Change, prompt="2"),
        Task("sum", value={"total": 41}),
    )
"""
PLAY = """\
[[turn]]
usage = { input = 900, output = 100 }
answer = { summary = "done" }
"""


@pytest.fixture
def smithers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Smithers:
    repo = runs.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    found = Smithers(repo, capsys)
    write(found, OUTER)
    write(found, INNER, "inner.py")
    return found


def write(smithers: Smithers, body: str, name: str = "flow.py") -> None:
    path = smithers.write(body, name)
    path.write_text("from smithers_git import Subflow\n" + path.read_text())


def state_of(smithers: Smithers, run: str) -> State:
    return Project.open(smithers.repo).chain(run).state


def child_of(smithers: Smithers, run: str = "outer") -> str:
    """The only run that `run` uses."""
    project = Project.open(smithers.repo)
    (child,) = [name for name in project.tips() if project.chain(name).state.caller == run]
    return child


def up(smithers: Smithers, code: int = 0) -> dict:
    return smithers.json("up", "flow.py", "--run-id", "outer", code=code)


def test_the_output_of_the_other_run_is_that_of_the_node_and_its_files_begin_with_ours(smithers: Smithers) -> None:
    assert up(smithers)["status"] == "finished"
    assert smithers.json("output", "outer", "after") == 42
    assert smithers.json("output", "outer", "inner") == {"total": 41, "prompt": "go"}
    child = state_of(smithers, child_of(smithers))
    assert (child.caller, child.caller_node, child.end) == ("outer", "inner", "finished")
    main = state_of(smithers, "outer").spaces["main"].commit
    assert child.base == main, "it began with the files of the workspace, which stay as they are"


def test_without_a_named_node_the_last_output_is_taken(smithers: Smithers) -> None:
    write(smithers, OUTER.replace(', of="sum"', "").replace('inner["total"]', "inner"))
    up(smithers)
    assert smithers.json("output", "outer", "after") == 1


def test_what_the_other_run_waits_for_this_one_waits_for_and_shows(smithers: Smithers) -> None:
    write(smithers, ASKING, "inner.py")
    assert up(smithers, code=3)["status"] == "waiting"
    child = child_of(smithers)
    (waiting,) = smithers.json("inspect", "outer")["waiting"]
    assert (waiting["node"], waiting["kind"]) == ("inner", "child")
    assert waiting["title"] == f"{child} (ask: Go on?)"
    rows = {row["run"]: row for row in smithers.json("ps")["runs"]}
    assert (rows["outer"]["status"], rows[child]["status"]) == ("waiting", "waiting")
    assert rows[child]["caller"] == "outer"
    assert "outer, node inner" in smithers("inspect", child).out
    (blocker,) = smithers.json("why", "outer", code=None)["blockers"]
    assert (blocker["kind"], blocker["commands"]) == ("child", [f"smithers why {child}"])
    assert state_of(smithers, "outer").running == {}


def test_an_answer_in_the_other_run_lets_this_one_go_on(smithers: Smithers) -> None:
    write(smithers, ASKING, "inner.py")
    up(smithers, code=3)
    smithers("approve", child_of(smithers), "--no-resume")
    assert smithers.json("up", "--resume", "outer")["status"] == "finished"
    assert smithers.json("output", "outer", "after") == 42
    assert len(Project.open(smithers.repo).tips()) == 2


def test_a_resume_while_nothing_was_answered_waits_again_and_writes_no_frame(smithers: Smithers) -> None:
    write(smithers, ASKING, "inner.py")
    before = up(smithers, code=3)["frame"]
    assert smithers.json("up", "--resume", "outer", code=3)["frame"] == before


def test_the_process_that_answers_lets_the_run_go_on_that_uses_the_other_one(
    smithers: Smithers, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smithers_git.service import detach

    write(smithers, ASKING, "inner.py")
    up(smithers, code=3)
    begun: list[str] = []
    monkeypatch.setattr(
        detach.process, "spawn_detached", lambda argv, **_: begun.append(argv[argv.index("--resume") + 1]) or 1
    )
    monkeypatch.setattr(detach, "_PATIENCE", 0.0)
    smithers("approve", child_of(smithers))
    assert begun == ["outer"]


def test_a_run_goes_on_once_the_one_that_it_uses_may_spend_again(smithers: Smithers) -> None:
    write(smithers, SPENDING, "inner.py")
    runs.play(smithers.repo, PLAY)
    limit = "[budget]\nday_tokens = {}\nsoft = 1.0\n"
    repos.write(smithers.repo, {".smithers/config.toml": limit.format(1000)})
    assert up(smithers, code=3)["status"] == "waiting"
    assert smithers.json("supervise", "--once")["started"] == [], "nothing has changed"
    repos.write(smithers.repo, {".smithers/config.toml": limit.format(9000)})
    assert smithers.json("up", "--resume", "outer")["status"] == "finished"


def test_a_live_engine_hears_of_the_answer(smithers: Smithers, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a task beside it runs, the other run is answered; no second command is needed."""
    flag = smithers.repo.parent / "answered"
    slow = f"""Task("slow", run="while [ ! -e '{flag}' ]; do sleep 0.02; done", timeout=20, retries=0)"""
    write(smithers, ASKING, "inner.py")
    write(smithers, f'    return Parallel({slow}, Subflow("inner", "inner.py", of="sum"))\n')
    go, project = drive.go, Project.open(smithers.repo)

    def answering(own: Project, run: str, *rest: object) -> State:
        state = go(own, run, *rest)  # type: ignore[arg-type]
        if run != "outer" and state.end is None:
            smithers_decide(project, run)
        elif run != "outer":
            flag.touch()
        return state

    monkeypatch.setattr(drive, "go", answering)
    assert up(smithers)["status"] == "finished"


def smithers_decide(project: Project, run: str) -> None:
    """Approve what the run waits for, as another process would."""
    (question,) = approvals.pending(project, run)
    approvals.decide(project, question, approvals.Answer(approved=True, by="Ada"))


def test_a_failure_of_the_other_run_is_the_nodes_and_a_resume_goes_on_with_it(smithers: Smithers) -> None:
    write(smithers, '    return Sequence(Task("sum", run="test -e ../../../fixed", retries=0))\n', "inner.py")
    write(smithers, OUTER.replace('inner["total"] + 1', "inner.exit_code if hasattr(inner, 'exit_code') else 0"))
    said = up(smithers, code=1)
    child = child_of(smithers)
    assert f"subflow {child} failed: sum failed: test -e" in said["error"]
    assert state_of(smithers, "outer").nodes[("inner", 0)].kind == "error"
    path = Project.open(smithers.repo).workspaces(child).path("main")
    (path / "../../../fixed").resolve().write_text("")
    assert smithers.json("up", "--resume", "outer")["status"] == "finished"
    assert child_of(smithers) == child, "the same run"


def test_a_cancel_cancels_the_other_run_too(smithers: Smithers) -> None:
    write(smithers, ASKING, "inner.py")
    up(smithers, code=3)
    smithers("cancel", "outer", code=None)
    assert [state_of(smithers, run).end for run in ("outer", child_of(smithers))] == ["cancelled", "cancelled"]


def test_a_rewind_behind_it_begins_another_run(smithers: Smithers) -> None:
    write(smithers, ASKING, "inner.py")
    up(smithers, code=3)
    first = child_of(smithers)
    smithers("rewind", "outer", "--frame", "1", "--yes")
    smithers("up", "--resume", "outer", code=3)
    second = state_of(smithers, "outer").nodes[("inner", 0)].child
    assert second not in (None, first)


def test_a_fork_uses_a_run_of_its_own(smithers: Smithers) -> None:
    write(smithers, ASKING, "inner.py")
    up(smithers, code=3)
    smithers("fork", "outer", "--run-id", "other")
    smithers("up", "--resume", "other", code=3)
    assert child_of(smithers, "other") != child_of(smithers, "outer")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_engine_that_dies_never_begins_it_twice(
    smithers: Smithers, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Cut off before the other run's first frame, or when it is over and this run's frame is not written yet."""
    commit = Chain.commit

    def late(chain: Chain, **how: bool) -> str | None:
        if chain.run == "outer" and any(
            getattr(e, "output", None) for e in chain._pending if getattr(e, "node", "") == "inner"
        ):
            raise StorageError("cut off", hint="")
        return commit(chain, **how)

    def cut(*_: object) -> None:
        raise StorageError("cut off", hint="")

    with monkeypatch.context() as patch:
        if moment == "before":
            patch.setattr(subflow, "_begin", cut)
        else:
            patch.setattr(Chain, "commit", late)
        smithers("up", "flow.py", "--run-id", "outer", code=1)
    assert smithers.json("up", "--resume", "outer")["status"] == "finished"
    child = state_of(smithers, child_of(smithers))
    assert (child.end, child.resumes) == ("finished", 0)


def test_a_workflow_that_is_not_there_fails_the_node_with_the_name(smithers: Smithers) -> None:
    write(smithers, OUTER.replace("inner.py", "nowhere.py"))
    assert "there is no workflow 'nowhere.py'" in up(smithers, code=1)["error"]


def test_a_workflow_that_uses_itself_without_end_is_stopped(
    smithers: Smithers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subflow, "DEEPEST", 3)
    write(smithers, '    return Subflow("inner", "flow.py")\n')
    assert "3 runs use each other already" in up(smithers, code=1)["error"]
    assert len(Project.open(smithers.repo).tips()) == 3


def test_a_run_that_goes_on_as_a_new_one_gives_the_output_of_the_last(smithers: Smithers) -> None:
    body = """\
    more = ContinueAsNew("more", {"prompt": "b"}) if ctx.input.prompt == "go" else None
    return Sequence(Task("sum", value={"total": len(ctx.input.prompt)}), more)
"""
    path = smithers.write(body, "inner.py")
    path.write_text("from smithers_git import ContinueAsNew\n" + path.read_text())
    up(smithers)
    assert smithers.json("output", "outer", "after") == 2


def test_a_cancel_of_the_other_run_alone_fails_the_node_and_stands_until_this_run_is_resumed(
    smithers: Smithers,
) -> None:
    write(smithers, ASKING, "inner.py")
    up(smithers, code=3)
    child = child_of(smithers)
    smithers("cancel", child, code=None)
    said = smithers.json("up", "--resume", "outer", code=1)
    assert said["error"] == f"inner failed: subflow {child} cancelled"
    assert state_of(smithers, child).end == "cancelled"
    smithers.json("up", "--resume", "outer", code=3)
    assert (state_of(smithers, child).end, child_of(smithers)) == (None, child)
