"""Files that belong to other programs: read whole, replaced whole, and never left half written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from smithers_git.errors import ConfigError, StorageError


def read(path: Path) -> str | None:
    """The text of a file, every byte of it; None when there is none. Raises ConfigError."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="make it a readable UTF-8 file") from error


def write(path: Path, text: str) -> list[Path]:
    """Replace a file, or make it; returns the folders that had to be made, the outermost first.

    What a symbolic link points to is replaced, and the file keeps its permissions. Raises StorageError.
    """
    try:
        path = path.resolve()
        made = _make(path.parent)
        mode = path.stat().st_mode & 0o7777 if path.exists() else None
        handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
            os.fchmod(file.fileno(), 0o644 & ~_umask() if mode is None else mode)
        Path(draft).replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}", hint="make its folder writable") from error
    return made


def delete(path: Path, folders: list[Path]) -> None:
    """Remove a file, and those of `folders` that are empty then. Raises StorageError."""
    try:
        path.unlink(missing_ok=True)
        for folder in sorted(folders, key=lambda each: len(each.parts), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise StorageError(f"{path} cannot be removed: {error}", hint="make its folder writable") from error


def _make(folder: Path) -> list[Path]:
    missing = [each for each in (folder, *folder.parents) if not each.exists()][::-1]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
