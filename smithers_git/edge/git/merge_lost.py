"""Whether a landing kept every change of an entry: looked up in the trees, apart from the merge that made them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

from smithers_git.edge.git.command import git, storage_errors
from smithers_git.edge.git.merge_tree import MergeTree
from smithers_git.edge.git.objects import Objects

_NONE: Final = "0" * 40
_ABSENT: Final = "000000"
_FILES: Final = {"100644", "100755"}
_BUILT_IN: Final = {"unspecified", "set", "unset", "text", "union", "binary"}


class Version(NamedTuple):
    """What a tree has at a path; mode 000000 for nothing."""

    mode: str
    oid: str


Changes = dict[str, tuple[Version, Version]]


@storage_errors
def lost(
    trees: MergeTree, place: tuple[Path, Objects], base: str | None, head: str, move: tuple[str, str]
) -> list[str]:
    """Paths whose change from `base` to `head` is not in the result of `move` = (before, after); sorted.

    Nothing is lost when the result is what git merges of the two now. A rebase may differ from that; then each path
    must be as in `head`, or another than before and with the new lines, or the target must have held the change
    already, in that file or in the one that it was renamed to.
    """
    common_dir, objects = place
    before, after = move
    tree = objects.read_commit(after).tree
    if trees.merge(before, head) == tree:
        return []
    start = base or objects.write_tree({})
    entry, landed = changes(common_dir, start, head), changes(common_dir, before, after)
    differing = changes(common_dir, after, head)
    renamed = _renames(common_dir, start, before)
    arrived = {new for _, new in landed.values() if new.oid != _NONE}
    was = _all_lines(objects, [old for old, _ in entry.values()])
    has = _all_lines(objects, [new for _, new in landed.values()])
    found = []
    for path in sorted(entry.keys() & differing.keys()):
        old, new = entry[path]
        there = renamed.get(path, path)
        if new in arrived:
            continue
        if there in landed:
            # Lines that the entry did not just move, wherever they are now.
            kept = landed[there][1].oid != _NONE and _all_lines(objects, [new]) - was <= has
        else:
            kept = _held(objects, old, new, objects.find(tree, there))
        if not kept:
            found.append(path)
    return [path for path in found if not _driven(trees, before, path)]


def changes(common_dir: Path, old: str, new: str, *paths: str) -> Changes:
    """What differs between two commits or trees, a renamed file as two."""
    options = ("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--no-commit-id")
    fields = git(common_dir, "--literal-pathspecs", *options, old, new, "--", *paths).split("\0")
    found: Changes = {}
    for record, path in zip(fields[::2], fields[1::2], strict=False):
        before, after, old_oid, new_oid, _ = record.removeprefix(":").split(" ")
        found[path] = (Version(before, old_oid), Version(after, new_oid))
    return found


def _renames(common_dir: Path, old: str, new: str) -> dict[str, str]:
    fields = git(common_dir, "diff-tree", "-r", "-z", "-M", "--diff-filter=R", "--name-status", old, new).split("\0")
    return dict(zip(fields[1::3], fields[2::3], strict=False))


def _held(objects: Objects, old: Version, new: Version, there: str | None) -> bool:
    """Whether a file that the landing did not touch has the change already: its new lines, and not the old ones."""
    if new.oid == _NONE:
        return there is None
    if there is None:
        return False
    if there == new.oid:
        return True
    if new.mode not in _FILES or old.mode not in {*_FILES, _ABSENT}:
        return False
    if new.oid == old.oid:
        return False  # its mode alone, which the target does not have
    had, wanted = Counter(_lines(objects, old)), Counter(_lines(objects, new))
    has = Counter(objects.read_blob(there).splitlines())
    added, removed = wanted - had, had - wanted
    return all(has[line] for line in added) and all(has[line] < had[line] or wanted[line] for line in removed)


def _all_lines(objects: Objects, versions: list[Version]) -> set[bytes]:
    return {line for one in versions if one.mode in _FILES for line in _lines(objects, one)}


def _lines(objects: Objects, version: Version) -> list[bytes]:
    return objects.read_blob(version.oid).splitlines() if version.oid != _NONE else []


def _driven(trees: MergeTree, commit: str, path: str) -> bool:
    """Whether a program or rule of the user's merges this file, which may well keep the target's version."""
    with trees.laid(commit) as checkout:
        answer = checkout.git("check-attr", "-z", "merge", "--", path).split("\0")
    return answer[2] not in _BUILT_IN
