from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kit import repos
from kit.perms import python_bound_by_modes
from kit.repos import git

from smithers_git.edge.git import clearance, follow
from smithers_git.edge.git.repository import discover
from smithers_git.errors import GitError, RefMoved

MAIN = "refs/heads/main"


@pytest.fixture
def old(repo):
    (repo / "bin").mkdir()
    repos.write(repo, {"bin/tool": "#!/bin/sh\n", "gone.txt": "soon\n", "a/b/c": "1\n"})
    (repo / "link").symlink_to("README.md")
    return repos.commit(repo, {})


@pytest.fixture
def new(repo, old, tmp_path):
    """A commit after `old` that nothing has checked out, with all kinds of changes."""
    side = tmp_path / "side"
    git(repo, "worktree", "add", "-q", "--detach", str(side), old)
    (side / "gone.txt").unlink()
    (side / "bin" / "tool").chmod(0o755)
    (side / "link").unlink()
    (side / "link").symlink_to("src/app.py")
    shutil.rmtree(side / "a")
    commit = repos.commit(side, {"README.md": "# New\n", "added/x": "x\n", "a": "a file now\n"})
    git(repo, "worktree", "remove", str(side))
    return commit


def the_checkout(repo):
    (found,) = follow.checkouts(discover(repo), MAIN)
    return found


def land(repo, old, new):
    """What a landing does: look, move, follow."""
    found = discover(repo)
    checkout = the_checkout(repo)
    assert clearance.obstacle(checkout, old, new) is None
    follow.move(found, MAIN, old, new, "landed")
    return follow.follow(checkout, old, new)


def put_in_place(repo, new, tmp_path, names):
    """Write these files as a checkout of `new` does, and no index."""
    other = tmp_path / "other"
    git(repo, "worktree", "add", "-q", "--detach", str(other), new)
    for name in names:
        (repo / name).unlink(missing_ok=True)
        (repo / name).parent.mkdir(exist_ok=True)
        shutil.copy2(other / name, repo / name, follow_symlinks=False)
    git(repo, "worktree", "remove", str(other))


def same_as_merged(repo, old, new, tmp_path):
    """Whether files and index are as after `git merge --ff-only` in a clone that was at `old`."""
    other = tmp_path / "merged"
    git(tmp_path, "clone", "-q", "--no-local", str(repo), str(other))
    git(other, "reset", "-q", "--hard", old)
    git(other, "merge", "-q", "--ff-only", new)
    names = git(other, "ls-files").splitlines()
    mine, theirs = repos.contents(repo), repos.contents(other)
    return {n: mine.get(n) for n in names} == {n: theirs[n] for n in names} and (
        git(repo, "ls-files", "--stage") == git(other, "ls-files", "--stage")
    )


@pytest.mark.parametrize("written", [[], ["README.md"]], ids=["whole", "cut off"])
def test_whatever_writes_the_index_of_the_user_flushes_it(repo, old, new, monkeypatch, written):
    log, wrapper = repo.parent / "log", repo.parent / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {shutil.which("git")} "$@"\n')
    wrapper.chmod(0o755)
    os.utime(repo / "README.md", (1, 1))  # so that the refresh has something to write
    follow.move(discover(repo), MAIN, old, new, "landed")
    put_in_place(repo, new, repo.parent, written)
    monkeypatch.setenv("PATH", f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}")
    assert follow.follow(the_checkout(repo), old, new) is None
    calls = log.read_text().splitlines()
    wrote = [call for call in calls if "update-index" in call or ("read-tree" in call and " -n " not in call)]
    assert any("--index-info" in call for call in wrote) == bool(written)
    assert all("core.fsync=loose-object,pack,pack-metadata,reference,index" in call for call in wrote), wrote


# -- the branch


def test_the_branch_moves_only_from_where_it_is(repo, old, new):
    found = discover(repo)
    with pytest.raises(RefMoved, match="somebody moved it"):
        follow.move(found, MAIN, new, old, "no")
    assert git(repo, "rev-parse", MAIN) == old
    follow.move(found, MAIN, old, new, "smithers: landed it")
    assert git(repo, "rev-parse", MAIN) == new
    assert git(repo, "reflog", "-1", "--format=%gs", MAIN) == "smithers: landed it"
    assert git(repo, "reflog", "-1", "--format=%gs", "HEAD") == "smithers: landed it"


def test_a_branch_is_made_only_when_it_is_not_there(repo, old):
    found = discover(repo)
    follow.move(found, "refs/heads/smithers/integration", None, old, "made")
    assert git(repo, "rev-parse", "smithers/integration") == old
    with pytest.raises(RefMoved):
        follow.move(found, "refs/heads/smithers/integration", None, old, "made")


def test_a_branch_that_is_gone_has_moved(repo, old, new):
    with pytest.raises(RefMoved, match="at no commit"):
        follow.move(discover(repo), "refs/heads/never", old, new, "x")


def test_a_locked_branch_is_no_moved_branch(repo, old, new, monkeypatch):
    monkeypatch.setattr("smithers_git.edge.git.command._PAUSES", (0.01,))
    (repo / ".git" / "refs" / "heads" / "main.lock").touch()
    with pytest.raises(GitError, match="lock") as caught:
        follow.move(discover(repo), MAIN, old, new, "x")
    assert not isinstance(caught.value, RefMoved)


def test_the_head_of_a_linked_worktree_gets_its_entry(repo, old, new, tmp_path):
    git(repo, "switch", "-q", "--detach")
    git(repo, "worktree", "add", "-q", str(tmp_path / "linked"), "main")
    follow.move(discover(repo), MAIN, old, new, "landed")
    assert git(tmp_path / "linked", "reflog", "-1", "--format=%gs", "HEAD") == "landed"
    assert git(repo, "reflog", "-1", "--format=%gs", "HEAD") != "landed"


# -- who has it checked out


def test_the_checkouts_of_a_branch(repo, old, tmp_path):
    linked = tmp_path / "linked"
    git(repo, "worktree", "add", "-q", "-b", "side", str(linked))
    git(repo, "worktree", "add", "-q", "--detach", str(tmp_path / "detached"))
    for start in (repo, linked):
        found = discover(start)
        assert [one.path for one in follow.checkouts(found, MAIN)] == [repo]
        assert [one.path for one in follow.checkouts(found, "refs/heads/side")] == [linked]
        assert follow.checkouts(found, "refs/heads/none") == []


def test_a_worktree_whose_folder_is_gone_is_no_obstacle_unless_somebody_locked_it(repo, old, new, tmp_path):
    for name, options in (("gone", ()), ("away", ("--lock", "--reason", "on a stick"))):
        git(repo, "worktree", "add", "-q", *options, "-b", name, str(tmp_path / name))
        shutil.rmtree(tmp_path / name)
    found = discover(repo)
    assert follow.checkouts(found, "refs/heads/gone") == []
    (away,) = follow.checkouts(found, "refs/heads/away")
    why = clearance.obstacle(away, old, new)
    assert f"git worktree unlock {tmp_path / 'away'}" in why


def test_a_locked_worktree_that_is_there_follows(repo, old, new, tmp_path):
    git(repo, "switch", "-q", "--detach")
    linked = tmp_path / "linked"
    git(repo, "worktree", "add", "-q", "--lock", str(linked), "main")
    assert land(repo, old, new) is None
    assert git(linked, "status", "--porcelain") == ""
    assert (linked / "README.md").read_text() == "# New\n"


@pytest.mark.parametrize("operation", ["rebase", "bisect"])
def test_a_branch_that_is_being_rebased_or_bisected_counts_as_checked_out(repo, old, new, operation):
    if operation == "rebase":
        git(repo, "branch", "other")
        repos.commit(repo, {"README.md": "mine\n"})
        git(repo, "branch", "-f", "other", new)
        git(repo, "rebase", "other", check=False)
    else:
        repos.commit(repo, {"x": "1"})
        repos.commit(repo, {"y": "1"})
        git(repo, "bisect", "start", "HEAD", "HEAD~2")
    (found,) = follow.checkouts(discover(repo), MAIN)
    assert "not finished" in clearance.obstacle(found, old, new)


# -- following


def test_files_index_and_status_are_as_after_a_fast_forward(repo, old, new, tmp_path):
    assert land(repo, old, new) is None
    assert git(repo, "status", "--porcelain") == ""
    assert same_as_merged(repo, old, new, tmp_path)


def test_following_twice_is_following_once(repo, old, new):
    assert land(repo, old, new) is None
    before = repos.contents(repo)
    assert follow.follow(the_checkout(repo), old, new) is None
    assert repos.contents(repo) == before


def test_work_that_began_after_it_had_followed_is_left_alone(repo, old, new):
    assert land(repo, old, new) is None
    repos.write(repo, {"README.md": "my next change\n"})
    git(repo, "add", "-A")
    assert follow.follow(the_checkout(repo), old, new) is None
    assert (repo / "README.md").read_text() == "my next change\n"


def test_ignored_and_untracked_files_elsewhere_are_fine_and_stay(repo, old, new):
    repos.write(repo, {"notes.txt": "mine", "x.log": "mine", "added-too/y": "mine", ".env": "S=1"})
    assert land(repo, old, new) is None
    assert {(repo / n).read_text() for n in ("notes.txt", "x.log", "added-too/y")} == {"mine"}


def test_a_file_that_was_only_touched_is_no_change(repo, old, new):
    os.utime(repo / "README.md", (1_600_000_000, 1_600_000_000))
    assert land(repo, old, new) is None


OBSTACLES = {
    "an edit": (lambda r: repos.write(r, {"README.md": "mine\n"}), "uncommitted changes in README.md"),
    "an edit elsewhere": (lambda r: repos.write(r, {".gitignore": "mine\n"}), "uncommitted changes in .gitignore"),
    "a deletion": (lambda r: (r / "src" / "app.py").unlink(), "uncommitted changes in src/app.py"),
    "a mode": (lambda r: (r / "README.md").chmod(0o755), "uncommitted changes in README.md"),
    "a staged edit": (
        lambda r: (repos.write(r, {"README.md": "mine\n"}), git(r, "add", "-A")),
        "staged there in README.md",
    ),
    "a staged file": (lambda r: (repos.write(r, {"n": "mine\n"}), git(r, "add", "n")), "staged there in n"),
    "an intent to add": (lambda r: (repos.write(r, {"n": "mine\n"}), git(r, "add", "-N", "n")), "staged there in n"),
    "an untracked file in the way": (lambda r: repos.write(r, {"added/x": "mine\n"}), "move added/x out"),
    "an untracked file for a folder": (lambda r: repos.write(r, {"added": "mine\n"}), "move added out"),
    "an untracked folder for a file": (lambda r: repos.write(r, {"added/x/y": "mine\n"}), "move added/x/y out"),
    "an ignored file in the way": (
        lambda r: (repos.write(r, {"added/x": "mine\n"}), repos.write(r, {".git/info/exclude": "added\n"})),
        "move added/x out",
    ),
    "an untracked file in a folder that goes": (lambda r: repos.write(r, {"a/b/mine": "mine\n"}), "move a/b/mine out"),
    "a dangling link in the way": (
        lambda r: ((r / "added").mkdir(), (r / "added" / "x").symlink_to("nowhere")),
        "move added/x out",
    ),
    "a link for a folder": (lambda r: (r / "added").symlink_to("src"), "move added out"),
    "a hidden edit": (
        lambda r: (git(r, "update-index", "--assume-unchanged", "README.md"), repos.write(r, {"README.md": "mine\n"})),
        "git would refuse: Entry 'README.md' not uptodate",
    ),
    "a merge": (lambda r: repos.write(r, {".git/MERGE_HEAD": git(r, "rev-parse", "HEAD") + "\n"}), "a merge is not"),
    "a dead git": (lambda r: repos.write(r, {".git/index.lock": ""}), "rm "),
}


@pytest.mark.parametrize("kind", OBSTACLES)
def test_an_obstacle_is_named_and_nothing_is_touched(repo, old, new, kind):
    make, words = OBSTACLES[kind]
    make(repo)
    before = repos.contents(repo)
    times = {name: (repo / name).lstat().st_mtime_ns for name in before}
    why = clearance.obstacle(the_checkout(repo), old, new)
    assert why is not None
    assert words in why
    assert str(repo) in why, "it says what to type"
    assert repos.contents(repo) == before
    assert {name: (repo / name).lstat().st_mtime_ns for name in before} == times


def test_a_look_leaves_an_index_alone_that_git_would_like_to_refresh(repo, old, new):
    os.utime(repo / "README.md", (1_600_000_000, 1_600_000_000))
    before = (repo / ".git" / "index").read_bytes()
    assert clearance.obstacle(the_checkout(repo), old, new) is None
    assert (repo / ".git" / "index").read_bytes() == before


@pytest.mark.parametrize("kind", sorted(OBSTACLES))
def test_a_change_made_between_look_and_follow_survives(repo, old, new, kind):
    """The branch has moved by then; what the user has there stays, and the answer says how to go on."""
    make, _ = OBSTACLES[kind]
    follow.move(discover(repo), MAIN, old, new, "landed")
    if kind == "a merge":
        repos.write(repo, {".git/MERGE_HEAD": old + "\n"})
    else:
        make(repo)
    before = repos.contents(repo)
    why = follow.follow(the_checkout(repo), old, new)
    after = repos.contents(repo)
    mine = {name: what for name, what in before.items() if what[1].startswith(b"mine")}
    assert {name: after.get(name) for name in mine} == mine
    if why is not None:
        assert f"read-tree -m -u {old} {new}" in why
        assert {n: w for n, w in after.items() if not n.startswith(".git/")} == {
            n: w for n, w in before.items() if not n.startswith(".git/")
        }


def test_what_the_answer_says_to_type_brings_both_changes_together(repo, old, new):
    follow.move(discover(repo), MAIN, old, new, "landed")
    repos.write(repo, {"README.md": "# Sample\nmy line\n", "added/x": "mine\n"})
    why = follow.follow(the_checkout(repo), old, new)
    assert why
    commands = why.partition("yours: ")[2]
    done = subprocess.run(["/bin/sh", "-c", commands], cwd=repo.parent, capture_output=True, text=True)
    text = (repo / "README.md").read_text()
    assert "# New" in text, done.stderr
    assert "my line" in text
    assert (repo / "added" / "x").read_text() == "x\n"
    assert (repo / "added" / "x.mine").read_text() == "mine\n"
    assert not (repo / "gone.txt").exists()


# -- cut off half-way


@pytest.mark.parametrize("written", [["README.md"], ["added/x"], ["README.md", "added/x", "link", "bin/tool"], []])
def test_a_second_call_completes_what_a_kill_cut_off(repo, old, new, tmp_path, written):
    """The index is written last: after a kill it is the old one, and some files are new."""
    checkout = the_checkout(repo)
    follow.move(discover(repo), MAIN, old, new, "landed")
    put_in_place(repo, new, tmp_path, written)
    (repo / "gone.txt").unlink()
    assert follow.follow(checkout, old, new) is None
    assert git(repo, "status", "--porcelain") == ""
    assert same_as_merged(repo, old, new, tmp_path)


def test_a_file_that_was_cut_off_in_the_middle_is_named(repo, old, new):
    follow.move(discover(repo), MAIN, old, new, "landed")
    repos.write(repo, {"README.md": "# Ne"})
    why = follow.follow(the_checkout(repo), old, new)
    assert why
    assert "README.md" in why
    assert (repo / "README.md").read_text() == "# Ne"


def test_a_filter_that_fails_once_is_made_up_for_by_the_next_call(repo, old, tmp_path):
    flag = tmp_path / "broken"
    script = tmp_path / "smudge"
    script.write_text(f"#!{sys.executable} -IS\nimport os, sys\n"
                      f"if os.path.exists({str(flag)!r}): sys.exit(1)\n"
                      "sys.stdout.write(sys.stdin.read().upper())\n")  # fmt: skip
    script.chmod(0o755)
    git(repo, "config", "filter.loud.smudge", str(script))
    git(repo, "config", "filter.loud.clean", "tr A-Z a-z")
    git(repo, "config", "filter.loud.required", "true")
    base = repos.commit(repo, {".gitattributes": "*.loud filter=loud\n"})
    commit = repos.commit(repo, {"m.loud": "hello\n", "a.txt": "a\n", "z.txt": "z\n"})
    git(repo, "reset", "-q", "--hard", base)
    flag.touch()
    follow.move(discover(repo), MAIN, base, commit, "landed")
    why = follow.follow(the_checkout(repo), base, commit)
    assert why
    assert "git refuses" in why
    flag.unlink()
    assert follow.follow(the_checkout(repo), base, commit) is None
    assert (repo / "m.loud").read_text() == "HELLO\n"
    assert git(repo, "status", "--porcelain") == ""


def test_a_git_that_is_killed_while_it_writes_leaves_a_lock_and_the_rest_can_be_completed(repo, old, tmp_path):
    script, flag = tmp_path / "smudge", tmp_path / "deadly"
    script.write_text(f"#!{sys.executable} -IS\nimport os, sys\n"
                      f"if os.path.exists({str(flag)!r}): os.kill(os.getppid(), 9)\n"
                      "sys.stdout.write(sys.stdin.read())\n")  # fmt: skip
    script.chmod(0o755)
    git(repo, "config", "filter.deadly.smudge", str(script))
    base = repos.commit(repo, {".gitattributes": "*.deadly filter=deadly\n", "a.txt": "a\n"})
    commit = repos.commit(repo, {"a.txt": "b\n", "b.txt": "b\n", "m.deadly": "m\n", "z.txt": "z\n"})
    git(repo, "reset", "-q", "--hard", base)
    follow.move(discover(repo), MAIN, base, commit, "landed")
    flag.touch()
    assert "git refuses" in follow.follow(the_checkout(repo), base, commit)
    flag.unlink()
    lock = repo / ".git" / "index.lock"
    assert (repo / "a.txt").read_text() == "b\n", "it was cut off in the middle"
    assert f"rm {lock}" in follow.follow(the_checkout(repo), base, commit)
    lock.unlink()
    assert follow.follow(the_checkout(repo), base, commit) is None
    assert git(repo, "status", "--porcelain") == ""


DAMAGES = {
    "rubbish": lambda whole: b"DIRC rubbish",
    "zeros": lambda whole: bytes(len(whole)),
    "cut off": lambda whole: whole[:100],  # git does not notice, and takes files out of it that never were
    "zeros within": lambda whole: whole[:100] + bytes(120) + whole[220:],
}


def typed(said):
    """Type what an answer says to type."""
    subprocess.run(["sh", "-ec", said], check=True, capture_output=True)


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_index_of_the_user_is_named_left_alone_and_can_be_made_anew(repo, old, new, kind):
    index = repo / ".git" / "index"
    torn = DAMAGES[kind](index.read_bytes())
    index.write_bytes(torn)
    repos.write(repo, {".gitignore": "mine\n"})
    why = clearance.obstacle(the_checkout(repo), old, new)
    assert why.startswith("its index is damaged: ")
    assert index.read_bytes() == torn
    typed(why.removeprefix("its index is damaged: ").partition(" makes ")[0])
    assert "uncommitted changes in .gitignore" in clearance.obstacle(the_checkout(repo), old, new)


@pytest.mark.parametrize("kind", DAMAGES)
def test_an_index_that_is_damaged_behind_the_move_is_an_answer_and_no_error(repo, old, new, kind):
    index = repo / ".git" / "index"
    torn = DAMAGES[kind](index.read_bytes())
    index.write_bytes(torn)
    follow.move(discover(repo), MAIN, old, new, "landed")
    why = follow.follow(the_checkout(repo), old, new)
    assert index.read_bytes() == torn
    assert (repo / "README.md").read_text() == "# Sample\n"
    typed(why.removeprefix("its index is damaged: "))
    assert git(repo, "status", "--porcelain") == ""
    assert (repo / "README.md").read_text() == "# New\n"


def test_a_checkout_that_could_not_follow_is_told_from_one_with_staged_changes_and_can_catch_up(repo, old, new):
    repos.write(repo, {"README.md": "mine\n"})
    follow.move(discover(repo), MAIN, old, new, "landed")
    assert "README.md there is yours" in follow.follow(the_checkout(repo), old, new)
    why = clearance.obstacle(the_checkout(repo), new, old)
    assert why.startswith(f"it has not followed to {new[:12]} yet: ")
    assert "README.md there is yours" in follow.catch_up(the_checkout(repo), new)
    assert (repo / "README.md").read_text() == "mine\n"
    git(repo, "checkout", old, "--", "README.md")
    assert follow.catch_up(the_checkout(repo), new) is None
    assert (repo / "README.md").read_text() == "# New\n"
    assert git(repo, "status", "--porcelain") == ""
    git(repo, "read-tree", "-m", "-u", new, old)
    assert follow.catch_up(the_checkout(repo), new) is None
    assert "yet" not in clearance.obstacle(the_checkout(repo), new, old), "it is the user's this time"


@pytest.mark.parametrize("how", ["by hand", "moved on"])
def test_a_checkout_that_somebody_took_care_of_is_left_alone(repo, old, new, how):
    repos.write(repo, {"README.md": "mine\n"})
    follow.move(discover(repo), MAIN, old, new, "landed")
    assert follow.follow(the_checkout(repo), old, new)
    git(repo, "checkout", old, "--", "README.md")
    if how == "by hand":
        git(repo, "read-tree", "-m", "-u", old, new)
    else:
        git(repo, "commit", "-q", "-m", "take it back")
    tip, before = git(repo, "rev-parse", "HEAD"), repos.contents(repo / "src")
    assert follow.catch_up(the_checkout(repo), tip) is None
    assert git(repo, "status", "--porcelain") == ""
    assert repos.contents(repo / "src") == before
    assert follow.catch_up(the_checkout(repo), new) is None


@pytest.mark.parametrize("damaged", [False, True])
def test_what_is_taken_up_leaves_the_index_of_the_user(repo, old, new, damaged):
    git(repo, "update-index", "--assume-unchanged", "src/app.py")
    index = repo / ".git" / "index"
    if damaged:
        index.write_bytes(index.read_bytes()[:100])
    before = index.read_bytes()
    follow.move(discover(repo), MAIN, old, new, "landed")
    (repo / "README.md").write_text("# N", "utf-8")
    follow.take_up(the_checkout(repo), old, new)
    assert (repo / "README.md").read_text() == "# New\n"
    assert index.read_bytes() == before


FOLLOW = """
import sys
from pathlib import Path
from smithers_git.edge.git import clearance, follow
from smithers_git.edge.git.repository import discover
(one,) = follow.checkouts(discover(Path(sys.argv[1])), "refs/heads/main")
print(follow.follow(one, sys.argv[2], sys.argv[3]))
"""


@pytest.mark.parametrize("folder", ["bin", "src"])
def test_a_folder_that_cannot_be_written_is_told_and_made_up_for(repo, old, folder, tmp_path):
    commit = repos.commit(repo, {"bin/tool": "#!/bin/sh\ntrue\n", "a/b/c": "2\n", "z": "z\n"})
    (repo / "src" / "app.py").unlink()
    commit = repos.commit(repo, {})
    git(repo, "reset", "-q", "--hard", old)
    follow.move(discover(repo), MAIN, old, commit, "landed")
    (repo / folder).chmod(0o555)
    why = python_bound_by_modes(FOLLOW, repo, old, commit)
    (repo / folder).chmod(0o755)
    assert {"bin": "bin/tool", "src": "src/app.py"}[folder] in why
    assert str(repo) in why, "it says what to type"
    assert follow.follow(the_checkout(repo), old, commit) is None
    left = {"bin": "", "src": "?? src/app.py"}[folder]  # git lets go of what it cannot remove
    assert git(repo, "status", "--porcelain", "-uall") == left


# -- kinds of repositories


def test_a_filter_and_line_ends_apply(repo, old, tmp_path):
    git(repo, "config", "filter.rot.smudge", "tr a-y b-z")
    git(repo, "config", "filter.rot.clean", "tr b-z a-y")
    base = repos.commit(repo, {".gitattributes": "*.rot filter=rot\n*.win eol=crlf\n"})
    commit = repos.commit(repo, {"x.rot": "bcd\n", "x.win": "one\r\ntwo\r\n"})
    git(repo, "reset", "-q", "--hard", base)
    assert land(repo, base, commit) is None
    assert (repo / "x.rot").read_text() == "bcd\n"
    assert git(repo, "cat-file", "blob", "HEAD:x.rot") == "abc"
    assert (repo / "x.win").read_bytes() == b"one\r\ntwo\r\n"
    assert git(repo, "status", "--porcelain") == ""


@pytest.mark.parametrize("options", [["--cone"], ["--cone", "--sparse-index"], ["--no-cone"]])
def test_a_sparse_checkout_stays_sparse(repo, old, options):
    base = repos.commit(repo, {"src/a/1": "1\n", "docs/1": "1\n"})
    commit = repos.commit(repo, {"src/a/1": "2\n", "docs/1": "2\n", "docs/2": "2\n"})
    git(repo, "reset", "-q", "--hard", base)
    git(repo, "sparse-checkout", "set", *options, "src")
    assert land(repo, base, commit) is None
    assert (repo / "src" / "a" / "1").read_text() == "2\n"
    assert not (repo / "docs").exists()
    assert git(repo, "status", "--porcelain") == ""


def test_a_rename_of_case_only(repo, old):
    git(repo, "mv", "README.md", "tmp")
    git(repo, "mv", "tmp", "Readme.md")
    commit = repos.commit(repo, {})
    git(repo, "reset", "-q", "--hard", old)
    assert land(repo, old, commit) is None
    assert "Readme.md" in os.listdir(repo)  # noqa: PTH208 - the spelling counts
    assert git(repo, "status", "--porcelain") == ""


def test_submodules_stay_where_they_are_and_are_no_obstacle(repo, old, tmp_path):
    lib = repos.make_repo(tmp_path / "lib", {"l": "1\n"})
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(lib), "lib")
    base = repos.commit(repo, {})
    first = git(repo / "lib", "rev-parse", "HEAD")
    second = repos.commit(lib, {"l": "2\n"})
    git(repo / "lib", "fetch", "-q")
    git(repo / "lib", "checkout", "-q", second)
    commit = repos.commit(repo, {"README.md": "x\n"})
    git(repo, "reset", "-q", "--hard", base)
    git(repo / "lib", "checkout", "-q", first)
    repos.write(repo, {"lib/l": "edited inside\n"})
    assert land(repo, base, commit) is None
    assert git(repo / "lib", "rev-parse", "HEAD") == first
    assert (repo / "lib" / "l").read_text() == "edited inside\n"
    assert git(repo, "ls-files", "--stage", "lib").split()[1] == second


def test_names_that_need_care(repo, old):
    names = {"naïve\nname": "1\n", "-dash": "1\n", "a b": "1\n", b"\xff\xfe".decode("utf-8", "surrogateescape"): "1\n"}
    commit = repos.commit(repo, names)
    git(repo, "reset", "-q", "--hard", old)
    assert land(repo, old, commit) is None
    assert git(repo, "status", "--porcelain") == ""
    git(repo, "reset", "-q", "--hard", old)
    repos.write(repo, {"naïve\nname": "mine"})
    assert "naïve\nname" in clearance.obstacle(the_checkout(repo), old, commit)


def test_the_folder_of_the_user_may_be_a_linked_worktree(repo, old, new, tmp_path):
    git(repo, "switch", "-q", "--detach")
    linked = tmp_path / "linked"
    git(repo, "worktree", "add", "-q", str(linked), "main")
    before = repos.contents(repo / "src")
    assert land(linked, old, new) is None
    assert git(linked, "status", "--porcelain") == ""
    assert repos.contents(repo / "src") == before
    assert Path(linked, "a").read_text() == "a file now\n"
