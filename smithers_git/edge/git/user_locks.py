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
from typing import Any, Final

from smithers_git.edge.git.restore import git_works_in
from smithers_git.edge.lock import FileLock, holding, is_held

_PATIENCE: Final = 10.0
_ORPHAN: Final = 5.0
"""Seconds for a git that outlives us for a moment."""


@contextmanager
def noted(common_dir: Path, locks: Iterable[Path], about: str = "") -> Iterator[None]:
    """Run git commands that take these locks within a `with` block. `about` says what they do, for `cut_off`."""
    lock = FileLock(_folder(common_dir) / f"{os.getpid()}-{threading.get_ident()}.lock")
    try:
        lock.acquire(_PATIENCE, {"locks": {str(path): _identity(path) for path in locks}, "about": about})
        yield
    finally:
        lock.path.unlink(missing_ok=True)
        lock.release()


def clear(common_dir: Path, folder: Path) -> None:
    """Remove the locks that were noted by processes which are dead.

    Not one that was there before they came, nor while a git works in `folder`, the checkout; and none where the system
    does not tell what works there.
    """
    if not _dead(common_dir) or not Path("/proc/self/fd").is_dir():
        return
    with holding(common_dir / "smithers" / "locks" / "user-locks.lock", _PATIENCE):
        until = time.monotonic() + _ORPHAN
        while git_works_in(folder):
            if time.monotonic() > until:
                return
            time.sleep(0.02)
        for note, said in _dead(common_dir).items():
            for name, before in said.get("locks", {}).items():
                if name.endswith(".lock") and _identity(Path(name)) not in (None, before):
                    Path(name).unlink(missing_ok=True)
            if not said.get("about"):
                note.unlink(missing_ok=True)


def cut_off(common_dir: Path, about: str) -> bool:
    """Whether a dead process was at `about`, by its own note. To be forgotten with `forget` when that is mended."""
    return any(said.get("about") == about for said in _dead(common_dir).values())


def forget(common_dir: Path) -> None:
    """Forget what dead processes were at; their locks are gone by `clear`."""
    for note in _dead(common_dir):
        note.unlink(missing_ok=True)


def _dead(common_dir: Path) -> dict[Path, dict[str, Any]]:
    """The notes of dead processes."""
    notes = sorted(_folder(common_dir).glob("*.lock"))
    return {note: FileLock(note).holder() or {} for note in notes if note.exists() and not is_held(note)}


def _folder(common_dir: Path) -> Path:
    return common_dir / "smithers" / "user-locks"


def _identity(path: Path) -> list[int] | None:
    """What tells this very file; None when there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return [found.st_ino, found.st_mtime_ns]
