"""Which images of a recording are looked at: all that one lost, kept or torn change makes, and drawn ones besides."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from reliability.disk import Disk, Tree


@dataclass(frozen=True)
class Image:
    """One content of the disk, and at which lines of the recording a crash may leave it."""

    name: str
    tree: Tree
    first: int
    last: int
    """The latest line before which it may be left: all that was acknowledged by then must be in it."""


def names(disk: Disk, mode: str, *, recent: int = 3) -> Iterator[str]:
    """The names of the images that differ from what was done by one thing, at every line.

    A single change is dropped, kept alone or torn at the `recent` flushes and marks behind it and at the end; a
    change that is never flushed would otherwise multiply every flush.
    """
    ends = sorted({*disk.flushes, *(at for at, _ in disk.marks), len(disk.lines)})
    yield from _whole(disk, mode)
    since = [0] * recent
    for end in ends:
        oldest = 0 if end == len(disk.lines) else since[-recent]
        yield from (_strict if mode == "strict" else _ext4)(disk, end, oldest)
        since.append(end)


def _whole(disk: Disk, mode: str) -> Iterator[str]:
    for at in range(len(disk.lines) + 1):
        if mode == "strict":
            yield f"strict:{at}:all"
        else:
            yield f"ext4:{at}:{disk.reach(at)}:all"


def _strict(disk: Disk, at: int, oldest: int) -> Iterator[str]:
    yield f"strict:{at}:none"
    for number in disk.pending(at):
        if disk.changes[number].at < oldest:
            continue
        yield f"strict:{at}:drop:{number}"
        yield f"strict:{at}:only:{number}"
        for cut in disk.cuts(number, "strict"):
            yield f"strict:{at}:tear:{number}:{cut}"


def _ext4(disk: Disk, at: int, oldest: int) -> Iterator[str]:
    top = disk.reach(at)
    for journal in range(disk.floor(at), top + 1):
        yield f"ext4:{at}:{journal}:all"
        yield f"ext4:{at}:{journal}:none"
    loose = [n for n in disk.until(at) if disk.changes[n].is_data and disk.changes[n].safe >= at]
    fresh = [number for number in loose if disk.changes[number].at >= oldest]
    for node in dict.fromkeys(disk.changes[number].node for number in fresh):
        yield f"ext4:{at}:{top}:drop:{node}"
    for number in fresh:
        for cut in disk.cuts(number, "ext4"):
            yield f"ext4:{at}:{top}:tear:{number}:{cut}"


def drawn(disk: Disk, mode: str, chance: random.Random) -> Iterator[str]:
    """Names of images in which anything may be missing, without an end."""
    while True:
        at, seed = chance.randrange(len(disk.lines) + 1), chance.randrange(10**6)
        if mode == "strict":
            yield f"strict:{at}:some:{seed}"
        else:
            yield f"ext4:{at}:{chance.randint(disk.floor(at), disk.reach(at))}:some:{seed}"


def distinct(disk: Disk, wanted: Iterator[str] | list[str]) -> list[Image]:
    """The images behind these names, each content once, in the order in which a crash may leave them."""
    found: dict[int, Image] = {}
    for name in wanted:
        tree, at = disk.image(name), int(name.split(":")[1])
        key = hash(frozenset(tree.items()))
        known = found.get(key)
        if known is None:
            found[key] = Image(name, tree, at, at)
        else:
            found[key] = Image(known.name, known.tree, min(at, known.first), max(at, known.last))
    return sorted(found.values(), key=lambda image: image.first)
