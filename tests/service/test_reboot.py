"""After a start of the machine the first command puts in order what a power loss may have torn, and only the first."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from kit import repos, runs
from kit.runs import Smithers

from smithers_git.clock import SystemClock
from smithers_git.edge import boot
from smithers_git.edge.boot import Boot
from smithers_git.service import live
from smithers_git.service.project import Project


@pytest.fixture
def smithers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Smithers:
    repo = runs.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    return Smithers(repo, capsys)


ABC = '    return Sequence(Task("a", run="echo a > a; echo b > b"), Approval("ok"), Task("c", run="cat a b > c"))\n'


def start_machine(patch: pytest.MonkeyPatch, name: str) -> None:
    patch.setattr(boot, "current", lambda: Boot(name, time.time() + 60))


def test_a_repository_that_smithers_never_touched_stays_so(smithers: Smithers, monkeypatch: pytest.MonkeyPatch) -> None:
    start_machine(monkeypatch, "second")
    Project.open(smithers.repo)
    assert not (smithers.repo / ".git" / "smithers").exists()


def test_it_is_looked_once_for_each_start(smithers: Smithers, monkeypatch: pytest.MonkeyPatch) -> None:
    run = smithers.up(body='    return Task("a", value=1)\n')
    index, note = (smithers.repo / ".git" / "smithers" / name for name in ("index.sqlite", "boot"))
    assert note.read_text() == boot.current().id
    for name in ("second", "third"):
        start_machine(monkeypatch, name)
        index.write_bytes(bytes(4096))  # torn in a way that SQLite takes for an empty database
        assert [row["run"] for row in smithers.json("ps", "--all")["runs"]] == [run]
        assert note.read_text() == name
        before = index.stat().st_ino
        smithers.json("ps", "--all")
        assert index.stat().st_ino == before


def jump(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """The clock on the wall goes on by so much, the machine does not: a laptop sleeps, a virtual one is stopped."""
    patch.setattr(SystemClock, "now", lambda _self: time.time() + seconds)
    patch.setattr(boot, "current", boot.current.__wrapped__)


def test_a_clock_that_jumps_ahead_is_no_start_of_the_machine(
    smithers: Smithers, monkeypatch: pytest.MonkeyPatch
) -> None:
    smithers.up(body='    return Task("a", value=1)\n')
    lock = smithers.repo / ".git/index.lock"
    lock.touch()  # a `git commit -a` with its editor open

    jump(monkeypatch, 2 * time.monotonic() + 86_400)
    smithers("ps")

    assert lock.exists()


def test_what_a_person_emptied_or_removed_while_the_machine_slept_stays_so(
    smithers: Smithers, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = smithers.up(body=ABC, code=3)
    space = Project.open(smithers.repo).workspaces(run).path("main")
    (space / "a").write_text("", "utf-8")
    (space / "b").unlink()

    jump(monkeypatch, 2 * time.monotonic() + 86_400)
    smithers("up", "--resume", run, code=3)

    assert (space / "a").read_text("utf-8") == ""
    assert not (space / "b").exists()
    assert repos.git(smithers.repo, "ls-tree", "--name-only", f"smithers/{run}/main", "a", "b") == "a"


def test_a_decision_before_the_resume_does_not_hide_that_the_machine_was_started(
    smithers: Smithers, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = smithers.up(body=ABC, code=3)
    (Project.open(smithers.repo).workspaces(run).path("main") / "a").write_text("", "utf-8")

    start_machine(monkeypatch, "second")
    smithers("pause", run)
    smithers("up", "--resume", run, code=3)

    assert repos.git(smithers.repo, "show", f"smithers/{run}/main:a") == "a"


def test_a_person_may_work_in_a_workspace_before_a_resume_and_what_was_emptied_comes_back(
    smithers: Smithers, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = smithers.up(body=ABC, code=3)
    project = Project.open(smithers.repo)
    space = project.workspaces(run).path("main")
    (space / "a").write_text("", "utf-8")
    (space / "b").write_text("mine\n", "utf-8")
    start_machine(monkeypatch, "second")
    smithers("up", "--resume", run, code=3)
    smithers("approve", run, "--no-resume")
    smithers("up", "--resume", run)
    assert (space / "c").read_text("utf-8") == "a\nmine\n"


def test_workspaces_are_made_anew_when_all_that_git_knew_of_them_is_gone(
    smithers: Smithers, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = smithers.up(
        body='    return Sequence(Task("a", run="echo a > a"), Approval("ok"), Task("c", run="cat a > c"))\n', code=3
    )
    space = Project.open(smithers.repo).workspaces(run).path("main")
    shutil.rmtree(smithers.repo / ".git" / "worktrees")
    start_machine(monkeypatch, "second")
    smithers("approve", run, "--no-resume")
    smithers("up", "--resume", run)
    assert (space / "c").read_text("utf-8") == "a\n"
    assert (space.with_name(".main.kept") / "1" / "a").read_text("utf-8") == "a\n"


def test_what_an_attempt_left_is_read_without_the_zeros_of_a_power_loss(tmp_path: Path) -> None:
    repos.write(tmp_path, {"live/a@0.1.jsonl": b"said\n" + bytes(9), "live/a@0.1.session": "one"})
    repos.write(tmp_path, {"live/b@0.1.jsonl": bytes(9), "live/b@0.1.session": bytes(9), "live/c@0.1.session": b""})
    assert live.salvage(tmp_path) == {"a@0.1": b"said\n", "b@0.1": b""}
    assert live.talks(tmp_path) == {"a@0.1": "one"}
