"""Whether a folder of git has changed since it was looked at, and what differs from a commit. Nothing is written."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from smithers_git.edge.git.command import git_bytes, try_git


def fingerprint(folder: Path) -> str:
    """A value that changes when HEAD, or a file that git does not ignore, does. Costs a `git ls-files`."""
    head = try_git(folder, "rev-parse", "--verify", "--quiet", "HEAD").stdout
    names = try_git(folder, "ls-files", "-z", "--modified", "--others", "--exclude-standard").stdout
    digest = hashlib.sha256(head)
    for name in sorted({*names.split(b"\0")} - {b""}):
        digest.update(name + b"\0")
        with suppress(OSError):  # deleted
            found = (folder / os.fsdecode(name)).lstat()
            digest.update(f"{found.st_mtime_ns} {found.st_size} {found.st_mode}\0".encode())
    return digest.hexdigest()


def changed_files(folder: Path, commit: str) -> list[str]:
    """The files in the worktree that differ from `commit`, or are not in it, ignored ones excepted; by name.

    Raises GitError.
    """
    found = _names(folder, "--no-optional-locks", "diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", commit)
    found |= _names(folder, "ls-files", "-z", "--others", "--exclude-standard")
    return sorted(os.fsdecode(name) for name in found)


def thrown_back(folder: Path, start: str) -> str | None:
    """The older commit to which somebody took the worktree, throwing away what `start` has more; None when nobody did.

    A `git reset --hard HEAD~1` or a `git checkout` of an older commit does that. A `reset --soft` keeps the files, an
    amended or rebased commit has them in another one: neither counts.
    """
    head = os.fsdecode(try_git(folder, "rev-parse", "--verify", "--quiet", "HEAD").stdout).strip()
    if not head or head == start or try_git(folder, "merge-base", "--is-ancestor", head, start).code != 0:
        return None
    lost = _names(folder, "diff", "--name-only", "--no-renames", "-z", head, start)
    kept = _names(folder, "--no-optional-locks", "diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", head)
    kept |= _names(folder, "ls-files", "-z", "--others", "--exclude-standard")
    return head if lost and not lost & kept else None


def _names(folder: Path, *args: str) -> set[bytes]:
    return {*git_bytes(folder, *args).split(b"\0")} - {b""}
