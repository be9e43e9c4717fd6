"""Git's own folders about worktrees (`.git/worktrees/NAME`): found, taken away at once, and cleared of what is torn.

To be changed by one process of ours at a time; `worktree` holds the lock for that.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from smithers_git.clock import SystemClock
from smithers_git.edge.git.command import storage_errors
from smithers_git.edge.git.repository import Repository

OURS: Final = "smithers: "
"""What the reason begins with for which worktrees of ours are locked."""
_PARTS: Final = ("gitdir", "commondir", "HEAD")
_OLD: Final = 2.0
"""Seconds. A living `git worktree add` fills a file that it has made within a millisecond."""


def record(repo: Repository, path: Path) -> Path | None:
    """Git's own folder about the worktree at `path`; None when there is none, or one that was never finished."""
    wanted = path.parent.resolve() / path.name / ".git"
    for file in sorted((repo.common_dir / "worktrees").glob("*/gitdir")):
        try:
            if file.parent / os.fsdecode(file.read_bytes()).rstrip("\n") == wanted and not _torn(file.parent):
                return file.parent
        except FileNotFoundError:
            continue  # removed while we look
    return None


@storage_errors
def forget(repo: Repository, path: Path) -> None:
    """Delete git's record of a worktree, and nothing else. `git worktree remove` would refuse or delete the files."""
    known = record(repo, path)
    if known is not None:
        _take_away(repo, known)


@storage_errors
def clear_torn(repo: Repository) -> None:
    """Delete records that a `git worktree add` of ours which was killed has left unfinished, and what `forget` has.

    Git neither uses nor prunes such a record, as it is locked, and with an empty `commondir` every `git worktree list`
    fails (2.39). It writes the reason of the lock first, so nearly all of them say whose they are.
    """
    gone = _gone(repo)
    if gone.is_dir():
        shutil.rmtree(gone)
    for folder in sorted((repo.common_dir / "worktrees").glob("*")):
        if _torn(folder) and _ours(folder):
            _take_away(repo, folder)


def _torn(folder: Path) -> bool:
    """Whether a part is missing or was cut off: git ends each with a line feed."""
    return folder.is_dir() and any(not _text(folder / name).endswith("\n") for name in _PARTS)


def _ours(folder: Path) -> bool:
    reason = _text(folder / "locked")
    if reason.startswith(OURS):
        return True
    try:
        age = abs(SystemClock().now() - folder.stat().st_mtime)  # the clock may have gone back
    except FileNotFoundError:
        return False
    # Cut off within the reason, or before it: git says "initializing" there for others.
    return OURS.startswith(reason) and age > _OLD


def _text(path: Path) -> str:
    try:
        return os.fsdecode(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _take_away(repo: Repository, folder: Path) -> None:
    """By one rename: with a part of its files git would take it for a worktree that is damaged."""
    gone = _gone(repo)
    gone.mkdir(parents=True, exist_ok=True)
    target = gone / folder.name
    if target.exists():
        shutil.rmtree(target)
    folder.rename(target)
    shutil.rmtree(gone)


def _gone(repo: Repository) -> Path:
    return repo.smithers_dir / "records-gone"
