"""The sole home of pygit2: objects and refs of the repository, written so that they survive a power cut.

Working copies belong to the git command line (`smithers_git.edge.git.command`): library checkouts skip filters and
have eaten ignored files.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import pygit2
from pygit2.enums import ObjectType

from smithers_git.errors import GitError, RefMoved, RepositoryError, StorageError

BLOB: Final = 0o100644
TREE: Final = 0o040000
IDENTITY: Final = "Smithers <smithers@localhost>"

_TRIES: Final = 10
"""`git gc` and `git prune-packed` remove the folder of a loose object while libgit2 is about to rename one into it
(seen once in 12,000 writes beside a packing git; libgit2 1.9 does not make the folder again, git does)."""

_DISK: Final = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT, errno.EIO}
_DISK_WORDS: Final = ("no space left", "read-only file system", "permission denied", "disk quota", "input/output error")


class Entry(NamedTuple):
    """One entry of a tree."""

    mode: int
    oid: str


@dataclass(frozen=True, slots=True)
class Commit:
    oid: str
    tree: str
    parents: tuple[str, ...]
    time: int
    message: str


def _storage(error: Exception, doing: str) -> StorageError:
    return StorageError(f"{doing}: {error}", hint="free disk space or make .git writable, then run the command again")


def _is_disk(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in _DISK:
        return True
    return any(word in str(error).lower() for word in _DISK_WORDS)


class Objects:
    """Objects and refs of one repository.

    Args:
        git_dir: the repository's common git directory.
        sync: flush every object and ref to the disk before it counts as written (design section 4). Off only for
            measurements: then a frame survives a killed process but not a power cut.
    """

    def __init__(self, git_dir: Path, *, sync: bool = True) -> None:
        pygit2.settings.enable_fsync_gitdir(sync)
        try:
            self._repo = pygit2.Repository(str(git_dir), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)
        except pygit2.GitError as error:
            raise RepositoryError(f"{git_dir} cannot be opened: {error}", hint="run smithers doctor") from error
        self._git_dir = git_dir
        self.written: list[str] = []
        """Ids of the loose objects that this process wrote and has not packed yet."""

    # -- objects

    def write_blob(self, data: bytes) -> str:
        return self._write(ObjectType.BLOB, data)

    def write_tree(self, entries: Mapping[str, Entry]) -> str:
        """A tree of `entries`, in git's own order (a folder sorts as if its name ended in a slash)."""
        ordered = sorted(entries.items(), key=lambda pair: pair[0] + "/" * (pair[1].mode == TREE))
        parts = [b"%o %s\0%s" % (mode, name.encode(), bytes.fromhex(oid)) for name, (mode, oid) in ordered]
        return self._write(ObjectType.TREE, b"".join(parts))

    def write_commit(self, tree: str, parents: list[str], message: str, moment: int) -> str:
        """A commit by smithers itself, at `moment` (Unix seconds, UTC)."""
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        lines += [f"author {IDENTITY} {moment} +0000", f"committer {IDENTITY} {moment} +0000", "", message]
        return self._write(ObjectType.COMMIT, "\n".join(lines).encode())

    def _write(self, kind: ObjectType, data: bytes) -> str:
        for left in reversed(range(_TRIES)):
            try:
                oid = str(self._repo.write(kind, data))
            except (pygit2.GitError, OSError) as error:
                if _is_disk(error):
                    raise _storage(error, "an object could not be written") from error
                if not left:
                    raise GitError(f"an object could not be written: {error}", hint="run smithers doctor") from error
            else:
                self.written.append(oid)
                return oid
        raise AssertionError("unreachable")

    def read_blob(self, oid: str) -> bytes:
        found = self._get(oid)
        if not isinstance(found, pygit2.Blob):
            raise GitError(f"{oid} is not a blob", hint="git fsck tells what is damaged")
        return found.data

    def read_tree(self, oid: str) -> dict[str, Entry]:
        found = self._get(oid)
        if not isinstance(found, pygit2.Tree):
            raise GitError(f"{oid} is not a tree", hint="git fsck tells what is damaged")
        return {str(item.name): Entry(int(item.filemode), str(item.id)) for item in found}

    def read_commit(self, oid: str) -> Commit:
        found = self._get(oid)
        if not isinstance(found, pygit2.Commit):
            raise GitError(f"{oid} is not a commit", hint="git fsck tells what is damaged")
        parents = tuple(str(parent) for parent in found.parent_ids)
        return Commit(str(found.id), str(found.tree_id), parents, found.commit_time, found.message)

    def find(self, tree: str, path: str) -> str | None:
        """The id of the object at `path` in `tree`; None when there is none."""
        found = self._get(tree)
        try:
            return str(found[path].id) if isinstance(found, pygit2.Tree) else None
        except KeyError:
            return None

    def files(self, tree: str, prefix: str = "") -> Iterator[tuple[str, Entry]]:
        """Every file below `tree` as (path, entry), in tree order."""
        for name, entry in self.read_tree(tree).items():
            path = f"{prefix}{name}"
            if entry.mode == TREE:
                yield from self.files(entry.oid, path + "/")
            else:
                yield path, entry

    def _get(self, oid: str) -> pygit2.Object:
        try:
            return self._repo[oid]
        except (KeyError, ValueError, pygit2.GitError) as error:
            raise GitError(f"object {oid} is missing or damaged", hint="git fsck tells what is damaged") from error

    def has(self, oid: str) -> bool:
        return oid in self._repo

    def resolve(self, revision: str) -> str | None:
        """The commit that `revision` names, as git rev-parse would; None when it names none."""
        try:
            return str(self._repo.revparse_single(revision).peel(pygit2.Commit).id)
        except (KeyError, ValueError, pygit2.GitError):
            return None

    def is_ancestor(self, older: str, newer: str) -> bool:
        return older == newer or self._repo.descendant_of(newer, older)

    # -- refs

    def ref(self, name: str) -> str | None:
        """The commit that the ref `name` points at; None when there is no such ref."""
        try:
            return str(self._repo.references[name].target)
        except (KeyError, pygit2.GitError):
            return None

    def refs(self, prefix: str) -> dict[str, str]:
        """Refs whose name begins with `prefix`, with what they point at."""
        names = [name for name in self._repo.references if name.startswith(prefix)]
        return {name: str(self._repo.references[name].target) for name in names}

    def advance(self, name: str, expected: str | None, new: str) -> None:
        """Compare-and-swap: move the ref `name` from `expected` (None: it does not exist yet) to `new`.

        Raises RefMoved when someone else was quicker, StorageError when the disk refuses. libgit2 tells "someone was
        quicker" in four messages of two exception types, so all refusals that are not the disk's are RefMoved.
        """
        try:
            if expected is None:
                self._repo.references.create(name, new, force=False)
                return
            ref = self._repo.references[name]
            if str(ref.target) != expected:
                raise RefMoved(f"{name} moved to {ref.target}")
            ref.set_target(new)
        except (pygit2.GitError, OSError, KeyError, ValueError) as error:
            if _is_disk(error):
                raise _storage(error, f"{name} could not be moved") from error
            raise RefMoved(f"{name}: {error}") from error

    def delete_ref(self, name: str) -> None:
        if name in self._repo.references:
            self._repo.references.delete(name)
