"""Files of one folder, and of nothing outside it, whatever links lie in it or appear while one looks.

A path is walked step by step with descriptors: each step opens one name below a folder that is already open, and never
through a link. Links are read and followed by us, so that one which leads out is refused, and one that is put in the
place of a checked folder is not entered.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKS: Final = 40
"""Links that one path may take, as in the kernel."""
MOST: Final = 16 << 20
"""Bytes of a file that is read."""


class Refused(Exception):
    """What the model is told when a path cannot be used."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads: `name` in the open folder `fd`, or that folder itself when `name` is empty."""

    fd: int
    name: str
    parts: tuple[str, ...]
    """The whole way from the top, without links."""


class Folder:
    """The one folder. Paths are relative to it; absolute ones are taken where they name something in it."""

    def __init__(self, top: Path) -> None:
        self.top = top.resolve()

    def read(self, path: str) -> bytes | list[str]:
        """The content of a file, or the names in a folder, those of folders with a slash; raises Refused."""
        with self._walk(path) as place:
            if not place.name:
                return _names(place.fd)
            # Without waiting: a named pipe would be waited for, for ever.
            fd = _opened(place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, path)
            with os.fdopen(fd, "rb", closefd=True) as file:
                _must_be_file(os.fstat(fd), path)
                data = file.read(MOST + 1)
        if len(data) > MOST:
            raise Refused(f"{path} is larger than {MOST >> 20} MiB")
        return data

    def write(self, path: str, data: bytes) -> bool:
        """Put `data` into a file, making it and its folders where they are missing; returns whether it is new.

        The file is replaced, not written into: it may have a second name outside. Raises Refused.
        """
        with self._walk(path, make=True) as place:
            if not place.name:
                raise Refused(f"{path} is a folder")
            if any(part.lower() == ".git" for part in place.parts):
                raise Refused(f"{path} belongs to git; it is not written")
            mode = _mode(place, path)
            fresh = f".{secrets.token_hex(8)}.new"
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with os.fdopen(os.open(fresh, flags, 0o666, dir_fd=place.fd), "wb") as file:
                    if mode is not None:
                        os.fchmod(file.fileno(), mode)
                    file.write(data)
                os.rename(fresh, place.name, src_dir_fd=place.fd, dst_dir_fd=place.fd)
            except OSError as error:
                with suppress(OSError):
                    os.unlink(fresh, dir_fd=place.fd)
                raise Refused(f"{path}: {error.strerror}") from error
        return mode is None

    @contextmanager
    def _walk(self, path: str, *, make: bool = False) -> Iterator[Place]:
        walk = _Walk(self.top, path, make)
        try:
            yield walk.go()
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}") from error
        finally:
            walk.close()


class _Walk:
    """One walk from the top to the place that a path names."""

    def __init__(self, top: Path, path: str, make: bool) -> None:
        if "\0" in path:
            raise Refused("a path holds no NUL")
        self._top, self._path, self._make = top, path, make
        self._open = [os.open(top, _FOLDER)]
        self._names: list[str] = []
        self._left: list[str] = []
        self._take(path)

    def go(self) -> Place:
        links = 0
        while self._left:
            part = self._left.pop(0)
            if part == "..":
                self._up()
                continue
            target = self._link(part)
            if target is not None:
                links += 1
                if links > _LINKS:
                    raise Refused(f"{self._path}: too many links")
                self._take(target)
            elif self._left or self._is_folder(part):
                self._down(part)
            else:
                return Place(self._open[-1], part, (*self._names, part))
        return Place(self._open[-1], "", tuple(self._names))

    def close(self) -> None:
        for fd in self._open:
            os.close(fd)

    def _take(self, path: str) -> None:
        """Put the parts of `path` in front of what is left to walk."""
        parts = list(PurePosixPath(path).parts)
        if path.startswith("/"):
            # Lexically: what is walked below the top is looked at step by step all the same.
            top = self._top.parts
            if tuple(parts[: len(top)]) != top:
                raise Refused(f"{self._path} is outside of the workspace {self._top}")
            parts = parts[len(top) :]
            while len(self._open) > 1:
                self._up()
        self._left = [*parts, *self._left]

    def _up(self) -> None:
        if len(self._open) == 1:
            raise Refused(f"{self._path} is outside of the workspace {self._top}")
        os.close(self._open.pop())
        self._names.pop()

    def _down(self, part: str) -> None:
        if self._make:
            if part.lower() == ".git":
                raise Refused(f"{self._path} belongs to git; it is not written")
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=self._open[-1])
        self._open.append(os.open(part, _FOLDER, dir_fd=self._open[-1]))
        self._names.append(part)

    def _link(self, part: str) -> str | None:
        try:
            found = os.stat(part, dir_fd=self._open[-1], follow_symlinks=False)
        except FileNotFoundError:
            return None
        return os.readlink(part, dir_fd=self._open[-1]) if stat.S_ISLNK(found.st_mode) else None

    def _is_folder(self, part: str) -> bool:
        try:
            found = os.stat(part, dir_fd=self._open[-1], follow_symlinks=False)
        except FileNotFoundError:
            return False
        return stat.S_ISDIR(found.st_mode)


def _names(fd: int) -> list[str]:
    with os.scandir(fd) as entries:
        return sorted(entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in entries)


def _opened(place: Place, flags: int, path: str) -> int:
    try:
        return os.open(place.name, flags, dir_fd=place.fd)
    except FileNotFoundError:
        raise Refused(f"there is no {path}") from None


def _must_be_file(found: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{path} is neither a file nor a folder")


def _mode(place: Place, path: str) -> int | None:
    """The permissions of the file that is replaced; None when there is none."""
    try:
        found = os.stat(place.name, dir_fd=place.fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    _must_be_file(found, path)
    return stat.S_IMODE(found.st_mode) & 0o777
