from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from kit import repos
from kit.perms import python_bound_by_modes
from kit.repos import git
from kit.trees import AGENTS, BRANCH, files, make_tree

from smithers_git.edge.git.restore import restore
from smithers_git.edge.git.snapshot import snapshot


@pytest.fixture
def tree(repo, tmp_path):
    repos.write(repo, {"bin/tool": "#!/bin/sh\n", "blob": bytes(range(256)), "empty": "", "naïve\nname": "odd\n"})
    (repo / "bin" / "tool").chmod(0o755)
    (repo / "link").symlink_to("README.md")
    (repo / "dangling").symlink_to("nowhere")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "all kinds")
    return make_tree(repo, tmp_path / "trees" / "main")


@pytest.fixture
def base(tree):
    return git(tree.path, "rev-parse", "HEAD")


@pytest.mark.parametrize("agent", AGENTS)
def test_every_byte_is_back_whatever_an_agent_did(tree, base, agent):
    before = files(tree.path)
    AGENTS[agent](tree.path)
    restore(tree, BRANCH, base)
    assert files(tree.path) == before
    assert git(tree.path, "rev-parse", "--absolute-git-dir") == str(tree.git_dir)
    assert git(tree.path, "status", "--porcelain") == ""
    assert git(tree.path, "status").count("\n") < 2, "no merge, rebase or bisect is left"
    assert git(tree.path, "symbolic-ref", "HEAD") == BRANCH
    assert git(tree.path, "rev-parse", BRANCH) == base


@pytest.mark.parametrize("agent", AGENTS)
def test_back_and_forth_between_two_snapshots(tree, base, agent):
    AGENTS[agent](tree.path)
    after = files(tree.path)
    saved = snapshot(tree, base, "saved", BRANCH)
    restore(tree, BRANCH, base)
    restore(tree, BRANCH, saved.commit)
    assert files(tree.path) == after


def test_modes_links_and_kinds(tree, base):
    before = files(tree.path)
    (tree.path / "bin" / "tool").chmod(0o644)
    (tree.path / "README.md").chmod(0o755)
    (tree.path / "link").unlink()
    repos.write(tree.path, {"link": "now a file"})
    (tree.path / "blob").write_bytes(b"\0")
    restore(tree, BRANCH, base)
    assert files(tree.path) == before


def test_ignored_files_stay(tree, base):
    repos.write(tree.path, {"build/out": "1", "x.log": "1", "new/y.log": "1", "new/z": "1"})
    restore(tree, BRANCH, base)
    assert (tree.path / "build" / "out").exists()
    assert (tree.path / "x.log").exists()
    assert (tree.path / "new" / "y.log").exists()
    assert not (tree.path / "new" / "z").exists()


def test_empty_folders_go(tree, base):
    (tree.path / "a" / "b").mkdir(parents=True)
    restore(tree, BRANCH, base)
    assert not (tree.path / "a").exists()


def test_empty_folders_go_at_any_depth_but_those_of_other_repositories_and_of_ignored_files_stay(tree, base):
    for name in ("a/b", "bin/c/d/e", "new/f"):
        (tree.path / name).mkdir(parents=True)
    repos.write(tree.path, {"new/y.log": "1"})
    git(tree.path, "init", "-q", "nested")
    (tree.path / "nested" / "g").mkdir()
    (tree.path / "away").symlink_to(tree.path.parent)
    before = files(tree.path / "nested")
    restore(tree, BRANCH, base)
    assert not any((tree.path / name).exists() for name in ("a", "bin/c", "new/f"))
    assert (tree.path / "new" / "y.log").exists()
    assert (tree.path / "nested" / "g").is_dir()
    assert files(tree.path / "nested") == before


def test_what_somebody_writes_while_the_files_are_put_back_stays(tree, base, tmp_path, monkeypatch):
    """As it does behind a killed engine: the last git that this one had begun goes on for a moment."""
    late, wrapper = tree.path / "new" / "late.txt", tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(
        f'#!/bin/sh\n{shutil.which("git")} "$@"\ncode=$?\n'
        f'case "$*" in *" status "*) mkdir -p {late.parent}; echo mine > {late};; esac\nexit $code\n'
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}")
    restore(tree, BRANCH, base)
    assert late.read_text() == "mine\n"


def test_what_no_snapshot_holds_is_moved_beside_and_not_deleted(tree, base):
    repos.write(tree.path, {".gitignore": "notes/\n", "notes/idea": "precious"})
    snapshot(tree, base, "saved", BRANCH)
    restore(tree, BRANCH, base)
    assert not (tree.path / "notes").exists()
    shelf = tree.path.parent / ".main.kept"
    assert (shelf / "1" / "notes" / "idea").read_text() == "precious"
    repos.write(tree.path, {"more": "2"})
    restore(tree, BRANCH, base)
    assert (shelf / "2" / "more").read_text() == "2"


def test_a_repository_that_replaced_the_link_is_kept_beside(tree, base):
    AGENTS["replaces .git"](tree.path)
    mine = git(tree.path, "rev-parse", "HEAD")
    restore(tree, BRANCH, base)
    assert git(tree.path.parent / ".main.kept" / "1", "rev-parse", "HEAD") == mine


def test_a_nested_repository_stays_and_is_reported(tree, base):
    git(tree.path, "init", "-q", "nested")
    repos.commit(tree.path / "nested", {"f": "1"})
    before = repos.contents(tree.path / "nested")
    assert restore(tree, BRANCH, base) == ["nested/"]
    assert repos.contents(tree.path / "nested") == before


def test_a_parent_repository_is_never_touched(repo, tmp_path):
    git(tmp_path, "init", "-q")
    repos.write(tmp_path, {"trees/precious": "1"})
    tree = make_tree(repo, tmp_path / "trees" / "main")
    (tree.path / ".git").unlink()
    restore(tree, BRANCH, git(repo, "rev-parse", "HEAD"))
    assert (tmp_path / "trees" / "precious").exists()
    assert git(tree.path, "rev-parse", "--absolute-git-dir") == str(tree.git_dir)


def test_no_hook_runs(tree, base, tmp_path):
    for name in ("post-checkout", "reference-transaction", "post-index-change", "pre-commit", "post-commit"):
        repos.write(tree.common_dir / "hooks", {name: f"#!/bin/sh\ntouch {tmp_path}/{name}.ran\n"})
        (tree.common_dir / "hooks" / name).chmod(0o755)
    repos.write(tree.path, {"README.md": "x", "new": "y"})
    saved = snapshot(tree, base, "saved", BRANCH)
    restore(tree, BRANCH, base)
    restore(tree, BRANCH, saved.commit)
    assert not list(tmp_path.glob("*.ran"))


def test_filters_and_line_ends_are_respected(repo, tmp_path):
    git(repo, "config", "filter.upper.clean", "tr a-z A-Z")
    git(repo, "config", "filter.upper.smudge", "tr A-Z a-z")
    git(repo, "config", "core.autocrlf", "true")
    repos.commit(repo, {".gitattributes": "*.up filter=upper -text\n", "a.up": "hello\n", "text": "one\r\ntwo\r\n"})
    git(repo, "config", "core.safecrlf", "true")
    tree = make_tree(repo, tmp_path / "main")
    base = git(repo, "rev-parse", "HEAD")
    assert (tree.path / "a.up").read_text() == "hello\n"
    assert (tree.path / "text").read_bytes() == b"one\r\ntwo\r\n"
    repos.write(tree.path, {"a.up": "changed\n", "text": "mixed\r\nends\n"})
    saved = snapshot(tree, base, "saved", BRANCH)
    assert git(repo, "show", f"{saved.commit}:a.up") == "CHANGED"
    assert git(repo, "show", f"{saved.commit}:text") == "mixed\nends"
    restore(tree, BRANCH, base)
    assert (tree.path / "a.up").read_text() == "hello\n"
    restore(tree, BRANCH, saved.commit)
    assert (tree.path / "a.up").read_text() == "changed\n"


def test_a_submodule_goes_back_to_the_recorded_commit_without_network(repo, tmp_path):
    library = repos.make_repo(tmp_path / "library", {"lib": "1"})
    git(repo, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "lib")
    git(repo, "commit", "-qm", "submodule")
    base = git(repo, "rev-parse", "HEAD")
    tree = make_tree(repo, tmp_path / "main")
    assert list((tree.path / "lib").iterdir()) == []
    git(tree.path, "-c", "protocol.file.allow=always", "submodule", "update", "-q", "--init")
    recorded = git(tree.path / "lib", "rev-parse", "HEAD")
    newer = repos.commit(tree.path / "lib", {"lib": "2"})
    saved = snapshot(tree, base, "saved", BRANCH)
    assert newer in git(repo, "ls-tree", saved.commit, "lib")
    assert saved.uncovered == ["lib/"]
    library.rename(tmp_path / "unreachable")
    restore(tree, BRANCH, base)
    assert git(tree.path / "lib", "rev-parse", "HEAD") == recorded
    restore(tree, BRANCH, saved.commit)
    assert git(tree.path / "lib", "rev-parse", "HEAD") == newer


def test_a_sparse_worktree_stays_sparse(repo, tmp_path):
    base = repos.commit(repo, {"docs/a": "1", "other/b": "1"})
    git(repo, "sparse-checkout", "set", "docs")
    tree = make_tree(repo, tmp_path / "main")
    for agent in ("edits", "corrupts the index", "deletes the index"):
        if agent == "edits":
            repos.write(tree.path, {"docs/a": "x", "other/new": "y"})
        else:
            (tree.git_dir / "index").write_bytes(b"DIRC rubbish")
        restore(tree, BRANCH, base)
        assert sorted(files(tree.path)) == [".gitignore", "README.md", "docs/a"]
        assert git(tree.path, "status", "--porcelain") == ""


def test_an_edit_outside_the_sparse_patterns_is_saved_and_undone(repo, tmp_path):
    base = repos.commit(repo, {"docs/a": "1", "other/b": "1"})
    git(repo, "sparse-checkout", "set", "docs")
    tree = make_tree(repo, tmp_path / "main")
    repos.write(tree.path, {"other/b": "edited"})
    saved = snapshot(tree, base, "saved", BRANCH)
    assert git(repo, "show", f"{saved.commit}:other/b") == "edited"
    restore(tree, BRANCH, base)
    assert not (tree.path / "other" / "b").exists()
    assert git(tree.path, "status", "--porcelain") == ""


def test_folders_that_an_agent_closed(tree, base):
    before = files(tree.path)
    repos.write(tree.path, {"src/app.py": "x", "locked/in/a": "1", "secret": "1"})
    for name, mode in (("secret", 0o000), ("src", 0o500), ("locked/in", 0o000), ("locked", 0o500)):
        (tree.path / name).chmod(mode)
    python_bound_by_modes(
        "import sys; from pathlib import Path\n"
        "from smithers_git.edge.git.checkout import Checkout\n"
        "from smithers_git.edge.git.restore import restore\n"
        "restore(Checkout(Path(sys.argv[1]), Path(sys.argv[2])), *sys.argv[3:])",
        tree.path, tree.git_dir, BRANCH, base,
    )  # fmt: skip
    assert files(tree.path) == before


def test_a_lock_of_a_git_that_is_still_at_work_is_waited_for(tree, base):
    hook = tree.common_dir / "hooks" / "pre-commit"
    repos.write(hook.parent, {"pre-commit": "#!/bin/sh\ntouch started\nsleep 1.5\n"})
    hook.chmod(0o755)
    repos.write(tree.path, {"README.md": "1"})
    with subprocess.Popen(["git", "commit", "-qam", "slow"], cwd=tree.path) as committing:
        while not (tree.path / "started").exists():
            assert committing.poll() is None
        saved = snapshot(tree, base, "saved", BRANCH)
        assert committing.wait(10) == 0
    assert git(tree.path, "log", "--format=%s", f"{base}..{saved.commit}").split("\n")[-1] == "slow"


@pytest.mark.parametrize("head", [b"", b"0" * 40 + b"\n", b"\0" * 20], ids=["empty", "zeros", "torn"])
def test_a_head_that_says_nothing_is_put_back(tree, base, head):
    """Zeros are what a `git worktree add` that is killed leaves, the others a power loss."""
    (tree.git_dir / "HEAD").write_bytes(head)
    assert snapshot(tree, base, "saved", BRANCH).commit == base
    assert git(tree.path, "symbolic-ref", "HEAD") == BRANCH
