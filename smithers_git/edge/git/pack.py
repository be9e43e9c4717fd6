"""Packing what smithers wrote, so that its loose objects never make the user's own `git commit` start a gc.

git starts one at about 6,700 loose objects (gc.auto), which a run of 1,100 frames would reach, or at 50 packs
(gc.autoPackLimit).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from smithers_git.edge.git.command import git, git_bytes
from smithers_git.edge.git.durable import flush
from smithers_git.errors import GitError

MOST_PACKS: Final = 20
"""Packs of ours that may stand side by side before they become one; git itself makes one of 50."""

_PLAIN: Final = ("-q", "--threads=1", "--window=0")
"""Without deltas: a third of the time (7 us an object, not 24), at 2.4 KB a frame and not 0.7 until `compress`."""
_SMALL: Final = ("-q", "--threads=1", "--no-reuse-delta", "--window=10")
"""With deltas, as git packs what is loose. The user's own `git gc` would not look for them: of two objects that lie in
one pack without a delta it takes for granted that somebody looked."""


def crowded(common_dir: Path) -> bool:
    """Whether there are some 3,600 loose objects or more: by the folder that `git gc --auto` looks at for its 6,700."""
    folder = common_dir / "objects" / "17"
    return folder.is_dir() and sum(1 for _ in folder.iterdir()) >= 14


def pack(common_dir: Path, names: Iterable[str]) -> None:
    """Put these objects into one pack and drop their loose copies. Raises GitError or StorageError.

    Loose objects of the user that some pack already holds go too; that is what `git prune-packed` always does.
    """
    _pack(common_dir, "".join(f"{name}\n" for name in names))


def pack_reachable(common_dir: Path, tips: Iterable[str], known: Iterable[str]) -> None:
    """As `pack`, for every loose object that `tips` reach and `known` do not: also those that git itself wrote for us.

    It walks the whole history of `tips` (25 us a frame), so it is not for every few hundred frames.
    """
    lines = [*(f"{tip}\n" for tip in tips), "--not\n", *(f"{tip}\n" for tip in known)]
    _pack(common_dir, "".join(lines), "--revs", "--unpacked")


def _pack(common_dir: Path, lines: str, *options: str) -> None:
    arguments = ("pack-objects", *_PLAIN, "--non-empty", *options, "objects/pack/pack")
    made = git(common_dir, *arguments, input=lines.encode())
    if made:
        remember(common_dir, made)
        flush(common_dir / "objects" / "pack")  # before loose objects go: git 2.39 flushes packs, not their names
        git(common_dir, "prune-packed", "-q")


def remember(common_dir: Path, name: str) -> None:
    """Note that the pack of that name is ours."""
    _remember(common_dir, [*_ours(common_dir), name])


def consolidate(common_dir: Path) -> None:
    """Make one pack of all of ours, when there are more than MOST_PACKS."""
    ours = _ours(common_dir)
    if len(ours) > MOST_PACKS:
        made = _one_of(common_dir, ours, _PLAIN)
        _remember(common_dir, [made])
        _take_away(common_dir, ours, made)


def uncompressed(common_dir: Path) -> int:
    """Bytes of our packs that nobody has looked for deltas in."""
    total = 0
    for name in _ours(common_dir):
        with suppress(FileNotFoundError):  # a `git gc` of the user's took it in just now
            total += _file(common_dir, name, "pack").stat().st_size
    return total


def compress(common_dir: Path, tips: Iterable[str], known: Iterable[str]) -> None:
    """Make one pack with deltas of all of ours. From then on it is the user's: their own `git gc` keeps the deltas.

    `tips` reach what is in it, `known` what need not be looked at. From there come the names of files and folders, by
    which git finds what to compare: 620 bytes a frame, and 2,000 without them. Raises GitError or StorageError.
    """
    ours = _ours(common_dir)
    if ours:
        walk = "".join([*(f"{tip}\n" for tip in tips), *(f"^{tip}\n" for tip in known)])
        listed = git_bytes(common_dir, "rev-list", "--objects", "--stdin", input=walk.encode())
        _take_away(common_dir, ours, _one_of(common_dir, ours, _SMALL, listed))
        _remember(common_dir, [])


def _one_of(common_dir: Path, ours: list[str], how: tuple[str, ...], listed: bytes = b"") -> str:
    """The name of a new pack with all that these hold, in the order of `listed`; it is on the disk."""
    names: set[str] = set()
    for name in ours:
        with suppress(FileNotFoundError):  # the same
            rows = git_bytes(common_dir, "show-index", input=_file(common_dir, name, "idx").read_bytes())
            names.update(row.split()[1].decode() for row in rows.splitlines())
    told = [line for line in listed.decode("utf-8", "surrogateescape").split("\n") if line[:40] in names]
    wanted = "\n".join([*told, *sorted(names.difference(line[:40] for line in told)), ""])
    made = git(common_dir, "pack-objects", *how, "objects/pack/pack", input=wanted.encode("utf-8", "surrogateescape"))
    if not made or not _file(common_dir, made, "idx").exists():
        raise GitError("git pack-objects made no pack", hint="run smithers doctor")
    flush(common_dir / "objects" / "pack")
    return made


def _take_away(common_dir: Path, ours: list[str], made: str) -> None:
    for name in ours:
        for ending in ("idx", "rev", "pack"):  # the index first: without it nobody looks for the pack
            if name != made:
                _file(common_dir, name, ending).unlink(missing_ok=True)


def _file(common_dir: Path, name: str, ending: str) -> Path:
    return common_dir / "objects" / "pack" / f"pack-{name}.{ending}"


def _ours(common_dir: Path) -> list[str]:
    """Our packs that are still there: the user's own gc may have taken some in."""
    try:
        names = (common_dir / "smithers" / "packs").read_text("ascii").split()
    except FileNotFoundError:
        return []
    return [name for name in names if _file(common_dir, name, "idx").exists()]


def _remember(common_dir: Path, names: list[str]) -> None:
    path = common_dir / "smithers" / "packs"
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text("".join(f"{name}\n" for name in names), "ascii")
    fresh.replace(path)
