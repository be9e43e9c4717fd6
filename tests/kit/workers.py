"""What other processes do in tests. Here, because a spawned process can import `kit` but not a test module."""

from __future__ import annotations

from pathlib import Path

from smithers_git.edge.git import worktree
from smithers_git.edge.git.repository import discover
from smithers_git.edge.git.restore import restore
from smithers_git.edge.lock import holding
from smithers_git.names import branch_ref


def count(path: Path, number: Path) -> None:
    """Add 25 to the number in a file, one at a time, each under the lock `path`."""
    for _ in range(25):
        with holding(path, 30):
            number.write_text(str(int(number.read_text()) + 1))


def add_worktree(repo: Path, path: Path, number: int) -> None:
    """Make a worktree of HEAD below `path`, with a branch of its own."""
    found = discover(repo)
    assert found.head is not None
    branch = branch_ref("run", f"s{number}")
    restore(worktree.add(found, path / str(number), branch, found.head), branch, found.head)
