"""The entries of a tree object, in git's order and as git's bytes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

BLOB: Final = 0o100644
TREE: Final = 0o040000


class Entry(NamedTuple):
    """One entry of a tree."""

    mode: int
    oid: str


class Entries(Mapping[str, Entry]):
    """The entries of one tree that changes from frame to frame: a change costs one entry, and not a sort of all."""

    def __init__(self, entries: Mapping[str, Entry] | None = None) -> None:
        self._entries = dict(entries or {})
        rows = sorted((_place(name, entry), _row(name, entry)) for name, entry in self._entries.items())
        self._places = [place for place, _ in rows]
        self._rows = [row for _, row in rows]

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, name: str, entry: Entry) -> None:
        """Let `name` be `entry`."""
        known = self._entries.get(name)
        if known is not None and known.mode != entry.mode:
            self.remove(name)  # a file and a folder of the same name stand in different places
        self._entries[name] = entry
        place = _place(name, entry)
        at = bisect_left(self._places, place)
        if at < len(self._places) and self._places[at] == place:
            self._rows[at] = _row(name, entry)
        else:
            self._places.insert(at, place)
            self._rows.insert(at, _row(name, entry))

    def remove(self, name: str) -> None:
        """Take `name` out, if it is there."""
        known = self._entries.pop(name, None)
        if known is not None:
            at = bisect_left(self._places, _place(name, known))
            del self._places[at], self._rows[at]

    def data(self) -> bytes:
        """The bytes of the tree object."""
        return b"".join(self._rows)


def _place(name: str, entry: Entry) -> bytes:
    """What git sorts by: a folder as if its name ended in a slash (`base_name_compare` in git's tree.c)."""
    return name.encode() + b"/" * (entry.mode == TREE)


def _row(name: str, entry: Entry) -> bytes:
    return b"%o %b\0%b" % (entry.mode, name.encode(), bytes.fromhex(entry.oid))
