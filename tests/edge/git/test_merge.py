"""Candidates one by one: what git's settings, attributes and oddities do to them."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from kit import repos
from kit.repos import commit, contents, git

from smithers_git.edge.git import merge as module
from smithers_git.edge.git.merge import Candidate, Clash, Merger
from smithers_git.edge.git.merge_text import LIMIT
from smithers_git.edge.git.objects import Objects
from smithers_git.edge.git.repository import discover

MOMENT = 1_700_000_000
LINES = "".join(f"line {number}\n" for number in range(12))


@pytest.fixture
def repo(tmp_path):
    return repos.make_repo(tmp_path / "repo", {"a.txt": LINES, "b.txt": "b\n"})


def merger(repo):
    return Merger(discover(repo), Objects(repo / ".git"), lambda text: text.startswith("snapshot"))


def branch(repo, name, *changes, start="main"):
    """A branch with a commit of each of `changes` (message or None, files); main is checked out afterwards."""
    git(repo, "checkout", "-q", "-b", name, start)
    for number, files in enumerate(changes):
        commit(repo, files, f"{name} {number}")
    git(repo, "checkout", "-q", "main")
    return git(repo, "rev-parse", name)


def candidate(repo, head, style="merge", onto="main"):
    def message(tree, original):
        return f"{(original or 'new').rstrip()}\n\nSmithers-Tree: {tree}"

    return merger(repo).candidate(git(repo, "rev-parse", onto), head, style, message, MOMENT)


def shown(repo, made, path):
    assert isinstance(made, Candidate), made
    return git(repo, "show", f"{made.commit}:{path}")


def edited(number, text):
    return LINES.replace(f"line {number}\n", text + "\n")


# -- commits


def test_a_merge_says_who_when_and_from_what_and_is_the_same_again(repo):
    head = branch(repo, "side", {"a.txt": edited(1, "one")})
    main = commit(repo, {"a.txt": edited(9, "nine")})
    made = candidate(repo, head)
    assert shown(repo, made, "a.txt") == edited(9, "nine").replace("line 1\n", "one\n").rstrip("\n")
    assert git(repo, "show", "-s", "--format=%P|%an <%ae> %at|%cn <%ce> %ct|%B", made.commit).rstrip() == (
        f"{main} {head}|Ada Tester <ada@example.test> {MOMENT}|Ada Tester <ada@example.test> {MOMENT}|"
        f"new\n\nSmithers-Tree: {made.trees[0]}"
    )
    assert candidate(repo, head) == made
    assert git(repo, "fsck", "--strict", "--no-dangling") == ""


def test_without_an_identity_smithers_is_the_author(repo, home):
    head = branch(repo, "side", {"c.txt": "c\n"})
    (home / ".gitconfig").write_text("")
    made = candidate(repo, head, "squash")
    assert git(repo, "show", "-s", "--format=%an %ae", made.commit) == "Smithers smithers@localhost"


def test_a_rebase_keeps_authors_messages_and_empty_commits(repo):
    git(repo, "checkout", "-qb", "side")
    commit(repo, {"a.txt": edited(1, "one")})
    git(repo, "commit", "-q", "--amend", "--author=Eve <eve@x>", "--date=1600000000 +0130", "-m", "first: ü\n\nbody")
    git(repo, "commit", "-q", "--allow-empty", "-m", "empty on purpose")
    git(repo, "checkout", "-q", "main")
    main = commit(repo, {"b.txt": "other\n"})
    made = candidate(repo, git(repo, "rev-parse", "side"), "rebase")
    rows = git(repo, "log", "--reverse", "--format=%an <%ae> %ad %s %cn %ct", "--date=raw", f"{main}..{made.commit}")
    assert rows.splitlines()[0] == f"Eve <eve@x> 1600000000 +0130 first: ü Ada Tester {MOMENT}"
    assert "empty on purpose" in rows.splitlines()[1]
    assert made.trees[0] == made.trees[1]


def test_a_commit_that_the_target_took_over_is_left_out(repo):
    head = branch(repo, "side", {"a.txt": edited(1, "one")}, {"c.txt": "c\n"})
    git(repo, "cherry-pick", "side~1")
    onto = commit(repo, {"a.txt": edited(1, "one, and then more")})
    made = candidate(repo, head, "rebase")
    assert isinstance(made, Candidate)
    assert len(made.trees) == 1
    assert merger(repo).lost(head, onto, made.commit) == []


def test_snapshots_that_follow_each_other_become_one_commit(repo):
    git(repo, "checkout", "-qb", "side")
    for message in ("snapshot 1", "snapshot 2", "by the agent", "snapshot 3"):
        commit(repo, {f"{message}.txt": message}, message)
    git(repo, "checkout", "-q", "main")
    onto = commit(repo, {"b.txt": "other\n"})
    made = candidate(repo, git(repo, "rev-parse", "side"), "rebase")
    assert git(repo, "log", "--reverse", "--format=%s", f"{onto}..{made.commit}").split("\n") == [
        "new", "by the agent", "new",
    ]  # fmt: skip
    assert shown(repo, made, "snapshot 2.txt") == "snapshot 2"


def test_a_snapshot_that_joins_two_lines_keeps_what_both_brought(repo):
    head = branch(repo, "side", {"one.txt": "1\n"})
    elsewhere = branch(repo, "elsewhere", {"two.txt": "2\n"})
    git(repo, "checkout", "-q", "side")
    git(repo, "merge", "-q", "--no-ff", "-m", "snapshot of both", "elsewhere")
    git(repo, "checkout", "-q", "main")
    onto = commit(repo, {"b.txt": "other\n"})
    made = candidate(repo, git(repo, "rev-parse", "side"), "rebase")
    assert (shown(repo, made, "one.txt"), shown(repo, made, "two.txt")) == ("1", "2")
    assert git(repo, "log", "--format=%s", f"{onto}..{made.commit}").split("\n") == ["new", "side 0"]
    assert head != elsewhere


def test_a_rebase_that_would_lose_what_a_merge_changed_is_refused(repo):
    branch(repo, "side", {"one.txt": "1\n"})
    onto = commit(repo, {"b.txt": "other\n"})
    git(repo, "checkout", "-q", "side")
    git(repo, "merge", "-q", "--no-commit", "main")
    head = commit(repo, {"hidden.txt": "only in the merge\n"})
    git(repo, "checkout", "-q", "main")
    made = candidate(repo, head, "rebase")
    assert isinstance(made, Clash)
    assert made.paths == ("hidden.txt",)
    assert "leaves out merge commits" in made.text
    assert shown(repo, candidate(repo, head, "squash"), "hidden.txt") == "only in the merge"
    assert merger(repo).contained(head, onto)


@pytest.mark.parametrize("style", ["merge", "squash", "rebase"])
def test_a_change_that_is_there_already_moves_nothing(repo, style):
    head = branch(repo, "side", {"a.txt": edited(1, "one")})
    git(repo, "merge", "-q", "--no-ff", "-m", "m", "side")
    assert merger(repo).contained(git(repo, "rev-parse", "main"), head)
    assert candidate(repo, head, style) == Candidate(git(repo, "rev-parse", "main"), ())


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
@pytest.mark.parametrize("style", ["merge", "rebase"])
def test_commits_are_signed_when_git_signs(repo, tmp_path, style):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    public = (tmp_path / "key.pub").read_text()
    (tmp_path / "allowed").write_text(f"ada@example.test {public}")
    head = branch(repo, "side", {"a.txt": edited(1, "one")})
    commit(repo, {"b.txt": "other\n"})
    for name, value in (
        ("commit.gpgSign", "true"), ("gpg.format", "ssh"), ("user.signingKey", tmp_path / "key.pub"),
        ("gpg.ssh.allowedSignersFile", tmp_path / "allowed"),
    ):  # fmt: skip
        git(repo, "config", name, str(value))
    made = candidate(repo, head, style)
    git(repo, "verify-commit", made.commit)
    assert git(repo, "show", "-s", "--format=%G? %an %ct", made.commit) == f"G Ada Tester {MOMENT}"


def test_a_candidate_is_flushed_whole_before_it_may_land(repo, monkeypatch):
    head = branch(repo, "side", {"a.txt": edited(1, "one")})
    onto = commit(repo, {"b.txt": "other\n"})
    asked = []
    monkeypatch.setattr(module, "sync_objects", lambda checkout, new, old: asked.append((new, old)))
    made = candidate(repo, head)
    merger(repo).secure(made, onto)
    assert asked == [(made.commit, onto)]


def test_nothing_of_the_users_changes(repo):
    head = branch(repo, "side", {"a.txt": edited(1, "one")})
    commit(repo, {"b.txt": "other\n", ".gitattributes": "*.txt merge=union\n"})
    (repo / "b.txt").write_text("not committed\n")

    def users_own():
        return {name: what for name, what in contents(repo).items() if not name.startswith(".git/objects")}

    before = users_own()
    for style in ("merge", "squash", "rebase"):
        assert isinstance(candidate(repo, head, style), Candidate)
    assert users_own() == before


# -- conflicts


def test_a_clash_shows_both_sides_and_the_base(repo):
    head = branch(repo, "side", {"a.txt": edited(5, "theirs")})
    commit(repo, {"a.txt": edited(5, "ours")})
    for style in ("merge", "squash", "rebase"):
        made = candidate(repo, head, style)
        assert isinstance(made, Clash)
        assert made.paths == ("a.txt",)
        assert "<<<<<<< target\nours\n||||||| base\nline 5\n=======\ntheirs\n>>>>>>> change\n" in made.text
        assert "line 4\n<<<" in made.text


def test_a_clash_of_other_things_is_said_in_words(repo):
    commit(repo, {"pic.bin": b"\0one", "gone.txt": LINES})
    head = branch(repo, "side", {"pic.bin": b"\0two", "gone.txt": LINES + "more\n"})
    git(repo, "rm", "-q", "gone.txt")
    onto = commit(repo, {"pic.bin": b"\0three"})
    made = candidate(repo, head)
    assert made.paths == ("gone.txt", "pic.bin")
    assert "deleted in target and modified in change" in made.text
    assert "+more" in made.text
    assert "pic.bin" in made.text
    assert onto not in made.text
    assert head not in made.text


def test_the_text_of_a_large_clash_has_a_bound(repo):
    head = branch(repo, "side", {"a.txt": "theirs\n" * 5000})
    commit(repo, {"a.txt": "ours\n" * 5000})
    made = candidate(repo, head)
    assert len(made.text) < LIMIT + 100
    assert "characters more" in made.text


def test_histories_without_a_common_commit_clash(repo):
    git(repo, "checkout", "-q", "--orphan", "other")
    head = commit(repo, {"new.txt": "x\n"})
    git(repo, "checkout", "-q", "main")
    made = candidate(repo, head)
    assert isinstance(made, Clash)
    assert "no commit in common" in made.text


# -- settings


@pytest.mark.parametrize("place", ["", "docs/"])
@pytest.mark.parametrize("style", ["merge", "rebase"])
def test_attributes_of_the_target_rule_wherever_the_user_is(repo, place, style):
    commit(repo, {"docs/log.md": "one\n", f"{place}.gitattributes": "*.md merge=union\n"})
    head = branch(repo, "side", {"docs/log.md": "one\ntheirs\n"})
    commit(repo, {"docs/log.md": "one\nours\n"})
    git(repo, "checkout", "-q", "--detach", "main~2")  # no attributes here
    assert shown(repo, candidate(repo, head, style), "docs/log.md") == "one\nours\ntheirs"


def test_attributes_of_the_users_checkout_do_not_count(repo):
    head = branch(repo, "side", {"a.txt": edited(5, "theirs")})
    commit(repo, {"a.txt": edited(5, "ours")})
    (repo / ".gitattributes").write_text("*.txt merge=union\n")
    assert isinstance(candidate(repo, head), Clash)


def test_a_merge_driver_runs_beside_the_files_of_the_target(repo):
    script = "#!/bin/sh\ncat b.txt > $2\n"
    commit(repo, {"driver.sh": script, ".gitattributes": "a.txt merge=own\n"})
    (repo / "driver.sh").chmod(0o755)
    commit(repo, {"b.txt": "said by b\n"})
    git(repo, "config", "merge.own.driver", "./driver.sh %O %A %B")
    head = branch(repo, "side", {"a.txt": edited(5, "theirs")})
    onto = commit(repo, {"a.txt": edited(5, "ours")})
    made = candidate(repo, head)
    assert shown(repo, made, "a.txt") == "said by b"
    assert merger(repo).lost(head, onto, made.commit) == []


def test_line_ends_are_made_equal_when_git_is_told_to(repo):
    head = branch(repo, "side", {"a.txt": edited(5, "theirs").replace("\n", "\r\n")})
    commit(repo, {".gitattributes": "*.txt text\n", "a.txt": edited(9, "ours")})
    assert isinstance(candidate(repo, head), Clash)
    git(repo, "config", "merge.renormalize", "true")
    git(repo, "config", "core.autocrlf", "true")
    assert "theirs" in shown(repo, candidate(repo, head), "a.txt")


def test_a_sparse_checkout_has_no_influence(repo):
    commit(repo, {"far/deep.txt": LINES})
    head = branch(repo, "side", {"far/deep.txt": edited(1, "one")})
    commit(repo, {"far/deep.txt": edited(9, "nine")})
    whole = candidate(repo, head)
    git(repo, "sparse-checkout", "set", "near")
    assert not (repo / "far").exists()
    assert candidate(repo, head) == whole


def test_a_file_whose_name_changes_case_only_keeps_the_changes_of_both(repo):
    git(repo, "checkout", "-qb", "side")
    git(repo, "mv", "a.txt", "A.txt")
    head = commit(repo, {"A.txt": edited(1, "one")})
    git(repo, "checkout", "-q", "main")
    commit(repo, {"a.txt": edited(9, "nine")})
    made = candidate(repo, head)
    assert shown(repo, made, "A.txt") == edited(9, "nine").replace("line 1\n", "one\n").rstrip("\n")
    assert "a.txt" not in git(repo, "ls-tree", "--name-only", made.commit).split()


def test_a_submodule_goes_to_the_newer_of_two_commits_as_in_a_checkout(repo, tmp_path):
    sub = repos.make_repo(tmp_path / "sub")
    first = git(sub, "rev-parse", "HEAD")
    older, newer = commit(sub, {"x": "1"}), commit(sub, {"x": "2"})
    git(repo, "-c", "protocol.file.allow=always", "submodule", "add", "-q", "--name", "s", str(sub), "vendor/s")
    for name, there in (("main", first), ("side", newer)):
        if name == "side":
            git(repo, "checkout", "-qb", name)
        git(repo / "vendor/s", "checkout", "-q", there)
        git(repo, "commit", "-qam", f"at {there}")
    git(repo, "checkout", "-q", "main")
    git(repo / "vendor/s", "checkout", "-q", older)
    git(repo, "commit", "-qam", "older")
    made = candidate(repo, git(repo, "rev-parse", "side"))
    assert isinstance(made, Candidate), made
    assert git(repo, "rev-parse", f"{made.commit}:vendor/s") == newer


# -- what must not get lost


def test_a_lost_change_is_named(repo):
    head = branch(repo, "side", {"a.txt": edited(1, "one"), "c.txt": "c\n"})
    onto = commit(repo, {"b.txt": "other\n"})
    wrong = commit(repo, {"c.txt": "c\n"})
    assert merger(repo).lost(head, onto, wrong) == ["a.txt"]
    assert merger(repo).lost(head, onto, onto) == ["a.txt", "c.txt"]
