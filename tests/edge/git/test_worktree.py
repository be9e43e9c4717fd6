from __future__ import annotations

import multiprocessing
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import pytest
from kit import repos, workers
from kit.repos import git

from smithers_git.edge.git import worktree
from smithers_git.edge.git.repository import discover
from smithers_git.edge.git.restore import restore
from smithers_git.edge.lock import holding
from smithers_git.errors import RepositoryError, StorageError
from smithers_git.names import branch_ref

BRANCH = branch_ref("run", "main")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "run" / "main"


def make(repo, path, branch=BRANCH, commit=None):
    found = discover(repo)
    commit = commit or found.head
    checkout = worktree.add(found, path, branch, commit)
    restore(checkout, branch, commit)
    return checkout


def test_a_new_worktree_holds_the_commit_on_its_branch(repo, path):
    made = make(repo, path)
    assert made.path == path
    assert git(path, "status", "--porcelain") == ""
    assert git(path, "symbolic-ref", "HEAD") == BRANCH
    assert (path / "src" / "app.py").read_bytes() == (repo / "src" / "app.py").read_bytes()
    assert worktree.find(discover(repo), path) == made


def test_the_users_checkout_and_configuration_stay(repo, path):
    before = repos.contents(repo)
    make(repo, path)
    after = repos.contents(repo)
    changed = {name for name in before if before[name] != after[name]}
    new = {Path(name).parts[:2] for name in after.keys() - before.keys()}
    assert changed == set()
    assert new <= {(".git", "worktrees"), (".git", "refs"), (".git", "logs"), (".git", "smithers")}


def test_it_is_locked_with_a_reason_that_marks_it_as_ours(repo, path):
    make(repo, path)
    main, ours = worktree.listing(discover(repo))
    assert (main.path, main.branch, main.reason, main.ours) == (repo, "refs/heads/main", None, False)
    assert (ours.path, ours.branch, ours.ours) == (path, BRANCH, True)
    assert "run/main" in ours.reason


def test_prune_and_gc_of_the_user_do_not_hurt_one_whose_disk_is_away(repo, path):
    make(repo, path)
    path.rename(path.with_name("away"))
    git(repo, "worktree", "prune", "--expire=now")
    git(repo, "gc", "-q", "--prune=now")
    path.with_name("away").rename(path)
    assert git(path, "status", "--porcelain") == ""


def test_no_hook_runs(repo, path, tmp_path):
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        repos.write(repo / ".git" / "hooks", {name: f"#!/bin/sh\ntouch {tmp_path}/{name}.ran\n"})
        (repo / ".git" / "hooks" / name).chmod(0o755)
    make(repo, path)
    assert not list(tmp_path.glob("*.ran"))


def test_an_empty_folder_is_fine(repo, path):
    path.mkdir(parents=True)
    make(repo, path)


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_something_foreign_at_the_path_is_left_alone(repo, path, kind, tmp_path):
    if kind == "folder":
        repos.write(path, {"precious": "1"})
    elif kind == "file":
        repos.write(path.parent, {"main": "precious"})
    else:
        path.parent.mkdir(parents=True)
        path.symlink_to(tmp_path)
    before = repos.contents(tmp_path)
    with pytest.raises(StorageError, match="not an empty folder"):
        make(repo, path)
    after = repos.contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert git(repo, "branch", "--list", "smithers/*") == ""


def test_our_branch_is_moved_and_another_never(repo, path):
    first = git(repo, "rev-parse", "HEAD")
    second = repos.commit(repo, {"new": "1"})
    git(repo, "branch", "smithers/run/main", first)
    make(repo, path, BRANCH, second)
    assert git(repo, "rev-parse", BRANCH) == second
    git(repo, "branch", "feature", first)
    with pytest.raises(RepositoryError, match="feature exists and is not at"):
        make(repo, path.with_name("other"), "refs/heads/feature", second)
    assert git(repo, "rev-parse", "feature") == first


def test_a_named_branch_is_made_and_has_no_upstream(repo, path):
    git(repo, "config", "branch.autoSetupMerge", "always")
    make(repo, path, "refs/heads/feature")
    assert git(path, "symbolic-ref", "HEAD") == "refs/heads/feature"
    assert git(repo, "config", "--get-regexp", r"branch\.feature", check=False) == ""


def test_a_branch_that_the_user_has_checked_out_is_refused(repo, path):
    git(repo, "checkout", "-q", "-b", "smithers/run/main")
    with pytest.raises(RepositoryError, match=f"checked out in {repo}"):
        make(repo, path)


def test_a_branch_of_the_user_that_is_in_the_way_is_named(repo, path):
    git(repo, "branch", "smithers")
    with pytest.raises(RepositoryError, match="beside your branch smithers") as caught:
        make(repo, path)
    assert caught.value.hint == "rename yours: git branch -m smithers NEW-NAME"


def test_one_whose_folder_was_deleted_is_made_again(repo, path):
    make(repo, path)
    shutil.rmtree(path)
    make(repo, path)
    assert git(path, "status", "--porcelain") == ""
    assert len(worktree.listing(discover(repo))) == 2


def test_one_whose_folder_was_deleted_and_is_not_ours_is_not_forgotten(repo, path):
    git(repo, "worktree", "add", "-q", "-b", "side", str(path))
    shutil.rmtree(path)
    with pytest.raises(RepositoryError, match="smithers did not make"):
        make(repo, path)
    assert len(worktree.listing(discover(repo))) == 2


def test_a_repository_that_was_moved_gets_a_new_one_and_the_old_files_stay(repo, path, tmp_path):
    make(repo, path)
    repos.write(path, {"unsaved": "1"})
    moved = repo.rename(tmp_path / "moved")
    make(moved, tmp_path / "elsewhere" / "main")
    assert (path / "unsaved").exists()
    assert [info.path for info in worktree.listing(discover(moved))] == [moved, tmp_path / "elsewhere" / "main"]


def test_from_a_linked_worktree_and_with_git_dir_in_the_environment(repo, path, tmp_path, monkeypatch):
    git(repo, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    monkeypatch.setenv("GIT_DIR", str(repo / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(repo / ".git" / "index"))
    before = (repo / ".git" / "index").read_bytes()
    made = make(tmp_path / "linked", path)
    assert made.git_dir.parent == repo / ".git" / "worktrees"
    assert worktree.main_checkout(discover(tmp_path / "linked")).path == repo
    assert (repo / ".git" / "index").read_bytes() == before


def test_a_bare_repository_with_worktrees(repo, path, tmp_path):
    git(tmp_path, "clone", "-q", "--bare", str(repo), "bare.git")
    git(tmp_path / "bare.git", "worktree", "add", "-q", str(tmp_path / "linked"), "main")
    make(tmp_path / "linked", path)
    assert git(path, "status", "--porcelain") == ""
    assert worktree.main_checkout(discover(tmp_path / "linked")).path == tmp_path / "linked"


def test_paths_with_spaces_and_letters_beyond_ascii(tmp_path):
    repo = repos.make_repo(tmp_path / "mein Ordner ü")
    made = make(repo, tmp_path / "state ß" / "run" / "main")
    assert worktree.find(discover(repo), made.path) == made
    assert [info.path for info in worktree.listing(discover(repo))] == [repo, made.path]


def test_ten_at_once_from_ten_processes(repo, path):
    git(repo, "config", "branch.autoSetupMerge", "always")  # what makes git itself fail in parallel
    context = multiprocessing.get_context("spawn")
    makers = [context.Process(target=workers.add_worktree, args=(repo, path, number)) for number in range(10)]
    for worker in makers:
        worker.start()
    for worker in makers:
        worker.join(120)
    assert [worker.exitcode for worker in makers] == [0] * 10
    for number in range(10):
        assert git(path / str(number), "status", "--porcelain") == ""


def test_sparse_patterns_are_inherited(repo, path):
    repos.commit(repo, {"docs/a": "1", "other/b": "1"})
    git(repo, "sparse-checkout", "set", "docs")
    make(repo, path)
    assert sorted(entry.name for entry in path.iterdir() if entry.is_dir()) == ["docs"]
    assert git(path, "status", "--porcelain") == ""


def test_removed_when_its_files_are_in_the_commit(repo, path):
    make(repo, path)
    repos.write(path, {"build/ignored": "1"})
    (path / "build").chmod(0o500)
    assert worktree.remove(discover(repo), path, BRANCH, git(repo, "rev-parse", "HEAD"))
    assert not path.exists()
    assert [info.path for info in worktree.listing(discover(repo))] == [repo]
    assert git(repo, "rev-parse", BRANCH)


@pytest.mark.parametrize("left", ["changed", "untracked", "committed", "hidden", "nested", "deleted"])
def test_not_removed_when_something_would_be_lost(repo, path, left):
    make(repo, path)
    if left == "changed":
        repos.write(path, {"README.md": "x"})
    elif left == "untracked":
        repos.write(path, {"new": "x"})
    elif left == "committed":
        repos.commit(path, {"new": "x"})
        git(path, "rm", "-q", "new")
        git(path, "commit", "-qm", "back to the same files")
    elif left == "hidden":
        git(path, "update-index", "--assume-unchanged", "README.md")
        repos.write(path, {"README.md": "x"})
    elif left == "nested":
        git(path, "init", "-q", "nested")
    else:
        (path / "README.md").unlink()
    before = repos.contents(path)
    assert not worktree.remove(discover(repo), path, BRANCH, git(repo, "rev-parse", "HEAD"))
    assert repos.contents(path) == before


def test_not_removed_when_somebody_wrote_there_while_another_worktree_was_made(repo, path):
    make(repo, path)
    found, base = discover(repo), git(repo, "rev-parse", "HEAD")
    with ThreadPoolExecutor() as pool:
        with holding(found.smithers_dir / "worktrees.lock", 60):
            removed = pool.submit(worktree.remove, found, path, BRANCH, base)
            sleep(0.5)  # it has looked, and waits
            repos.write(path, {"new": "x"})
        assert not removed.result()
    assert (path / "new").read_text() == "x"


def test_one_that_is_not_there_is_not_removed(repo, path):
    assert not worktree.remove(discover(repo), path, BRANCH, git(repo, "rev-parse", "HEAD"))


def test_pruning_forgets_ours_below_the_root_and_no_others(repo, path, tmp_path):
    gone, kept, elsewhere, foreign = path, path.with_name("kept"), tmp_path / "else", path.with_name("foreign")
    for number, place in enumerate((gone, kept, elsewhere)):
        make(repo, place, branch_ref("run", f"s{number}"))
    git(repo, "worktree", "add", "-q", "-b", "side", str(foreign))
    for place in (gone, elsewhere, foreign):
        shutil.rmtree(place)
    assert worktree.prune(discover(repo), path.parent) == [gone]
    assert {info.path for info in worktree.listing(discover(repo))} == {repo, kept, elsewhere, foreign}
