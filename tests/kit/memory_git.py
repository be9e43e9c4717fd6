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
from smithers_git.errors import GitError, RefMoved

_DAMAGED = "git fsck tells what is damaged"
_BAD_NAME = re.compile(r"\.\.|[\x00-\x20~^:?*\[\\]|//|/\.|\.lock(/|$)|[/.]$|@\{")


@dataclass
class Store:
    """What lies in the repository."""

    objects: dict[str, bytes | dict[str, Entry] | Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)


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
    """

    def __init__(self, store: Store, step: Callable[[str, str], None] = _nothing) -> None:
        self.store = store
        self._step = step
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
        for oid in (revision, self.store.refs.get(revision), self.store.refs.get(f"refs/heads/{revision}")):
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
        return self.store.refs.get(name)

    def refs(self, prefix: str) -> dict[str, str]:
        self._step("ref", prefix)
        return {name: oid for name, oid in sorted(self.store.refs.items()) if name.startswith(prefix)}

    def advance(self, name: str, expected: str | None, new: str, *, late: bool = False) -> None:
        self._step("swap", name)
        if self.store.refs.get(name) != expected:
            raise RefMoved(f"{name} was moved by another process")
        if _BAD_NAME.search(name) or not isinstance(self.store.objects.get(new), Commit):
            raise GitError(f"{name} could not be moved", hint="run smithers doctor")
        self.store.refs[name] = new
        self._step("swapped", name)

    def publish(self) -> None:
        """Nothing is late here."""

    def delete_ref(self, name: str, expected: str | None = None) -> None:
        self._step("delete", name)
        found = self.store.refs.get(name)
        if found is None:
            return
        if expected is not None and found != expected:
            raise RefMoved(f"{name} was moved by another process")
        del self.store.refs[name]


def files_of(objects: MemoryObjects, commit: str) -> dict[str, bytes]:
    """The files of a commit, by path."""
    return {path: objects.read_blob(entry.oid) for path, entry in objects.files(objects.read_commit(commit).tree)}
