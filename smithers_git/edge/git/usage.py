"""What commits cost on the disk, and what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from smithers_git.edge.git.command import git


@dataclass(slots=True)
class Part:
    """One commit, and what came with it."""

    commit: str
    parents: list[str]
    bytes: int = 0
    """On the disk, compressed as they are: of the commit, and of every object that no older commit has."""
    _objects: list[str] = field(default_factory=list)


def disk_usage(common_dir: Path, tips: Iterable[str], without: Iterable[str]) -> int:
    """Bytes on the disk, compressed as they are, of every object that `tips` reach and `without` do not.

    Raises GitError when one of the commits is missing.
    """
    return int(git(common_dir, "rev-list", "--objects", "--disk-usage", "--stdin", input=_wanted(tips, without)) or 0)


def parts(common_dir: Path, tips: Iterable[str], without: Iterable[str]) -> list[Part]:
    """Every commit that `tips` reach and `without` do not, children before their parents.

    Two git processes for however many tips: one a tip took 7 s for 1,000 runs. Raises GitError when a commit, or an
    object of one, is missing.
    """
    arguments = ("rev-list", "--topo-order", "--reverse", "--in-commit-order", "--objects", "--no-object-names")
    found: list[Part] = []
    lines = git(common_dir, *arguments, "--format=parents %P", "--stdin", input=_wanted(tips, without)).split("\n")
    rest = iter(lines if lines != [""] else ())
    for line in rest:
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
            found.append(Part(commit, next(rest).split()[1:], _objects=[commit]))
        else:
            found[-1]._objects.append(line)
    sizes = _sizes(common_dir, [name for part in found for name in part._objects])
    for part in found:
        part.bytes = sum(next(sizes) for _ in part._objects)
    return found[::-1]


def _sizes(common_dir: Path, names: list[str]) -> Iterator[int]:
    wanted = "".join(f"{name}\n" for name in names).encode()
    return map(int, git(common_dir, "cat-file", "--batch-check=%(objectsize:disk)", input=wanted).split())


def _wanted(tips: Iterable[str], without: Iterable[str]) -> bytes:
    return "".join([*(f"{tip}\n" for tip in tips), *(f"^{tip}\n" for tip in without)]).encode()


def reachable(common_dir: Path, tips: Iterable[str]) -> set[str]:
    """The id of every object that `tips` reach; raises GitError when one is missing."""
    arguments = ("rev-list", "--objects", "--no-object-names", "--stdin")
    return set(git(common_dir, *arguments, input=_wanted(tips, ())).split())
