"""The real pre-commit, husky and lefthook: what is printed for their files works, and nothing of theirs is touched."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kit import hooked, repos, runs
from kit.hooked import git, trigger

# Read while the tests are collected: later the environment is sealed.
CACHE = Path(os.environ.get("SMITHERS_HOOKTOOLS_CACHE") or Path(__file__).parents[2] / ".cache/hooktools").absolute()

pytestmark = pytest.mark.hooktools


@pytest.fixture
def smithers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> runs.Smithers:
    """`smithers` in a repository with triggers that nobody trusts: hooks fire, and nothing runs."""
    repo = runs.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    git(repo, "init", "-q", "--bare", str(tmp_path / "far"))
    git(repo, "remote", "add", "origin", str(tmp_path / "far"))
    hooked.set_up(repo, trigger("after", "post-commit"), trigger("gate", "pre-push"))
    return runs.Smithers(repo, capsys)


def tool(monkeypatch: pytest.MonkeyPatch, name: str, folder: str) -> Path:
    """The program of a tool, its folder on PATH as its users have it."""
    place = CACHE / name / folder
    if not (place / name).exists():
        pytest.skip(f"{name} is not installed in {CACHE}: run `make test-hooktools`")
    if not (Path(sys.executable).parent / "smithers").exists():
        pytest.fail("smithers itself is not on PATH")
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{place}")
    return place / name


def do(repo: Path, *argv: str | Path) -> str:
    done = subprocess.run(argv, cwd=repo, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def snippets(smithers: runs.Smithers, name: str, before: dict[str, bytes]) -> dict[str, str]:
    """What is printed for each hook of the tool; nothing of it was touched."""
    found = smithers.json("hooks", "install")["hooks"]
    assert {row["holder"] for row in found} == {name}
    assert files(Path(found[0]["path"]).parent) == before
    return {row["event"]: row["snippet"] for row in found}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def both_fire(repo: Path) -> None:
    """A commit and a push: the tool's own hook ran each time, and each was noted with what git gave."""
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "x")
    assert (repo / "own-post-commit").exists(), "the tool's own hook did not run"
    noted(repo, 1)
    git(repo, "push", "-q", "origin", "main")
    assert (repo / "own-pre-push").exists(), "the tool's own hook did not run"
    noted(repo, 2)


def noted(repo: Path, count: int) -> None:
    until = time.monotonic() + 20
    while hooked.log(repo).count("before the repository is trusted") < count and time.monotonic() < until:
        time.sleep(0.05)
    said = hooked.log(repo)
    assert said.count("before the repository is trusted") == count, said


def test_pre_commit(smithers: runs.Smithers, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = smithers.repo
    program = tool(monkeypatch, "pre-commit", "bin")
    own = "".join(
        f"      - id: own-{event}\n        name: own\n        entry: touch own-{event}\n        language: system\n"
        f"        stages: [{event}]\n        always_run: true\n        pass_filenames: false\n"
        for event in ("post-commit", "pre-push")
    )
    config = repo / ".pre-commit-config.yaml"
    config.write_text(f"repos:\n  - repo: local\n    hooks:\n{own}", "utf-8")
    do(repo, program, "install", "--hook-type", "post-commit", "--hook-type", "pre-push")
    found = snippets(smithers, "pre-commit", files(repo / ".git/hooks"))
    with config.open("a") as file:
        file.writelines(found.values())
    both_fire(repo)


def test_pre_commit_put_over_our_hook_still_calls_it(smithers: runs.Smithers, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = smithers.repo
    program = tool(monkeypatch, "pre-commit", "bin")
    hook = repo / ".git/hooks/post-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch oldest\n", "utf-8")
    hook.chmod(0o755)
    smithers("hooks", "install", "post-commit")
    repos.write(repo, {".pre-commit-config.yaml": "repos: []\n"})
    do(repo, program, "install", "--hook-type", "post-commit")
    assert hook.with_name("post-commit.legacy").exists()
    git(repo, "commit", "-q", "--allow-empty", "-m", "x")
    noted(repo, 1)
    assert (repo / "oldest").exists()


def test_husky(smithers: runs.Smithers, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = smithers.repo
    program = tool(monkeypatch, "husky", "node_modules/.bin")
    repos.write(repo, {"package.json": "{}\n"})
    do(repo, program)
    assert repos.git(repo, "config", "core.hooksPath") == ".husky/_"
    found = snippets(smithers, "husky", files(repo / ".husky/_"))
    for event, text in found.items():
        (repo / ".husky" / event).write_text(f"touch own-{event}\n{text}", "utf-8")
    both_fire(repo)


def test_lefthook(smithers: runs.Smithers, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = smithers.repo
    program = tool(monkeypatch, "lefthook", "node_modules/.bin")
    own = "    own:\n      run: touch own-{event}\n"
    config = repo / "lefthook.yml"
    events = ("post-commit", "pre-push")
    config.write_text("".join(f"{e}:\n  commands:\n{own.format(event=e)}" for e in events), "utf-8")
    do(repo, program, "install")
    found = snippets(smithers, "lefthook", files(repo / ".git/hooks"))
    config.write_text("".join(text + own.format(event=event) for event, text in found.items()), "utf-8")
    both_fire(repo)
