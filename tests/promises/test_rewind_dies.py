"""A rewind that dies half-way, at any point: the next resume completes it, and every byte is in some frame."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from kit import engines as kit
from kit import proofs, repos, runs
from kit.crashes import Crash, crashing
from kit.engines import Engines
from kit.journeys import Stage, make_repo
from kit.repos import git

from smithers_git.edge.git.objects import Objects
from smithers_git.names import TaskKey
from smithers_git.service import recover, travel
from smithers_git.service.workspaces import Workspaces


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repo(tmp_path / "repo")


@pytest.fixture
def stage(repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Stage:
    monkeypatch.chdir(repo)
    return Stage(repo, runs.Smithers(repo, capsys))


CRASHES: dict[str, tuple[Any, str, int, bool]] = {
    "before the edits are in a frame": (Objects, "advance", 1, False),
    "behind the frame of the edits": (Objects, "advance", 1, True),
    "before the tail is kept": (Objects, "advance", 2, False),
    "behind the tail's ref": (Objects, "advance", 2, True),
    "behind the mark": (recover, "mark", 1, True),
    "before the ref moves": (Objects, "advance", 3, False),
    "behind the move": (Objects, "advance", 3, True),
    "before the first workspace": (Workspaces, "restore", 1, False),
    "between two workspaces": (Workspaces, "restore", 1, True),
    "behind the last workspace": (Workspaces, "restore", 2, True),
    "before the mark is gone": (recover, "unmark", 1, False),
}


@pytest.mark.parametrize("where", CRASHES)
def test_a_rewind_that_dies_is_completed_by_the_next_resume_and_loses_no_byte(
    stage: Stage, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stage.finished()
    asked = stage.approval_frame(run)
    tip = kit.tip(stage.repo, run)
    _edit(stage, run)
    before = stage.folders(run)
    owner, name, at, after = CRASHES[where]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, crashing(getattr(owner, name), at, after=after))
        with pytest.raises(Crash):
            travel.rewind(stage.project, run, asked)
    moved = stage.state(run).number == asked
    stage.resume(run, code=3 if moved else 0)
    if kit.tip(stage.repo, run) == tip:  # nothing happened, and a resume does nothing to a finished run
        assert stage.folders(run) == before
        return
    _nothing_lost(stage, before)
    proofs.files_are_the_frames(stage.repo, run)
    proofs.index_is_a_rebuild(stage.repo)
    refs = proofs.refs(stage.repo, "refs/smithers/")
    assert git(stage.repo, "for-each-ref", "--contains", str(tip), *refs), "the tail is reachable"
    if moved:
        assert stage.state(run).waiting() == [TaskKey("ship")]
        assert "last.txt" not in stage.folders(run)["main"]
        stage.approve(run)
        stage.resume(run)
        assert stage.folders(run)["late"]["late.txt"][1] == b"late\n"
        assert stage.folders(run)["main"]["last.txt"][1] == b"last\n"


def _edit(stage: Stage, run: str) -> None:
    repos.write(stage.path(run), {"plain.txt": "edited by a person\n", "mine/new": b"\0new\n"})
    repos.write(stage.path(run, "late"), {"late.txt": "edited late\n"})
    (stage.path(run) / "crlf.txt").unlink(missing_ok=True)


def _nothing_lost(stage: Stage, before: dict[str, proofs.Files]) -> None:
    """Every file that was on the disk is in the history of the run, as it was."""
    refs = proofs.refs(stage.repo, "refs/smithers/")
    known = set(git(stage.repo, "rev-list", "--objects", "--no-object-names", *refs).split())
    for space, files in before.items():
        for name, (_, data) in files.items():
            oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            assert oid in known, f"{name} of {space} is in no frame"


def test_a_rewind_killed_at_any_moment_is_completed_and_loses_no_byte(stage: Stage, engines: Engines) -> None:
    run = stage.finished()
    chance = kit.chance("rewind")
    asked = stage.approval_frame(run)
    for _ in range(4):
        _edit(stage, run)
        before, mark = stage.folders(run), stage.repo / f".git/smithers/runs/{run}/restore"
        tip = kit.tip(stage.repo, run)
        process = engines.start("rewind", run, "--frame", str(asked), "--yes")
        kit.until_moved(process, run, tip)
        kit.pause(chance.uniform(0, 0.15))
        process.kill()
        moved = stage.state(run).number == asked
        stage.resume(run, code=3 if moved else 0)
        if kit.tip(stage.repo, run) == tip:
            assert stage.folders(run) == before
            continue
        _nothing_lost(stage, before)
        proofs.files_are_the_frames(stage.repo, run)
        assert not mark.exists()
        if moved:
            stage.approve(run)
            stage.resume(run)
    proofs.sound(stage.repo)
