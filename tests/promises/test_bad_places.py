"""Repositories and disks that cannot serve: a clear error with a hint, and nothing half-made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit import engines as kit
from kit import proofs, repos, runs
from kit.refusals import FINE, Stage, make_stage
from kit.repos import git


@pytest.fixture
def stage(repo: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Stage:
    return make_stage(repo, home, monkeypatch, capsys)


# -- the repository


def _not_a_repository(repo: Path) -> None:
    shutil.rmtree(repo / ".git")


def _bare(repo: Path) -> None:
    git(repo, "config", "core.bare", "true")


def _empty(repo: Path) -> None:
    shutil.rmtree(repo / ".git")
    git(repo, "init", "-q")


def _sha256(repo: Path) -> None:
    shutil.rmtree(repo / ".git")
    git(repo, "init", "-q", "--object-format=sha256")
    git(repo, "add", "README.md")
    git(repo, "commit", "-qm", "first")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_not_a_repository, "not in a git repository"),
        (_bare, "bare"),
        (_empty, "no commit"),
        (_sha256, "sha256"),
    ],
)
def test_a_repository_that_cannot_be_served_is_told_so(stage: Stage, make: Callable[[Path], None], words: str) -> None:
    stage.smithers.write(FINE)
    make(stage.repo)
    assert words in stage.refused("up", "flow.py", kind="repository")


def test_a_bare_repository_by_itself_and_a_git_folder_are_told_so(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(stage.repo), "bare.git")
    flow = stage.smithers.write(FINE)
    for place in (tmp_path / "bare.git", stage.repo / ".git", stage.repo / ".git" / "refs"):
        monkeypatch.chdir(place)
        stage.refused("up", str(flow), kind="repository")


def test_a_detached_head_is_as_good_as_a_branch(stage: Stage) -> None:
    git(stage.repo, "checkout", "-q", "--detach")
    stage.smithers.write(FINE)
    before = proofs.users_own(stage.repo)
    run = stage.smithers.json("up", "flow.py")["run"]
    assert proofs.users_own(stage.repo) == before
    assert kit.state_of(stage.repo, run).branch is None
    assert "x.txt" in proofs.tree(stage.repo, f"smithers/{run}/main")


@pytest.mark.parametrize("name", ["with spaces", "grüße 日本", "it's $HOME", "-dash", "semi;colon", "%41", "a'b\"c"])
def test_a_repository_with_a_hard_name_does_everything(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = runs.make_repo(tmp_path / name / "repo é")
    shutil.move(repo, tmp_path / name / name)
    repo = tmp_path / name / name
    monkeypatch.chdir(repo)
    monkeypatch.setenv("SMITHERS_SCRIPT", "")
    runs.play(repo)
    smithers = runs.Smithers(repo, capsys)
    before = {key: what for key, what in proofs.users_own(repo).items() if key != "flow.py"}
    run = smithers.up(body=runs.SHIP, code=3)
    smithers("approve", run, "--no-resume")
    smithers("up", "--resume", run)
    smithers("rewind", run, "--frame", "3", "--yes")
    smithers("up", "--resume", run, code=3)
    child = smithers.json("fork", run)["run"]
    smithers("up", "--resume", child, code=3)
    assert {key: what for key, what in proofs.users_own(repo).items() if key != "flow.py"} == before
    for one in (run, child):
        assert proofs.tree(repo, f"refs/smithers/runs/{one}:code/main")["calc.txt"][1] == b"right\n"
    proofs.files_are_the_frames(repo, run)


def test_a_name_with_a_line_break_is_refused(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "line\nbreak"
    shutil.move(stage.repo, odd)
    (odd / "flow.py").write_text(runs.HEAD + FINE)
    monkeypatch.chdir(odd)
    before = repos.contents(odd)
    said = stage.smithers("up", "flow.py", "--json", code=1)
    assert said.json["error"]["code"] == "repository"
    assert repos.contents(odd) == before


def test_a_branch_of_the_users_that_is_in_the_way_is_named_and_the_run_goes_on_once_it_is_renamed(stage: Stage) -> None:
    git(stage.repo, "branch", "smithers")
    stage.smithers.write(FINE)
    document = stage.smithers.json("up", "flow.py", code=1)
    assert "git branch -m smithers" in document["error"]
    assert git(stage.repo, "rev-parse", "smithers") == git(stage.repo, "rev-parse", "main")
    git(stage.repo, "branch", "-m", "smithers", "mine")
    stage.smithers("up", "--resume", document["run"])
    assert "x.txt" in proofs.tree(stage.repo, f"smithers/{document['run']}/main")


# -- the disk


def _in_namespace(
    script: str, *args: str | Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a shell script whose mounts nobody else sees and which go when it ends."""
    for argv in (["unshare", "-m"], ["unshare", "-rm"]):
        probe = ["sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt && umount /mnt"]
        if shutil.which("unshare") and subprocess.run([*argv, *probe], capture_output=True).returncode == 0:
            return subprocess.run(
                [*argv, "sh", "-eu", "-c", script, "sh", *map(str, args)],
                capture_output=True,
                text=True,
                env={**os.environ, "PY": sys.executable, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
                timeout=kit.PATIENCE,
            )
    pytest.skip("nothing can be mounted here: unshare -m and unshare -rm both fail")


def _documents(text: str) -> list[Any]:
    """The JSON documents that stand one behind the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        one, at = decoder.raw_decode(text, at)
        found.append(one)
    return found


def test_a_read_only_git_folder_is_told_so_and_can_still_be_looked_at(stage: Stage) -> None:
    stage.smithers.write('    return Sequence(Approval("ship"), Task("only", run="echo x > x.txt"))\n')
    run = stage.smithers.json("up", "flow.py", code=3)["run"]
    before = repos.contents(stage.repo), repos.contents(stage.home)
    done = _in_namespace(
        """
        mount --bind "$1/.git" "$1/.git"; mount -o remount,bind,ro "$1/.git"; cd "$1"
        for command in "up flow.py" "up --resume $2" "approve $2 --no-resume" "fork $2" \\
                "rewind $2 --frame 0 --yes" "ps" "timeline $2"; do
            code=0; $PY -m smithers_git $command --json 2>/dev/null || code=$?; echo $code
        done
        """,
        stage.repo,
        run,
    )
    assert done.returncode == 0, done.stderr
    said = _documents(done.stdout)
    refused, answered = said[:10], said[10:]
    assert refused[1::2] == [1] * 5, done.stdout
    for document in refused[::2]:
        assert document["error"]["code"] in ("repository", "storage"), document
        assert ".git" in document["error"]["message"]
        assert document["error"]["hint"]
    assert answered[1::2] == [0] * 2, done.stdout
    assert answered[0]["runs"][0]["run"] == run
    assert (repos.contents(stage.repo), repos.contents(stage.home)) == before


def test_a_full_disk_is_told_so_and_nothing_is_half_made(stage: Stage) -> None:
    stage.smithers.write(FINE)
    done = _in_namespace(
        """
        mount -t tmpfs -o size=2m tmpfs /mnt; cp -a "$1" /mnt/repo; cd /mnt/repo; git status >/dev/null
        mkdir .smithers; printf '[disk]\nfloor = 0\n' > .smithers/config.toml
        dd if=/dev/zero of=/mnt/fill bs=4k 2>/dev/null || true
        git for-each-ref > "$2/before"; find .git -type f | sort >> "$2/before"
        code=0; $PY -m smithers_git up flow.py --json || code=$?; echo $code
        git for-each-ref > "$2/after"; find .git -type f | sort >> "$2/after"
        rm /mnt/fill
        code=0; $PY -m smithers_git up flow.py --json || code=$?; echo $code
        git fsck --strict --no-dangling 1>&2
        """,
        stage.repo,
        stage.home,
    )
    said = _documents(done.stdout)
    assert said[1] == 1, done.stdout + done.stderr
    assert said[0]["error"]["code"] == "disk-full"
    assert "space" in said[0]["error"]["message"].lower()
    assert (stage.home / "before").read_text() == (stage.home / "after").read_text()
    assert (said[2]["status"], said[3]) == ("finished", 0)
    assert done.returncode == 0, done.stderr


def test_a_disk_that_fills_up_in_the_middle_loses_nothing_and_the_run_goes_on_when_there_is_room(stage: Stage) -> None:
    body = """\
    return Sequence(
        Task("first", run="echo first >> first.txt; cp $LARGE large.bin", retries=0),
        Task("second", run="echo second >> second.txt", retries=0),
        Task("third", run="test -e large.bin && echo third >> third.txt", retries=0),
    )
"""
    stage.smithers.write(body)
    (stage.home / "large").write_bytes(os.urandom(1 << 20))
    done = _in_namespace(
        """
        mount -t tmpfs -o size=5m tmpfs /mnt; cp -a "$1" /mnt/repo; cd /mnt/repo; git status >/dev/null
        mkdir .smithers; printf '[disk]\nfloor = 0\n' > .smithers/config.toml
        # There is room for the file in the workspace, none for its object and what follows.
        dd if=/dev/zero of=/mnt/fill bs=1k count=$(($(df -k --output=avail /mnt | tail -1) - 1300)) 2>/dev/null
        code=0; $PY -m smithers_git up flow.py --run-id run --json || code=$?; echo $code
        git fsck --strict --no-dangling 1>&2
        rm /mnt/fill
        code=0; $PY -m smithers_git up --resume run --json || code=$?; echo $code
        git fsck --strict --no-dangling 1>&2
        git show smithers/run/main:first.txt smithers/run/main:second.txt smithers/run/main:third.txt > "$2/files"
        git cat-file blob smithers/run/main:large.bin | cmp - "$LARGE"
        """,
        stage.repo,
        stage.home,
        env={"XDG_STATE_HOME": "/mnt/state", "LARGE": str(stage.home / "large")},
    )
    assert done.returncode == 0, done.stderr + done.stdout
    said = _documents(done.stdout)
    assert said[1] == 3, done.stdout
    assert said[0]["status"] == "parked"
    message = json.dumps(said[0]).lower()
    assert "space" in message, "it says what is wrong"
    assert (said[2]["status"], said[3]) == ("finished", 0), done.stdout + done.stderr
    files = (stage.home / "files").read_text()
    assert files.endswith("second\nthird\n")
