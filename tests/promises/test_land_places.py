"""Landing in repositories that are not plain: submodules, filters, sparse checkouts, line ends, odd worktrees."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from kit import queues, repos
from kit.queues import GATE, branch, entries
from kit.repos import git
from kit.runs import Smithers

pytestmark = pytest.mark.usefixtures("warm_reapers")


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = queues.make_repo(tmp_path / "repo")
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def smithers(repo: Path, capsys: pytest.CaptureFixture[str]) -> Smithers:
    return Smithers(repo, capsys)


def land(smithers: Smithers, name: str = "fix", *more: str, code: int = 0):
    said = smithers.json("land", name, *GATE, *more, code=code)
    if said["landed"]:
        assert smithers.json("verify", said["commit"])["ok"] is True
    return said


def test_a_submodule_pointer_lands_and_the_submodules_files_stay_as_they_are(
    smithers: Smithers, repo: Path, tmp_path: Path
):
    other = repos.make_repo(tmp_path / "other", {"lib.txt": "1\n"})
    git(repo, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "lib")
    git(repo, "commit", "-qm", "a submodule")
    old = git(repo / "lib", "rev-parse", "HEAD")
    new = repos.commit(other, {"lib.txt": "2\n"})
    git(repo / "lib", "fetch", "-q")
    git(repo, "checkout", "-q", "-b", "fix")
    git(repo, "update-index", "--cacheinfo", f"160000,{new},lib")
    git(repo, "commit", "-qm", "newer lib")
    git(repo, "checkout", "-q", "main")
    land(smithers)
    assert git(repo, "rev-parse", "main:lib") == new
    assert git(repo / "lib", "rev-parse", "HEAD") == old  # as `git merge` leaves it: `git submodule update` moves it
    assert (repo / "lib" / "lib.txt").read_text() == "1\n"


def test_files_behind_a_filter_are_smudged_in_the_lane_and_in_the_checkout(
    smithers: Smithers, repo: Path, tmp_path: Path
):
    git(repo, "config", "filter.shout.clean", "tr a-z A-Z")
    git(repo, "config", "filter.shout.smudge", "tr A-Z a-z")
    git(repo, "config", "filter.shout.required", "true")
    repos.commit(repo, {".gitattributes": "*.big filter=shout\n", "one.big": "hello\n"})
    branch(repo, "fix", {"two.big": "world\n"})
    assert git(repo, "show", "fix:two.big") == "WORLD"
    said = smithers.json("land", "fix", "--gate", 'test "$(cat two.big)" = world')
    assert said["landed"] is True
    assert (repo / "two.big").read_text() == "world\n"
    assert git(repo, "show", "main:two.big") == "WORLD"
    assert git(repo, "status", "--porcelain") == ""


def test_a_sparse_checkout_follows_within_its_patterns(smithers: Smithers, repo: Path):
    repos.commit(repo, {"in/a.txt": "a\n", "out/b.txt": "b\n"})
    branch(repo, "fix", {"in/new.txt": "x\n", "out/new.txt": "y\n"})
    git(repo, "sparse-checkout", "set", "in")
    assert not (repo / "out").exists()
    land(smithers)
    assert (repo / "in" / "new.txt").exists()
    assert not (repo / "out").exists()
    assert git(repo, "show", "main:out/new.txt") == "y"
    assert git(repo, "status", "--porcelain") == ""


@pytest.mark.parametrize("absolute", [True, False])
def test_hooks_elsewhere_are_found_as_git_finds_them(smithers: Smithers, repo: Path, tmp_path: Path, *, absolute: bool):
    branch(repo, "fix", {"new.txt": "x\n"})
    folder = tmp_path / "hooks" if absolute else repo / ".husky" / "_"
    folder.mkdir(parents=True)
    (folder / "pre-commit").write_text("#!/bin/sh\necho no; exit 1\n")
    (folder / "pre-commit").chmod(0o755)
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "exclude").write_text("/.husky/\n")
    git(repo, "config", "core.hooksPath", str(folder) if absolute else ".husky/_")
    assert land(smithers, "fix", "--style", "squash", code=1)["reason"] == "hook"


def test_a_rename_of_case_only_lands(smithers: Smithers, repo: Path):
    git(repo, "checkout", "-q", "-b", "fix")
    git(repo, "mv", "README.md", "Readme.md")
    git(repo, "commit", "-qm", "said in another case")
    git(repo, "checkout", "-q", "main")
    land(smithers)
    assert git(repo, "ls-tree", "--name-only", "main", "README.md", "Readme.md") == "Readme.md"
    assert sorted(p.name for p in repo.glob("*.md")) == ["Readme.md"]
    assert git(repo, "status", "--porcelain") == ""


@pytest.mark.parametrize("setting", ["true", "input"])
def test_line_ends_are_what_the_settings_say(smithers: Smithers, repo: Path, setting: str):
    branch(repo, "fix", {"new.txt": "one\ntwo\n"})
    git(repo, "config", "core.autocrlf", setting)
    git(repo, "rm", "-q", "--cached", "-r", ".")
    git(repo, "reset", "-q", "--hard")
    smithers.json("land", "fix", "--gate", "test -e new.txt")  # gate.sh itself has other line ends now
    assert (repo / "new.txt").read_bytes() == (b"one\r\ntwo\r\n" if setting == "true" else b"one\ntwo\n")
    assert git(repo, "show", "main:new.txt") == "one\ntwo"
    assert git(repo, "status", "--porcelain") == ""


def test_a_missing_worktree_of_the_target_is_no_obstacle(smithers: Smithers, repo: Path, tmp_path: Path):
    git(repo, "worktree", "add", "-q", "-b", "line", str(tmp_path / "gone"))
    shutil.rmtree(tmp_path / "gone")
    branch(repo, "fix", {"new.txt": "x\n"})
    assert land(smithers, "fix", "--onto", "line")["landed"] is True


def test_a_locked_worktree_of_the_target_that_is_missing_may_come_back_and_is_not_left_behind(
    smithers: Smithers, repo: Path, tmp_path: Path
):
    git(repo, "worktree", "add", "-q", "-b", "line", str(tmp_path / "stick"))
    git(repo, "worktree", "lock", str(tmp_path / "stick"))
    (tmp_path / "stick").rename(tmp_path / "unplugged")
    branch(repo, "fix", {"new.txt": "x\n"})
    tip = git(repo, "rev-parse", "line")
    said = land(smithers, "fix", "--onto", "line", code=3)
    assert "git worktree unlock" in said["message"]
    assert git(repo, "rev-parse", "line") == tip


def test_a_locked_worktree_that_is_there_follows(smithers: Smithers, repo: Path, tmp_path: Path):
    git(repo, "worktree", "add", "-q", "-b", "line", str(tmp_path / "stick"))
    git(repo, "worktree", "lock", str(tmp_path / "stick"))
    branch(repo, "fix", {"new.txt": "x\n"})
    land(smithers, "fix", "--onto", "line")
    assert (tmp_path / "stick" / "new.txt").exists()


def test_landing_from_a_linked_worktree_serves_the_same_queue(
    smithers: Smithers, repo: Path, tmp_path: Path, monkeypatch
):
    git(repo, "worktree", "add", "-q", "-b", "mine", str(tmp_path / "mine"))
    branch(repo, "fix", {"new.txt": "x\n"})
    monkeypatch.chdir(tmp_path / "mine")
    assert land(smithers, "fix", "--onto", "main")["landed"] is True
    assert (repo / "new.txt").exists()
    assert entries(repo)["fix"].status == "landed"


def test_a_hooks_environment_does_not_leak_into_a_landing(smithers: Smithers, repo: Path, tmp_path: Path, monkeypatch):
    stranger = repos.make_repo(tmp_path / "stranger", {"x": "x\n"})
    before = repos.contents(stranger)
    branch(repo, "fix", {"new.txt": "x\n"})
    monkeypatch.setenv("GIT_DIR", str(stranger / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(stranger / ".git" / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(stranger))
    assert smithers.json("land", "fix", *GATE)["landed"] is True
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(name)
    assert repos.contents(stranger) == before
    assert (repo / "new.txt").exists()


def test_a_union_merge_attribute_counts_as_in_git_merge(smithers: Smithers, repo: Path):
    repos.commit(repo, {".gitattributes": "*.log merge=union\n", ".gitignore": "", "x.log": "1\n"})
    branch(repo, "fix", {"x.log": "1\nmine\n"})
    repos.commit(repo, {"x.log": "1\ntheirs\n"})
    land(smithers)
    assert sorted((repo / "x.log").read_text().split()) == ["1", "mine", "theirs"]


def test_everything_but_the_target_is_byte_identical(smithers: Smithers, repo: Path, tmp_path: Path):
    git(repo, "worktree", "add", "-q", "-b", "mine", str(tmp_path / "mine"))
    (tmp_path / "mine" / "wip.txt").write_text("work in progress\n")
    git(repo, "branch", "line")
    branch(repo, "fix", {"new.txt": "x\n"})
    git(repo, "tag", "v1")
    (repo / "untracked.txt").write_text("mine\n")

    def rest() -> tuple[object, ...]:
        refs = git(repo, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        others = [ref for ref in refs if not ref.startswith(("refs/heads/line ", "refs/smithers/queue/"))]
        config = (repo / ".git" / "config").read_bytes(), (repo / ".git" / "index").read_bytes()
        files = {k: v for k, v in repos.contents(repo).items() if not k.startswith(".git/")}
        return others, config, files, repos.contents(tmp_path / "mine"), git(repo, "stash", "list")

    before = rest()
    land(smithers, "fix", "--onto", "line")
    assert rest() == before


def test_the_tree_that_lands_is_the_one_that_git_merge_gives(smithers: Smithers, repo: Path, tmp_path: Path):
    git(repo, "checkout", "-q", "-b", "one")
    git(repo, "mv", "a.txt", "b.txt")
    git(repo, "commit", "-qm", "moved")
    git(repo, "checkout", "-q", "main")
    branch(repo, "two", {"a.txt": (repo / "a.txt").read_text().replace("line 3", "line three")})
    shutil.copytree(repo, tmp_path / "plain", symlinks=True)
    for name in ("one", "two"):
        land(smithers, name)
        subprocess.run(["git", "merge", "-q", "--no-ff", "-m", "x", name], cwd=tmp_path / "plain", check=True)
    assert git(repo, "rev-parse", "main^{tree}") == git(tmp_path / "plain", "rev-parse", "main^{tree}")
