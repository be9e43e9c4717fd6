"""Nothing that a repository brings along runs before the user has trusted it, and again after it changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kit import hooked, repos, runs
from kit.hooked import git, save, trigger

from smithers_git.edge import trust as store
from smithers_git.service import triggers
from smithers_git.service.project import Project


@pytest.fixture
def repo(smithers: runs.Smithers) -> Path:
    hooked.set_up(smithers.repo, trigger("after", "post-commit"), trigger("gate", "pre-commit", wait=True))
    return smithers.repo


def state(smithers: runs.Smithers) -> str:
    return str(smithers.json("trust", "--show")["trust"])


def test_trust_is_the_users_and_never_in_the_repository(smithers: runs.Smithers, repo: Path) -> None:
    before = {name: found for name, found in repos.contents(repo).items() if not name.startswith(".git/")}
    assert state(smithers) == "unknown"
    said = smithers("trust").out
    assert "after: note at post-commit" in said
    assert "packs of its own: note" in said
    assert state(smithers) == "trusted"
    path = Path(os.environ["XDG_STATE_HOME"], "smithers", "trust.json")
    assert path.stat().st_mode & 0o077 == 0
    assert list(json.loads(path.read_bytes())["repositories"]) == [str(repo / ".git")]
    assert {n: found for n, found in repos.contents(repo).items() if not n.startswith(".git/")} == before
    assert smithers.json("trust", "--revoke")["was_trusted"] is True
    assert state(smithers) == "unknown"
    assert smithers.json("trust", "--revoke")["was_trusted"] is False


CHANGES = {
    "a-trigger": {".smithers/config.toml": trigger("other", "post-commit")},
    "the-workflow": {".smithers/packs/note/workflow.py": hooked.PACK + "\n"},
    "a-helper": {".smithers/packs/note/helper.py": ""},
    "byte-code": {".smithers/packs/note/__pycache__/workflow.cpython-311.pyc": b"\0"},
    "a-prompt": {".smithers/packs/note/prompts/x.md": "x"},
    "another-pack": {".smithers/packs/review/workflow.py": hooked.PACK},
    "an-agent": {".smithers/agents/claude.toml": "x"},
    "the-setup": {".smithers/config.toml": '[worktree]\nsetup = "touch x"\n'},
    "broken": {".smithers/config.toml": "[["},
}


@pytest.mark.parametrize("files", CHANGES.values(), ids=CHANGES)
def test_what_would_run_has_changed_so_it_is_asked_again(
    smithers: runs.Smithers, repo: Path, files: dict[str, str | bytes]
) -> None:
    known = store.digest(repo)
    repos.write(repo, files)
    assert store.digest(repo) != known


def test_text_and_comments_change_nothing(smithers: runs.Smithers, repo: Path) -> None:
    known = store.digest(repo)
    config = repo / ".smithers/config.toml"
    config.write_text("# a comment\n" + config.read_text())
    repos.write(repo, {".smithers/tickets/a.md": "# A\n", "src/x.py": "x = 1\n"})
    assert store.digest(repo) == known


def test_what_a_link_leads_to_counts_and_circles_and_pipes_hold_nothing_up(
    smithers: runs.Smithers, repo: Path, tmp_path: Path
) -> None:
    repos.write(tmp_path, {"outside/workflow.py": "one", "outside/deep/x.py": "one"})
    (repo / ".smithers/packs/far").symlink_to(tmp_path / "outside")
    (repo / ".smithers/packs/circle").symlink_to(repo / ".smithers")
    (repo / ".smithers/packs/nowhere").symlink_to("gone")
    os.mkfifo(repo / ".smithers/packs/pipe")
    known = store.digest(repo)
    repos.write(tmp_path, {"outside/deep/x.py": "two"})
    assert store.digest(repo) != known


def test_another_branch_that_was_trusted_stays_so(smithers: runs.Smithers, repo: Path) -> None:
    smithers("trust")
    git(repo, "checkout", "-qb", "side")
    repos.commit(repo, {".smithers/packs/note/x.py": ""})
    assert state(smithers) == "changed"
    smithers("trust")
    git(repo, "checkout", "-q", "main")
    assert state(smithers) == "trusted"


def test_a_gate_of_a_repository_that_was_never_trusted_stands_in_nobodys_way(
    smithers: runs.Smithers, repo: Path
) -> None:
    smithers("hooks", "install", "pre-commit")
    assert "smithers trust" in save(repo, {"a.txt": "bad\n"})
    assert hooked.run_names(repo) == []


def test_a_gate_does_not_open_by_being_changed(smithers: runs.Smithers, repo: Path) -> None:
    smithers("hooks", "install", "pre-commit")
    smithers("trust")
    open_ = hooked.PACK.replace("! grep -qs bad", "true")
    said = save(repo, {".smithers/packs/note/workflow.py": open_, "a.txt": "bad\n"}, code=1)
    assert "has changed since it was trusted" in said
    assert hooked.run_names(repo) == []


def test_a_damaged_file_of_trust_is_told_and_trusts_nobody(smithers: runs.Smithers, repo: Path) -> None:
    smithers("trust")
    path = Path(os.environ["XDG_STATE_HOME"], "smithers", "trust.json")
    for text in ("{", "[]", '{"repositories": 3}'):
        path.write_text(text, "utf-8")
        assert smithers.json("trust", "--show", code=1)["error"]["code"] == "config"


# -- a hostile repository


@pytest.fixture
def hostile(smithers: runs.Smithers, tmp_path: Path) -> Path:
    """Everything that a repository can bring along tries to write `ran`, on every event, under every name."""
    ran = str(tmp_path / "ran")
    evil = hooked.EVIL.replace("PLACE", repr(ran))
    touch = f"touch {ran}"
    events = ("post-commit", "post-checkout", "post-merge", "pre-push")
    rows = [trigger(f"t-{event}", event, workflow="implement") for event in events]
    rows += [trigger(f"w-{event}", event, workflow="implement", wait=True) for event in ("pre-commit", "commit-msg")]
    rows.append(trigger("c", "cron", schedule="* * * * *", workflow="implement"))
    rows.append(f'[worktree]\nsetup = "{touch}"\nteardown = "{touch}"\n')
    rows.append(f'[agents.claude]\nprogram = "{smithers.repo / "evil.sh"}"\n')
    head = f'check = "{touch}"\n'
    profile = f'name = "claude"\nprogram = "{smithers.repo / "evil.sh"}"\n'
    ticket = f'+++\nid = "$(touch {ran})"\ntitle = "`touch {ran}`"\n+++\n'
    files = {
        ".smithers/config.toml": head + "\n".join(rows),
        ".smithers/agents/$(touch ran).toml": profile,
        ".smithers/tickets/a.md": ticket,
        ".smithers/tickets/$(touch ran).md": ticket,
        "evil.sh": f"#!/bin/sh\n{touch}\n",
        "click.py": evil,
        "smithers_git/__init__.py": evil,
        "json.py": evil,
        "sitecustomize.py": evil,
        **{f".smithers/packs/{name}/workflow.py": evil for name in ("implement", "review", "$(touch ran)")},
        **{f".smithers/packs/{name}/__init__.py": evil for name in ("implement", "review")},
        **{f".smithers/commands/{name}.py": evil for name in ("ps", "inbox", "evil")},
        **{f".smithers/hooks/{name}": f"#!/bin/sh\n{touch}\n" for name in ("shim", "post-commit")},
    }
    repos.commit(smithers.repo, files)
    (smithers.repo / "evil.sh").chmod(0o755)
    return smithers.repo


# Not `agents`: whoever asks for the version of each CLI has them started.
LOOKS = [
    ("--help",), ("ps",), ("ps", "--json"), ("inbox",), ("hooks",), ("cron",), ("trust", "--show"), ("queue",),
    ("approve", "x"), ("up", "--help"), ("hooks", "install"), ("hooks", "uninstall"), ("gc", "--dry-run"), ("board",),
    ("init",), ("doctor",), ("supervise", "--once", "--dry-run"), ("answer", "x"),
]  # fmt: skip


def test_looking_at_a_hostile_repository_runs_nothing_of_it(
    smithers: runs.Smithers, hostile: Path, tmp_path: Path
) -> None:
    for argv in LOOKS:
        smithers(*argv, code=None)
        assert not (tmp_path / "ran").exists(), f"smithers {' '.join(argv)} ran something of the repository"
    assert not (hostile / "ran").exists()


def test_a_process_of_its_own_takes_no_module_from_a_hostile_repository(
    smithers: runs.Smithers, hostile: Path, tmp_path: Path
) -> None:
    """As installed: `python -P`, and TAB, for which click starts the program with a variable."""
    tab = {"_SMITHERS_COMPLETE": "bash_complete", "COMP_WORDS": "smithers ", "COMP_CWORD": "1"}
    for argv, more in ((["ps"], {}), ([], tab), (["hooks", "run", "post-commit"], {})):
        command = [sys.executable, "-P", "-m", "smithers_git", *argv]
        subprocess.run(command, cwd=hostile, env=os.environ | more, capture_output=True, timeout=60)
        assert not (tmp_path / "ran").exists(), f"{argv} {more}"
    hooked.settled(hostile, 1)
    assert not (tmp_path / "ran").exists()


def test_hooks_in_a_hostile_repository_run_nothing_of_it_before_trust(
    smithers: runs.Smithers, hostile: Path, tmp_path: Path
) -> None:
    smithers("hooks", "install")
    save(hostile, {"a.txt": "x\n"})
    git(hostile, "checkout", "-qb", "side")
    git(tmp_path, "init", "-q", "--bare", "far")
    git(hostile, "push", "-q", str(tmp_path / "far"), "side")
    said = hooked.settled(hostile, 3)
    assert said.count("before the repository is trusted") == 3, said
    assert hooked.run_names(hostile) == []
    assert not (tmp_path / "ran").exists()
    # The same with the user's word: what would have run is not merely harmless.
    smithers("trust")
    save(hostile, {"b.txt": "x\n"}, code=1)
    assert (tmp_path / "ran").exists()


def test_a_schedule_of_a_hostile_repository_is_never_due(
    smithers: runs.Smithers, hostile: Path, tmp_path: Path
) -> None:
    project = Project.open(hostile)
    for moment in range(0, 600, 60):
        assert triggers.due(project, 2e9 + moment) == []
    assert smithers.json("hooks", "list")["trust"] == "unknown"
    assert not (tmp_path / "ran").exists()


def test_a_hostile_input_cannot_leave_its_place(
    smithers: runs.Smithers, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A branch whose name is a shell command is text for the workflow, nothing more."""
    hooked.no_engines(monkeypatch)
    name = "$(touch${IFS}ran)`touch${IFS}ran`;{commit}"
    hooked.set_up(repo, trigger("after", "post-commit", input={"prompt": "{branch}"}))
    git(repo, "checkout", "-qb", name)
    hooked.hold(repo)
    hooked.install(smithers, "post-commit")
    save(repo, {"a.txt": "x\n"})
    hooked.drain(smithers, repo)
    (run,) = hooked.run_names(repo)
    assert smithers.json("inspect", run)["input"]["prompt"] == name
    assert not (repo / "ran").exists()
