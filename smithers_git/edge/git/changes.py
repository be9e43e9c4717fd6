"""Whether anything in a folder of git has changed since it was looked at, or since a commit. Nothing is written."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from smithers_git.edge.git.command import try_git


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


def changed_since(folder: Path, commit: str) -> bool:
    """Whether a file in the worktree differs from `commit`, or is not in it; those that git ignores do not count."""
    if try_git(folder, "--no-optional-locks", "diff", "--quiet", "--no-ext-diff", commit, "--").code != 0:
        return True
    return bool(try_git(folder, "ls-files", "-z", "--others", "--exclude-standard").stdout)
