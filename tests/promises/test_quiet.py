"""A run leaves no noise: no gc for the user, no hook that runs, no variable that leaks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from kit import engines as kit
from kit import proofs, repos, runs
from kit.engines import Engines
from kit.repos import git

from smithers_git.core import events as ev
from smithers_git.core.state import State
from smithers_git.service import launch
from smithers_git.service.drive import Drive, Resume, go
from smithers_git.service.project import Project
from smithers_git.service.watcher import Watcher

STEPS = 1500
GC_AUTO = 6700
"""Loose objects at which git starts a gc of its own (gc.auto)."""


def _counts(repo: Path) -> dict[str, int]:
    lines = git(repo, "count-objects", "-v").splitlines()
    return {name: int(value) for name, value in (line.split(": ") for line in lines)}


def test_after_1500_steps_the_users_next_commit_starts_no_gc(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repo / "flow.py").write_text(
        runs.HEAD + f'    return Sequence(*[Task(f"t{{n}}", value={{"n": n}}) for n in range({STEPS})])\n'
    )
    monkeypatch.chdir(repo)
    project = Project.open(repo)
    made = launch.begin(project, launch.Request("flow.py", run="long", cwd=repo))
    most = {"count": 0, "packs": 0}

    def look(state: State, _events: tuple[ev.Event, ...], _at: float) -> None:
        if state.number % 100 == 0:
            now = _counts(repo)
            most.update({name: max(most[name], now[name]) for name in most})

    before = proofs.users_own(repo)
    assert go(project, made.chain.run, Resume(), Drive(watcher=Watcher(recorded=look))).end == "finished"
    assert proofs.users_own(repo) == before
    assert most["count"] < GC_AUTO * 0.7, f"{most['count']} loose objects during the run"
    assert most["packs"] < 50, "gc.autoPackLimit"
    assert _counts(repo)["count"] < 2500
    repos.write(repo, {"mine.txt": "mine\n"})
    git(repo, "add", "mine.txt")
    done = subprocess.run(
        ["git", "-c", "gc.autoDetach=false", "commit", "-m", "mine"], cwd=repo, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "pack" not in (done.stdout + done.stderr).lower()
    assert not (repo / ".git" / "gc.log").exists()
    assert len(kit.frames(repo, "long")) > STEPS
    proofs.sound(repo)
    proofs.index_is_a_rebuild(repo)


# -- hooks

HOOKS = (
    "applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "pre-merge-commit", "prepare-commit-msg",
    "commit-msg", "post-commit", "pre-rebase", "post-checkout", "post-merge", "pre-push", "pre-auto-gc", "post-rewrite",
    "post-index-change", "reference-transaction", "sendemail-validate", "fsmonitor-watchman", "push-to-checkout",
)  # fmt: skip


def _plant(folder: Path, ran: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in HOOKS:
        hook = folder / name
        hook.write_text(f'#!/bin/sh\necho "{name} $*" >> {ran}\nexit 1\n')
        hook.chmod(0o755)


@pytest.mark.parametrize("where", ["in the repository", "by core.hooksPath"])
def test_hooks_that_lie_in_the_repository_never_run_during_a_run(
    repo: Path, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repo)
    monkeypatch.setenv("SMITHERS_SCRIPT", "")
    runs.play(repo)
    ran = tmp_path / "ran"
    if where == "by core.hooksPath":
        _plant(tmp_path / "hooks", ran)
        git(repo, "config", "core.hooksPath", str(tmp_path / "hooks"))
    else:
        _plant(repo / ".git" / "hooks", ran)
    git(repo, "config", "core.fsmonitor", str(repo / ".git" / "hooks" / "fsmonitor-watchman"))
    smithers = runs.Smithers(repo, capsys)
    run = smithers.up("--dirty", body=runs.SHIP, code=3)
    smithers("approve", run, "--no-resume")
    smithers("up", "--resume", run)
    smithers("rewind", run, "--frame", "3", "--yes")
    smithers("up", "--resume", run, code=3)
    smithers("up", "--resume", smithers.json("fork", run)["run"], code=3)
    smithers("diff", run)
    smithers("doctor", code=None)
    assert not ran.exists(), ran.read_text()
    subprocess.run(["git", "commit", "--allow-empty", "-qm", "x"], cwd=repo, capture_output=True, check=False)
    assert "pre-commit" in ran.read_text(), "the test's hooks would have run"


# -- the environment

TOLD = "env | grep ^GIT_ > git-env.txt; git rev-parse --show-toplevel > top.txt; git rev-parse HEAD > head.txt"


def _poison(decoy: Path) -> dict[str, str]:
    """Every variable that binds git to one repository, pointing at another one."""
    names = git(decoy, "rev-parse", "--local-env-vars").split()
    known: Mapping[str, str] = {
        "GIT_DIR": f"{decoy}/.git",
        "GIT_WORK_TREE": str(decoy),
        "GIT_INDEX_FILE": f"{decoy}/.git/index",
        "GIT_OBJECT_DIRECTORY": f"{decoy}/.git/objects",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": f"{decoy}/.git/objects",
        "GIT_COMMON_DIR": f"{decoy}/.git",
        "GIT_CONFIG": f"{decoy}/.git/config",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_PARAMETERS": "'core.bare'='true'",
        "GIT_NAMESPACE": "decoy",
        "GIT_PREFIX": "src/",
        "GIT_GRAFT_FILE": f"{decoy}/grafts",
        "GIT_SHALLOW_FILE": f"{decoy}/shallow",
        "GIT_INTERNAL_SUPER_PREFIX": "decoy/",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_REPLACE_REF_BASE": "refs/decoy/",
        "GIT_IMPLICIT_WORK_TREE": "0",
    }
    more = {"GIT_CONFIG_KEY_0": "core.bare", "GIT_CONFIG_VALUE_0": "true", "GIT_LITERAL_PATHSPECS": "1"}
    return {**{name: known.get(name, "decoy") for name in names}, **more}


def test_variables_that_bind_git_to_another_repository_reach_nobody(repo: Path, tmp_path: Path) -> None:
    decoy = repos.make_repo(tmp_path / "decoy")
    script = tmp_path / "script.toml"
    script.write_text(f"[[turn]]\nrun = ['''{TOLD}''']\nanswer = {{ summary = 'x' }}\n")
    repos.write(repo, {".smithers/config.toml": "[worktree]\nsetup = 'env | grep ^GIT_ > setup.log; true'\n"})
    body = f"""\
    return Sequence(
        Worktree("one", Task("command", run='''{TOLD}''')),
        Worktree("two", Task("agent", agent="script", output=Change, prompt="x")),
        Approval("ship"),
        Task("last", run="echo x > x.txt"),
    )
"""
    (repo / "flow.py").write_text(runs.HEAD + body)
    before = repos.contents(decoy), proofs.users_own(repo)
    env = {**os.environ, **_poison(decoy), "SMITHERS_SCRIPT": str(script)}
    assert runs.program(repo, "up", "flow.py", "--run-id", "run", env=env).returncode == 3
    assert runs.program(repo, "approve", "run", "--no-resume", env=env).returncode == 0
    assert runs.program(repo, "up", "--resume", "run", env=env).returncode == 0
    assert (repos.contents(decoy), proofs.users_own(repo)) == before
    base = git(repo, "rev-parse", "HEAD")
    for space in ("one", "two"):
        told = proofs.tree(repo, f"smithers/run/{space}")
        path = proofs.space_path(repo, "run", space)
        bound = set(_poison(decoy)) - {"GIT_LITERAL_PATHSPECS", "GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0"}
        leaked = {line.split("=")[0] for line in told["git-env.txt"][1].decode().splitlines()} & bound
        assert leaked == set()
        assert told["top.txt"][1].decode().strip() == str(path.resolve())
        assert told["head.txt"][1].decode().strip() == base
        names = {line.split("=")[0] for line in (path / "setup.log").read_text().splitlines()}
        assert names & bound == set()
    proofs.sound(repo)


def test_a_run_started_by_a_hook_of_the_users_works_on_the_users_repository(engines: Engines, repo: Path) -> None:
    """git sets GIT_DIR and GIT_INDEX_FILE for hooks, relative to where it was started."""
    (repo / "flow.py").write_text(runs.HEAD + '    return Task("only", run="ls > seen.txt")\n')
    (repo / ".git" / "hooks").mkdir(exist_ok=True)
    hook = repo / ".git" / "hooks" / "post-commit"
    hook.write_text(f"#!/bin/sh\nexec {sys.executable} -m smithers_git up flow.py --run-id hooked\n")
    hook.chmod(0o755)
    made = repos.commit(repo, {"new.txt": "new\n"}, "with a hook")
    assert git(repo, "status", "--porcelain") == ""
    assert kit.state_of(repo, "hooked").end == "finished"
    assert kit.state_of(repo, "hooked").base == made
    assert b"new.txt" in proofs.tree(repo, "smithers/hooked/main")["seen.txt"][1]
    assert git(repo, "rev-parse", "HEAD") == made
    proofs.sound(repo)
