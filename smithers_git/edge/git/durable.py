"""Getting objects onto the disk that someone else may have written carelessly."""

from __future__ import annotations

import os

from smithers_git.edge.git.checkout import Checkout
from smithers_git.edge.git.command import storage_errors


@storage_errors
def sync_objects(checkout: Checkout, new: str, old: str) -> None:
    """Flush to the disk every loose object that `new` has and `old` has not, and the folders that list them.

    Our own git processes flush what they write, but not its folder (git 2.39), and an agent's or user's `git add` and
    `git commit` flush nothing (default of core.fsync); git then does not write again what it finds. After a power
    cut such an object may be empty. Packs are flushed by every git.
    """
    folders = set()
    for name in checkout.git("rev-list", "--objects", "--no-object-names", new, f"^{old}").split():
        path = checkout.common_dir / "objects" / name[:2] / name[2:]
        if path.exists():
            _sync(path)
            folders.add(path.parent)
    for folder in folders:
        _sync(folder)
    if folders:
        _sync(checkout.common_dir / "objects")


def _sync(path: os.PathLike[str]) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
