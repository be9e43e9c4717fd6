"""The file of a ref, moved by hand as git does it: locked, looked at, written beside, renamed over.

libgit2 and git flush it, or not, by a setting of the whole process. Here it is the caller who says.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def locked(git_dir: Path, name: str) -> Iterator[Callable[[str], None]]:
    """Hold git's lock of the ref for a `with` block, which gets a function that moves it, once, unflushed.

    Raises FileExistsError when another process holds it, OSError when the disk refuses.
    """
    place, lock = f"{git_dir}/{name}", f"{git_dir}/{name}.lock"
    fd = _open(lock)
    moved = False

    def move(new: str) -> None:
        nonlocal moved
        os.write(fd, f"{new}\n".encode())
        os.rename(lock, place)  # noqa: PTH104
        moved = True

    try:
        yield move
    finally:
        os.close(fd)
        if not moved:
            with suppress(FileNotFoundError):
                os.unlink(lock)  # noqa: PTH108


def _open(lock: str) -> int:
    for _ in range(_TRIES):
        try:
            return os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            Path(lock).parent.mkdir(parents=True, exist_ok=True)
    raise FileNotFoundError(errno.ENOENT, "the folder goes again and again", lock)


def settle(git_dir: Path, name: str, choose: Callable[[], str | None]) -> None:
    """Ask `choose`, under the lock, where the ref shall point, None for where it does; then flush what it says.

    Raises LockTimeout when another process keeps the ref locked, OSError when the disk refuses.
    """
    for pause in (*ref_lock.PAUSES, None):
        try:
            with locked(git_dir, name) as move:
                new = choose()
                if new is not None:
                    move(new)
            break
        except FileExistsError:
            if pause is None:
                lock = ref_lock.lock_of(git_dir, name)
                raise LockTimeout(f"another process keeps {name} locked", hint=f"if none is alive: rm {lock}") from None
            if not ref_lock.break_stale(git_dir, name):
                time.sleep(pause)
    flush_ref(git_dir, name)


def flush_ref(git_dir: Path, name: str, below: str = "") -> None:
    """Have the file of the ref, if there is one, and the folders above it on the disk.

    Those above `below` are left out: they list it already, as a repository lists `refs/heads` from its first day.
    """
    flush(git_dir / name)
    for folder in PurePath(name).parents:
        if folder.is_relative_to(below):
            flush(git_dir / folder)
