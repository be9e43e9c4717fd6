"""Whether a checkout could follow its branch to another commit: what stands in its way, with what to type.

Nothing is written, neither the index nor a lock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from smithers_git.edge.git import behind, user_locks
from smithers_git.edge.git.checkout import Checkout, index_is_damaged, private_index
from smithers_git.edge.git.command import complaint, failure, storage_errors
from smithers_git.edge.git.follow_words import complete, new_index, some
from smithers_git.edge.git.restore import git_works_in
from smithers_git.errors import GitError, StorageError

_BRIEF: Final = 0.5
"""Seconds. An editor's `git status` holds the lock of the index for milliseconds."""

QUIET: Final = {"GIT_OPTIONAL_LOCKS": "0"}
"""The environment of a git that only looks: it would refresh the index."""

FLUSHED_INDEX: Final = ("-c", "core.fsync=loose-object,pack,pack-metadata,reference,index")
"""For whatever writes an index of the user's: one that is torn by a power loss shows changes that nobody made."""

_UNFINISHED: Final = (
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase or git am"),
    ("MERGE_HEAD", "a merge"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
    ("sequencer", "a cherry-pick or revert"),
    ("BISECT_LOG", "a bisect"),
)


@dataclass(frozen=True)
class Look:
    """How a checkout stands between two commits. Paths are relative to its top.

    Attributes:
        staged: entries of the index that are neither as in the old nor as in the new commit.
        changed: files that differ from the index; of submodules only the recorded commit counts.
        between: what differs between the two commits.
        added: those of them that only the new one has.
        behind: those of them that are in the index as in the old commit.
    """

    staged: list[str]
    changed: list[str]
    between: list[str]
    added: list[str]
    behind: list[str]


def obstacle(checkout: Checkout, old: str, new: str) -> str | None:
    """Why the files could not follow from commit `old` to `new`; None when they could.

    The answer names files and says what to type; it goes on the sentence "BRANCH is checked out in PATH, and". Nothing
    is written, neither the index nor a lock. Untracked files that are not in the way are fine.
    """
    try:
        return _obstacle(checkout, old, new)
    except (GitError, StorageError) as error:
        return f"git cannot tell whether it is clean: {error.message}: see git -C {checkout.path} status"


@storage_errors
def _obstacle(checkout: Checkout, old: str, new: str) -> str | None:
    path = checkout.path
    if not path.is_dir():
        return f"that folder is missing but locked, so it may come back: if it will not, git worktree unlock {path}"
    why = unfinished(checkout) or locked(checkout, _BRIEF)
    if why is not None:
        return why
    if index_is_damaged(checkout):
        return f"its index is damaged: {new_index(checkout)} makes a new one, in which nothing is staged"
    with private_index(checkout) as private:
        noted = behind.known(checkout)
        if noted is not None and noted[1] == old and look_at(private, *noted).behind:
            how = f"smithers land tries that again, or {complete(checkout, *noted)}"
            return f"it has not followed to {old[:12]} yet: {how}"
        look = look_at(private, old, new)
        if look.staged:
            return f"changes are staged there in {some(look.staged)}: commit them first, git -C {path} commit"
        if look.changed:
            return f"there are uncommitted changes in {some(look.changed)}: commit them first, git -C {path} commit -a"
        in_way = in_the_way(private, look.added, old)
        if in_way:
            return f"untracked files are in the way there: move {some(in_way)} out of {path}"
        # git's own word on it: it knows more cases than we, say a submodule that becomes a folder.
        done = private.try_git("read-tree", "-n", "-m", "-u", old, new, env=QUIET)
        if done.code:
            return f"git would refuse: {complaint(os.fsdecode(done.stderr))}: see git -C {path} status"
    return None


def unfinished(checkout: Checkout) -> str | None:
    """Which merge, rebase or the like was begun there and not ended."""
    for name, what in _UNFINISHED:
        if (checkout.git_dir / name).exists():
            return f"{what} is not finished there: see git -C {checkout.path} status"
    return None


def locked(checkout: Checkout, patience: float) -> str | None:
    """Whether somebody holds the lock of the index for longer than `patience`, in seconds."""
    user_locks.clear(checkout.common_dir, checkout.path)
    lock = checkout.git_dir / "index.lock"
    began = time.monotonic()
    while lock.exists():
        waited = time.monotonic() - began
        if waited > _BRIEF and not git_works_in(checkout.path):
            return f"{lock} is left there, from a git that died, it seems: if none runs, rm {lock}"
        if waited > patience:
            return f"a git process works there and holds {lock}: wait for it"
        time.sleep(0.02)
    return None


def look_at(checkout: Checkout, old: str, new: str) -> Look:
    """Compare; refreshes the index of `checkout`, so that a file that was only touched does not count as changed."""
    done = checkout.try_git(*FLUSHED_INDEX, "update-index", "-q", "--refresh", env=QUIET)
    if done.code > 1:  # 1: some differ
        raise failure(checkout.path, ("update-index", "--refresh"), done)
    cached = ("diff-index", "--cached", "-z", "--name-only", "--no-renames")
    not_old = paths(checkout, *cached, old)
    not_new = set(paths(checkout, *cached, new)) if not_old else set()
    changed = paths(checkout, "diff-files", "-z", "--name-only", "--ignore-submodules=all")
    compare = ("diff-tree", "-r", "-z", "--name-only", "--no-renames")
    between = paths(checkout, *compare, old, new)
    return Look(
        staged=[name for name in not_old if name in not_new],
        changed=sorted(set(changed)),
        between=between,
        added=paths(checkout, *compare, "--diff-filter=A", old, new),
        behind=sorted(set(between) - set(not_old)),
    )


def paths(checkout: Checkout, *args: str) -> list[str]:
    return [name for name in checkout.git(*args, env=QUIET).split("\0") if name]


def in_the_way(checkout: Checkout, added: Iterable[str], old: str) -> list[str]:
    """Untracked files and folders where `added` files would go. Ignored ones count: git itself would overwrite them."""
    found: list[str] = []
    suspects = [(name, blocker) for name in added if (blocker := _blocker(checkout.path, name)) is not None]
    if not suspects:
        return []
    fold = checkout.try_git("config", "--type=bool", "core.ignoreCase").stdout.strip() == b"true"
    listed = paths(checkout, "ls-tree", "-r", "-z", "--name-only", "--full-tree", old)
    tracked = {name.casefold() if fold else name for name in listed}
    for _, blocker in suspects:
        inside = [blocker]
        if is_folder(checkout.path / blocker):
            inside = [
                str(Path(folder, name).relative_to(checkout.path))
                for folder, _, names in os.walk(checkout.path / blocker)
                for name in names
            ]
        found += [name for name in inside if (name.casefold() if fold else name) not in tracked]
    return sorted(set(found))


def _blocker(root: Path, name: str) -> str | None:
    """What lies where the file `name`, or one of the folders around it, has to be made."""
    parts = name.split("/")
    for end in range(1, len(parts)):
        part = "/".join(parts[:end])
        if not os.path.lexists(root / part):
            return None
        if not is_folder(root / part):
            return part
    return name if os.path.lexists(root / name) else None


def is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
