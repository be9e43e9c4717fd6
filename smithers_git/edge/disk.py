"""How much room a disk has, and a file that keeps some of it."""

from __future__ import annotations

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
    """Make a file of `size` bytes that no file system can store in less; raises OSError, and leaves none then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.write_bytes(os.urandom(size))
    except OSError:
        path.unlink(missing_ok=True)
        raise
