"""What in a worktree is not as a commit has it, for a look: nothing is written."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from smithers_git.edge.git.checkout import Checkout, inspect, sound_index
from smithers_git.edge.git.command import storage_errors


@storage_errors
def differing_paths(checkout: Checkout, commit: str) -> list[str]:
    """Files that git does not ignore and that differ from `commit`, or that `commit` does not have.

    What is inside nested repositories does not count: no frame can hold it. Raises GitError: git cannot tell,
    StorageError: the disk refuses.
    """
    with tempfile.TemporaryDirectory(prefix="smithers-") as folder:
        index = Path(folder, "index")
        if (checkout.git_dir / "index").exists():
            shutil.copy2(checkout.git_dir / "index", index)
        private = replace(checkout, index=index)
        sound_index(private)
        state = inspect(private)
    found = {*state.changed, *state.untracked, *state.conflicted}
    if state.head is not None and state.head != commit:
        names = checkout.git("diff-tree", "-r", "-z", "--name-only", "--no-renames", commit, state.head)
        found |= {name for name in names.split("\0") if name}
    return sorted(found)
