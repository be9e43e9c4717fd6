"""Git's own merge without a checkout: the tree of two sides, or where they clash."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from smithers_git.edge.git.checkout import Checkout
from smithers_git.edge.git.command import failure, storage_errors
from smithers_git.edge.git.entries import TREE
from smithers_git.edge.git.objects import Objects
from smithers_git.edge.process import temporary
from smithers_git.errors import GitError

UNFLUSHED: Final = ("-c", "core.fsync=none")
"""Most candidates never land; the one that does is flushed before (`Merger.secure`)."""

_LINK: Final = 0o120000
_DRIVER: Final = re.compile(rb"\bmerge=(?!(?:union|text|binary)\b)")
_MOST: Final = 100_000
"""Folders whose attribute files are remembered: 20 MB."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """What git says about a merge that it cannot do.

    Attributes:
        stages: path to stage (1 base, 2 target, 3 entry) to (mode, id of the object), of every path in conflict.
        notes: (paths, sentence) of each conflict.
    """

    stages: dict[str, dict[int, tuple[int, str]]]
    notes: tuple[tuple[tuple[str, ...], str], ...]


class MergeTree:
    """Merges in one repository, as `git merge` would in a checkout of the first side.

    Git (2.39) takes the attributes of a merge from files in the work tree, from no index and no commit. So it gets a
    folder with the attribute files of the first side, and with its `.gitmodules`, which leads it to the commits of
    submodules.

    Args:
        common_dir: the git directory that all worktrees share.
        objects: of this thread.
    """

    def __init__(self, common_dir: Path, objects: Objects) -> None:
        self._common_dir = common_dir
        self._objects = objects
        self._attributes: dict[str, tuple[tuple[str, str], ...]] = {}

    @storage_errors
    def merge(self, ours: str, theirs: str) -> str | Conflict:
        """The tree of `theirs` merged into `ours` (commits), or why there is none. Raises GitError, StorageError."""
        with self.laid(ours) as checkout:
            arguments = (*UNFLUSHED, "merge-tree", "--write-tree", "-z", ours, theirs)
            done = checkout.try_git(*arguments)
            if done.code == 0:
                return done.stdout.rstrip(b"\0\n").decode("ascii")
            if done.code == 1:
                return _conflict(os.fsdecode(done.stdout))
            if b"unrelated histories" in done.stderr:
                return Conflict({}, (((), "the two sides have no commit in common: git refuses to merge them"),))
            raise failure(self._common_dir, arguments, done)

    def pick(self, tree: str, base: str | None, picked: str) -> str | Conflict:
        """The tree of the change from `base` (a commit; None: nothing) to `picked` (a commit) applied to `tree`."""
        write = self._objects.write_commit
        if base is None:
            base = write(self._objects.write_tree({}), [], "", 0)
            picked = write(self._objects.read_commit(picked).tree, [base], "", 0)
        # `--merge-base` would say it, from git 2.40 on: so two commits that have just this one before them.
        return self.merge(write(tree, [base], "", 0), picked)

    @contextmanager
    def laid(self, commit: str) -> Iterator[Checkout]:
        """A private work tree with those files of `commit` that tell git how to merge."""
        tree = self._objects.read_commit(commit).tree
        found = self._attribute_files(tree)
        modules = self._objects.find(tree, ".gitmodules")
        with temporary.folder() as scratch:
            files = Path(scratch, "files")
            files.mkdir()
            checkout = Checkout(files, self._common_dir, Path(scratch, "index"))
            contents = {path: self._objects.read_blob(oid) for path, oid in found}
            if any(_DRIVER.search(content) for content in contents.values()):
                # A program of the user's merges, and may read any file beside it.
                checkout.git("-c", "core.sparseCheckout=false", "read-tree", tree)
                checkout.git("checkout-index", "--all", "--quiet")
            elif modules is not None:
                contents[".gitmodules"] = self._objects.read_blob(modules)
            for path, content in contents.items():
                (files / path).parent.mkdir(parents=True, exist_ok=True)
                (files / path).write_bytes(content)
            yield checkout

    def _attribute_files(self, tree: str) -> tuple[tuple[str, str], ...]:
        """(path, blob) of each `.gitattributes` in a tree. Git does not follow one that is a link."""
        known = self._attributes.get(tree)
        if known is not None:
            return known
        found: list[tuple[str, str]] = []
        for name, entry in self._objects.read_tree(tree).items():
            if entry.mode == TREE:
                found += [(f"{name}/{path}", oid) for path, oid in self._attribute_files(entry.oid)]
            elif name == ".gitattributes" and entry.mode != _LINK:
                found.append((name, entry.oid))
        if len(self._attributes) >= _MOST:
            self._attributes.clear()
        return self._attributes.setdefault(tree, tuple(found))


def _conflict(output: str) -> Conflict:
    head, _, rest = output.partition("\0\0")
    stages: dict[str, dict[int, tuple[int, str]]] = {}
    for record in head.split("\0")[1:]:
        entry, _, path = record.partition("\t")
        mode, oid, stage = entry.split(" ")
        stages.setdefault(path, {})[int(stage)] = (int(mode, 8), oid)
    return Conflict(stages, tuple(_notes(rest.split("\0"))))


def _notes(fields: list[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Of records (number of paths, paths, kind, sentence) those that are conflicts.

    After them git may give advice on submodules as mere text.
    """
    at = 0
    while at < len(fields) and fields[at].isdigit():
        number = int(fields[at])
        paths, kind, sentence = tuple(fields[at + 1 : at + 1 + number]), *fields[at + 1 + number : at + 3 + number]
        if len(paths) != number:
            raise GitError("git merge-tree said something that smithers cannot read", hint="git --version")
        if kind.startswith("CONFLICT"):
            yield paths, sentence.strip()
        at += 3 + number
