"""Putting the files of a commit into a worktree of ours that is used again and again, on no branch."""

from __future__ import annotations

from typing import Final

from smithers_git.edge.git.checkout import Checkout, inspect, sound_index
from smithers_git.edge.git.command import storage_errors
from smithers_git.edge.git.restore import end_operations, gently, mend
from smithers_git.errors import GitError

_PLACED: Final = "smithers-placed"
"""In git's own folder about the worktree: the commit whose files are all there; missing while that is not sure."""


@storage_errors
def place(checkout: Checkout, commit: str, *, ignored_too: bool = False) -> None:
    """Make index, files and HEAD equal to `commit`, HEAD on no branch; what is untracked goes.

    As a checkout of the user's would: filters, sparse patterns and line ends apply. Files that do not differ are not
    written, so build tools see that they are the same. Nothing may work in the worktree any more.

    Args:
        checkout: a worktree of ours, detached; what is untracked in it is worth nothing.
        commit: what to put there.
        ignored_too: ignored files go as well, else they stay.

    Raises:
        GitError: the files are still not equal.
        StorageError: something cannot be read or written.
    """
    mend(checkout, "")
    end_operations(checkout)
    record = checkout.git_dir / _PLACED
    known = record.read_text("ascii", "replace").strip("\0") if record.exists() else None  # zeros: a power loss
    record.unlink(missing_ok=True)
    checkout.git("update-ref", "--no-deref", "HEAD", commit)
    if not known or _attributes_differ(checkout, known, commit):
        # Without an index git writes every file: one of the same content may be written otherwise now.
        (checkout.git_dir / "index").unlink(missing_ok=True)
    else:
        sound_index(checkout)
    gently(checkout, "reset", "--hard", "--quiet", commit)
    gently(checkout, "clean", "-ffdxq" if ignored_too else "-ffdq")  # -ff: nested repositories go too
    state = inspect(checkout)
    wrong = [name for name in state.changed if name + "/" not in state.uncovered]
    wrong += state.untracked + state.conflicted
    if wrong or state.head != commit or state.branch is not None:
        raise GitError(
            f"{checkout.path} does not equal {commit[:12]} after git reset --hard: {', '.join(wrong[:3]) or 'HEAD'}",
            hint=f"does something still write there? see `git -C {checkout.path} status`",
        )
    record.write_text(commit, "ascii")


def stage(checkout: Checkout, before: str) -> None:
    """Have HEAD at `before` while index and files stay: what was placed is a staged change of it then."""
    checkout.git("update-ref", "--no-deref", "HEAD", before)


def _attributes_differ(checkout: Checkout, old: str, new: str) -> bool:
    """Whether a file may be written differently though its content in git is the same."""
    if old == new:
        return False
    specs = ("--", ":(top,glob)**/.gitattributes")
    return checkout.try_git("diff-tree", "-r", "--quiet", "--no-renames", old, new, *specs).code != 0
