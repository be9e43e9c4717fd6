"""What of a repository's `.smithers` can make something run, as one digest; and the user's file of trusted digests."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from smithers_git.errors import ConfigError, StorageError

NAME: Final = "trust.json"
_DATA: Final = ("tickets",)
"""Folders directly below `.smithers` that hold text for people and agents, and nothing that runs."""


def digest(worktree: Path) -> str:
    """SHA-256 of the configuration's values and of every file below `.smithers`, but for tickets.

    Links are followed, since loading follows them: it is what they lead to that would run. Byte code counts as well,
    Python would take it in place of the source beside it.

    Raises StorageError: something there cannot be read.
    """
    top = worktree / ".smithers"
    total = hashlib.sha256()
    try:
        for path in sorted(_files(top)):
            name = path.relative_to(top).as_posix()
            data = _config(path.read_bytes()) if name == "config.toml" else path.read_bytes()
            head = f"{name}\0{path.stat().st_mode & 0o111:o}\0{len(data)}\0"
            total.update(head.encode("utf-8", "surrogateescape") + data)
    except OSError as error:
        raise StorageError(
            f"{error.filename or top} cannot be read: {error.strerror}", hint="make it readable, or remove it"
        ) from error
    return total.hexdigest()


def _config(data: bytes) -> bytes:
    """The values alone: a comment changes nothing that runs."""
    try:
        return json.dumps(tomllib.loads(data.decode("utf-8")), sort_keys=True, default=str).encode()
    except (ValueError, RecursionError):  # not TOML or not UTF-8; such a file is refused wherever it is read
        return data


def _files(top: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for folder, folders, names in os.walk(top, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # links in a circle
            folders.clear()
            continue
        seen.add(real)
        if Path(folder) == top:
            folders[:] = [name for name in folders if name not in _DATA]
        for name in names:
            path = Path(folder, name)
            try:
                if stat.S_ISREG(path.stat().st_mode):
                    yield path
            except FileNotFoundError:  # a link that leads nowhere
                continue


def read(folder: Path) -> dict[str, dict[str, str]]:
    """Git directory of a repository to the digests that are trusted there, each with when; raises ConfigError."""
    path = folder / NAME
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}", hint="remove it, then trust again what you trust"
        ) from error
    entries = found.get("repositories") if isinstance(found, dict) else None
    if not isinstance(entries, dict) or not all(isinstance(value, dict) for value in entries.values()):
        raise ConfigError(f"{path} has another shape than smithers gives it", hint="remove it, then trust again")
    return entries


def write(folder: Path, entries: dict[str, dict[str, str]]) -> None:
    """Replace the file by these entries, readable by the user alone; raises StorageError."""
    document: dict[str, Any] = {"version": 1, "repositories": entries}
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, draft = tempfile.mkstemp(prefix=".trust-", dir=folder)
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor, not a path
            json.dump(document, file, indent=2, sort_keys=True)
        Path(draft).replace(folder / NAME)
    except OSError as error:
        raise StorageError(
            f"{folder / NAME} cannot be written: {error.strerror}", hint=f"see `ls -ld {folder}`"
        ) from error
