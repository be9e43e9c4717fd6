"""Objects and refs in memory: what `edge.git.objects.Objects` offers, without a disk.

It passes the conformance class of the real one (tests/edge/git/test_objects.py), names of objects included. Several
`MemoryObjects` over one `Store` are what several processes see of one repository.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from smithers_git.edge.git.entries import TREE, Entry
from smithers_git.edge.git.objects import IDENTITY, Commit, Hands, Objects
from smithers_git.errors import GitError, LockTimeout, RefMoved, SmithersError

_DAMAGED = "git fsck tells what is damaged"
_BAD_NAME = re.compile(r"\.\.|[\x00-\x20~^:?*\[\\]|//|/\.|\.lock(/|$)|[/.]$|@\{")


@dataclass
class Store:
    """What lies in the repository."""

    objects: dict[str, bytes | dict[str, Entry] | Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    late: dict[str, tuple[MemoryJournaled, str | None]] = field(default_factory=dict)
    """Refs that were moved and are not published: by whom, and what others see."""


def _nothing(_what: str, _name: str) -> None:
    pass


@lru_cache(4096)
def _row(name: str, mode: int, oid: str) -> tuple[bytes, bytes, str]:
    data = name.encode()
    return data + b"/" * (mode == TREE), b"%o %s\0%s" % (mode, data, bytes.fromhex(oid)), name


def _name(kind: bytes, data: bytes) -> str:
    return hashlib.sha1(b"%s %d\0" % (kind, len(data)) + data, usedforsecurity=False).hexdigest()


class MemoryObjects:
    """Objects and refs of one store.

    Args:
        store: what all processes share.
        step: called before each deed, with `write`, `ref`, `swap` or `delete` and a name, and with `swapped` right
            after a swap; it may raise what a disk would, or end the process.
        wait: called where another process keeps a ref locked, until that is free or for long enough.
    """

    def __init__(
        self,
        store: Store,
        step: Callable[[str, str], None] = _nothing,
        wait: Callable[[Callable[[], bool]], None] = lambda _free: None,
    ) -> None:
        self.store = store
        self._step, self._wait = step, wait
        self.written: list[str] = []

    # -- objects

    def write_blob(self, data: bytes) -> str:
        self._step("write", "blob")
        return self._keep(_name(b"blob", data), data)

    def write_tree(self, entries: Mapping[str, Entry]) -> str:
        self._step("write", "tree")
        rows = sorted([_row(name, mode, oid) for name, (mode, oid) in entries.items()])
        oid = _name(b"tree", b"".join([data for _, data, _ in rows]))
        return oid if oid in self.store.objects else self._keep(oid, {name: entries[name] for _, _, name in rows})

    def write_commit(self, tree: str, parents: list[str], message: str, moment: int, hands: Hands | None = None) -> str:
        self._step("write", "commit")
        by = hands or Hands(f"{IDENTITY} {moment} +0000", f"{IDENTITY} {moment} +0000")
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        lines += [f"author {by.author}", f"committer {by.committer}", "", message]
        oid = _name(b"commit", "\n".join(lines).encode())
        made = moment if hands is None else int(by.committer.split()[-2])
        return self._keep(oid, Commit(oid, tree, tuple(parents), made, message))

    def _keep(self, oid: str, found: bytes | dict[str, Entry] | Commit) -> str:
        self.store.objects[oid] = found
        return oid

    def read_blob(self, oid: str) -> bytes:
        found = self._get(oid)
        if not isinstance(found, bytes):
            raise GitError(f"{oid} is not a blob", hint=_DAMAGED)
        return found

    def read_tree(self, oid: str) -> dict[str, Entry]:
        found = self._get(oid)
        if not isinstance(found, dict):
            raise GitError(f"{oid} is not a tree", hint=_DAMAGED)
        return dict(found)

    def read_commit(self, oid: str) -> Commit:
        found = self._get(oid)
        if not isinstance(found, Commit):
            raise GitError(f"{oid} is not a commit", hint=_DAMAGED)
        return found

    def find(self, tree: str, path: str) -> str | None:
        oid = tree
        for name in path.split("/"):
            found = self._get(oid)
            entry = found.get(name) if isinstance(found, dict) else None
            if entry is None:
                return None
            oid = entry.oid
        return oid

    def files(self, tree: str, prefix: str = "") -> Iterator[tuple[str, Entry]]:
        return Objects.files(self, tree, prefix)  # type: ignore[arg-type]  # all that it needs is `read_tree`

    def _get(self, oid: str) -> bytes | dict[str, Entry] | Commit:
        found = self.store.objects.get(oid)
        if found is None:
            raise GitError(f"object {oid} is missing or damaged", hint=_DAMAGED)
        return found

    def has(self, oid: str) -> bool:
        return oid in self.store.objects

    def resolve(self, revision: str) -> str | None:
        """Whole names of commits and of refs, and names below refs/heads/: what smithers itself asks for."""
        for oid in (revision, self._seen(revision), self._seen(f"refs/heads/{revision}")):
            if oid is not None and isinstance(self.store.objects.get(oid), Commit):
                return oid
        return None

    def is_ancestor(self, older: str, newer: str) -> bool:
        pending, seen = [newer], set[str]()
        while pending:
            oid = pending.pop()
            if oid == older:
                return True
            if oid not in seen:
                seen.add(oid)
                pending += self.read_commit(oid).parents
        return False

    # -- refs

    def ref(self, name: str) -> str | None:
        self._step("ref", name)
        return self._seen(name)

    def _seen(self, name: str) -> str | None:
        late = self.store.late.get(name)
        return self.store.refs.get(name) if late is None or late[0] is self else late[1]

    def refs(self, prefix: str) -> dict[str, str]:
        self._step("ref", prefix)
        there = [name for name in sorted(self.store.refs) if name.startswith(prefix)]
        return {name: oid for name in there if (oid := self._seen(name)) is not None}

    def advance(self, name: str, expected: str | None, new: str, *, late: bool = False) -> None:
        self._step("swap", name)
        self._locked(name)
        if self.store.refs.get(name) != expected:
            raise RefMoved(f"{name} was moved by another process")
        if _BAD_NAME.search(name) or not isinstance(self.store.objects.get(new), Commit):
            raise GitError(f"{name} could not be moved", hint="run smithers doctor")
        self.store.refs[name] = new
        self._step("swapped", name)

    def publish(self) -> None:
        """Nothing is late here."""

    def _locked(self, name: str) -> None:
        late = self.store.late.get(name)
        if late is not None and late[0] is not self:
            self._wait(lambda: name not in self.store.late)
            if name in self.store.late:
                raise LockTimeout(f"another process keeps {name} locked", hint=_DAMAGED)

    def delete_ref(self, name: str, expected: str | None = None) -> None:
        self._step("delete", name)
        self._locked(name)
        found = self.store.refs.get(name)
        if found is None:
            return
        if expected is not None and found != expected:
            raise RefMoved(f"{name} was moved by another process")
        del self.store.refs[name]


class MemoryJournaled(MemoryObjects):
    """The same as an engine writes: others see what was advanced late only when it is published, or `leave` is called.

    `leave` is what becomes of it when the process ends: whoever comes next publishes what it has left.
    """

    sync = True

    @property
    def hides(self) -> bool:
        """Whether others do not see all."""
        return any(owner is self for owner, _ in self.store.late.values())

    def advance(self, name: str, expected: str | None, new: str, *, late: bool = False) -> None:
        if late and name not in self.store.late:
            self.store.late[name] = self, expected
            try:
                super().advance(name, expected, new)
            except SmithersError:
                del self.store.late[name]
                raise
            return
        super().advance(name, expected, new)
        if not late:
            self.publish()

    def publish(self) -> None:
        self.store.late = {name: entry for name, entry in self.store.late.items() if entry[0] is not self}

    leave = publish

    def turn(self) -> None:
        """Nothing is settled here."""

    last = turn


def files_of(objects: MemoryObjects, commit: str) -> dict[str, bytes]:
    """The files of a commit, by path."""
    return {path: objects.read_blob(entry.oid) for path, entry in objects.files(objects.read_commit(commit).tree)}
