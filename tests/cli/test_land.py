"""`smithers land`, `queue` and `verify` on real repositories: what lands, what does not, and what is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit import queues, repos
from kit.queues import GATE, branch, entries
from kit.repos import git
from kit.runs import Smithers

from smithers_git.core import codec, receipt
from smithers_git.core.landing import events as ev
from smithers_git.core.receipt import Pass, Receipt
from smithers_git.edge.git import follow
from smithers_git.service.landing.line import open_ledger
from smithers_git.service.project import Project


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = queues.make_repo(tmp_path / "repo")
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def smithers(repo: Path, capsys: pytest.CaptureFixture[str]) -> Smithers:
    return Smithers(repo, capsys)


def land(smithers: Smithers, name: str, *more: str, code: int = 0):
    return smithers.json("land", name, *GATE, *more, code=code)


# -- home


def test_a_branch_lands_as_a_merge_of_the_tested_tree_and_the_checkout_follows(smithers: Smithers, repo: Path):
    base, head = git(repo, "rev-parse", "main"), branch(repo, "fix", {"new.txt": "new\n"})
    said = land(smithers, "fix")
    tip = git(repo, "rev-parse", "main")
    assert (said["landed"], said["commit"]) == (True, tip)
    assert git(repo, "log", "-1", "--format=%P", "main").split() == [base, head]
    assert (repo / "new.txt").read_text() == "new\n"
    assert git(repo, "status", "--porcelain") == ""
    assert (
        git(repo, "rev-parse", "main^{tree}")
        == git(repo, "log", "-1", "--format=%(trailers:key=Smithers-Tree,valueonly)").strip()
    )
    assert smithers.json("verify", "main")["ok"] is True


@pytest.mark.parametrize("style", ["squash", "rebase"])
def test_a_linear_style_puts_commits_with_one_parent_on_the_target(smithers: Smithers, repo: Path, style: str):
    branch(repo, "fix", {"new.txt": "new\n"})
    tip = repos.commit(repo, {"other.txt": "x\n"})
    land(smithers, "fix", "--style", style)
    assert git(repo, "log", "-1", "--format=%P", "main") == tip
    assert git(repo, "show", "main:new.txt") == "new"
    subject = git(repo, "log", "-1", "--format=%s", "main")
    assert subject == "work of fix"
    assert smithers.json("verify", f"{tip}..main")["ok"] is True


def test_every_commit_that_a_rebase_puts_on_the_target_was_tested(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"one.txt": "1\n"})
    git(repo, "checkout", "-q", "fix")
    repos.commit(repo, {"two.txt": "2\n"}, "second")
    git(repo, "checkout", "-q", "main")
    base = git(repo, "rev-parse", "main")
    land(smithers, "fix", "--style", "rebase")
    found = smithers.json("verify", f"{base}..main", "--strict")
    assert [one["subject"] for one in found["commits"]] == ["work of fix", "second"]
    assert all(one["verdict"] == "verified" and one["gates"] for one in found["commits"])


def test_landing_twice_is_impossible(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"new.txt": "new\n"})
    first = land(smithers, "fix")
    again = land(smithers, "fix")
    assert again["landed"] is True
    assert git(repo, "rev-parse", "main") == first["commit"]


def test_a_run_lands_on_the_branch_that_it_began_on(smithers: Smithers, repo: Path):
    run = smithers.up("-i", '{"prompt": "Add x"}', body='    return Task("t", run="echo x > x.txt")\n')
    said = land(smithers, run)
    assert said["onto"] == "main"
    assert (repo / "x.txt").read_text() == "x\n"
    message = git(repo, "log", "-1", "--format=%B", "main")
    assert message.startswith("Add x\n\n")
    assert f"Smithers-Run: {run}\n" in message


def test_frames_never_show_in_the_history(smithers: Smithers, repo: Path):
    run = smithers.up("-i", '{"prompt": "Add x"}', body='    return Task("t", run="echo x > x.txt")\n')
    land(smithers, run, "--style", "squash")
    assert "frame" not in git(repo, "log", "--format=%s", "main")
    assert len(git(repo, "log", "--format=%h", "main").split()) == 2


# -- back


def test_a_red_gate_refuses_with_its_log_and_nothing_moves(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"red": "", "new.txt": "x"})
    before = repos.contents(repo / ".git" / "refs" / "heads"), git(repo, "status", "--porcelain", "--branch")
    said = land(smithers, "fix", code=1)
    assert (said["landed"], said["reason"]) == (False, "red")
    assert before == (repos.contents(repo / ".git" / "refs" / "heads"), git(repo, "status", "--porcelain", "--branch"))
    one = smithers.json("queue", "--all")[0]["entries"][0]
    assert "red is there" in git(repo, "show", f"refs/smithers/queue/main:{one['evidence']}")


def test_a_red_verdict_was_confirmed_on_the_same_tree(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"red": ""})
    land(smithers, "fix", code=1)
    runs = [runs for key, runs in queues.state(repo).runs.items() if runs.failed]
    assert [one.failed for one in runs] == [2]


def test_a_gate_that_is_red_once_is_a_flake_and_lands(smithers: Smithers, repo: Path, tmp_path: Path):
    branch(repo, "fix", {"new.txt": "x"})
    flaky = f"test -e {tmp_path}/seen || {{ touch {tmp_path}/seen; exit 1; }}"
    said = smithers.json("land", "fix", "--gate", flaky)
    assert said["landed"] is True
    assert smithers.json("queue", "--all")[0]["flakes"] == {flaky: 1}


def test_a_red_target_blames_nobody(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"new.txt": "x"})
    repos.commit(repo, {"red": ""})
    said = land(smithers, "fix", code=3)
    assert said["landed"] is False
    assert "red on the target itself" in said["message"]
    assert entries(repo)["fix"].status == "waiting"


def test_a_conflict_comes_back_with_the_hunks_of_both_sides(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"a.txt": "mine\n"})
    tip = repos.commit(repo, {"a.txt": "theirs\n"})
    said = land(smithers, "fix", code=1)
    assert said["reason"] == "conflict"
    assert git(repo, "rev-parse", "main") == tip
    one = entries(repo)["fix"]
    text = git(repo, "show", f"refs/smithers/queue/main:{one.evidence}")
    assert "mine" in text
    assert "theirs" in text


def test_a_gate_that_cannot_start_is_never_red(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"new.txt": "x"})
    said = smithers.json("land", "fix", "--gate", "no-such-program-at-all", code=1)
    assert said["reason"] == "broken"
    assert [(runs.failed, runs.broken) for runs in queues.state(repo).runs.values()] == [(0, 3)]


def test_a_branch_that_was_moved_after_it_entered_is_refused(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"new.txt": "x"})
    repos.commit(repo, {"red": ""})  # a red target: the entry stays in the line
    land(smithers, "fix", code=3)
    git(repo, "update-ref", "refs/heads/fix", "main")
    git(repo, "rm", "-q", "red")
    git(repo, "commit", "-qm", "green again")
    branch(repo, "other", {"y.txt": "y"})
    land(smithers, "other")
    one = entries(repo)["fix"]
    assert (one.status, one.reason) == ("refused", "moved")
    assert "x" not in git(repo, "ls-tree", "--name-only", "main").split()


# -- the target


def test_a_dirty_checkout_is_left_alone_and_the_message_says_what_to_type(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"new.txt": "x\n"})
    (repo / "a.txt").write_text("my own edit\n")
    tip = git(repo, "rev-parse", "main")
    said = land(smithers, "fix", code=3)
    assert git(repo, "rev-parse", "main") == tip
    assert (repo / "a.txt").read_text() == "my own edit\n"
    assert "a.txt" in said["message"]
    assert "git -C" in said["message"]
    assert "a.txt" in smithers.json("queue")[0]["entries"][0]["blocker"]
    git(repo, "commit", "-qam", "mine")
    assert land(smithers, "fix")["landed"] is True
    assert (repo / "a.txt").read_text() == "my own edit\n"
    assert (repo / "new.txt").read_text() == "x\n"


@pytest.mark.parametrize("again", ["fix", "other"])
def test_a_checkout_that_could_not_follow_does_so_with_the_next_land(
    smithers: Smithers, repo: Path, monkeypatch: pytest.MonkeyPatch, again: str
):
    branch(repo, "fix", {"a.txt": "changed\n"})
    branch(repo, "other", {"b.txt": "new\n"})
    move = follow.move

    def meanwhile(*args: Any) -> None:
        move(*args)
        repos.write(repo, {"a.txt": "mine\n"})

    with monkeypatch.context() as patch:
        patch.setattr(follow, "move", meanwhile)
        said = smithers("land", "fix", *GATE)
    assert "did not follow: a.txt there is yours" in said.err
    assert "has not followed" in smithers.json("land", "other", *GATE, "--dry-run", code=1)["obstacle"]
    repos.write(repo, queues.FILES)
    said = smithers("land", again, *GATE)
    assert f"{repo} has followed" in said.err
    assert (repo / "a.txt").read_text() == "changed\n"
    assert git(repo, "status", "--porcelain") == ""


def test_a_linked_worktree_that_has_the_target_follows_too(smithers: Smithers, repo: Path, tmp_path: Path):
    git(repo, "branch", "line")
    git(repo, "worktree", "add", "-q", str(tmp_path / "linked"), "line")
    branch(repo, "fix", {"new.txt": "x\n"})
    land(smithers, "fix", "--onto", "line")
    assert (tmp_path / "linked" / "new.txt").read_text() == "x\n"
    assert not (repo / "new.txt").exists()
    assert git(tmp_path / "linked", "status", "--porcelain") == ""


def test_a_dry_run_shows_the_plan_and_changes_no_ref(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"new.txt": "x\n"})
    before = git(repo, "for-each-ref")
    said = land(smithers, "fix", "--dry-run")
    assert (said["onto"], said["style"], said["conflict"], said["commits"]) == ("main", "merge", None, 1)
    assert said["follows"] == [str(repo)]
    assert git(repo, "for-each-ref") == before


def test_a_dry_run_of_a_conflict_says_so(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"a.txt": "mine\n"})
    repos.commit(repo, {"a.txt": "theirs\n"})
    assert "theirs" in land(smithers, "fix", "--dry-run", code=1)["conflict"]


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (("fix", "--onto", "nowhere"), "git branch nowhere"),
        (("nothing",), "smithers ps --all"),
        (("main", "--onto", "main"), "--onto"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_type(
    smithers: Smithers, repo: Path, argv: tuple[str, ...], hint: str
):
    branch(repo, "fix", {"new.txt": "x\n"})
    said = smithers("land", *argv, *GATE, code=None)
    assert said.code in (1, 2)
    assert hint in said.err


def test_nothing_lands_without_a_gate(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"new.txt": "x\n"})
    said = smithers("land", "fix", code=1)
    assert "nothing lands without a gate" in said.err


def test_style_gates_and_message_can_be_set_for_the_repository(smithers: Smithers, repo: Path):
    config = (
        '[landing]\nstyle = "squash"\ngates = ["sh gate.sh", ["test", "-e", "new.txt"]]\n'
        'message = "{{ branch }}: {{ title }} ({{ style }})"\n'
    )
    repos.commit(repo, {".smithers/config.toml": config})
    branch(repo, "fix", {"new.txt": "x\n"})
    smithers.json("land", "fix")
    assert git(repo, "log", "-1", "--format=%s %P") == f"fix: work of fix (squash) {git(repo, 'rev-parse', 'main~1')}"
    gates = smithers.json("verify", "main")["commits"][0]["gates"]
    assert [one["gate"] for one in gates] == ["sh gate.sh", ["test", "-e", "new.txt"]]


@pytest.mark.parametrize("message", ["{{ nothing }}", "{{ title", "{{ title.__class__.__mro__[1].__subclasses__() }}"])
def test_a_message_template_that_cannot_be_filled_in_is_named(smithers: Smithers, repo: Path, message: str):
    repos.commit(repo, {".smithers/config.toml": f"[landing]\nmessage = '{message}'\n"})
    branch(repo, "fix", {"new.txt": "x\n"})
    assert "[landing] message cannot be filled in" in smithers("land", "fix", *GATE, code=1).err


def test_a_prune_of_the_users_during_a_landing_costs_nothing_but_time(smithers: Smithers, repo: Path, tmp_path: Path):
    branch(repo, "fix", {"new.txt": "x\n"})
    prune = f"test -e {tmp_path}/done || {{ touch {tmp_path}/done; git -C {repo} gc -q --prune=now; kill -9 $$; }}"
    assert smithers.json("land", "fix", "--gate", prune)["landed"] is True
    assert git(repo, "fsck", "--strict", "--no-dangling") == ""
    assert smithers.json("verify", "main")["ok"] is True


# -- hooks


def hook(repo: Path, name: str, text: str) -> None:
    path = repo / ".git" / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)


def test_the_users_hooks_see_the_landing_commit_once_and_their_verdict_counts(
    smithers: Smithers, repo: Path, tmp_path: Path
):
    branch(repo, "fix", {"new.txt": "x\n"})
    branch(repo, "more", {"more.txt": "x\n"})
    hook(
        repo,
        "pre-commit",
        f"git diff --cached --name-only >> {tmp_path}/seen; env | grep ^GIT_DIR >> {tmp_path}/leaks\nexit 0\n",
    )
    land(smithers, "fix", "--style", "squash")
    assert (tmp_path / "seen").read_text() == "new.txt\n"
    hook(repo, "pre-commit", "echo no way >&2; exit 1\n")
    said = land(smithers, "more", "--style", "squash", code=1)
    assert said["reason"] == "hook"
    assert "no way" in git(repo, "show", f"refs/smithers/queue/main:{entries(repo)['more'].evidence}")


def test_hooks_can_be_left_out_by_config(smithers: Smithers, repo: Path):
    repos.commit(repo, {".smithers/config.toml": "[landing]\nhooks = false\n"})
    branch(repo, "fix", {"new.txt": "x\n"})
    hook(repo, "pre-commit", "exit 1\n")
    assert land(smithers, "fix", "--style", "squash")["landed"] is True


# -- the line


def test_a_held_queue_waits_and_goes_on_when_it_is_resumed(smithers: Smithers, repo: Path):
    branch(repo, "first", {"1.txt": "x\n"})
    branch(repo, "fix", {"new.txt": "x\n"})
    land(smithers, "first")
    smithers("queue", "hold", "--note", "release day")
    assert "held by Ada Tester <ada@example.test>: release day" in smithers("queue").out
    said = land(smithers, "fix", code=3)
    assert "release day" in said["message"]
    assert smithers.json("queue")[0]["entries"][0]["blocker"]
    smithers("queue", "resume")
    assert land(smithers, "fix")["landed"] is True


def test_an_entry_can_be_taken_out(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"new.txt": "x\n"})
    repos.commit(repo, {"red": ""})
    land(smithers, "fix", code=3)
    smithers("queue", "eject", "fix", "--note", "not today")
    assert smithers.json("queue")[0]["entries"] == []
    assert entries(repo)["fix"].status == "ejected"
    assert "not today" in entries(repo)["fix"].message
    assert smithers("queue", "eject", "fix", code=1).err


def test_the_queue_is_shown_as_a_table(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"new.txt": "x\n"})
    assert "no queue yet" in smithers("queue").out
    land(smithers, "fix")
    out = smithers("queue", "main", "--all").out
    assert "main: 0 in line, 1 landed, 0 went back" in out
    assert "fix" in out
    assert smithers("queue", "nowhere", code=2).err


# -- proof


def amend(repo: Path) -> None:
    (repo / "new.txt").write_text("something else\n")
    git(repo, "commit", "-qa", "--amend", "--no-edit")


def test_a_landed_commit_that_was_changed_afterwards_does_not_verify(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"new.txt": "x\n"})
    land(smithers, "fix", "--style", "squash")
    amend(repo)
    said = smithers.json("verify", "HEAD", code=1)
    assert said["commits"][0]["verdict"] == "wrong"
    assert any("no receipt" in text for text in said["commits"][0]["wrong"])


def test_a_receipt_that_was_changed_afterwards_does_not_verify(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"new.txt": "x\n"})
    commit = land(smithers, "fix")["commit"]
    ledger = open_ledger(Project.open(repo), queues.MAIN)
    path = receipt.path(commit)
    ledger.put(path, (ledger.read(path) or b"").replace(b"process ", b"somebody "))
    ledger.add(ev.EntryHeld(by="mallory"), 1.0)
    ledger.commit()
    said = smithers.json("verify", commit, code=1)
    assert any("was changed after frame" in text for text in said["commits"][0]["wrong"])


def test_a_receipt_that_tells_of_a_gate_which_never_ran_does_not_verify(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"red": ""})
    land(smithers, "fix", code=1)
    ledger = open_ledger(Project.open(repo), queues.MAIN)
    entry = entries(repo)["fix"].entry
    git(
        repo,
        "merge",
        "-q",
        "--no-ff",
        "-m",
        f"Land fix\n\nSmithers-Entry: {entry.id}\nSmithers-Tree: {'0' * 40}",
        "fix",
    )
    commit, tree = git(repo, "rev-parse", "HEAD"), git(repo, "rev-parse", "HEAD^{tree}")
    before = git(repo, "rev-parse", "HEAD^")
    passed = Pass(tree=tree, gate="sh gate.sh", env="", frame=1, at=1.0, seconds=1.0, by="nobody")
    forged = Receipt(
        commit=commit, tree=tree, before=before, target=queues.MAIN, entry=entry, passes=(passed,), at=1.0, version="0"
    )
    ledger.put(receipt.path(commit), codec.dumps(forged.model_dump(mode="json")))
    landed = ev.EntryLanded(
        entry=entry.id, before=before, commit=commit, tree=tree, trees=(tree,), receipt=receipt.path(commit)
    )
    ledger.add(landed, 1.0)
    ledger.commit()
    wrong = smithers.json("verify", commit, code=1)["commits"][0]["wrong"]
    assert any("tells of no such green run" in text for text in wrong)
    assert any("its message says tree 000" in text for text in wrong)


def test_a_missing_receipt_is_an_error_and_a_commit_by_hand_is_called_so(smithers: Smithers, repo: Path):
    base = git(repo, "rev-parse", "main")
    branch(repo, "fix", {"new.txt": "x\n"})
    land(smithers, "fix")
    repos.commit(repo, {"by.hand": "x"})
    said = smithers.json("verify", f"{base}..main")
    assert [one["verdict"] for one in said["commits"]] == ["verified", "foreign"]
    smithers("verify", f"{base}..main", "--strict", code=1)
    smithers("verify", "HEAD", code=1)
    git(repo, "update-ref", "-d", "refs/smithers/queue/main")
    assert smithers.json("verify", f"{base}..main", code=1)["commits"][0]["verdict"] == "wrong"


def test_verify_says_which_gate_passed_when_and_by_what(smithers: Smithers, repo: Path):
    branch(repo, "fix", {"new.txt": "x\n"})
    land(smithers, "fix")
    out = smithers("verify", "main").out
    assert "sh gate.sh: green on tree" in out
    assert "process" in out


def test_verify_works_in_a_clone_that_fetched_the_queue(smithers: Smithers, repo: Path, tmp_path: Path, monkeypatch):
    branch(repo, "fix", {"new.txt": "x\n"})
    land(smithers, "fix")
    git(tmp_path, "clone", "-q", str(repo), "clone")
    git(tmp_path / "clone", "fetch", "-q", "origin", "refs/smithers/*:refs/smithers/*")
    monkeypatch.chdir(tmp_path / "clone")
    assert smithers.json("verify", "HEAD")["ok"] is True
