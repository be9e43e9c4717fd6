"""What a power loss leaves in a git folder that stops git or lies to it: torn objects, locks, records of worktrees.

git flushes little by default, an agent's or user's `git commit` nothing at all. On ext4 what was written in the last
half minute and renamed to a new name is then an empty file: an object that git holds for present and never writes
again, or a record of a worktree that makes `git worktree list` fail for ever (git 2.39, an empty `commondir`).
All here is for what stood there before the machine started; so nothing of a living process is touched.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from smithers_git.edge.git.command import storage_errors
from smithers_git.edge.git.durable import put
from smithers_git.edge.git.records import OURS
from smithers_git.edge.git.restore import free_shelf
from smithers_git.names import BRANCHES

_RECENT: Final = 900.0
"""Seconds before the newest object within which one may be torn. A kernel keeps written data for half a minute."""
_TORN: Final = "torn"
_LINKED: Final = "gitdir: "
_COMMON: Final = "../..\n"


# -- objects


@storage_errors
def clear_objects(common_dir: Path, since: float) -> list[str]:
    """Move loose objects that are not whole out of git's way, into `smithers/torn`; returns their names.

    Nobody can read them. As long as they are there git takes them for written, and never writes them again.

    Args:
        common_dir: the repository's common git directory.
        since: when the machine started, in Unix seconds.
    """
    found = [(file, stat) for file in _loose(common_dir) if (stat := _stat(file)) and stat.st_mtime < since]
    newest = max((stat.st_mtime for _, stat in found), default=0.0)
    torn = [
        file for file, stat in found if not stat.st_size or (stat.st_mtime >= newest - _RECENT and not _whole(file))
    ]
    for file in torn:
        _aside(common_dir, file, file.parent.name + file.name)
    return [file.parent.name + file.name for file in torn]


def _loose(common_dir: Path) -> Iterator[Path]:
    for folder in sorted((common_dir / "objects").glob("[0-9a-f][0-9a-f]")):
        yield from sorted(folder.glob("[0-9a-f]" * 38))


def _whole(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            inflate = zlib.decompressobj()
            while not inflate.eof and (data := opened.read(1 << 16)):
                while data and not inflate.eof:
                    inflate.decompress(data, 1 << 20)
                    data = inflate.unconsumed_tail
    except FileNotFoundError:
        return True
    except zlib.error:
        return False
    return inflate.eof


def _stat(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except FileNotFoundError:
        return None


def _aside(common_dir: Path, path: Path, name: str) -> None:
    shelf = common_dir / "smithers" / _TORN
    shelf.mkdir(parents=True, exist_ok=True)
    target, number = shelf / name, 1
    while os.path.lexists(target):
        target, number = shelf / f"{name}.{number}", number + 1
    path.rename(target)


# -- locks


@storage_errors
def clear_locks(common_dir: Path, since: float) -> list[Path]:
    """Remove the locks of git that were there before the machine started: whoever made them is dead."""
    places = [common_dir, *(common_dir / "worktrees").glob("*")]
    locks = [place / f"{name}.lock" for place in places for name in ("index", "HEAD", "config", "packed-refs")]
    gone = []
    for lock in [*locks, *(common_dir / "refs").rglob("*.lock")]:
        found = _stat(lock)
        if found is not None and found.st_mtime < since:
            lock.unlink(missing_ok=True)
            gone.append(lock)
    return gone


# -- records of worktrees


@storage_errors
def mend_records(common_dir: Path, root: Path, since: float) -> list[Path]:
    """Write anew what is empty or cut off in git's records of our worktrees; returns the folders that were set aside.

    A record that nobody can say the folder of is moved into `smithers/torn`, and a folder that no record is of into
    one beside it, as `restore` does with files that no frame holds. Those of others keep what they have, but for
    `commondir`, which is the same in each and without which git fails everywhere in the repository.

    Args:
        common_dir: the repository's common git directory.
        root: folder of our worktrees.
        since: when the machine started, in Unix seconds.
    """
    folders = [path for pattern in ("*/*", "*/.lanes/*") for path in root.glob(pattern) if path.is_dir()]
    folders = [path for path in folders if not path.name.startswith(".")]
    claims = {_text(path / ".git").removeprefix(_LINKED).strip(): path for path in folders}
    known = set[Path]()
    for record in sorted((common_dir / "worktrees").glob("*")):
        told = _text(record / "commondir")
        if (_COMMON.startswith(told) and told != _COMMON) or "\0" in told:
            put(record / "commondir", os.fsencode(_COMMON))
        folder = _folder(record) or claims.get(str(record))
        if folder is None:
            if _nobodys(record):
                _aside(common_dir, record, f"worktree-{record.name}")
        elif folder.is_relative_to(root) and _mend(record, folder, folder.relative_to(root).as_posix(), common_dir):
            known.add(folder)
    return [_shelve(path) for path in folders if path not in known and _orphan(path, common_dir, since)]


def _folder(record: Path) -> Path | None:
    text = _text(record / "gitdir").removesuffix("\n")
    return Path(text).parent if text.endswith("/.git") and text.startswith("/") else None


def _nobodys(record: Path) -> bool:
    """Whether it is a record of ours of which the folder is not known, or one that says nothing at all."""
    head, locked = _text(record / "HEAD"), _text(record / "locked")
    return head.startswith(f"ref: {BRANCHES}") or locked.startswith(OURS) or not (_headed(head) or locked)


def _mend(record: Path, folder: Path, name: str, common_dir: Path) -> bool:
    """Make a record of ours whole; False when that cannot be: it is gone then, for another to be made."""
    if not _headed(_text(record / "HEAD")):
        branch = f"{BRANCHES}{name}"
        if not (common_dir / branch).exists():  # a lane, or packed: nobody needs this one
            _aside(common_dir, record, f"worktree-{record.name}")
            return False
        put(record / "HEAD", os.fsencode(f"ref: {branch}\n"))
    if _folder(record) is None:
        put(record / "gitdir", os.fsencode(f"{folder}/.git\n"))
    if not _text(record / "locked").startswith(OURS):
        put(record / "locked", os.fsencode(f"{OURS}{name}, `smithers ps` shows the run"))
    return True


def _headed(text: str) -> bool:
    """Whether it can be what HEAD says; a `git worktree add` that is killed leaves zeros."""
    plain = text.strip()
    if plain.startswith("ref: "):
        return plain.startswith("ref: refs/")
    return len(plain) == 40 and not plain.strip("0123456789abcdef") and bool(plain.strip("0"))


def _orphan(folder: Path, common_dir: Path, since: float) -> bool:
    """Whether the folder was a worktree here, before the machine started, and no record of it is left."""
    link = folder / ".git"
    text, found = _text(link), _stat(link) or folder.stat()
    if found.st_mtime >= since:
        return False
    if text and not text.startswith(f"{_LINKED}{common_dir}/worktrees/"):
        return False
    return not link.is_dir() and any(folder.iterdir())


def _shelve(folder: Path) -> Path:
    shelf = free_shelf(folder)
    shelf.parent.mkdir(exist_ok=True)
    folder.rename(shelf)
    return shelf


def _text(path: Path) -> str:
    """What a file says; nothing when it is missing, or zeros from a torn write."""
    try:
        return os.fsdecode(path.read_bytes()).rstrip("\0")
    except OSError:
        return ""
