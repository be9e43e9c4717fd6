from __future__ import annotations

import os

import pytest
from kit import repos
from kit.perms import python_bound_by_modes
from kit.repos import git
from kit.trees import AGENTS, BRANCH, files, make_tree

from smithers_git.edge.git import durable, ref_file
from smithers_git.edge.git.snapshot import snapshot
from smithers_git.errors import TooLarge


@pytest.fixture
def tree(repo, tmp_path):
    return make_tree(repo, tmp_path / "trees" / "main")


@pytest.fixture
def base(tree):
    return git(tree.path, "rev-parse", "HEAD")


def save(tree, base, message="saved"):
    return snapshot(tree, base, message, BRANCH)


def committed(tree, commit):
    """Mode and bytes of every file in the commit, as git archive writes them."""
    target = tree.path.parent / "exported"
    target.mkdir()
    git(tree.path, f"--work-tree={target}", "checkout", commit, "--", ".")
    git(tree.path, "reset", "-q")
    return files(target)


@pytest.mark.parametrize("agent", AGENTS)
def test_the_commit_holds_every_byte_whatever_an_agent_did(tree, base, agent):
    AGENTS[agent](tree.path)
    before = files(tree.path)
    saved = save(tree, base)
    assert files(tree.path) == before
    assert git(tree.path, "status", "--porcelain") == ""
    assert git(tree.path, "status").count("\n") < 2, "no merge, rebase or bisect is left"
    assert git(tree.path, "symbolic-ref", "HEAD") == BRANCH
    assert git(tree.path, "rev-parse", "HEAD") == saved.commit
    assert git(tree.path, "rev-parse", "HEAD^{tree}") == saved.tree
    assert not git(tree.path, "log", "--format=%h", f"{saved.commit}..{base}"), "the parent is in its history"
    assert committed(tree, saved.commit) == before


@pytest.mark.parametrize("agent", AGENTS)
def test_saving_again_changes_nothing(tree, base, agent):
    AGENTS[agent](tree.path)
    saved = save(tree, base)
    again = save(tree, saved.commit)
    assert (again.commit, again.changed) == (saved.commit, False)


def test_nothing_changed(tree, base):
    saved = save(tree, base)
    assert (saved.commit, saved.changed, saved.uncovered) == (base, False, [])
    assert saved.tree == git(tree.path, "rev-parse", f"{base}^{{tree}}")


def test_all_kinds_of_files(tree, base):
    repos.write(
        tree.path,
        {"bin/tool": "#!/bin/sh\n", "blob": bytes(range(256)), "empty": "", "ünï/名\nzwei ": "odd\n", "-dash": "1"},
    )
    (tree.path / "bin" / "tool").chmod(0o755)
    (tree.path / "link").symlink_to("nowhere")
    (tree.path / "README.md").unlink()
    os.mkfifo(tree.path / "pipe")
    (tree.path / os.fsdecode(b"latin\xe9")).write_text("1")
    repos.write(tree.path, {"x.log": "ignored", ".env": "SECRET=1"})
    saved = save(tree, base)
    names = git(tree.path, "ls-tree", "-rz", "--name-only", saved.commit).split("\0")[:-1]
    assert sorted(names) == sorted(
        [".gitignore", "-dash", "bin/tool", "blob", "empty", "latin\udce9", "link", "src/app.py", "ünï/名\nzwei "]
    )
    assert git(tree.path, "ls-tree", saved.commit, "bin/tool", "link").split("\n")[0].startswith("100755")
    assert git(tree.path, "ls-tree", saved.commit, "link").startswith("120000")
    assert (tree.path / "x.log").exists()


def test_an_executable_bit_alone_is_a_change(tree, base):
    (tree.path / "README.md").chmod(0o755)
    assert save(tree, base).changed


def test_commits_of_the_agent_are_the_history(tree, base):
    AGENTS["commits"](tree.path)
    mine = git(tree.path, "rev-parse", "HEAD")
    saved = save(tree, base)
    assert (saved.commit, saved.changed) == (mine, True)
    repos.write(tree.path, {"more": "1"})
    saved = save(tree, base)
    assert git(tree.path, "rev-parse", f"{saved.commit}^@").split() == [mine]


@pytest.mark.parametrize("agent", ["switches branch", "detaches"])
def test_commits_elsewhere_are_brought_home(tree, base, agent):
    AGENTS[agent](tree.path)
    mine = git(tree.path, "rev-parse", "HEAD")
    assert save(tree, base).commit == mine
    assert git(tree.path, "rev-parse", BRANCH) == mine


def test_an_amended_parent_becomes_a_second_one(tree, base):
    AGENTS["amends"](tree.path)
    mine = git(tree.path, "rev-parse", "HEAD")
    saved = save(tree, base)
    assert git(tree.path, "rev-parse", f"{saved.commit}^@").split() == [base, mine]


def test_commits_that_a_stopped_rebase_was_moving_stay_reachable(tree, base):
    AGENTS["leaves a rebase"](tree.path)
    ours = git(tree.path, "rev-parse", BRANCH)
    saved = save(tree, base)
    assert ours in git(tree.path, "rev-list", saved.commit).split()


def test_what_a_stopped_rebase_put_aside_stays_reachable(tree, base):
    AGENTS["leaves a merge"](tree.path)
    git(tree.path, "merge", "--abort")
    repos.write(tree.path, {"src/app.py": "uncommitted\n"})
    git(tree.path, "rebase", "--autostash", "theirs", check=False)
    saved = save(tree, base)
    kept = git(tree.path, "rev-list", saved.commit).split()
    assert any(git(tree.path, "show", f"{commit}:src/app.py") == "uncommitted" for commit in kept)


def test_commits_dropped_by_a_reset_are_not_invented_again(tree, base):
    AGENTS["resets"](tree.path)
    saved = save(tree, base)
    assert "b" not in git(tree.path, "ls-tree", "--name-only", saved.commit).split()


def test_a_file_added_with_force_is_saved(tree, base):
    repos.write(tree.path, {"forced.log": "1"})
    git(tree.path, "add", "-f", "forced.log")
    saved = save(tree, base)
    assert git(tree.path, "show", f"{saved.commit}:forced.log") == "1"


@pytest.mark.parametrize("commits", [False, True])
def test_a_nested_repository_is_reported_and_the_rest_is_saved(tree, base, commits):
    git(tree.path, "init", "-q", "lib/nested")
    repos.write(tree.path, {"lib/beside": "1", "lib/nested/inside": "1"})
    if commits:
        repos.commit(tree.path / "lib" / "nested", {"f": "1"})
    before = repos.contents(tree.path / "lib" / "nested")
    saved = save(tree, base)
    assert saved.uncovered == ["lib/nested/"]
    assert git(tree.path, "diff-tree", "-r", "--name-only", base, saved.commit) == "lib/beside"
    assert repos.contents(tree.path / "lib" / "nested") == before
    assert not save(tree, saved.commit).changed


def test_a_worktree_that_the_agent_made_inside_is_reported(tree, base):
    git(tree.path, "worktree", "add", "-q", "-b", "inner", "inner")
    repos.commit(tree.path / "inner", {"f": "1"})
    assert save(tree, base).uncovered == ["inner/"]


def test_by_the_user_never_signed(tree, base):
    git(tree.path, "config", "commit.gpgSign", "true")
    git(tree.path, "config", "gpg.program", "/bin/false")
    repos.write(tree.path, {"new": "1"})
    saved = save(tree, base, "Größe\n\nbody")
    assert git(tree.path, "log", "-1", "--format=%an <%ae> %cn|%B", saved.commit) == (
        "Ada Tester <ada@example.test> Ada Tester|Größe\n\nbody"
    )


def test_by_smithers_when_no_identity_is_configured(tree, base, home):
    (home / ".gitconfig").write_text("")
    repos.write(tree.path, {"new": "1"})
    saved = save(tree, base)
    assert git(tree.path, "log", "-1", "--format=%an <%ae> %cn", saved.commit) == (
        "smithers <smithers@localhost> smithers"
    )


def test_a_large_file_is_refused_by_name_and_nothing_is_written(tree, base):
    repos.write(tree.path, {"data/big file.bin": bytes(2000), "small": bytes(10)})
    before = repos.contents(tree.common_dir / "objects")
    with pytest.raises(TooLarge, match=r"data/big file\.bin in .* has 1.95 KiB, more than") as caught:
        snapshot(tree, base, "saved", BRANCH, limit=1000)
    assert f"echo '/data/big file.bin' >> {tree.path}/.gitignore" in caught.value.hint
    assert repos.contents(tree.common_dir / "objects") == before
    assert git(tree.path, "rev-parse", BRANCH) == base


def test_a_large_file_that_was_there_before_is_no_matter_until_it_changes(tree, base):
    repos.write(tree.path, {"big.bin": bytes(2000)})
    first = snapshot(tree, base, "saved", BRANCH).commit
    repos.write(tree.path, {"small": "1"})
    second = snapshot(tree, first, "saved", BRANCH, limit=1000).commit
    repos.write(tree.path, {"big.bin": bytes(2001)})
    with pytest.raises(TooLarge):
        snapshot(tree, second, "saved", BRANCH, limit=1000)


def test_a_large_file_in_a_commit_of_the_agent_is_refused_unless_the_user_has_it(tree, base):
    git(tree.path, "checkout", "-q", "-b", "theirs")
    theirs = repos.commit(tree.path, {"known.bin": bytes(3000)})
    git(tree.path, "checkout", "-q", BRANCH.removeprefix("refs/heads/"))
    git(tree.path, "merge", "-q", "--no-ff", theirs)
    merged = snapshot(tree, base, "saved", BRANCH, limit=1000)
    own = repos.commit(tree.path, {"a/big.bin": bytes(2000)})
    with pytest.raises(TooLarge, match=r"a/big\.bin, in a commit that was made in .* has 1.95 KiB") as caught:
        snapshot(tree, merged.commit, "saved", BRANCH, limit=1000)
    assert f"reset --soft {merged.commit[:12]}" in caught.value.hint
    assert git(tree.path, "rev-parse", "HEAD") == own, "nothing that the agent wrote is touched"


def test_a_branch_of_others_that_points_nowhere_stops_no_snapshot(repo, tree, base):
    """What a `git gc --prune=now` beside an engine leaves, when that is killed before it writes its commit again."""
    (repo / ".git/refs/heads/smithers/other").mkdir(parents=True)
    (repo / ".git/refs/heads/smithers/other/main").write_text("1" * 40 + "\n")
    repos.commit(tree.path, {"by-agent": "1"})
    saved = snapshot(tree, base, "saved", BRANCH, limit=1000)
    assert git(tree.path, "show", f"{saved.commit}:by-agent") == "1"


def test_a_large_file_behind_a_filter_is_saved_as_what_the_filter_makes(tree, base):
    git(tree.path, "config", "filter.lfs.clean", "sh -c 'cat >/dev/null; echo pointer'")
    repos.write(tree.path, {".gitattributes": "*.bin filter=lfs -text\n", "big.bin": bytes(2000)})
    saved = snapshot(tree, base, "saved", BRANCH, limit=1000)
    assert git(tree.path, "show", f"{saved.commit}:big.bin") == "pointer"


def test_files_and_folders_that_an_agent_closed_are_saved(tree, base):
    repos.write(tree.path, {"locked/in/a": "1", "secret": "2"})
    for name, mode in (("secret", 0o000), ("src", 0o000), ("locked/in", 0o000), ("locked", 0o000)):
        (tree.path / name).chmod(mode)
    commit = python_bound_by_modes(
        "import sys; from pathlib import Path\n"
        "from smithers_git.edge.git.checkout import Checkout\n"
        "from smithers_git.edge.git.snapshot import snapshot\n"
        "print(snapshot(Checkout(Path(sys.argv[1]), Path(sys.argv[2])), sys.argv[4], 'm', sys.argv[3]).commit)",
        tree.path, tree.git_dir, BRANCH, base,
    ).strip()  # fmt: skip
    assert git(tree.path, "diff-tree", "-r", "--name-only", base, commit).split() == ["locked/in/a", "secret"]


def test_another_repository_in_the_environment_changes_nothing(tree, base, tmp_path, monkeypatch):
    other = repos.make_repo(tmp_path / "other", {"x": "1"})
    before = repos.contents(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    repos.write(tree.path, {"new": "1"})
    saved = save(tree, base)
    monkeypatch.undo()
    assert git(tree.path, "show", f"{saved.commit}:new") == "1"
    assert repos.contents(other) == before


def test_every_object_reaches_the_disk_even_those_that_the_agent_wrote(tree, base, monkeypatch):
    AGENTS["stages"](tree.path)
    git(tree.path, "commit", "-qm", "by the agent, without fsync")
    synced = set()
    sync = durable.flush
    monkeypatch.setattr(durable, "flush", lambda path: (synced.add(str(path)), sync(path)))
    saved = save(tree, base)
    objects = tree.common_dir / "objects"
    new = git(tree.path, "rev-list", "--objects", "--no-object-names", saved.commit, f"^{base}").split()
    assert len(new) >= 6
    assert synced >= {str(objects / name[:2] / name[2:]) for name in new} | {str(objects / name[:2]) for name in new}


@pytest.mark.parametrize("by", ["us", "the agent"])
def test_the_branch_reaches_the_disk_with_the_folders_that_list_it(tree, base, monkeypatch, by):
    AGENTS["stages"](tree.path)
    if by == "the agent":
        git(tree.path, "add", "-A")
        git(tree.path, "commit", "-qm", "by the agent, whose git flushes no ref")
    synced = set()
    sync = durable.flush
    monkeypatch.setattr(ref_file, "flush", lambda path: (synced.add(str(path)), sync(path)))
    save(tree, base)
    place = tree.common_dir / BRANCH
    assert {str(place), str(place.parent), str(tree.common_dir / "refs" / "heads")} <= synced


def test_the_users_own_checkout_and_the_other_worktrees_stay(repo, tree, base, tmp_path):
    other = make_tree(repo, tmp_path / "trees" / "other", BRANCH.replace("main", "other"))
    repos.write(repo, {"README.md": "uncommitted"})
    before = [repos.contents(other.path), files(repo), (repo / ".git" / "index").read_bytes()]
    before.append(git(repo, "for-each-ref", "--exclude=" + BRANCH, check=False))
    AGENTS["edits"](tree.path)
    save(tree, base)
    after = [repos.contents(other.path), files(repo), (repo / ".git" / "index").read_bytes()]
    after.append(git(repo, "for-each-ref", "--exclude=" + BRANCH, check=False))
    assert after == before
