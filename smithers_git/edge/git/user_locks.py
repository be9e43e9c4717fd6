"""Locks of the user's own refs and index that a git of ours holds for a moment.

When we and that git are killed in this moment, git leaves the lock file, and from then on the user's `git commit` and
`git switch` fail. So we note before which locks we are about to take; whoever comes next removes those of a dead one.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from smithers_git.edge.git.restore import git_works_in
from smithers_git.edge.lock import FileLock, holding, is_held

_PATIENCE: Final = 10.0
_ORPHAN: Final = 5.0
"""Seconds for a git that outlives us for a moment."""


@contextmanager
def noted(common_dir: Path, locks: Iterable[Path]) -> Iterator[None]:
    """Run git commands that take these locks within a `with` block."""
    lock = FileLock(_folder(common_dir) / f"{os.getpid()}-{threading.get_ident()}.lock")
    lock.acquire(_PATIENCE, {"locks": {str(path): _identity(path) for path in locks}})
    try:
        yield
    finally:
        lock.path.unlink(missing_ok=True)
        lock.release()


def clear(common_dir: Path, folder: Path) -> None:
    """Remove the locks that were noted by processes which are dead.

    Not one that was there before they came, nor while a git works in `folder`, the checkout; and none where the system
    does not tell what works there.
    """
    notes = sorted(_folder(common_dir).glob("*.lock"))
    if not notes or not Path("/proc/self/fd").is_dir():
        return
    with holding(common_dir / "smithers" / "locks" / "user-locks.lock", _PATIENCE):
        for note in notes:
            if is_held(note) or not note.exists():
                continue
            until = time.monotonic() + _ORPHAN
            while git_works_in(folder):
                if time.monotonic() > until:
                    return
                time.sleep(0.02)
            left = (FileLock(note).holder() or {}).get("locks", {})
            for name, before in left.items():
                path = Path(name)
                if path.name.endswith(".lock") and _identity(path) not in (None, before):
                    path.unlink(missing_ok=True)
            note.unlink(missing_ok=True)


def _folder(common_dir: Path) -> Path:
    return common_dir / "smithers" / "user-locks"


def _identity(path: Path) -> list[int] | None:
    """What tells this very file; None when there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return [found.st_ino, found.st_mtime_ns]
