"""A `git gc --prune=now` of the user's between our writing of objects and the move of the ref that holds them."""

from __future__ import annotations

import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kit import proofs, repos
from kit.repos import git

from smithers_git.edge.git import collection, snapshot
from smithers_git.edge.git.checkout import Checkout
from smithers_git.edge.git.entries import BLOB, Entry
from smithers_git.edge.git.journaled import Journaled
from smithers_git.edge.git.objects import Objects
from smithers_git.edge.git.repository import discover
from smithers_git.edge.git.worktree import add

REF = "refs/smithers/runs/run"


def _frame(objects: Objects, text: str, *parents: str) -> str:
    blob = objects.write_blob(text.encode() * 20_000)
    return objects.write_commit(objects.write_tree({"a": Entry(BLOB, blob)}), [*parents], text, 1)


@pytest.mark.parametrize("kind", ["plain", "journaled"])
def test_what_a_gc_took_before_its_ref_was_there_is_written_again(repo: Path, kind: str) -> None:
    def gc() -> None:
        git(repo, "gc", "-q", "--prune=now")

    objects = Objects(repo / ".git") if kind == "plain" else Journaled(repo / ".git", "run", REF)
    first = _frame(objects, "first")
    gc()
    objects.advance(REF, None, first)
    proofs.sound(repo)
    second = _frame(objects, "second", first)
    gc()
    objects.advance(REF, first, second)
    proofs.sound(repo)
    assert git(repo, "show", f"{REF}:a").startswith("secondsecond")


def test_a_gc_that_runs_is_waited_for(repo: Path) -> None:
    """It may remove at its end what it found unreachable at its beginning."""
    objects, pid = Objects(repo / ".git"), repo / ".git" / "gc.pid"
    pid.write_text(f"{os.getpid()} {socket.gethostname()}")
    commit = _frame(objects, "first")

    def end() -> None:
        time.sleep(0.2)
        git(repo, "prune", "--expire=now")
        pid.unlink()

    gc = threading.Thread(target=end)
    gc.start()
    objects.advance(REF, None, commit)
    gc.join()
    proofs.sound(repo)


@pytest.mark.parametrize("content", ["1 {host}", "99999999 {host}", "1 elsewhere", "nonsense", ""])
def test_a_gc_that_is_dead_or_elsewhere_is_not_waited_for(repo: Path, content: str, monkeypatch: Any) -> None:
    if content.startswith("1 {"):
        monkeypatch.setattr(collection, "_LONG", 0.05)
    (repo / ".git" / "gc.pid").write_text(content.format(host=socket.gethostname()))
    assert collection.disturbed(repo / ".git", collection.look(repo / ".git"))


@pytest.mark.parametrize("moment", ["_commit", "put_on_branch"])
def test_a_snapshot_that_a_gc_took_apart_is_made_again(
    repo: Path, tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch, parent = "refs/heads/smithers/run/main", git(repo, "rev-parse", "HEAD")
    checkout: Checkout = add(discover(repo), tmp_path / "space", branch, parent)
    git(checkout.path, "reset", "-q", "--hard")
    repos.write(checkout.path, {"new.txt": "new\n", "src/app.py": "changed\n"})
    whole, taken = getattr(snapshot, moment), []

    def with_gc(*told: Any) -> Any:
        if moment == "_commit":
            found = whole(*told)
        if not taken:
            taken.append(1)
            index = (checkout.git_dir / "index").read_bytes()
            (checkout.git_dir / "index").unlink()  # a gc that looked before `git add` was done
            git(repo, "gc", "-q", "--prune=now")
            (checkout.git_dir / "index").write_bytes(index)
        return found if moment == "_commit" else whole(*told)

    monkeypatch.setattr(snapshot, moment, with_gc)
    found = snapshot.snapshot(checkout, parent, "saved", branch)
    assert taken
    assert git(repo, "show", f"{found.commit}:new.txt") == "new"
    assert git(repo, "show", f"{found.commit}:src/app.py") == "changed"
    assert git(repo, "rev-parse", branch) == found.commit
    assert git(checkout.path, "status", "--porcelain") == ""
    proofs.sound(repo)


def test_a_branch_is_not_moved_to_what_a_gc_may_be_about_to_take(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is killed while that gc runs would leave a branch to nowhere, at which the user's next gc fails."""
    branch, parent = "refs/heads/smithers/run/main", git(repo, "rev-parse", "HEAD")
    checkout = add(discover(repo), tmp_path / "space", branch, parent)
    git(checkout.path, "reset", "-q", "--hard")
    repos.write(checkout.path, {"new.txt": "new\n"})
    pid, made, commit = repo / ".git" / "gc.pid", threading.Event(), snapshot._commit

    def while_a_gc_runs(*told: Any) -> str:
        found = commit(*told)
        pid.write_text(f"{os.getpid()} {socket.gethostname()}")
        made.set()
        return found

    monkeypatch.setattr(snapshot, "_commit", while_a_gc_runs)
    with ThreadPoolExecutor(1) as pool:
        saved = pool.submit(snapshot.snapshot, checkout, parent, "saved", branch)
        assert made.wait(20)
        time.sleep(0.3)
        there = git(repo, "rev-parse", branch)
        pid.unlink()
        assert there == parent
        found = saved.result(20).commit
    assert git(repo, "rev-parse", branch) == found
    proofs.sound(repo)


@pytest.mark.parametrize("lost", ["commit", "tree", "blob"])
def test_a_workspace_whose_saved_commit_lost_something_is_saved_from_its_files(
    repo: Path, tmp_path: Path, lost: str
) -> None:
    """A gc took it away, and the engine was killed before it could look."""
    branch, parent = "refs/heads/smithers/run/main", git(repo, "rev-parse", "HEAD")
    checkout = add(discover(repo), tmp_path / "space", branch, parent)
    git(checkout.path, "reset", "-q", "--hard")
    repos.write(checkout.path, {"new.txt": "new\n"})
    before = snapshot.snapshot(checkout, parent, "saved", branch).commit
    oid = git(repo, "rev-parse", {"commit": before, "tree": f"{before}^{{tree}}", "blob": f"{before}:new.txt"}[lost])
    (repo / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    found = snapshot.snapshot(checkout, parent, "saved again", branch)
    assert git(repo, "show", f"{found.commit}:new.txt") == "new"
    assert git(repo, "rev-parse", branch, "HEAD").split() == [found.commit, parent]
    proofs.sound(repo)
