"""How much room a disk has, and a file that keeps some of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def free(path: Path) -> int:
    """Bytes that we may still write to the file system of `path`, or to the one that `path` would be made on."""
    place = path
    while not place.exists():
        place = place.parent
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def fill(path: Path, size: int) -> None:
    """Make a file that takes `size` bytes of the disk; raises OSError, and leaves none then. None is a full disk."""
    if size <= 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:  # macOS: bytes that its file system cannot store in less
                file.write(os.urandom(size))
    except OSError:
        path.unlink(missing_ok=True)
        raise
