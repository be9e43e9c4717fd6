"""File locks of the operating system: the sole home of fcntl. The kernel drops them when their owner dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from smithers_git.errors import DiskFull, LockTimeout, StorageError, is_full

_PATIENCE = 0.3  # seconds; a look by `is_held` keeps the lock for microseconds, a starved process a little longer


class FileLock:
    """An exclusive lock on the file `path`, between processes and between threads.

    The file stays when the lock goes: a lock file that is deleted by one process while another opens it can be held
    by both. Its text says who holds it, and means nothing when nobody does. flock and not lockf, because a POSIX
    lock is dropped as soon as the process closes any descriptor of that file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def try_acquire(self, info: Mapping[str, Any] | None = None) -> bool:
        """Take the lock unless another holds it; says whether it was taken.

        Args:
            info: what `holder` will show, on top of `pid` and `host`; JSON values.

        Raises:
            StorageError: the file cannot be made.
        """
        return self._acquire(_PATIENCE, info)

    def acquire(self, wait: float, info: Mapping[str, Any] | None = None) -> None:
        """Take the lock, waiting up to `wait` seconds.

        Raises:
            LockTimeout: another held it all the time.
            StorageError: the file cannot be made.
        """
        if not self._acquire(wait, info):
            who = self.holder() or {}
            owner = f"process {who['pid']} on {who['host']}" if "pid" in who and "host" in who else "another process"
            raise LockTimeout(
                f"{owner} has held {self.path} for {wait:g} s", hint="wait for it to finish, then try again"
            )

    def release(self) -> None:
        """Give the lock back. Harmless when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def holds(self) -> bool:
        """Whether this object still has the lock: not when somebody removed or replaced the file meanwhile."""
        return self._fd is not None and _same_file(self._fd, self.path)

    def holder(self) -> dict[str, Any] | None:
        """What the last owner wrote about itself; only meaningful while the lock is held."""
        try:
            found = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return None  # no file yet, or the owner is just writing it
        return found if isinstance(found, dict) else None

    def holder_here(self) -> int | None:
        """The pid of the last owner, if it was one of this machine."""
        who = self.holder() or {}
        return who["pid"] if who.get("host") == socket.gethostname() and isinstance(who.get("pid"), int) else None

    def __enter__(self) -> Self:
        if self._fd is None:
            self.acquire(60.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _acquire(self, wait: float, info: Mapping[str, Any] | None) -> bool:
        until = time.monotonic() + wait
        pause = 0.002
        while not self._try(info):
            if time.monotonic() >= until:
                return False
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        return True

    def _try(self, info: Mapping[str, Any] | None) -> bool:
        fd = _open(self.path)
        taken = False
        try:
            if not _flock(fd, fcntl.LOCK_EX) or not _same_file(fd, self.path):
                return False
            about = {"pid": os.getpid(), "host": socket.gethostname(), **(info or {})}
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(about).encode(), 0)
            taken = True
        except OSError as error:
            raise _storage(self.path, error) from error
        finally:
            if not taken:
                os.close(fd)
        self._fd = fd
        return True


@contextmanager
def holding(path: Path, wait: float) -> Iterator[FileLock]:
    """Hold the lock `path` for the length of a `with` block; waits up to `wait` seconds, then LockTimeout."""
    lock = FileLock(path)
    lock.acquire(wait)
    try:
        yield lock
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether some process (this one included) holds the lock `path`. Nothing is changed and no file is made."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _storage(path, error) from error
    try:
        # Shared, so that two who look do not see each other.
        return not _flock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def hold(fd: int, path: Path) -> bool:
    """Lock the open file `fd` for as long as it is open; whether that was free, and is still the file at `path`.

    For a file that means something by itself and goes when its owner is done with it.
    """
    return _flock(fd, fcntl.LOCK_EX) and _same_file(fd, path)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Close-on-exec: a child that inherited it would keep the lock after our death.
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _storage(path, error) from error


def _flock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _same_file(fd: int, path: Path) -> bool:
    """False when someone deleted or replaced the file after we opened it: a lock on it would exclude nobody."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))  # noqa: PTH116 - every turn of an engine looks
    except FileNotFoundError:
        return False


def _storage(path: Path, error: OSError) -> StorageError:
    kind = DiskFull if is_full(error) else StorageError
    return kind(f"the lock {path} cannot be used: {error.strerror}", hint="make its folder writable")
