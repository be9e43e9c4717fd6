"""What in a worktree is not as a commit has it, for a look: nothing is written."""

from __future__ import annotations

from smithers_git.edge.git.checkout import Checkout, inspect, private_index, sound_index
from smithers_git.edge.git.command import storage_errors


@storage_errors
def differing_paths(checkout: Checkout, commit: str) -> list[str]:
    """Files that git does not ignore and that differ from `commit`, or that `commit` does not have.

    What is inside nested repositories does not count: no frame can hold it. Raises GitError: git cannot tell,
    StorageError: the disk refuses.
    """
    with private_index(checkout) as private:
        sound_index(private)
        state = inspect(private)
        found = {*state.changed, *state.untracked, *state.conflicted}
        if state.head is not None and state.head != commit:
            # With the copy: git reads the index here too, and gives up when that is damaged.
            names = private.git("diff-tree", "-r", "-z", "--name-only", "--no-renames", commit, state.head)
            found |= {name for name in names.split("\0") if name}
    return sorted(found)
