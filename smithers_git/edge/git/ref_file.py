"""The file of a ref, moved by hand as git does it: locked, looked at, written beside, renamed over.

libgit2 and git flush it, or not, by a setting of the whole process. Here it is the caller who says.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Final

from smithers_git.edge.git import ref_lock
from smithers_git.edge.git.durable import flush
from smithers_git.errors import LockTimeout

_TRIES: Final = 10
"""`git pack-refs` and `git gc` remove the folder of a ref that they have packed as often as we make it."""
_MOST: Final = 64
"""Bytes that are looked at: a commit's name and the end of its line are 41."""
_COMMIT: Final = re.compile(rb"[0-9a-f]{40}\n?")


def read(git_dir: Path, name: str) -> str | None:
    """What the file of the ref says; None when there is none, or it holds no commit: packed, symbolic, or torn."""
    try:
        fd = os.open(f"{git_dir}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.read(fd, _MOST)
    except OSError:  # a folder, say
        return None
    finally:
        os.close(fd)
    return data[:40].decode() if _COMMIT.fullmatch(data) else None


class RefLock:
    """git's lock of a ref, from now until `move` or `close`.

    Args:
        owner: stands in the lock meanwhile, so that `adopt` knows whose it is; for one that is held for long.

    Raises FileExistsError when another process holds it, OSError when the disk refuses.
    """

    def __init__(self, git_dir: Path, name: str, owner: str = "") -> None:
        self._place, self._lock = f"{git_dir}/{name}", f"{git_dir}/{name}.lock"
        self._fd = _open(self._lock)
        try:
            os.write(self._fd, owner.encode())
        except BaseException:
            self.close()
            raise

    @classmethod
    def adopt(cls, git_dir: Path, name: str, owner: str) -> RefLock | None:
        """The lock that a dead process left, by its `owner` or its age: nobody else gets the ref in between."""
        made = cls.__new__(cls)
        made._place, made._lock = f"{git_dir}/{name}", f"{git_dir}/{name}.lock"
        found = ref_lock.abandoned(git_dir, name)  # before we have it open ourselves
        try:
            made._fd = os.open(made._lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        there = os.fstat(made._fd)
        if found is not None and os.path.samestat(found, there):
            return made
        if os.pread(made._fd, _MOST + len(owner), 0) == owner.encode():
            return made
        made.leave()
        return None

    @property
    def holds(self) -> bool:
        """Whether it is still there: somebody may have removed it by hand, as git advises."""
        try:
            there = os.stat(self._lock)  # noqa: PTH116
        except FileNotFoundError:
            return False
        return self._fd >= 0 and os.path.samestat(there, os.fstat(self._fd))

    def move(self, new: str) -> None:
        """Have the ref point at `new`, unflushed, and let go of it. Raises OSError."""
        data = f"{new}\n".encode()
        os.pwrite(self._fd, data, 0)
        os.ftruncate(self._fd, len(data))
        os.rename(self._lock, self._place)  # noqa: PTH104
        self._lock = ""
        self.leave()

    def close(self) -> None:
        """Let go of it, if that has not happened yet; the ref stays where it is."""
        try:
            if self._lock and self.holds:
                with suppress(FileNotFoundError):
                    os.unlink(self._lock)  # noqa: PTH108
        finally:
            self.leave()

    def leave(self) -> None:
        """Close it as a killed process would: for whoever settles what its owner left."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _open(lock: str) -> int:
    for _ in range(_TRIES):
        try:
            return os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            Path(lock).parent.mkdir(parents=True, exist_ok=True)
    raise FileNotFoundError(errno.ENOENT, "the folder goes again and again", lock)


def settle(git_dir: Path, name: str, choose: Callable[[], str | None], owner: str) -> None:
    """Ask `choose`, under the lock, where the ref shall point, None for where it does; then flush what it says.

    A lock that a dead process left is taken over, that of `owner` at once. Raises LockTimeout when another process
    keeps the ref locked, OSError when the disk refuses.
    """
    for pause in (*ref_lock.PAUSES, None):
        try:
            lock = RefLock.adopt(git_dir, name, owner) or RefLock(git_dir, name)
        except FileExistsError:
            if pause is None:
                path = ref_lock.lock_of(git_dir, name)
                raise LockTimeout(f"another process keeps {name} locked", hint=f"if none is alive: rm {path}") from None
            time.sleep(pause)
            continue
        try:
            new = choose()
            if new is not None:
                lock.move(new)
            elif ref_lock.names_another(git_dir, name, owner):  # whose frames come next: nobody may come in between
                lock.leave()
        finally:
            lock.close()
        break
    flush_ref(git_dir, name)


def flush_ref(git_dir: Path, name: str, below: str = "") -> None:
    """Have the file of the ref, if there is one, and the folders above it on the disk.

    Those above `below` are left out: they list it already, as a repository lists `refs/heads` from its first day.
    """
    flush(git_dir / name)
    for folder in PurePath(name).parents:
        if folder.is_relative_to(below):
            flush(git_dir / folder)
