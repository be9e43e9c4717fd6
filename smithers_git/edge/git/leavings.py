"""What a tool leaves in a folder besides its work: caches and records of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from smithers_git.edge.git.command import git, try_git


def sweep(folder: Path, patterns: Sequence[str]) -> None:
    """Remove what lies in the worktree `folder` and matches one of `patterns`, globs relative to its top.

    What git tracks stays, and so does what it ignores: that is in no snapshot anyway. Where an agent has put another
    repository in the place of ours, or none, nothing is done: git would go up to one in a parent folder.

    Raises:
        GitError: git cannot do it.
    """
    if not patterns:
        return
    top = try_git(folder, "rev-parse", "--show-toplevel").stdout
    if os.fsdecode(top).rstrip("\n") == str(folder.resolve()):
        # A folder is not meant by a glob that fits its name, but by one that fits what is in it (git 2.39).
        places = [f":(top,glob){pattern}{below}" for pattern in patterns for below in ("", "/**")]
        git(folder, "clean", "-f", "-d", "-q", "--", *places)
