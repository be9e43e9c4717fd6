"""A folder that is put back, file by file, to what it was, at the same path: for thousands of cases on one template.

Only what differs is written again. Whatever touched a file has changed its time of change, which nobody can set.
"""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

Seen = tuple[int, int, int, int, int]
"""Mode, inode, size, and the times of modification and change of a file as it stood after it was last put back."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A file, link or folder of the template."""

    mode: int
    data: bytes
    """Its bytes, or where the link points."""
    modified: int


def walk(root: Path) -> dict[str, os.stat_result]:
    """Everything below `root` by its relative path, folders before what is in them."""
    found: dict[str, os.stat_result] = {}
    folders = [(str(root), "")]
    for folder, prefix in folders:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                found[prefix + entry.name] = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, f"{prefix}{entry.name}/"))
    return found


class Place:
    """What lies below `root` now is the template."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.kept: dict[str, Kept] = {}
        self._seen: dict[str, Seen] = {}
        for name, about in walk(root).items():
            self.kept[name] = Kept(about.st_mode, _data(root / name, about.st_mode), about.st_mtime_ns)
            self._seen[name] = _seen(about)

    def restore(self) -> None:
        """Make everything below `root` as it was."""
        now = walk(self.root)
        for name in sorted(now.keys() - self.kept.keys(), reverse=True):
            self._remove(name, now[name].st_mode)
        for name, kept in self.kept.items():
            there = now.get(name)
            if stat.S_ISDIR(kept.mode):
                if there is not None and not stat.S_ISDIR(there.st_mode):
                    self._remove(name, there.st_mode)
                    there = None
                path = self.root / name
                if there is None:
                    path.mkdir()
                if there is None or there.st_mode != kept.mode:
                    path.chmod(stat.S_IMODE(kept.mode))
            elif there is None or _seen(there) != self._seen[name]:
                if there is not None:
                    self._remove(name, there.st_mode)
                self._write(name, kept)

    def changed(self) -> dict[str, Kept | None]:
        """What differs from the template, as it is now; None for what is gone. Times do not count."""
        now = walk(self.root)
        found: dict[str, Kept | None] = dict.fromkeys(self.kept.keys() - now.keys())
        for name, about in now.items():
            before = self.kept.get(name)
            if before is not None and _seen(about) == self._seen[name]:
                continue
            after = Kept(about.st_mode, _data(self.root / name, about.st_mode), 0)
            if before is None or (before.mode, before.data) != (after.mode, after.data):
                found[name] = after
        return found

    def _write(self, name: str, kept: Kept) -> None:
        path = self.root / name
        if stat.S_ISLNK(kept.mode):
            path.symlink_to(os.fsdecode(kept.data))
        else:
            path.write_bytes(kept.data)
            path.chmod(stat.S_IMODE(kept.mode))
            os.utime(path, ns=(kept.modified, kept.modified))
        self._seen[name] = _seen(path.lstat())

    def _remove(self, name: str, mode: int) -> None:
        path = self.root / name
        if not os.path.lexists(path):
            return
        if stat.S_ISDIR(mode):
            shutil.rmtree(path)
        else:
            path.unlink()


def _data(path: Path, mode: int) -> bytes:
    if stat.S_ISLNK(mode):
        return os.fsencode(path.readlink())
    return path.read_bytes() if stat.S_ISREG(mode) else b""


def _seen(about: os.stat_result) -> Seen:
    return about.st_mode, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns
