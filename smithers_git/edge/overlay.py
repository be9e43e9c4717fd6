"""The sole home of writes to a repository's `.smithers/` folder: new files and folders, never over what is there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from smithers_git.errors import StorageError


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


def _place(target: Path, make: Callable[[Path], object]) -> bool:
    """Made beside its place and moved there when it is whole: a full disk leaves nothing half-made."""
    if os.path.lexists(target):
        return False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".smithers-", dir=target.parent) as folder:
            draft = Path(folder, target.name)
            make(draft)
            draft.rename(target)
    except shutil.Error as error:
        raise StorageError(f"{target} cannot be written: {error}", hint="check the disk and its permissions") from error
    except OSError as error:
        raise StorageError(
            f"{target} cannot be written: {error.strerror}", hint=f"check {target.parent}: permissions and free space"
        ) from error
    return True
