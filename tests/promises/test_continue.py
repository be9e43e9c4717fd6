"""ContinueAsNew: one run ends, exactly one other begins, and each knows of the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import runs
from kit.runs import Smithers

from smithers_git.core import events as ev
from smithers_git.errors import StorageError
from smithers_git.service import successor
from smithers_git.service.frames import Chain, walk
from smithers_git.service.project import Project

pytestmark = pytest.mark.usefixtures("warm_reapers")

COUNT = """\
from pydantic import BaseModel
from smithers_git import Context, ContinueAsNew, Sequence, Task, workflow


class Request(BaseModel):
    number: int = 0


@workflow(input=Request)
def flow(ctx: Context[Request]):
    number = ctx.input.number
    more = ContinueAsNew("again", lambda work: {"number": work["next"]}) if number < 2 else None
    return Sequence(Task("file", run=f"echo {number} >> log.txt"), Task("work", value={"next": number + 1}), more)
"""


@pytest.fixture
def smithers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Smithers:
    repo = runs.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    (repo / "flow.py").write_text(COUNT)
    return Smithers(repo, capsys)


def lineage(project: Project) -> list[str]:
    """The runs of the repository, each followed by the one that it continued as."""
    states = {run: project.chain(run).state for run in project.tips()}
    (first,) = [run for run, state in states.items() if state.predecessor is None]
    found = [first]
    while (after := states[found[-1]].successor) is not None:
        assert states[after].predecessor == found[-1]
        found.append(after)
    assert sorted(found) == sorted(states), "no run stands beside the line"
    return found


def test_a_run_continues_as_new_ones_until_it_does_not_ask_for_that(smithers: Smithers) -> None:
    said = smithers.json("up", "flow.py", "--run-id", "count")
    project = Project.open(smithers.repo)
    line = lineage(project)
    assert (line[0], len(line)) == ("count", 3)
    assert (said["run"], said["status"], said["predecessor"]) == (line[2], "finished", line[1])
    states = [project.chain(run).state for run in line]
    assert [state.input["number"] for state in states] == [0, 1, 2]
    assert [state.end for state in states] == ["finished"] * 3
    log = smithers.repo / "log.txt"
    assert not log.exists(), "the user's own checkout is left alone"
    commit = states[2].spaces["main"].commit
    assert project.objects.read_blob(_blob(project, commit, "log.txt")) == b"0\n1\n2\n", "the files go on"
    frames = list(walk(project.objects, str(project.tip(line[2]))))
    assert frames[-1].data.number == 0
    assert frames[-1].before is None, "its history begins with itself"


def _blob(project: Project, commit: str, path: str) -> str:
    found = project.objects.find(project.objects.read_commit(commit).tree, path)
    assert found is not None
    return found


def test_inspect_and_ps_say_what_a_run_continued_as(smithers: Smithers) -> None:
    smithers.json("up", "flow.py", "--run-id", "count")
    line = lineage(Project.open(smithers.repo))
    facts = smithers.json("inspect", line[1])
    assert (facts["predecessor"], facts["successor"]) == (line[0], line[2])
    assert line[2] in smithers("inspect", line[1]).out
    rows = {row["run"]: row for row in smithers.json("ps")["runs"]}
    assert [rows[run]["successor"] for run in line] == [line[1], line[2], None]
    assert [rows[run]["predecessor"] for run in line] == [None, line[0], line[1]]


@pytest.mark.parametrize("moment", ["before", "between", "after"])
def test_whenever_an_engine_dies_there_is_exactly_one_successor(
    smithers: Smithers, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Before the new run's first frame, between that and the old one's last, and before the new run is driven."""
    begin, commit = successor.begin, Chain.commit

    def dying(*args: object) -> None:
        if moment == "between":
            begin(*args)  # type: ignore[arg-type]
        raise StorageError("cut off", hint="")

    def late(chain: Chain, **how: bool) -> str | None:
        ends = any(isinstance(event, ev.RunFinished) for event in chain._pending)
        done = commit(chain, **how)
        if ends:
            raise StorageError("cut off", hint="")
        return done

    with monkeypatch.context() as patch:
        if moment == "after":
            patch.setattr(Chain, "commit", late)
        else:
            patch.setattr(successor, "begin", dying)
        smithers("up", "flow.py", "--run-id", "count", code=1)
    smithers("up", "--resume", "count")
    assert len(lineage(Project.open(smithers.repo))) == 3
    smithers("up", "--resume", "count")
    assert len(lineage(Project.open(smithers.repo))) == 3


def test_an_input_that_does_not_fit_fails_the_run_with_the_line_and_begins_nothing(smithers: Smithers) -> None:
    (smithers.repo / "flow.py").write_text(COUNT.replace('{"number": work["next"]}', '{"numbr": 1}'))
    said = smithers.json("up", "flow.py", code=1)
    assert "flow.py:12" in said["error"]
    assert "there is no such field" in said["error"]
    assert len(Project.open(smithers.repo).tips()) == 1


def test_a_run_that_went_back_behind_it_continues_as_another_one(smithers: Smithers) -> None:
    smithers.json("up", "flow.py", "--run-id", "count")
    project = Project.open(smithers.repo)
    old = project.chain("count").state.successor
    smithers("rewind", "count", "--frame", "1", "--yes")
    smithers("up", "--resume", "count")
    new = Project.open(smithers.repo).chain("count").state.successor
    assert new not in (None, old)


def test_a_fork_continues_as_a_run_of_its_own(smithers: Smithers) -> None:
    smithers.json("up", "flow.py", "--run-id", "count")
    project = Project.open(smithers.repo)
    last = project.chain("count").state.number
    smithers("fork", "count", "--frame", str(last - 1), "--run-id", "other")
    smithers("up", "--resume", "other")
    state = Project.open(smithers.repo).chain("other").state
    assert state.end == "finished"
    assert state.successor not in (None, project.chain("count").state.successor)


SPENDING = """\
from pydantic import BaseModel
from smithers_git import Context, ContinueAsNew, Sequence, Task, workflow


class Request(BaseModel):
    number: int = 0


class Change(BaseModel):
    summary: str


@workflow(input=Request)
def flow(ctx: Context[Request]):
    number = ctx.input.number
    more = ContinueAsNew("again", {"number": number + 1}, needs="work") if number < 3 else None
    return Sequence(Task("work", agent="script", output=Change, prompt="work"), more)
"""


def test_a_circle_of_runs_spends_one_budget(smithers: Smithers) -> None:
    (smithers.repo / "flow.py").write_text(SPENDING)
    runs.play(smithers.repo, '[[turn]]\ncost = 0.4\nusage = { input = 10, output = 5 }\nanswer = { summary = "x" }\n')
    said = smithers.json("up", "flow.py", "--run-id", "count", "--budget", "1usd", code=None)
    states = [Project.open(smithers.repo).chain(run).state for run in lineage(Project.open(smithers.repo))]
    assert [state.budget.usd for state in states[:3]] == [1.0, 0.6, 0.2]
    assert said["status"] == "parked"
    assert sum(state.cost for state in states) < 1.3  # the attempt that reaches the limit may go over it
