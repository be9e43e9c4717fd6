"""A landing that dies, at any point, is completed by whoever comes next: landed once, receipt there, nothing lost."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from kit import queues, repos
from kit.crashes import Crash, crashing
from kit.engines import Engine
from kit.queues import GATE, branch
from kit.repos import git
from kit.runs import Smithers

from smithers_git.edge.git import follow
from smithers_git.edge.git.merge import Merger
from smithers_git.edge.git.objects import Objects
from smithers_git.service.landing import desk, request
from smithers_git.service.landing.driver import Driver
from smithers_git.service.landing.ledger import Ledger
from smithers_git.service.project import Project

CRASHES: dict[str, tuple[Any, str, int, bool]] = {
    "before the verdict is in a frame": (Objects, "advance", 1, False),
    "behind the verdict's frame": (Objects, "advance", 1, True),
    "before the candidate is flushed": (Merger, "secure", 1, False),
    "behind the flush": (Merger, "secure", 1, True),
    "before the intent is in a frame": (Objects, "advance", 2, False),
    "behind the intent": (Objects, "advance", 2, True),
    "before the target moves": (follow, "move", 1, False),
    "behind the move": (follow, "move", 1, True),
    "before the checkout follows": (follow, "follow", 1, False),
    "behind the checkout": (follow, "follow", 1, True),
    "before the receipt": (Objects, "advance", 3, False),
    "behind the receipt": (Objects, "advance", 3, True),
}


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = queues.make_repo(tmp_path / "repo")
    branch(made, "fix", {"new.txt": "new\n", "a.txt": "changed\n"})
    branch(made, "bystander", {"other.txt": "x\n"})
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def smithers(repo: Path, capsys: pytest.CaptureFixture[str]) -> Smithers:
    return Smithers(repo, capsys)


@pytest.mark.parametrize("where", CRASHES)
def test_a_landing_that_dies_is_completed_by_the_next_one(
    smithers: Smithers, repo: Path, where: str, monkeypatch: pytest.MonkeyPatch
):
    before = git(repo, "rev-parse", "main")
    project = Project.open(repo)
    asked = request.Request("fix", "main", gates=("sh gate.sh",), by="me")
    wish = request.make(project, asked)
    desk.enter(project, Ledger(project.objects, wish.target, project.owner), wish, "me")
    owner, name, at, after = CRASHES[where]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, crashing(getattr(owner, name), at, after=after))
        with pytest.raises(Crash):
            Driver(project, wish.target, lambda _text: None).drive(lambda _state: False)
    said = smithers.json("land", "fix", *GATE)
    assert said["landed"] is True
    _landed_once(smithers, repo, before)


def _landed_once(smithers: Smithers, repo: Path, before: str) -> None:
    assert git(repo, "rev-list", "--first-parent", "--count", f"{before}..main") == "1"
    assert smithers.json("verify", f"{before}..main", "--strict")["ok"] is True
    assert git(repo, "status", "--porcelain") == ""
    assert (repo / "new.txt").read_text() == "new\n"
    assert git(repo, "log", "-1", "--format=%s", "bystander") == "work of bystander"
    assert sorted(git(repo, "for-each-ref", "--format=%(refname)").split()) == [
        "refs/heads/bystander",
        "refs/heads/fix",
        "refs/heads/main",
        "refs/smithers/queue/main",
    ]
    assert git(repo, "fsck", "--strict", "--no-dangling") == ""


def test_a_landing_that_is_killed_at_random_times_lands_once(smithers: Smithers, repo: Path, tmp_path: Path):
    seed = random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    before = git(repo, "rev-parse", "main")
    for number in range(8):
        engine = Engine(repo, "land", "fix", *GATE, "--json", log=tmp_path / f"land{number}")
        until = time.monotonic() + chance.uniform(0.2, 0.9)
        while engine.alive and time.monotonic() < until:
            time.sleep(0.01)
        engine.kill()
    assert smithers.json("land", "fix", *GATE)["landed"] is True
    _landed_once(smithers, repo, before)


# -- others on the same target


def test_a_target_that_the_user_moves_meanwhile_is_planned_again(smithers: Smithers, repo: Path, tmp_path: Path):
    gate = f"touch {tmp_path}/began; while ! test -e {tmp_path}/go; do sleep 0.02; done; sh gate.sh"
    engine = Engine(repo, "land", "fix", "--gate", gate, "--json", log=tmp_path / "land")
    while not (tmp_path / "began").exists():
        time.sleep(0.02)
    mine = repos.commit(repo, {"mine.txt": "mine\n"}, "by hand")
    (tmp_path / "go").touch()
    engine.wait(0)
    assert git(repo, "log", "-1", "--format=%P", "main").split()[0] == mine
    assert smithers.json("verify", "main")["ok"] is True
    assert (repo / "mine.txt").exists()
    assert (repo / "new.txt").exists()
    assert git(repo, "status", "--porcelain") == ""


def test_a_user_who_switches_branches_during_a_landing_keeps_what_is_checked_out(
    smithers: Smithers, repo: Path, tmp_path: Path
):
    gate = f"touch {tmp_path}/began; while ! test -e {tmp_path}/go; do sleep 0.02; done"
    engine = Engine(repo, "land", "fix", "--gate", gate, "--json", log=tmp_path / "land")
    while not (tmp_path / "began").exists():
        time.sleep(0.02)
    git(repo, "checkout", "-q", "bystander")
    (tmp_path / "go").touch()
    engine.wait(0)
    assert git(repo, "symbolic-ref", "HEAD") == "refs/heads/bystander"
    assert git(repo, "status", "--porcelain") == ""
    assert not (repo / "new.txt").exists()
    assert git(repo, "show", "main:new.txt") == "new"


def test_a_user_who_rebases_the_target_away_gets_the_change_on_the_new_one(
    smithers: Smithers, repo: Path, tmp_path: Path
):
    repos.commit(repo, {"second.txt": "x\n"}, "second")
    gate = f"touch {tmp_path}/began; while ! test -e {tmp_path}/go; do sleep 0.02; done; sh gate.sh"
    engine = Engine(repo, "land", "fix", "--gate", gate, "--json", log=tmp_path / "land")
    while not (tmp_path / "began").exists():
        time.sleep(0.02)
    git(repo, "commit", "-q", "--amend", "-m", "second, said better")
    amended = git(repo, "rev-parse", "main")
    (tmp_path / "go").touch()
    engine.wait(0)
    assert git(repo, "log", "-1", "--format=%P", "main").split()[0] == amended
    assert smithers.json("verify", "main")["ok"] is True


def test_two_queues_on_one_target_land_everything_once(smithers: Smithers, repo: Path, tmp_path: Path):
    before = git(repo, "rev-parse", "main")
    names = [f"job{n}" for n in range(4)]
    for name in names:
        branch(repo, name, {f"{name}.txt": "x\n"})
    engines = [Engine(repo, "land", name, *GATE, "--json", log=tmp_path / name) for name in names]
    assert [engine.wait() for engine in engines] == [0, 0, 0, 0]
    assert git(repo, "rev-list", "--first-parent", "--count", f"{before}..main") == "4"
    assert smithers.json("verify", f"{before}..main", "--strict")["ok"] is True
    assert all((repo / f"{name}.txt").exists() for name in names)


def test_a_stop_takes_the_entry_out_and_leaves_nothing_running(smithers: Smithers, repo: Path, tmp_path: Path):
    engine = Engine(repo, "land", "fix", "--gate", f"touch {tmp_path}/began; sleep 60", "--json", log=tmp_path / "land")
    while not (tmp_path / "began").exists():
        time.sleep(0.02)
    engine.signal(signal.SIGTERM)
    engine.wait(3)
    assert queues.entries(repo)["fix"].status == "ejected"
