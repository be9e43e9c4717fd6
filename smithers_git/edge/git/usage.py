"""What commits cost on the disk, and what they hold."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from smithers_git.edge.git.command import git


def disk_usage(common_dir: Path, tips: Iterable[str], without: Iterable[str]) -> int:
    """Bytes on the disk, compressed as they are, of every object that `tips` reach and `without` do not.

    Raises GitError when one of the commits is missing.
    """
    lines = "".join([*(f"{tip}\n" for tip in tips), *(f"^{tip}\n" for tip in without)])
    return int(git(common_dir, "rev-list", "--objects", "--disk-usage", "--stdin", input=lines.encode()) or 0)


def reachable(common_dir: Path, tips: Iterable[str]) -> set[str]:
    """The id of every object that `tips` reach; raises GitError when one is missing."""
    lines = "".join(f"{tip}\n" for tip in tips)
    arguments = ("rev-list", "--objects", "--no-object-names", "--stdin")
    return set(git(common_dir, *arguments, input=lines.encode()).split())
