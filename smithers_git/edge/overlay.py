"""The sole home of writes to a repository's `.smithers/` folder: new files and folders, never over what is there.

To be called by one process at a time.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from smithers_git.errors import StorageError

_DRAFT: Final = ".smithers-new"
"""What the name of something ends in that is still being made."""


def write_new(target: Path, text: str) -> bool:
    """Write a file if there is none yet; returns whether it was written. Raises StorageError."""
    return _place(target, lambda draft: draft.write_text(text, encoding="utf-8"))


def copy_new(source: Path, target: Path) -> bool:
    """Copy a file or folder if there is none at `target` yet; returns whether it was. Raises StorageError."""

    def copy(draft: Path) -> None:
        if source.is_dir():
            shutil.copytree(source, draft, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copyfile(source, draft)

    return _place(target, copy)


def drafts(folder: Path) -> list[Path]:
    """What is being made in `folder`; or was, by a process that died."""
    return sorted(folder.glob(f".*{_DRAFT}"))


def remove_draft(draft: Path) -> None:
    """Remove one of `drafts`; for who holds the lock of the overlay."""
    if draft.is_dir():
        shutil.rmtree(draft)
    else:
        draft.unlink(missing_ok=True)


def _place(target: Path, make: Callable[[Path], object]) -> bool:
    """Made beside its place, flushed, and moved there when it is whole: neither a full disk nor a power loss leaves
    anything half-made, and it is never made again."""
    if os.path.lexists(target):
        return False
    draft = target.with_name(f".{target.name}{_DRAFT}")
    try:
        fresh = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_draft(draft)
        try:
            make(draft)
            _flush(draft)
            draft.rename(target)
            for folder in (target, *fresh):
                _flush_one(folder.parent)
        finally:
            remove_draft(draft)
    except shutil.Error as error:
        raise StorageError(f"{target} cannot be written: {error}", hint="check the disk and its permissions") from error
    except OSError as error:
        raise StorageError(
            f"{target} cannot be written: {error.strerror}", hint=f"check {target.parent}: permissions and free space"
        ) from error
    return True


def _flush(path: Path) -> None:
    """Have a file, or a folder with all that is in it, on the disk."""
    for folder, _, names in os.walk(path):
        for name in names:
            _flush_one(Path(folder, name))
        _flush_one(Path(folder))
    if not path.is_dir():
        _flush_one(path)


def _flush_one(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
