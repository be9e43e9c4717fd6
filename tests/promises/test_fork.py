"""Fork, replay and retry: a run of its own, while the parent stays as it is to the byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import engines as kit
from kit import proofs, repos, runs
from kit.journeys import Stage, make_repo

from smithers_git.core import events as ev
from smithers_git.names import TaskKey

pytestmark = pytest.mark.usefixtures("warm_reapers")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repo(tmp_path / "repo")


@pytest.fixture
def stage(repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Stage:
    monkeypatch.chdir(repo)
    return Stage(repo, runs.Smithers(repo, capsys))


def _of(stage: Stage, run: str) -> Iterator[tuple[str, Any]]:
    """Everything that belongs to a run, byte for byte."""
    yield "refs", {name: oid for name, oid in proofs.refs(stage.repo).items() if f"/{run}" in name}
    yield "folders", repos.contents(stage.path(run).parent)
    for place in sorted((stage.repo / ".git" / "worktrees").iterdir()):
        if f"/{run}/" in (place / "gitdir").read_text():
            yield place.name, repos.contents(place)
    yield "index", [row for row in proofs.index_rows(stage.repo) if row.get("run") == run]
    yield "reflogs", repos.contents(stage.repo / ".git" / "logs" / "refs" / "heads" / "smithers" / run)


@pytest.mark.parametrize("frame", [None, 0, 4])
def test_a_fork_and_all_that_it_does_leave_the_parent_as_it_is(stage: Stage, frame: int | None) -> None:
    run = stage.up()
    before = dict(_of(stage, run))
    own = proofs.users_own(stage.repo)
    argv = () if frame is None else ("--frame", str(frame))
    child = stage.smithers.json("fork", run, *argv)["run"]
    assert dict(_of(stage, run)) == before
    stage.resume(child, code=3)
    stage.approve(child)
    stage.resume(child)
    assert dict(_of(stage, run)) == before
    assert proofs.users_own(stage.repo) == own
    parent = stage.finished("again")
    assert stage.code(child) == stage.code(parent), "the fork ends where the run would have ended"
    proofs.files_are_the_frames(stage.repo, child)
    proofs.index_is_a_rebuild(stage.repo)


def test_a_fork_begins_with_the_bytes_of_its_frame(stage: Stage) -> None:
    run = stage.finished()
    for frame in kit.frames(stage.repo, run):
        child = stage.smithers.json("fork", run, "--frame", str(frame.data.number))["run"]
        state = stage.state(child)
        assert (state.parent, state.parent_frame) == (run, frame.data.number)
        parent = stage.project.chain(run).at(frame.commit)
        assert (state.loops, state.latest, state.done) == (parent.loops, parent.latest, parent.done)
        assert state.approvals == parent.approvals
        for name, space in state.spaces.items():
            assert space.branch == f"refs/heads/smithers/{child}/{name}"
            then = proofs.tree(stage.repo, f"{frame.commit}:code/{name}")
            assert proofs.tree(stage.repo, space.commit) == then
            assert proofs.tree(stage.repo, f"refs/smithers/runs/{child}:code/{name}") == then


def test_a_fork_of_a_fork_goes_on_by_itself(stage: Stage) -> None:
    run = stage.up()
    child = stage.smithers.json("fork", run, "--run-id", "child")["run"]
    stage.approve(child)
    stage.resume(child)
    before = {**dict(_of(stage, run)), **{f"child {k}": v for k, v in _of(stage, child)}}
    number = stage.approval_frame(run)
    grandchild = stage.smithers.json("fork", child, "--frame", str(number), "--run-id", "grandchild")["run"]
    stage.resume(grandchild, code=3)
    stage.approve(grandchild)
    stage.resume(grandchild)
    assert {**dict(_of(stage, run)), **{f"child {k}": v for k, v in _of(stage, child)}} == before
    assert stage.code(grandchild) == stage.code(child)
    assert stage.state(grandchild).parent in (run, child)


def test_a_fork_with_another_input_takes_it_from_there_on(stage: Stage) -> None:
    run = stage.up()
    first = next(f.data.number for f in kit.frames(stage.repo, run) for e in f.data.events if _finished(e, "work"))
    child = stage.smithers.json("fork", run, "--frame", str(first), "--input", '{"word": "other"}')["run"]
    stage.resume(child, code=3)
    assert stage.folders(child)["main"]["work.txt"][1] == b"word\nother\n"
    assert stage.folders(run)["main"]["work.txt"][1] == b"word\nword\n"
    assert stage.state(run).input == {"word": "word"}
    wrong = stage.smithers("fork", run, "--input", '{"word": []}', "--json", code=2)
    assert wrong.json["error"]["code"] == "usage"


def _finished(event: ev.Event, node: str) -> bool:
    return isinstance(event, ev.TaskFinished) and event.node == node


def test_a_fork_with_a_reset_runs_that_node_and_what_follows_again(stage: Stage) -> None:
    run = stage.finished()
    before = dict(_of(stage, run))
    child = stage.smithers.json("fork", run, "--reset", "late")["run"]
    assert stage.state(child).node(TaskKey("late")).status == "pending"
    assert stage.state(child).node(TaskKey("last")).status == "pending"
    assert stage.state(child).node(TaskKey("odder")).status == "finished"
    stage.resume(child)
    assert stage.folders(child)["late"]["late.txt"][1] == b"late\nlate\n", "on the files as they are"
    assert dict(_of(stage, run)) == before


def test_a_fork_that_is_refused_leaves_nothing_half_made(stage: Stage) -> None:
    run = stage.up()
    before = repos.contents(stage.repo / ".git" / "refs"), repos.contents(stage.path(run).parent.parent)
    for argv in (
        ("--frame", "99"),
        ("--run-id", run),
        ("--reset", "nothing"),
        ("--input", '{"word": 1}'),
        ("--run-id", "Not Good"),
    ):
        stage.smithers("fork", run, *argv, code=None)
        assert (repos.contents(stage.repo / ".git" / "refs"), repos.contents(stage.path(run).parent.parent)) == before


# -- replay and retry


def test_a_replay_does_everything_again_in_a_run_of_its_own(stage: Stage) -> None:
    run = stage.finished()
    before = dict(_of(stage, run))
    child = stage.smithers.json("replay", run, code=3)["run"]
    stage.approve(child)
    stage.resume(child)
    assert stage.code(child) == stage.code(run)
    assert dict(_of(stage, run)) == before


def test_a_retried_task_runs_again_with_all_that_follows_on_the_files_as_they_are(stage: Stage) -> None:
    run = stage.finished()
    others = {k: v for k, v in stage.state(run).nodes.items() if k.node not in ("late", "last")}
    stage.smithers("retry-task", run, "late")
    state = stage.state(run)
    assert state.end == "finished"
    assert {k: v for k, v in state.nodes.items() if k.node not in ("late", "last")} == others
    assert (state.nodes[TaskKey("late")].attempt, state.nodes[TaskKey("last")].attempt) == (2, 2)
    assert stage.folders(run)["late"]["late.txt"][1] == b"late\nlate\n"
    assert stage.folders(run)["main"]["last.txt"][1] == b"last\nlast\n"
    proofs.files_are_the_frames(stage.repo, run)
