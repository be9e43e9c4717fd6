from __future__ import annotations

import pytest
from kit import repos
from kit.repos import git

from smithers_git.edge.git.repository import discover
from smithers_git.edge.git.snapshot import working_copy
from smithers_git.errors import RepositoryError, TooLarge


def everything_but_objects(repo):
    return {name: found for name, found in repos.contents(repo).items() if not name.startswith(".git/objects")}


def dirty(repo):
    repos.write(repo, {"staged": "1", "README.md": "staged\n", "ünï code": "x", "new/untracked": "1", ".env": "SECRET"})
    git(repo, "add", "staged", "README.md")
    repos.write(repo, {"README.md": "edited after staging\n"})
    (repo / "src" / "app.py").unlink()


@pytest.fixture
def linked(repo, tmp_path):
    git(repo, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    return tmp_path / "linked"


def test_it_holds_staged_unstaged_and_untracked_changes_on_top_of_head(repo):
    dirty(repo)
    commit = working_copy(discover(repo))
    assert git(repo, "rev-parse", f"{commit}^@") == git(repo, "rev-parse", "HEAD")
    assert git(repo, "show", f"{commit}:README.md") == "edited after staging"
    names = git(repo, "ls-tree", "-rz", "--name-only", commit).split("\0")[:-1]
    assert names == [".gitignore", "README.md", "new/untracked", "staged", "ünï code"]


@pytest.mark.parametrize("setting", [None, "core.splitIndex", "core.untrackedCache", "feature.manyFiles"])
def test_the_users_repository_stays_byte_for_byte(repo, setting):
    if setting:
        git(repo, "config", setting, "true")
        git(repo, "update-index", "--force-write-index")
    dirty(repo)
    before = everything_but_objects(repo)
    working_copy(discover(repo))
    assert everything_but_objects(repo) == before


def test_a_linked_worktree_stays_byte_for_byte(repo, linked):
    dirty(linked)
    before = everything_but_objects(repo), repos.contents(linked)
    commit = working_copy(discover(linked))
    assert (everything_but_objects(repo), repos.contents(linked)) == before
    assert git(repo, "show", f"{commit}:new/untracked") == "1"


def test_a_submodule_stays_byte_for_byte(repo, tmp_path):
    library = repos.make_repo(tmp_path / "library", {"lib": "1"})
    git(repo, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "lib")
    git(repo, "commit", "-qm", "submodule")
    repos.write(repo, {"lib/lib": "edited", "new": "1"})
    (repo / "lib" / "lib").touch()
    before = everything_but_objects(repo)
    working_copy(discover(repo))
    assert everything_but_objects(repo) == before


def test_without_changes_it_is_head(repo):
    assert working_copy(discover(repo)) == git(repo, "rev-parse", "HEAD")


def test_detached(repo):
    git(repo, "checkout", "-q", "--detach")
    dirty(repo)
    before = everything_but_objects(repo)
    working_copy(discover(repo))
    assert everything_but_objects(repo) == before


def test_what_the_user_hides_from_git_stays_hidden(repo):
    git(repo, "update-index", "--skip-worktree", "README.md")
    git(repo, "update-index", "--assume-unchanged", "src/app.py")
    repos.write(repo, {"README.md": "my password", "src/app.py": "mine", "new": "1"})
    commit = working_copy(discover(repo))
    assert git(repo, "diff-tree", "-r", "--name-only", "HEAD", commit) == "new"


def test_a_change_in_the_same_second_as_the_index_is_not_missed(repo):
    for number in range(5):
        repos.write(repo, {"README.md": f"old {number}\n"})
        git(repo, "add", "README.md")
        repos.write(repo, {"README.md": f"new {number}\n"})
        assert git(repo, "show", f"{working_copy(discover(repo))}:README.md") == f"new {number}"


def test_hooks_do_not_run(repo, tmp_path):
    dirty(repo)
    for name in ("pre-commit", "post-index-change", "reference-transaction"):
        repos.write(repo / ".git" / "hooks", {name: f"#!/bin/sh\ntouch {tmp_path}/{name}.ran\n"})
        (repo / ".git" / "hooks" / name).chmod(0o755)
    working_copy(discover(repo))
    assert not list(tmp_path.glob("*.ran"))


def test_an_index_in_the_environment_is_ignored(repo, tmp_path, monkeypatch):
    dirty(repo)
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "none"))
    assert git(repo, "show", f"{working_copy(discover(repo))}:.gitignore")
    assert not (tmp_path / "none").exists()


def test_unresolved_conflicts_are_refused(repo):
    git(repo, "checkout", "-q", "-b", "theirs")
    repos.commit(repo, {"README.md": "theirs"})
    git(repo, "checkout", "-q", "main")
    repos.commit(repo, {"README.md": "ours"})
    git(repo, "merge", "theirs", check=False)
    with pytest.raises(RepositoryError, match=r"README\.md has merge conflicts") as caught:
        working_copy(discover(repo))
    assert "--dirty" in caught.value.hint


def test_without_a_commit(tmp_path):
    with pytest.raises(RepositoryError, match="no commit yet"):
        working_copy(discover(repos.make_repo(tmp_path / "r", {})))


def test_a_large_file_is_refused_by_name(repo):
    repos.write(repo, {"big": bytes(2000)})
    with pytest.raises(TooLarge, match="big in"):
        working_copy(discover(repo), limit=1000)


def test_a_nested_repository_is_left_out(repo):
    git(repo, "init", "-q", "nested")
    repos.write(repo, {"nested/f": "1", "new": "1"})
    commit = working_copy(discover(repo))
    assert git(repo, "diff-tree", "-r", "--name-only", "HEAD", commit) == "new"
