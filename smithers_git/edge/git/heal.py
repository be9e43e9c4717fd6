"""Files of a worktree that a power loss emptied, cut off, left out or left as they were: written anew from a commit."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from smithers_git.edge.git.checkout import Checkout, private_index, sound_index
from smithers_git.edge.git.command import storage_errors
from smithers_git.edge.git.differs import differing_paths

_SECTOR: Final = 512
"""Bytes that a disk writes whole or not at all."""


@storage_errors
def heal(checkout: Checkout, commit: str, within: Iterable[str] | None = None) -> list[str]:
    """Bring files back to `commit` that hold nothing but a part of what it has, or what they held before it.

    Nothing is lost by that: what is overwritten is in `commit` or in its history. A file that somebody changed to
    anything else stays.

    Args:
        checkout: the worktree; nothing may work in it. Its index stays.
        commit: what its files were when the machine went down.
        within: only these paths; None: all.

    Returns:
        The paths that were brought back.

    Raises:
        GitError: git cannot tell.
        StorageError: something cannot be read or written.
    """
    names = differing_paths(checkout, commit)
    wanted = set(names) if within is None else set(names) & set(within)
    found = [name for name in names if name in wanted and _is_remnant(checkout, commit, name)]
    if not found:
        return []
    gone = [name for name in found if not checkout.resolve(f"{commit}:{name}")]
    for name in gone:
        (checkout.path / name).unlink()
    back = sorted(set(found) - set(gone))
    if back:
        paths = b"".join(os.fsencode(name) + b"\0" for name in back)
        options = ("--pathspec-from-file=-", "--pathspec-file-nul")
        with private_index(checkout) as private:  # it may be damaged, and may be the user's
            sound_index(private)
            private.git("--literal-pathspecs", "checkout", "--quiet", commit, *options, input=paths)
    return found


def _is_remnant(checkout: Checkout, commit: str, name: str) -> bool:
    path = checkout.path / name
    want = _written(checkout, f"{commit}:{name}")
    if not os.path.lexists(path):
        return want is not None
    if path.is_symlink() or not path.is_file():
        return False
    there = path.read_bytes()
    return (want is not None and part_of(there, want)) or _former(checkout, commit, name, path)


def _written(checkout: Checkout, what: str) -> bytes | None:
    """The bytes that a checkout writes for a blob; None when there is no such blob."""
    done = checkout.try_git("cat-file", "--filters", what)
    return None if done.code else done.stdout


def part_of(there: bytes, want: bytes) -> bool:
    """Whether every sector of `there` is the one of `want`, cut off, or zeros."""
    if len(there) > len(want):
        return False
    for at in range(0, len(there), _SECTOR):
        sector = there[at : at + _SECTOR]
        if sector != want[at : at + len(sector)] and sector.strip(b"\0"):
            return False
    return True


def _former(checkout: Checkout, commit: str, name: str, path: Path) -> bool:
    """Whether the file is as an earlier commit of this history had it."""
    done = checkout.try_git("hash-object", "--path", name, "--stdin", input=path.read_bytes())
    oid = os.fsdecode(done.stdout).strip()
    history = ("log", "--format=", "--raw", "--no-abbrev", "--first-parent", "-m", "--no-renames", commit)
    rows = checkout.git("--literal-pathspecs", *history, "--", name).split("\n")
    return bool(oid) and any(oid in row.split("\t")[0].split(" ") for row in rows if row)
