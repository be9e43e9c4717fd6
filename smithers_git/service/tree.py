"""The tree of the next frame: the one before it with a few files put in, written folder by folder."""

from __future__ import annotations

from dataclasses import dataclass, field

from smithers_git.edge.git.entries import BLOB, TREE, Entries, Entry
from smithers_git.edge.git.objects import Objects


@dataclass(slots=True)
class _Folder:
    entries: Entries
    opened: dict[str, _Folder] = field(default_factory=dict)
    """Folders in it that were looked into; `entries` has what they were when they were last written."""
    dirty: bool = False


class FrameTree:
    """A git tree that is changed in memory and written where it changed.

    Folders are read when they are first touched, so a step costs the folders it touches and not the whole history.
    As in git, a folder without a file in it does not exist.
    """

    def __init__(self, objects: Objects, root: str | None = None) -> None:
        self.objects = objects
        self._root = _Folder(Entries(objects.read_tree(root) if root else {}))
        self._written = root

    def get(self, path: str) -> Entry | None:
        """The entry at `path`; None when there is none. A folder is the one that was last put or written."""
        *parents, name = path.split("/")
        way = self._walk(parents)
        return way[-1].entries.get(name) if way else None

    def put(self, path: str, oid: str, mode: int = BLOB) -> None:
        """Let `path` be the object `oid`; folders on the way are made. A whole tree can be put with mode TREE."""
        *parents, name = path.split("/")
        way = self._walk(parents, make=True)
        way[-1].entries.put(name, Entry(mode, oid))
        self._changed(way, name)

    def remove(self, path: str) -> None:
        """Take `path` out, if it is there, with all that is in it."""
        *parents, name = path.split("/")
        way = self._walk(parents)
        if way and (name in way[-1].entries or name in way[-1].opened):
            way[-1].entries.remove(name)
            self._changed(way, name)

    def write(self) -> str:
        """Write every changed folder, deepest first; returns the id of the root tree."""
        if self._root.dirty or self._written is None:
            self._written = self._write(self._root) or self.objects.write_tree({})
        return self._written

    @staticmethod
    def _changed(way: list[_Folder], name: str) -> None:
        way[-1].opened.pop(name, None)
        for folder in way:
            folder.dirty = True

    def _walk(self, parts: list[str], *, make: bool = False) -> list[_Folder]:
        """The folders from the root along `parts`; none when one is missing and shall not be made."""
        way = [self._root]
        for name in parts:
            folder = way[-1]
            inner = folder.opened.get(name)
            if inner is None:
                entry = folder.entries.get(name)
                if entry is not None and entry.mode == TREE:
                    inner = _Folder(Entries(self.objects.read_tree(entry.oid)))
                elif make:
                    folder.entries.remove(name)
                    inner = _Folder(Entries())
                else:
                    return []
                folder.opened[name] = inner
            way.append(inner)
        return way

    def _write(self, folder: _Folder) -> str | None:
        for name, inner in list(folder.opened.items()):
            if inner.dirty:
                oid = self._write(inner)
                if oid is None:
                    del folder.opened[name]
                    folder.entries.remove(name)
                else:
                    folder.entries.put(name, Entry(TREE, oid))
        folder.dirty = False
        return self.objects.write_tree(folder.entries) if folder.entries else None
