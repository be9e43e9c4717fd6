"""Moving a branch of the user's, and having the worktrees that have it checked out follow, as a fast-forward would.

Nothing here forces, stashes or overwrites: what stands in the way is named, with what to type, and is left alone.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from smithers_git.edge.git import behind, user_locks, worktree
from smithers_git.edge.git.checkout import Checkout, index_is_damaged
from smithers_git.edge.git.clearance import FLUSHED_INDEX, in_the_way, is_folder, locked, look_at, paths, unfinished
from smithers_git.edge.git.command import complaint, failure, storage_errors
from smithers_git.edge.git.durable import flush, flush_all, sync_objects
from smithers_git.edge.git.follow_words import by_hand, complete, old_index, some
from smithers_git.edge.git.heal import heal
from smithers_git.edge.git.records import record
from smithers_git.edge.git.repository import Repository
from smithers_git.errors import GitError, RefMoved, StorageError

_NOTHING: Final = "0" * 40
_LONG: Final = 30.0
"""Seconds for a git that is alive: it may be the one that a killed process of ours started to follow."""
_REFUSES: Final = "git refuses"
_OTHERS: Final = re.compile(rb"but expected|already exists")
"""What git says when a ref was not where it should be moved from."""


# -- the branch


def move(repo: Repository, branch_ref: str, before: str | None, commit: str, message: str) -> None:
    """Compare-and-swap: move the branch from `before` (None: it does not exist yet) to `commit`.

    Objects and ref are on the disk when it returns. The reflog of the branch gets `message`, and so does HEAD's in the
    worktree that has the branch checked out. No files change: that is `follow`.

    Raises:
        RefMoved: the branch is not at `before`.
        GitError: git refuses, say because another process keeps the ref locked.
    """
    holders = [one for one in checkouts(repo, branch_ref) if one.path.is_dir()]
    at = holders[0] if holders else repo.checkout  # git writes the reflog of HEAD of the worktree that it runs in
    if before is not None:
        sync_objects(at, commit, before)
    user_locks.clear(repo.common_dir, at.path)
    with user_locks.noted(repo.common_dir, [repo.common_dir / f"{branch_ref}.lock", at.git_dir / "HEAD.lock"]):
        done = at.try_git("update-ref", "-m", message, branch_ref, commit, before or _NOTHING)
    now = repo.checkout.resolve(branch_ref) if done.code else commit
    # Also when git failed behind the move: it writes the reflog of HEAD last (2.39).
    if now == commit and not _OTHERS.search(done.stderr):
        flush((repo.common_dir / branch_ref).parent)
        return
    if now != before:
        raise RefMoved(f"{branch_ref} is at {now or 'no commit'}, not at {before or 'no commit'}: somebody moved it")
    raise failure(repo.worktree, ("update-ref", branch_ref), done)


# -- who has it checked out


def checkouts(repo: Repository, branch_ref: str) -> list[Checkout]:
    """The worktrees that have the branch checked out, or that go back to it when their rebase or bisect ends.

    One whose folder is missing counts when somebody locked it, which says that it comes back: its files would then
    undo what was moved meanwhile. Worktrees of ours are made again from the branch, so they do not count then.
    """
    found = []
    for number, info in enumerate(worktree.listing(repo)):
        checkout = _checkout(repo, info, main=number == 0)
        if checkout is None or (info.branch != branch_ref and branch_ref not in _detached_from(checkout.git_dir)):
            continue
        if checkout.path.is_dir() or (info.reason is not None and not info.ours):
            found.append(checkout)
    return found


def _checkout(repo: Repository, info: worktree.WorktreeInfo, *, main: bool) -> Checkout | None:
    if info.bare:
        return None
    if main:
        return repo.checkout if repo.git_dir == repo.common_dir else Checkout(info.path, repo.common_dir)
    git_dir = record(repo, info.path)
    return Checkout(info.path, git_dir) if git_dir else None


def _detached_from(git_dir: Path) -> set[str]:
    """The branch on which a rebase or bisect began."""
    found = set()
    for name in ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"):
        try:
            text = os.fsdecode((git_dir / name).read_bytes()).strip()
        except OSError:
            continue
        found.add(text if text.startswith("refs/") else f"refs/heads/{text}")
    return found


# -- following


def follow(checkout: Checkout, old: str, new: str) -> str | None:
    """Bring index and files from commit `old` to `new`, where the branch is by now.

    It is git's own two-way merge: filters, sparse patterns and line ends apply, submodules stay where they are. Git
    looks at all files before it writes the first. A second call completes what a kill or a failing filter cut off.

    Returns:
        None when it has followed, or had before; else why not and what to type. Then nothing of the user's was
        overwritten. It is an answer and no error, whatever went wrong: the branch has moved, and that stands.
    """
    try:
        why = _follow(checkout, old, new)
    except (GitError, StorageError) as error:
        why = f"{error.message}: mend that, then {complete(checkout, old, new)}"
    with suppress(OSError):  # it cannot be noted: then the next landing takes it for the user's work, and says so
        behind.note(checkout, old, new) if why is not None else behind.forget(checkout)
    return why


def catch_up(checkout: Checkout, tip: str) -> str | None:
    """Complete what a checkout could not follow before, while its branch still is where that was to lead.

    Returns as `follow` does; None also when there is nothing to complete.
    """
    noted = behind.known(checkout)
    if noted is None:
        return None
    if noted[1] == tip:
        return follow(checkout, *noted)
    with suppress(OSError):
        behind.forget(checkout)  # somebody moved the branch since, so what is there is theirs
    return None


@storage_errors
def _follow(checkout: Checkout, old: str, new: str) -> str | None:
    path = checkout.path
    if not path.is_dir():
        return f"that folder is missing; when it is back: {complete(checkout, old, new)}"
    why = unfinished(checkout) or locked(checkout, _LONG)
    if why is not None:
        return f"{why}; then {complete(checkout, old, new)}"
    if index_is_damaged(checkout):
        return f"its index is damaged: {old_index(checkout, old)} && {complete(checkout, old, new)}"
    about = f"{path} {old} {new}"
    if user_locks.cut_off(checkout.common_dir, about):
        take_up(checkout, old, new)
    user_locks.forget(checkout.common_dir)
    with user_locks.noted(checkout.common_dir, [checkout.git_dir / "index.lock"], about):
        why = _advance(checkout, old, new)
        if why is None or not why.startswith(_REFUSES):
            return why
        # A git that fails at the index has written files already, and could not go on from there. A second look can.
        with suppress(GitError, StorageError):
            return why if _advance(checkout, old, new) else None
        return why


def _advance(checkout: Checkout, old: str, new: str) -> str | None:
    look = look_at(checkout, old, new)
    if not look.behind and (not look.between or set(look.between) - set(look.staged)):
        return None  # the index is written last and at once, so all is done; the user may have gone on since
    if look.staged:
        return f"changes are staged there in {some(look.staged)}: {by_hand(checkout, old, new, look.staged)}"
    foreign = [name for name in look.changed if name in set(look.between)]
    left = _adopt(checkout, new, [*foreign, *in_the_way(checkout, look.added, old)])
    if left:
        return f"{some(left)} there is yours: {by_hand(checkout, old, new, left)}"
    done = checkout.try_git(*FLUSHED_INDEX, "read-tree", "-m", "-u", old, new)
    if done.code:
        said = complaint(os.fsdecode(done.stderr))
        return f"{_REFUSES} ({said}): mend that, then {complete(checkout, old, new)}"
    _flush(checkout, look.between)
    return _shortfall(checkout, old, new)


def _flush(checkout: Checkout, names: list[str]) -> None:
    """Have these files on the disk: git flushes none, and what stood there before is gone."""
    places = {checkout.path / name for name in names}
    folders = {above for place in places for above in place.parents if above.is_relative_to(checkout.path)}
    flush_all(place for place in places if place.is_file() and not place.is_symlink())
    flush_all({*(folder for folder in folders if folder.is_dir()), checkout.git_dir})


def take_up(checkout: Checkout, old: str, new: str) -> None:
    """Write anew what a power loss or a kill left half-written of a `follow`; to be called before it in such a case.

    Whatever else is wrong there, `follow` says.
    """
    lock = checkout.git_dir / "index.lock"
    about = f"{checkout.path} {old} {new}"
    with suppress(GitError, StorageError), user_locks.noted(checkout.common_dir, [lock], about):
        heal(checkout, new, paths(checkout, "diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new))


def _adopt(checkout: Checkout, new: str, names: list[str]) -> list[str]:
    """Take for written those of `names` that hold what `new` has; returns the others, which are the user's own.

    The index is written last, so a `follow` that was cut off leaves the old one, while some files are new already.
    Missing files are nobody's: git takes no offence at them.
    """
    if not names:
        return []
    rows = {row.partition("\t")[2]: row for row in paths(checkout, "ls-tree", "-r", "-z", "--full-tree", new)}
    whole: list[str] = []
    own: list[str] = []
    for name in names:
        path = checkout.path / name
        if not os.path.lexists(path):
            continue
        there = None
        if not is_folder(path):
            there = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        row = rows.get(name)
        if there is not None and row is not None and there == _written_as(checkout, new, name, row):
            whole.append(row)
        else:
            own.append(name)
    if not own:
        entries = b"".join(os.fsencode(row) + b"\0" for row in whole)
        checkout.git(*FLUSHED_INDEX, "update-index", "-z", "--index-info", input=entries)
        checkout.try_git(*FLUSHED_INDEX, "update-index", "-q", "--refresh")
    return own


def _written_as(checkout: Checkout, new: str, name: str, row: str) -> bytes | None:
    """The bytes that a checkout of `new` writes to the file; None for a submodule."""
    mode, kind, oid = row.partition("\t")[0].split(" ")
    if kind != "blob":
        return None
    words = ("cat-file", "blob", oid) if mode == "120000" else ("cat-file", "--filters", f"{new}:{name}")
    done = checkout.try_git(*words)
    return None if done.code else done.stdout


def _shortfall(checkout: Checkout, old: str, new: str) -> str | None:
    """What git says it has done but has not: it only warns of a file that it could not remove."""
    changed = set(paths(checkout, "diff-files", "-z", "--name-only", "--ignore-submodules=all"))
    compare = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new)
    wrong = [name for name in paths(checkout, *compare) if name in changed]
    gone = paths(checkout, *compare[:-2], "--diff-filter=D", "--ignore-submodules=all", old, new)
    wrong += [name for name in gone if os.path.lexists(checkout.path / name) and not is_folder(checkout.path / name)]
    if wrong:
        return f"{some(wrong)} could not be written or removed there: see git -C {checkout.path} status"
    return None
