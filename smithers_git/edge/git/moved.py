"""`git update-ref`, also past the lock that a killed process left on a ref of ours."""

from __future__ import annotations

from smithers_git.edge.git import ref_lock
from smithers_git.edge.git.checkout import Checkout
from smithers_git.edge.git.command import storage_errors
from smithers_git.edge.git.ref_file import flush_ref
from smithers_git.edge.process.command import Captured


@storage_errors
def update_ref(checkout: Checkout, message: str, name: str, commit: str, *before: str) -> Captured:
    """Move the ref `name` to `commit`, from `before` if that is given; `message` goes into its reflog.

    An exit code is a result; with 0 the ref is on the disk. The lock of a dead process is removed as `ref_lock` says:
    only that of a ref of ours.
    """
    words = ("update-ref", "-m", message, name, commit, *before)
    done = checkout.try_git(*words)
    if done.code and b".lock'" in done.stderr and ref_lock.break_stale(checkout.common_dir, name):
        done = checkout.try_git(*words)
    if not done.code:
        # git (2.39) flushes the file, and none of the folders that it is in
        flush_ref(checkout.common_dir, name, "refs/heads")
    return done
