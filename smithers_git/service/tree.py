"""The tree of the next frame: the one before it with a few files put in, written folder by folder."""

from __future__ import annotations

from smithers_git.edge.git.objects import BLOB, TREE, Entry, Objects


class FrameTree:
    """A git tree that is changed in memory and written where it changed.

    Folders are read when they are first touched, so a step costs the folders it touches and not the whole history.
    """

    def __init__(self, objects: Objects, root: str | None = None) -> None:
        self._objects = objects
        self._folders: dict[str, dict[str, Entry]] = {"": objects.read_tree(root) if root else {}}
        self._dirty: set[str] = set()

    def get(self, path: str) -> Entry | None:
        """The entry at `path`; None when there is none."""
        parent, _, name = path.rpartition("/")
        folder = self._folder(parent)
        return folder.get(name) if folder is not None else None

    def put(self, path: str, oid: str, mode: int = BLOB) -> None:
        """Let `path` be the object `oid`; folders on the way are made. A whole tree can be put with mode TREE."""
        parent, _, name = path.rpartition("/")
        folder = self._folder(parent)
        if folder is None:
            folder = self._folders[parent] = {}
        folder[name] = Entry(mode, oid)
        self._dirty.add(parent)
        for known in [known for known in self._folders if known == path or known.startswith(path + "/")]:
            del self._folders[known]

    def remove(self, path: str) -> None:
        """Take `path` out, if it is there."""
        parent, _, name = path.rpartition("/")
        folder = self._folder(parent)
        if folder is not None and folder.pop(name, None) is not None:
            self._dirty.add(parent)

    def write(self) -> str:
        """Write every changed folder, deepest first; returns the id of the root tree."""
        for path in list(self._dirty):
            while path:
                path = path.rpartition("/")[0]  # noqa: PLW2901 - climbs to the root
                self._dirty.add(path)
                if path not in self._folders:
                    self._folder(path, make=True)
        oid = ""
        for path in sorted(self._dirty, key=lambda p: (p.count("/") + 1) if p else 0, reverse=True):
            oid = self._objects.write_tree(self._folders[path])
            if path:
                parent, _, name = path.rpartition("/")
                self._folders[parent][name] = Entry(TREE, oid)
        self._dirty.clear()
        return oid or self._objects.write_tree(self._folders[""])

    def _folder(self, path: str, *, make: bool = False) -> dict[str, Entry] | None:
        folder = self._folders.get(path)
        if folder is not None:
            return folder
        entry = self.get(path)
        if entry is None or entry.mode != TREE:
            if not make:
                return None
            folder = {}
        else:
            folder = self._objects.read_tree(entry.oid)
        self._folders[path] = folder
        return folder
