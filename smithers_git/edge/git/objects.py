"""The sole home of pygit2: objects and refs of the repository, written so that they survive a power cut.

Working copies belong to the git command line (`smithers_git.edge.git.command`): library checkouts skip filters and
have eaten ignored files.
"""

from __future__ import annotations

import errno
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import pygit2
from pygit2.enums import ObjectType

from smithers_git.edge.git import collection, journal, loose, ref_file, ref_lock
from smithers_git.edge.git.command import complaint, try_git
from smithers_git.edge.git.durable import flush
from smithers_git.edge.git.entries import TREE, Entries, Entry
from smithers_git.errors import (
    DiskFull,
    GitError,
    LockTimeout,
    RefMoved,
    RepositoryError,
    SmithersError,
    StorageError,
    is_full,
)

IDENTITY: Final = "Smithers <smithers@localhost>"

_TRIES: Final = 10
"""`git gc` and `git prune-packed` remove the folder of a loose object while libgit2 is about to rename one into it
(seen once in 12,000 writes beside a packing git; libgit2 1.9 does not make the folder again, git does)."""

_MOST_FRESH: Final = 5000
"""Objects that are remembered, where no ref is moved behind them: say, merges that were only tried."""

_PAUSES: Final = ref_lock.PAUSES

_KINDS: Final = {"blob": ObjectType.BLOB, "tree": ObjectType.TREE, "commit": ObjectType.COMMIT}

_DISK: Final = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT, errno.EIO}
_DISK_WORDS: Final = ("read-only file system", "permission denied", "input/output error")


@dataclass(frozen=True, slots=True)
class Commit:
    oid: str
    tree: str
    parents: tuple[str, ...]
    time: int
    message: str


class Hands(NamedTuple):
    """Who made a commit, both as git writes them: `Name <mail> SECONDS ZONE`."""

    author: str
    committer: str


def _storage(error: Exception, doing: str) -> StorageError:
    kind = DiskFull if is_full(error) else StorageError
    return kind(f"{doing}: {error}", hint="free disk space or make .git writable, then run the command again")


def _is_disk(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in _DISK:
        return True
    return is_full(error) or any(word in str(error).lower() for word in _DISK_WORDS)


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
        self.sync = sync
        self._loose = f"{git_dir}/objects"
        self.written: list[str] = []
        """Ids of the loose objects that this process wrote and has not packed yet."""
        self._fresh: list[loose.Loose] = []
        """What was written since a ref was moved last: until then a `git gc` of the user's may take it away."""
        self._calm: collection.Calm | None = None
        """How it stood when it was looked last, before the first of them."""
        self._new_folder = False
        self._settle()

    # -- objects

    def write_blob(self, data: bytes) -> str:
        return self._write("blob", data)

    def write_tree(self, entries: Mapping[str, Entry]) -> str:
        """A tree of `entries`, in git's own order (a folder sorts as if its name ended in a slash)."""
        known = entries if isinstance(entries, Entries) else Entries(entries)
        return self._write("tree", known.data())

    def write_commit(self, tree: str, parents: list[str], message: str, moment: int, hands: Hands | None = None) -> str:
        """A commit by smithers itself at `moment` (Unix seconds, UTC); by `hands` at their own times when given."""
        by = hands or Hands(f"{IDENTITY} {moment} +0000", f"{IDENTITY} {moment} +0000")
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        lines += [f"author {by.author}", f"committer {by.committer}", "", message]
        return self._write("commit", "\n".join(lines).encode())

    def _write(self, kind: str, data: bytes) -> str:
        return self._put(self._begin(loose.make(kind, data)))

    def _put(self, made: loose.Loose) -> str:
        # libgit2 flushes the object and its folder, but not the name of a folder that it makes.
        self._new_folder |= not os.path.isdir(f"{self._loose}/{made.oid[:2]}")  # noqa: PTH112
        for left in reversed(range(_TRIES)):
            try:
                oid = str(self._repo.write(_KINDS[made.kind], made.data))
            except (pygit2.GitError, OSError) as error:
                if _is_disk(error):
                    raise _storage(error, "an object could not be written") from error
                if not left:
                    raise GitError(f"an object could not be written: {error}", hint="run smithers doctor") from error
            else:
                self.written.append(oid)
                return oid
        raise AssertionError("unreachable")

    def _begin(self, found: loose.Loose) -> loose.Loose:
        """Note an object that is about to be written."""
        if self._calm is None or len(self._fresh) >= _MOST_FRESH:
            self._fresh.clear()
            self._calm = collection.look(self._git_dir)
        self._fresh.append(found)
        return found

    def _keep(self) -> None:
        """Write again what a `git gc` beside us took away, as no ref held it when it looked."""
        while self._fresh and self._calm and collection.disturbed(self._git_dir, self._calm):
            self._calm = collection.look(self._git_dir)
            for one in self._fresh:
                if not self.has(one.oid):
                    self._put(one)

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
        oid = tree
        for name in path.split("/"):
            found = self._get(oid)
            try:
                oid = str(found[name].id) if isinstance(found, pygit2.Tree) else ""
            except KeyError:
                oid = ""
            if not oid:
                return None
        return oid

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
            self._refuse_torn(oid)
            return self._repo[oid]
        except (KeyError, ValueError, zlib.error, pygit2.GitError) as error:
            if journal.put_back(self._git_dir, oid):  # a `git prune` beside the frame's writer took it
                return self._repo[oid]
            raise GitError(f"object {oid} is missing or damaged", hint="git fsck tells what is damaged") from error

    def _refuse_torn(self, oid: str) -> None:
        """Raise zlib.error when a loose object ends too early: libgit2 1.9.7 would read on in it for ever."""
        try:
            with open(f"{self._loose}/{oid[:2]}/{oid[2:]}", "rb", 0) as file:  # noqa: PTH123 - a Path costs 10 us
                data = file.read()
        except OSError:
            return  # packed, or not there
        inflate = zlib.decompressobj()
        while data and not inflate.eof:
            inflate.decompress(data, 1 << 20)
            data = inflate.unconsumed_tail
        if not inflate.eof:
            raise zlib.error("it ends too early")

    def has(self, oid: str) -> bool:
        return oid in self._repo

    def resolve(self, revision: str) -> str | None:
        """The commit that `revision` names, as git rev-parse would; None when it names none."""
        try:
            return str(self._repo.revparse_single(revision).peel(pygit2.Commit).id)
        except (KeyError, ValueError, pygit2.GitError):
            return None

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `newer` is `older` or comes from it; raises GitError when a commit between them is missing."""
        try:
            return older == newer or self._repo.descendant_of(newer, older)
        except (KeyError, ValueError, pygit2.GitError) as error:
            raise GitError(f"the history of {newer} is not whole: {error}", hint="run smithers doctor") from error

    # -- refs

    def ref(self, name: str) -> str | None:
        """The commit that the ref `name` points at; None when there is no such ref. Raises GitError: it is damaged."""
        try:
            return str(self._repo.references[name].target)
        except (KeyError, ValueError):  # ValueError: no ref can have that name
            return None
        except pygit2.GitError as error:
            raise GitError(f"{name} cannot be read: {error}", hint="run smithers doctor") from error

    def refs(self, prefix: str) -> dict[str, str]:
        """Refs whose name begins with `prefix`, with what they point at; LockTimeout while git packs them on and on."""
        # libgit2 (1.9.7) reads packed-refs and then each loose ref, so one that `git pack-refs` moves in between is in
        # neither. git puts the new packed-refs in its place before it removes any loose one.
        for pause in (*_PAUSES, None):
            packed = self._packed()
            names = [name for name in self._repo.references if name.startswith(prefix)]
            found = {name: target for name in names if (target := self.ref(name)) is not None}
            if self._packed() == packed:
                return found
            if pause is not None:
                time.sleep(pause)
        raise LockTimeout("git pack-refs runs again and again", hint="wait until it rests, then run the command again")

    def _packed(self) -> tuple[int, int, int] | None:
        """Tells one packed-refs from the next; None where there is none."""
        try:
            there = (self._git_dir / "packed-refs").stat()
        except FileNotFoundError:
            return None
        return there.st_ino, there.st_size, there.st_mtime_ns

    def advance(self, name: str, expected: str | None, new: str, *, late: bool = False) -> None:  # noqa: ARG002
        """Compare-and-swap: move the ref `name` from `expected` (None: it does not exist yet) to `new`.

        With `late` it is as safe, and others may see it only behind `publish`.

        Raises RefMoved when someone else was quicker, StorageError when the disk refuses, LockTimeout when another
        process keeps the ref locked, GitError for the rest.
        """
        self._keep()
        self._change(name, expected, lambda: self._swap(name, expected, new))
        self._keep()
        self._fresh.clear()

    def publish(self) -> None:
        """Have others see what was advanced `late`; raises as `advance` does."""

    def _flush_folders(self) -> None:
        if self._new_folder and self.sync:
            flush(Path(self._loose))
        self._new_folder = False

    def _swap(self, name: str, expected: str | None, new: str) -> None:
        self._flush_folders()
        if expected is None:
            # Not libgit2 (1.9.7): it looks whether the ref exists before it takes the lock, so of two who create one
            # the later overwrites what the other may have advanced meanwhile (seen in 2 of 10 runs of four writers).
            folder = (self._git_dir / name).parent
            folder.mkdir(parents=True, exist_ok=True)  # git does not say why it cannot
            flushed = () if self.sync else ("-c", "core.fsync=none")
            done = try_git(self._git_dir, *flushed, "update-ref", "--no-deref", name, new, "0" * 40)
            if done.code:
                raise ValueError(complaint(os.fsdecode(done.stderr)))
            if self.sync:
                ref_file.flush_ref(self._git_dir, name)
            return
        ref = self._repo.references[name]
        if str(ref.target) == expected:  # else it is found out below, as for every other refusal
            ref.set_target(new)
            return
        raise ValueError(f"it is {ref.target}")

    def delete_ref(self, name: str, expected: str | None = None) -> None:
        """Remove the ref `name`, if it is there; of `expected` only when it points there. Raises as `advance` does."""
        found = self.ref(name)
        if found is None:
            return
        target = expected or found
        self._change(name, target, lambda: self._remove(name, target))

    def _remove(self, name: str, expected: str) -> None:
        ref = self._repo.references[name]
        if str(ref.target) != expected:
            raise ValueError(f"it is {ref.target}")
        ref.delete()  # libgit2 looks once more, under the lock, that it is what was read here

    def _change(self, name: str, expected: str | None, change: Callable[[], None]) -> None:
        # libgit2 refuses in four messages of two exception types when another process was quicker, and refuses at
        # once when the ref is locked. So it is the ref itself that tells which of them it was.
        for pause in (*_PAUSES, None):
            try:
                return change()
            except (pygit2.GitError, OSError, KeyError, ValueError) as error:
                if _is_disk(error):
                    raise _storage(error, f"{name} could not be moved") from error
                if self.ref(name) != expected:
                    raise RefMoved(f"{name} was moved by another process") from error
                if pause is None:
                    raise self._stuck(name, error) from error
                if not ref_lock.break_stale(self._git_dir, name, self._settle):
                    time.sleep(pause)
        raise AssertionError("unreachable")

    def _settle(self) -> None:
        journal.recover(self._git_dir, self)

    def _stuck(self, name: str, error: Exception) -> SmithersError:
        lock = ref_lock.lock_of(self._git_dir, name)
        if lock.exists():
            return LockTimeout(f"another process keeps {name} locked", hint=f"if none is alive: rm {lock}")
        return GitError(f"{name} could not be moved: {error}", hint="run smithers doctor")
