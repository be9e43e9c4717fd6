"""Lock files that a killed process left beside a ref of ours.

git and libgit2 lock a ref by making `<ref>.lock` beside it. A process that is killed before it renames that file over
the ref leaves it, and then nobody can ever move the ref again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from smithers_git.clock import SystemClock
from smithers_git.edge.lock import holding, is_held
from smithers_git.names import BRANCHES, OURS, is_ours

STALE: Final = 2.0
"""Seconds. A living process holds such a lock for less than a millisecond, or for as long as one flush takes."""
PAUSES: Final = (*[0.001] * 400, 0.01, 0.02, 0.04, 0.08, 0.16, 0.3, 0.5, 0.7, 1.0, 1.0)
"""Seconds between looks at a locked ref; together longer than STALE. An engine whose steps take no time lets go of the
ref of its run every tenth of a second, for a millisecond."""
_WAIT: Final = 10.0
_NAMED: Final = "smithers journal "
_seen: dict[Path, tuple[tuple[int, int], float]] = {}
"""Lock files that were met: which one, and since when on the clock that never goes back."""


def lock_of(git_dir: Path, name: str) -> Path:
    """The lock file of the ref `name`."""
    return git_dir / f"{name}.lock"


def named(journal: Path) -> str:
    """What stands in a lock that is held for frames which only this journal has: its owner holds that, too."""
    return f"{_NAMED}{journal.name}\n"


def names_another(git_dir: Path, name: str, owner: str) -> bool:
    """Whether the lock of the ref `name` is held for the frames of another journal than `owner`, which is there."""
    text = _text(lock_of(git_dir, name))
    return text != owner and text.startswith(_NAMED) and _journal(git_dir, text).exists()


def left(git_dir: Path) -> list[str]:
    """The refs of ours beside which an old lock lies, those that are gone too."""
    locks = [
        lock
        for place in (OURS, BRANCHES)
        for lock in sorted((git_dir / place).rglob("*.lock"))
        if _stale(git_dir, lock)
    ]
    return [lock.relative_to(git_dir).as_posix().removesuffix(".lock") for lock in locks]


def break_stale(git_dir: Path, name: str, settle: Callable[[], None] = lambda: None) -> bool:
    """Remove the lock of the ref `name` if its owner is dead; says whether the ref is free now.

    Args:
        settle: is called before, once it is known that nobody has it: what its owner left may be for the ref.
    """
    lock = lock_of(git_dir, name)
    found = abandoned(git_dir, name)
    if found is None:
        return not lock.exists()
    settle()
    # One at a time: between a look and the removal another one could remove it too, and a third make a fresh lock.
    with holding(git_dir / "smithers" / "locks" / "refs.lock", _WAIT):
        again = _stale(git_dir, lock)
        if again is not None and os.path.samestat(found, again):
            lock.unlink(missing_ok=True)
    return not lock.exists()


def abandoned(git_dir: Path, name: str) -> os.stat_result | None:
    """The lock of the ref `name`, if its owner is dead.

    Only refs of ours, only a file that is old, and only when no process has it open: a program may be in the middle of
    a slow flush. Where the system does not tell who has a file open (no /proc) none is, but for one with the name of a
    journal that nobody holds.
    """
    lock = lock_of(git_dir, name)
    found = _stale(git_dir, lock)
    dead = found is not None and is_ours(name) and (_is_dead_engines(git_dir, lock) or not _is_open(found))
    return found if dead else None


def _stale(git_dir: Path, lock: Path) -> os.stat_result | None:
    try:
        found = lock.stat()
    except FileNotFoundError:
        return None
    if _is_dead_engines(git_dir, lock):
        return found
    # In the future: the clock went back since (soak, seed 3c0dd9b6), and until it is there again is too long to wait.
    age = abs(SystemClock().now() - found.st_mtime)
    return found if max(age, _seen_for(lock, found)) >= STALE else None


def _is_dead_engines(git_dir: Path, lock: Path) -> bool:
    text = _text(lock)
    return text.startswith(_NAMED) and not is_held(_journal(git_dir, text))


def _journal(git_dir: Path, text: str) -> Path:
    return git_dir / "smithers" / "journal" / text.removeprefix(_NAMED).removesuffix("\n")


def _text(lock: Path) -> str:
    try:
        return lock.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _seen_for(lock: Path, found: os.stat_result) -> float:
    """Seconds for which this process knows that very file: by a clock that went back a little it looks too young."""
    now, identity = SystemClock().monotonic(), (found.st_ino, found.st_mtime_ns)
    known, since = _seen.get(lock, (None, now))
    if known != identity:
        since = now
    _seen[lock] = identity, since
    return now - since


def _is_open(file: os.stat_result) -> bool:
    """Whether some process has this very file open; True when that cannot be known."""
    if not Path("/proc/self/fd").is_dir():
        return True
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and any(_same(entry, file) for entry in _descriptors(process)):
            return True
    return False


def _descriptors(process: Path) -> list[Path]:
    try:
        return list((process / "fd").iterdir())
    except OSError:  # it ended, or belongs to another user, who could not have locked our ref without our rights
        return []


def _same(entry: Path, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(entry.stat(), file)
    except OSError:
        return False
