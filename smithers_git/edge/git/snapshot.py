"""Saving what is in a folder as a commit: of a worktree of ours, and of the user's own checkout."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from smithers_git.core.amounts import FILE, shown
from smithers_git.edge.git import collection
from smithers_git.edge.git.checkout import Checkout, State, inspect, open_up, private_index
from smithers_git.edge.git.command import failure, storage_errors
from smithers_git.edge.git.durable import sync_objects
from smithers_git.edge.git.ref_file import flush_ref
from smithers_git.edge.git.repository import Repository, require_commit
from smithers_git.edge.git.restore import examine, put_on_branch, unfinished
from smithers_git.errors import GitError, RepositoryError, TooLarge

_TOO_MUCH = "more than [disk] max_file lets into git history"

_UNFLUSHED = ("-c", "core.fsync=-loose-object")
"""`sync_objects` flushes all at once afterwards."""

_TRIES = 5
"""Times that a snapshot is made, when a `git gc` beside us takes it away."""

_NOBODY = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "smithers"), ("EMAIL", "smithers@localhost"))
}


@dataclass(frozen=True)
class Snapshot:
    """What was saved.

    Attributes:
        commit: holds the files; the given parent when nothing changed.
        tree: its tree.
        changed: whether `commit` is not the given parent.
        uncovered: paths whose content is in no snapshot: nested repositories, and submodules that differ from their
            recorded commit.
    """

    commit: str
    tree: str
    changed: bool
    uncovered: list[str]


def snapshot(checkout: Checkout, parent: str, message: str, branch_ref: str, *, limit: int = FILE) -> Snapshot:
    """Commit everything in a worktree of ours that git does not ignore.

    Commits that the agent made itself become part of the history: its HEAD is the parent when it descends from
    `parent`, else a second one. If they hold all there is, its last commit is the snapshot. Afterwards HEAD is on
    `branch_ref` at the snapshot and `git status` shows nothing but what is uncovered.

    Args:
        checkout: the worktree. Nothing may work in it any more.
        parent: commit of the previous snapshot.
        message: of the commit.
        branch_ref: full name of the worktree's branch.
        limit: largest size of a file in bytes.

    Raises:
        TooLarge: a file is larger, and no filter such as git-lfs replaces it; or one in a commit that was made here.
        StorageError: something cannot be read, or the disk is full.
    """
    for left in reversed(range(_TRIES)):
        calm, error = collection.look(checkout.common_dir), None
        try:
            found = _snapshot(checkout, parent, message, branch_ref, limit)
        except GitError as reason:
            error = reason
        disturbed = collection.disturbed(checkout.common_dir, calm)
        if error is None and (not disturbed or _is_whole(checkout, found.commit, parent)):
            return found
        if error is not None and not disturbed and _is_whole(checkout, "HEAD", parent):
            raise error
        if left:
            _begin_again(checkout, parent, branch_ref)
    raise error or GitError(f"git gc takes away what is saved of {checkout.path}", hint="wait for it to end")


def _is_whole(checkout: Checkout, commit: str, parent: str) -> bool:
    """Whether nothing of it was taken away by a `git gc`, beside us or beside an engine that was killed."""
    return not checkout.try_git("rev-list", "--objects", "--quiet", commit, f"^{parent}").code


def _begin_again(checkout: Checkout, parent: str, branch_ref: str) -> None:
    """Let nothing in the way of a further try be damaged. The files stay, so only an agent's own commits can go."""
    (checkout.git_dir / "index").unlink(missing_ok=True)  # `git add` takes what is in it for written
    if not _is_whole(checkout, "HEAD", parent):
        checkout.git("symbolic-ref", "HEAD", branch_ref)
        checkout.git("update-ref", branch_ref, parent)
        checkout.git("reflog", "expire", "--expire=now", branch_ref, "HEAD")
    checkout.git("read-tree", "HEAD")


def _snapshot(checkout: Checkout, parent: str, message: str, branch_ref: str, limit: int) -> Snapshot:
    calm = collection.look(checkout.common_dir)
    state = examine(checkout, branch_ref)
    parents = _lineage(checkout, parent, state, branch_ref)
    if parents != [parent]:
        _refuse_large_commits(checkout, parents, parent, branch_ref, limit)
    if not state.clean:
        _add(checkout, state, limit)
    tree = checkout.git(*_UNFLUSHED, "write-tree")
    if len(parents) == 1 and tree == checkout.git("rev-parse", f"{parents[0]}^{{tree}}"):
        commit = parents[0]
    else:
        commit = _commit(checkout, tree, parents, message)
    if commit != parent:
        sync_objects(checkout, commit, parent)
        # Before the branch is moved, too: a kill in the long wait for a gc would leave it at what that gc takes away,
        # and the user's next `git gc` would fail at it (soak, once in 9,000 kills).
        if collection.disturbed(checkout.common_dir, calm) and not _is_whole(checkout, commit, parent):
            raise GitError(f"git gc has taken away what was saved of {checkout.path}", hint="it is saved again")
    if (state.head, state.branch) != (commit, branch_ref) or unfinished(checkout):
        put_on_branch(checkout, branch_ref, commit)
    elif commit != parent:
        # The agent committed there itself, and its git flushes no ref.
        flush_ref(checkout.common_dir, branch_ref, "refs/heads")
    return Snapshot(commit, tree, commit != parent, state.uncovered)


@storage_errors
def working_copy(repo: Repository, *, limit: int = FILE) -> str:
    """A commit of the user's checkout with all uncommitted and untracked changes; HEAD itself if there are none.

    Only objects are written: files, index, branches and HEAD stay as they are. What the user hides from git with
    assume-unchanged or skip-worktree stays hidden.

    Raises:
        RepositoryError: there is no commit yet, or a merge with conflicts is not finished.
        TooLarge: a file has more than `limit` bytes.
    """
    head = require_commit(repo)
    with private_index(repo.checkout) as private:
        if not private.index_file.exists():
            private.git("read-tree", head)
        state = inspect(private)
        if state.conflicted:
            raise RepositoryError(
                f"{state.conflicted[0]} has merge conflicts that are not resolved",
                hint="finish the merge (or git merge --abort), or start without --dirty",
            )
        if state.clean:
            return head
        _add(private, state, limit)
        tree = private.git(*_UNFLUSHED, "write-tree")
        commit = _commit(private, tree, [head], "Uncommitted changes\n\nAs smithers found them.")
        sync_objects(private, commit, head)
        return commit


def _lineage(checkout: Checkout, parent: str, state: State, branch_ref: str) -> list[str]:
    """The fewest parents that keep `parent` and everything that the agent committed reachable, the main one first."""
    tips = [parent, state.head]
    if state.branch != branch_ref:
        tips.append(checkout.resolve(branch_ref))
    autostash = checkout.git_dir / "rebase-merge" / "autostash"  # uncommitted work that a stopped rebase put there
    if autostash.exists():
        tips.append(autostash.read_text("ascii").strip())
    known = list(dict.fromkeys(tip for tip in tips if tip))
    if len(known) == 1:
        return known
    kept = set(checkout.git("merge-base", "--independent", *known).split())
    ordered = [tip for tip in known if tip in kept]
    if parent not in kept:
        ordered.sort(key=lambda tip: checkout.try_git("merge-base", "--is-ancestor", parent, tip).code != 0)
    return ordered


def _add(checkout: Checkout, state: State, limit: int) -> None:
    """Put all files into the index, except what lies in nested repositories."""
    _refuse_large(checkout, [*state.untracked, *state.changed, *state.conflicted], limit)
    # git add fails on a nested repository without commits, and would record a link to nowhere for one with commits.
    nested = [path for path in state.uncovered if path[:-1] not in state.changed]
    specs = [":(top)", *(f":(top,exclude,literal){path}" for path in nested)]
    arguments = ("add", "--all", "--sparse", "--pathspec-from-file=-", "--pathspec-file-nul")
    paths = b"".join(os.fsencode(spec) + b"\0" for spec in specs)
    for pause in (0.05, 0.2, 0.5, None):
        done = checkout.try_git(*_UNFLUSHED, *arguments, input=paths)
        if not done.code:
            return
        if pause is None:
            raise failure(checkout.path, arguments, done)
        if b"Permission denied" in done.stderr:
            open_up(checkout.path)
        time.sleep(pause)  # a task that works in the same folder removed a file just now


def _refuse_large(checkout: Checkout, names: Iterable[str], limit: int) -> None:
    large = [name for name in names if _size(checkout.path / name) > limit]
    if not large:
        return
    paths = b"".join(os.fsencode(name) + b"\0" for name in large)
    fields = checkout.git("check-attr", "-z", "--stdin", "filter", input=paths).split("\0")
    unfiltered = [
        name for name, value in zip(fields[::3], fields[2::3], strict=False) if value in ("unspecified", "unset")
    ]
    if unfiltered:
        name = unfiltered[0]
        others = f" (and {len(unfiltered) - 1} more)" if len(unfiltered) > 1 else ""
        rule = f"echo {quote(f'/{name}')} >> {quote(str(checkout.path / '.gitignore'))}"
        raise TooLarge(
            f"{name}{others} in {checkout.path} has {shown(_size(checkout.path / name))}, {_TOO_MUCH} ({shown(limit)})",
            hint=f"it stays where it is; have git ignore it: {rule}; or store it with git-lfs, or raise the limit",
        )


def _refuse_large_commits(checkout: Checkout, parents: list[str], parent: str, branch_ref: str, limit: int) -> None:
    """Raise TooLarge when a commit that was made in the worktree holds a file that no branch of the user has."""
    branch = branch_ref.removeprefix("refs/heads/")
    theirs = ("--not", parent, f"--exclude={branch}", "--branches", "--remotes", "--tags")
    # Missing: a branch of another run, whose engine was killed beside a `git gc --prune=now`. Its resume mends that.
    lines = checkout.git("rev-list", "--objects", "--ignore-missing", *parents, *theirs, "--").splitlines()
    paths = dict(line.split(" ", 1) for line in lines if " " in line and not line.endswith(" "))
    wanted = "".join(f"{oid}\n" for oid in paths).encode()
    sizes = checkout.git("cat-file", "--batch-check=%(objectsize) %(objectname)", input=wanted).splitlines()
    large = {oid: int(size) for size, oid in (line.split() for line in sizes) if int(size) > limit}
    for oid, size in large.items():
        place = quote(str(checkout.path))
        raise TooLarge(
            f"{paths[oid]}, in a commit that was made in {checkout.path}, has {shown(size)}, "
            f"{_TOO_MUCH} ({shown(limit)})",
            hint=f"take it out of the commit: git -C {place} reset --soft {parent[:12]}, have git ignore it; "
            "or store it with git-lfs, or raise the limit",
        )


def _size(path: Path) -> int:
    try:
        found = path.lstat()
    except OSError:
        return 0  # deleted: that is the change
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _commit(checkout: Checkout, tree: str, parents: list[str], message: str) -> str:
    """A commit by the user; by smithers where no identity is configured. Never signed."""
    options = [part for parent in parents for part in ("-p", parent)]
    arguments = ("-c", "user.useConfigOnly=true", "-c", "i18n.commitEncoding=UTF-8", "commit-tree", "--no-gpg-sign")
    text = message.encode("utf-8", "replace")
    done = checkout.try_git(*arguments, tree, *options, input=text)
    if done.code and b"auto-detection is disabled" in done.stderr:
        return checkout.git(*arguments, tree, *options, input=text, env=_NOBODY)
    if done.code:
        raise failure(checkout.path, ("commit-tree", tree), done)
    return os.fsdecode(done.stdout).strip()
