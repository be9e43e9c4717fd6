from __future__ import annotations

import os

import pytest
from kit import repos
from kit.perms import python_bound_by_modes
from kit.repos import git

from smithers_git.edge.git.repository import discover, require_commit, require_writable
from smithers_git.errors import RepositoryError, SmithersError


def test_from_the_top_and_from_a_folder_below(repo):
    found = discover(repo)
    assert found.worktree == repo
    assert found.git_dir == found.common_dir == repo / ".git"
    assert found.head == git(repo, "rev-parse", "HEAD")
    assert found.branch == "refs/heads/main"
    assert discover(repo / "src") == found


def test_a_file_called_head_does_not_confuse(repo):
    repos.write(repo, {"HEAD": "x"})
    assert discover(repo).branch == "refs/heads/main"


def test_detached(repo):
    git(repo, "checkout", "-q", "--detach")
    found = discover(repo)
    assert found.branch is None
    assert require_commit(found) == git(repo, "rev-parse", "main")


@pytest.mark.parametrize("name", ["with space", "größe-日本", "quote'\"$x"])
def test_odd_paths(tmp_path, name):
    path = repos.make_repo(tmp_path / name / "repo")
    assert discover(path / "src").worktree == path


def test_a_path_with_a_line_break_is_refused(tmp_path):
    path = repos.make_repo(tmp_path / "a\nb")
    with pytest.raises(RepositoryError, match="line break"):
        discover(path)


def test_a_linked_worktree_shares_the_git_directory_of_the_main_one(repo, tmp_path):
    git(repo, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    found = discover(tmp_path / "linked")
    assert found.worktree == tmp_path / "linked"
    assert found.common_dir == repo / ".git"
    assert found.git_dir == repo / ".git" / "worktrees" / "linked"
    assert found.branch == "refs/heads/side"
    assert found.checkout.common_dir == repo / ".git"


def test_the_environment_of_a_hook_does_not_mislead(repo, tmp_path, monkeypatch):
    other = repos.make_repo(tmp_path / "other", {"x": "1"})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert discover(repo).worktree == repo


def test_not_a_repository(tmp_path):
    with pytest.raises(RepositoryError, match="not in a git repository") as caught:
        discover(tmp_path)
    assert "git init" in caught.value.hint


def test_no_such_folder(tmp_path):
    with pytest.raises(RepositoryError, match="not a folder"):
        discover(tmp_path / "none")


def test_bare(tmp_path):
    git(tmp_path, "init", "-q", "--bare", "bare")
    with pytest.raises(RepositoryError, match="bare repository") as caught:
        discover(tmp_path / "bare")
    assert "core.bare" in caught.value.hint


def test_inside_the_git_directory(repo):
    with pytest.raises(RepositoryError, match="inside a git directory"):
        discover(repo / ".git")


def test_without_a_commit(tmp_path):
    found = discover(repos.make_repo(tmp_path / "empty", {}))
    assert found.head is None
    assert found.branch == "refs/heads/main"
    with pytest.raises(RepositoryError, match="no commit yet") as caught:
        require_commit(found)
    assert "git commit" in caught.value.hint


def test_sha256(tmp_path):
    git(tmp_path, "init", "-q", "--object-format=sha256", "r")
    with pytest.raises(RepositoryError, match="sha256"):
        discover(tmp_path / "r")


@pytest.mark.parametrize("way", ["extension", "folder"])
def test_reftable(repo, way):
    if way == "extension":  # a git that does not know it
        git(repo, "config", "core.repositoryFormatVersion", "1")
        git(repo, "config", "extensions.refStorage", "reftable")
    else:
        (repo / ".git" / "reftable").mkdir()
    with pytest.raises(RepositoryError, match="reftable") as caught:
        discover(repo)
    assert "git refs migrate" in caught.value.hint


def test_an_unknown_extension_is_named(repo):
    git(repo, "config", "core.repositoryFormatVersion", "1")
    git(repo, "config", "extensions.fancy", "true")
    with pytest.raises(RepositoryError, match="unknown repository extension"):
        discover(repo)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_repository_of_another_user(repo):
    for path in (repo, repo / ".git"):
        os.chown(path, 12345, 12345)
    with pytest.raises(RepositoryError, match="belongs to another user") as caught:
        discover(repo)
    assert "safe.directory" in caught.value.hint


def test_git_missing(repo, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(SmithersError, match="git was not found"):
        discover(repo)


def test_trying_to_write_leaves_nothing(repo):
    before = repos.contents(repo)
    require_writable(discover(repo))
    assert repos.contents(repo) == before


@pytest.mark.parametrize("folder", [".git", ".git/objects", ".git/refs"])
def test_a_read_only_git_directory(repo, folder):
    (repo / folder).chmod(0o555)
    said = python_bound_by_modes(
        "import sys; from pathlib import Path\n"
        "from smithers_git.edge.git.repository import *\n"
        "from smithers_git.errors import RepositoryError\n"
        "try: require_writable(discover(Path(sys.argv[1])))\n"
        "except RepositoryError as error: print(error.message, '|', error.hint)",
        repo,
    )
    (repo / folder).chmod(0o755)
    assert f"{repo / folder} cannot be written: Permission denied | " in said
