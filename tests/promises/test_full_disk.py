"""A full disk parks a run: nothing is lost, nothing has failed, and it goes on when there is room again."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import repos, runs
from kit.disks import small_disk
from kit.repos import git
from kit.runs import Smithers

from smithers_git.edge.disk import fill, free
from smithers_git.errors import DiskFull
from smithers_git.service import disk, workspaces
from smithers_git.service.project import Project

SIZE = 24 << 20
TASK_FILLS = """\
    return Sequence(
        Task("first", run="echo first > first.txt"),
        Task("second", run="{second}", retries=2),
        Task("third", run="echo third > third.txt"),
    )
"""


@pytest.fixture(scope="module")
def _mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with small_disk(tmp_path_factory.mktemp("disk"), SIZE, "a full disk") as place:
        yield place


@pytest.fixture
def small(_mounted: Path) -> Iterator[Path]:
    """The small disk, empty."""
    yield _mounted
    for path in _mounted.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _smithers(repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Smithers:
    """A repository whose runs may begin on a disk that is smaller than the usual floor."""
    (repo / ".smithers").mkdir()
    (repo / ".smithers" / "config.toml").write_text("[disk]\nfloor = 0\n", "utf-8")
    monkeypatch.chdir(repo)
    return Smithers(repo, capsys)


@pytest.fixture
def inside(small: Path, monkeypatch, capsys) -> Smithers:
    """The repository lies on the small disk, its worktrees do not."""
    monkeypatch.setenv("SMITHERS_SCRIPT", "")  # so that what a test plays is forgotten after it
    return _smithers(runs.make_repo(small / "repo"), monkeypatch, capsys)


@pytest.fixture
def beside(small: Path, tmp_path: Path, monkeypatch, capsys) -> Smithers:
    """The worktrees lie on the small disk, the repository does not."""
    monkeypatch.setenv("XDG_STATE_HOME", str(small / "state"))
    return _smithers(runs.make_repo(tmp_path / "repo"), monkeypatch, capsys)


def _events(smithers: Smithers, run: str) -> list[str]:
    return [event["type"] for event in smithers.json("events", run)["events"]]


def _nodes(smithers: Smithers, run: str) -> dict[str, dict[str, Any]]:
    return {node["node"]: node for node in smithers.json("inspect", run)["nodes"]}


def _parked(smithers: Smithers, said: dict[str, Any]) -> str:
    run = said["run"]
    assert said["status"] == "parked"
    assert said["next"] == ["smithers gc --dry-run", f"smithers up --resume {run}"]
    assert smithers.json("ps")["runs"][0]["status"] == "parked"
    assert "no space left" in str(said["parked"]).lower() or "full" in str(said["parked"])
    why = smithers.json("why", run, code=None)
    assert "parked" in [one["kind"] for one in why["blockers"]]
    nodes = _nodes(smithers, run)
    assert nodes["first"]["status"] == "finished"
    assert [node["status"] for node in nodes.values() if node["status"] == "failed"] == []
    return str(run)


def _goes_on(smithers: Smithers, run: str) -> None:
    assert smithers.json("up", "--resume", run)["status"] == "finished"
    state = Project.open(smithers.repo).chain(run).state
    assert {key.node: node.failures for key, node in state.nodes.items()} == {"first": 0, "second": 0, "third": 0}
    branch = f"smithers/{run}/main"
    names = git(smithers.repo, "ls-tree", "--name-only", branch).split()
    assert {"first.txt", "second.txt", "third.txt"} <= set(names)
    assert smithers("doctor", code=None).code == 0
    git(smithers.repo, "fsck", "--strict")


@pytest.mark.parametrize("size", [SIZE, 64 << 20], ids=["exactly", "and-more"])
def test_a_disk_that_a_task_fills_parks_the_run(inside: Smithers, small: Path, size: int) -> None:
    go = small.parent / "go"
    fills = f"[ -e {go} ] || head -c {size} /dev/urandom > {small}/ballast; echo second > second.txt"
    inside.write(TASK_FILLS.format(second=fills))
    said = inside.json("up", "flow.py", code=3)
    run = _parked(inside, said)
    assert "run.parked" in _events(inside, run), "the room that was kept was enough for this frame"
    (small / "ballast").unlink()
    go.touch()
    _goes_on(inside, run)
    go.unlink()
    project = Project.open(inside.repo)
    assert project.chain(run).state.parked is None
    kept = {path.name: path.stat().st_size for path in (project.state_dir / "reserve").iterdir()}
    assert kept["frame"] == disk.RESERVE["frame"], "it is kept for the next time"
    assert kept["work"] > 2 << 20


def test_not_even_the_last_frame_can_be_written(inside: Smithers, small: Path) -> None:
    reserve = inside.repo / ".git" / "smithers" / "reserve"
    go = small.parent / "go"
    fills = (
        f"[ -e {go} ] || {{ rm -r {reserve}; head -c 64M /dev/urandom > {small}/ballast; }}; echo second > second.txt"
    )
    inside.write(TASK_FILLS.format(second=fills))
    said = inside("up", "flow.py", "--json", code=3)
    assert "not even a frame could be written" in said.err
    run = said.json["run"]
    assert said.json["status"] == "interrupted"
    assert not any(node["status"] == "failed" for node in _nodes(inside, run).values())
    (small / "ballast").unlink()
    go.touch()
    _goes_on(inside, run)
    go.unlink()


def test_a_workspace_that_cannot_be_filled_parks_the_run(beside: Smithers, small: Path) -> None:
    big = {f"big{number}.bin": os.urandom(8 << 20) for number in range(4)}
    repos.commit(beside.repo, big)
    beside.write(TASK_FILLS.format(second="echo second > second.txt"))
    said = beside.json("up", "flow.py", code=3)
    assert said["status"] == "parked"
    run = said["run"]
    state = Project.open(beside.repo).chain(run).state
    assert [(node.status, node.failures) for node in state.nodes.values()] == [("pending", 0)]
    beside("up", "--resume", run, code=3)
    subprocess.run(["mount", "-o", f"remount,size={96 << 20}", str(small)], check=True)
    try:
        _goes_on(beside, run)
    finally:
        shutil.rmtree(small / "state")
        subprocess.run(["mount", "-o", f"remount,size={SIZE}", str(small)], check=True)


def test_what_could_not_be_written_into_a_workspace_does_not_count_as_deleted(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The room came back right behind the failure: so what the folder held could be saved, and the run went on."""
    smithers = _smithers(repo, monkeypatch, capsys)
    smithers.write('    return Sequence(Task("one", run="echo 1 > one.txt"), Task("two", run="echo 2 > two.txt"))\n')
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise DiskFull("git reset --hard failed: write error. Out of diskspace")

        patch.setattr(workspaces, "restore", full)
        run = smithers.json("up", "flow.py", code=3)["run"]
    assert smithers.json("ps")["runs"][0]["status"] == "parked"
    assert smithers.json("up", "--resume", run)["status"] == "finished"
    names = git(repo, "ls-tree", "-r", "--name-only", f"smithers/{run}/main").splitlines()
    assert names == [".gitignore", "README.md", "one.txt", "src/app.py", "two.txt"]


def test_what_an_agent_wrote_before_the_disk_was_full_is_in_a_frame(beside: Smithers, small: Path) -> None:
    go = small.parent / "go"
    fills = f"echo mine > mine.txt; [ -e {go} ] || head -c 64M /dev/urandom > {small}/ballast; echo second > second.txt"
    beside.write(TASK_FILLS.format(second=fills))
    run = _parked(beside, beside.json("up", "flow.py", code=3))
    state = Project.open(beside.repo).chain(run).state
    (small / "ballast").unlink()
    assert git(beside.repo, "show", f"{state.spaces['main'].commit}:mine.txt") == "mine"
    go.touch()
    _goes_on(beside, run)
    go.unlink()


def test_what_is_said_while_the_disk_is_full_does_not_fail_the_task(inside: Smithers, small: Path) -> None:
    go = small.parent / "go"
    fills = f"[ -e {go} ] || {{ head -c 64M /dev/urandom > {small}/ballast; seq 300000; }}; echo second > second.txt"
    inside.write(TASK_FILLS.format(second=fills))
    run = _parked(inside, inside.json("up", "flow.py", code=3))
    (small / "ballast").unlink()
    go.touch()
    _goes_on(inside, run)
    go.unlink()


def test_what_an_agent_was_paid_for_is_kept_in_the_room_that_was_reserved(inside: Smithers, small: Path) -> None:
    ballast = small / "ballast"
    turn = f"""\
[[turn]]
node = "ask"
say = "I begin."
write = [{{ path = "mine.txt", text = "mine" }}]
run = ["head -c 64M /dev/urandom > {ballast}"]
answer = {{ summary = "done" }}
"""
    script = small.parent / "script.toml"
    script.write_text(turn, "utf-8")
    os.environ["SMITHERS_SCRIPT"] = str(script)
    inside.write('    return Task("ask", agent="script", output=Change, prompt="do it")\n')
    said = inside.json("up", "flow.py", code=3)
    assert said["status"] == "parked"
    state = Project.open(inside.repo).chain(said["run"]).state
    assert [(node.status, node.attempt) for node in state.nodes.values()] == [("finished", 1)]
    ballast.unlink()
    script.unlink()
    again = inside.json("up", "--resume", said["run"])
    assert again["status"] == "finished", "without asking the agent again"
    assert git(inside.repo, "show", f"smithers/{said['run']}/main:mine.txt") == "mine"


def test_work_is_refused_under_the_floor(inside: Smithers, small: Path) -> None:
    inside.write('    return Sequence(Task("a", run="echo 1 > a"), Approval("ok", title="ok?"))\n')
    run = inside.json("up", "flow.py", code=3)["run"]
    before = git(inside.repo, "for-each-ref", "--format=%(refname)")
    (inside.repo / ".smithers" / "config.toml").write_text('[disk]\nfloor = "1 GiB"\n', "utf-8")
    inside("approve", run, code=None)
    for argv in (["up", "flow.py"], ["up", "--resume", run], ["retry-task", run, "a"], ["replay", run]):
        error = inside.json(*argv, code=1)["error"]
        assert error["code"] == "disk-full"
        assert "less than [disk] floor asks for (1 GiB)" in error["message"]
        assert error["hint"].startswith("smithers gc --dry-run")
    after = git(inside.repo, "for-each-ref", "--format=%(refname)")
    assert after == before, "no run has begun"


def test_the_reserve_is_really_there(tmp_path: Path) -> None:
    fill(tmp_path / "deep" / "reserve", 1 << 20)
    assert (tmp_path / "deep" / "reserve").stat().st_blocks * 512 >= 1 << 20
    assert free(tmp_path / "nobody" / "here") == pytest.approx(free(tmp_path), rel=0.2)


def test_no_room_for_a_reserve_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.disk, "free", lambda _path: 7)
    with pytest.raises(DiskFull, match="No space left"):
        disk.reserve(Project.open(runs.make_repo(tmp_path / "repo")))


@pytest.mark.parametrize("floor", ["lots", "-1", "1 Gib of room"])
def test_a_floor_that_is_no_size_is_refused(floor: str, tmp_path: Path, monkeypatch, capsys) -> None:
    smithers = _smithers(runs.make_repo(tmp_path / "repo"), monkeypatch, capsys)
    (smithers.repo / ".smithers" / "config.toml").write_text(f'[disk]\nfloor = "{floor}"\n', "utf-8")
    error = smithers.json("ps", code=None)
    assert "error" not in error, "what only reads the index needs no settings"
    smithers.write('    return Task("a", value=1)\n')
    assert "disk.floor" in smithers.json("up", "flow.py", code=1)["error"]["message"]
