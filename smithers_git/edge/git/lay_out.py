"""Writing the files of a tree into a new folder, as a checkout would, without touching any checkout."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from smithers_git.edge.git.checkout import Checkout
from smithers_git.edge.git.command import storage_errors
from smithers_git.edge.git.repository import Repository
from smithers_git.edge.process import temporary
from smithers_git.errors import StorageError, UsageError


@storage_errors
def lay_out(repo: Repository, tree: str, path: str, target: Path) -> list[str]:
    """Write the file or folder `path` of `tree` below the new folder `target`, and return the names of the files.

    Filters, LFS and line ends apply as in any checkout. `target` appears whole or not at all.

    Args:
        repo: where the objects are.
        tree: a tree or commit.
        path: relative to the tree's top, `/` between folders; empty or `.` for everything.
        target: must not exist; its parent folders are made.

    Raises:
        StorageError: `target` exists, or the disk refuses.
        UsageError: the tree has no such path.
        GitError: git refuses.
    """
    target = target.parent.resolve() / target.name
    if os.path.lexists(target):
        raise StorageError(f"{target} exists already and is left alone", hint="give another folder: --into DIR")
    target.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        with temporary.folder() as scratch:
            names = _fill(Checkout(new, repo.common_dir, Path(scratch, "index")), tree, path)
        new.chmod(0o777 & ~_umask())
        new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return names


def _fill(checkout: Checkout, tree: str, path: str) -> list[str]:
    # Sparse patterns are about the user's own checkout.
    checkout.git("-c", "core.sparseCheckout=false", "read-tree", tree)
    where = path.strip("/") or "."
    names = checkout.git("--literal-pathspecs", "ls-files", "-z", "--", where).split("\0")[:-1]
    if not names:
        raise UsageError(f"there is no {path!r} in it", hint=f"git ls-tree -r --name-only {tree[:12]} lists its files")
    checkout.git("--literal-pathspecs", "checkout", "--quiet", "--", where)
    return names


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
