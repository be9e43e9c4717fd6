"""What a disk may hold after the power failed: a file system with a half that is durable and a half that is not.

A recording of what processes did (`Line`) over a known beginning (`Tree`) becomes a list of small changes (`Change`).
A crash behind any line leaves the changes that were flushed by then, and of the others what the mode allows:

`strict` promises the least that any file system does (the abstract persistence model of the ALICE study, OSDI 2014,
and fsync(2): "Calling fsync() does not necessarily ensure that the entry in the directory containing the file has also
reached disk. For that an explicit fsync() on a file descriptor for the directory is also needed.").
  - Bytes and size of a file are durable by fsync or fdatasync of the file, names by fsync of their folder. A new
    folder's own name needs a flush of the folder above it.
  - What is not flushed is there or not, in any combination. Only changes of one and the same name keep their order.
  - Unflushed bytes are there whole, not at all, up to a sector (512) or page (4096), or as zeros: the size grew first.
  - A rename inside a folder is there or not (every file system since ext2 has it atomic). One across folders may show
    both names, never none.

`ext4` is data=ordered with its defaults, as most developers have it (kernel documentation, admin-guide/ext4.rst, and
fs/ext4/fsync.c). xfs and btrfs are not looked at by themselves: they lie between the two.
  - Names, sizes cut off and modes go through one journal: those that are durable are a prefix of all.
  - fsync of a file or folder writes the journal up to the last change of it; to its end when the file has grown, since
    its blocks are given out only then (delayed allocation). So fsync of a new file makes its name durable too.
  - Unflushed bytes come later than the journal's record of the name: a file that was made and renamed may be empty.
    But a rename over a file that is there gives out the blocks first (auto_da_alloc).
  - A file that grew shows whole pages of what was appended; a page that was written over may be torn at a sector.
  - The journal's own fast commits (mkfs option fast_commit, off by default) are not looked at.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

NEVER: Final = 1 << 60
SECTOR: Final = 512
PAGE: Final = 4096


class Node(NamedTuple):
    """A file, folder or symbolic link; `data` is its bytes or where it leads."""

    kind: str
    mode: int = 0o644
    data: bytes = b""
    same: int = 0
    """Another number than 0 for a file with several names: those that share it are one."""


Tree = dict[str, Node]
"""By path below the top, without a slash at its ends; folders stand in it too."""


class Line(NamedTuple):
    """One line of a recording; paths as in `Tree`. `length` is a size, or the mode of what is made."""

    op: str
    path: str = ""
    path2: str = ""
    offset: int = 0
    length: int = 0
    data: bytes = b""


@dataclass(slots=True)
class Change:
    """The smallest thing that can be durable by itself."""

    at: int
    """The line that made it."""
    kind: str
    """write, size, mode; of names: link, unlink, rename."""
    node: int
    """Whose bytes, size or mode; or to what the name leads."""
    names: tuple[tuple[int, str], ...] = ()
    """(folder, name) that it changes; of a rename the old one first."""
    offset: int = 0
    data: bytes = b""
    value: int = 0
    needs: tuple[int, ...] = ()
    """Changes without which it cannot be there."""
    safe: int = NEVER
    """The flush that made it durable in `strict`; for bytes in `ext4` too."""
    order: int = 0
    """How many lines of the journal come before it."""
    forced: int = NEVER
    """Of bytes: the line of the journal that does not become durable without them."""
    grows: bool = False

    @property
    def is_data(self) -> bool:
        return self.kind == "write"


class Disk:
    """A recording over a beginning, and every image that a crash in it may leave."""

    def __init__(self, base: Tree, lines: Iterable[Line]) -> None:
        self.lines = list(lines)
        self.changes: list[Change] = []
        self.marks: list[tuple[int, str]] = []
        """(line, text) of what was acknowledged."""
        self.flushes: list[int] = []
        self._nodes: list[Node] = [Node("dir", 0o755)]
        self._first: dict[int, dict[str, int]] = {0: {}}
        self._shared: dict[int, int] = {}
        self._sizes: dict[int, int] = {}
        for path in sorted(base):
            self._plant(path, base[path])
        self._live = {folder: dict(names) for folder, names in self._first.items()}
        self._last: dict[tuple[int, str], int] = {}  # the change that touched a name last
        self._open: dict[int, list[int]] = {}  # changes that a flush of this file or folder would make durable
        self._touched: dict[int, int] = {}  # how far the journal must go to hold all of this node
        self._grown: set[int] = set()
        self._journal = 0
        self._commits: list[tuple[int, int]] = [(-1, 0)]
        for at, line in enumerate(self.lines):
            self._take(at, line)
        self._ats = [change.at for change in self.changes]
        self._commit_ats = [at for at, _ in self._commits]

    # -- reading the recording

    def _plant(self, path: str, node: Node) -> None:
        folder, _, name = path.rpartition("/")
        number = self._shared.get(node.same) or self._new(node._replace(same=0))
        if node.same:
            self._shared[node.same] = number
        found = self._walk(self._first, folder)
        assert found is not None, f"{path} has no folder"
        self._first[found][name] = number
        if node.kind == "dir":
            self._first[number] = {}

    def _new(self, node: Node) -> int:
        self._nodes.append(node)
        self._sizes[len(self._nodes) - 1] = len(node.data)
        return len(self._nodes) - 1

    def _walk(self, entries: dict[int, dict[str, int]], path: str) -> int | None:
        number = 0
        for name in path.split("/") if path else ():
            found = entries.get(number, {}).get(name)
            if found is None:
                return None
            number = found
        return number

    def _take(self, at: int, line: Line) -> None:
        if line.op == "mark":
            self.marks.append((at, line.path))
            return
        if line.op in ("fsync", "fdatasync", "syncfs"):
            node = self._walk(self._live, line.path)
            for flushed in list(self._open) if line.op == "syncfs" else [node] if node is not None else []:
                self._flush(at, flushed)
            return
        if line.op != "none":
            self._journal += getattr(self, f"_take_{line.op}")(at, line)

    def _take_create(self, at: int, line: Line, kind: str = "file") -> bool:
        if self._walk(self._live, line.path) is not None:
            return False  # it was opened, and is made by nobody
        folder, name = self._place(line.path)
        default = 0o755 if kind == "dir" else 0o644
        target = line.data if kind == "link" else b""
        node = self._new(Node(kind, line.length or default, target))
        if kind == "dir":
            self._live[node] = {}
        self._name(at, "link", node, (folder, name))
        return True

    def _take_mkdir(self, at: int, line: Line) -> bool:
        return self._take_create(at, line, "dir")

    def _take_symlink(self, at: int, line: Line) -> bool:
        return self._take_create(at, line, "link")

    def _take_link(self, at: int, line: Line) -> bool:
        node = self._walk(self._live, line.path)
        assert node is not None, f"{line.path} is linked and was never there"
        self._name(at, "link", node, self._place(line.path2))
        return True

    def _take_unlink(self, at: int, line: Line) -> bool:
        node = self._walk(self._live, line.path)
        assert node is not None, f"{line.path} is removed and was never there"
        self._name(at, "unlink", node, self._place(line.path))
        return True

    _take_rmdir = _take_unlink

    def _take_rename(self, at: int, line: Line) -> bool:
        node = self._walk(self._live, line.path)
        assert node is not None, f"{line.path} is renamed and was never there"
        old, new = self._place(line.path), self._place(line.path2)
        there = self._live[new[0]].get(new[1])
        if there == node:
            return False  # two names of one file: POSIX does nothing
        if there is not None:
            for change in self.changes:
                if change.is_data and change.node == node and change.forced == NEVER:
                    change.forced = self._journal
        if old[0] == new[0]:
            self._name(at, "rename", node, old, new)
        else:
            self._name(at, "link", node, new)
            self._name(at, "unlink", node, old, needs=(len(self.changes) - 1,))
        return True

    def _take_trunc(self, at: int, line: Line) -> bool:
        node = self._walk(self._live, line.path)
        if node is None or self._sizes[node] == line.length:
            return False
        self._sizes[node] = line.length
        self._change(Change(at, "size", node, value=line.length), node)
        return True

    def _take_write(self, at: int, line: Line) -> bool:
        node = self._walk(self._live, line.path)
        if node is None or not line.data:
            return False  # of a file that has no name any more
        end = line.offset + len(line.data)
        grows = end > self._sizes[node]
        self._sizes[node] = max(self._sizes[node], end)
        if grows:
            self._grown.add(node)
        self._change(Change(at, "write", node, offset=line.offset, data=line.data, grows=grows), node)
        return False

    def _take_chmod(self, at: int, line: Line) -> bool:
        node = self._walk(self._live, line.path)
        if node is None:
            return False
        self._change(Change(at, "mode", node, value=line.length & 0o7777), node)
        return True

    def _place(self, path: str) -> tuple[int, str]:
        above, _, name = path.rpartition("/")
        folder = self._walk(self._live, above)
        assert folder is not None, f"{path} is made in a folder that was never there"
        return folder, name

    def _name(self, at: int, kind: str, node: int, *names: tuple[int, str], needs: tuple[int, ...] = ()) -> None:
        before = tuple(self._last[name] for name in names if name in self._last)
        for folder, name in names[:1] if kind != "link" else ():
            del self._live[folder][name]
        if kind != "unlink":
            folder, name = names[-1]
            self._live[folder][name] = node
        for name in names:
            self._last[name] = len(self.changes)
        self._change(Change(at, kind, node, names=names, needs=(*needs, *before)), *{folder for folder, _ in names})
        self._touched[node] = self._journal + 1

    def _change(self, change: Change, *flushed_by: int) -> None:
        change.order = self._journal
        for node in flushed_by:
            self._open.setdefault(node, []).append(len(self.changes))
            if not change.is_data:
                self._touched[node] = self._journal + 1
        self.changes.append(change)

    def _flush(self, at: int, node: int) -> None:
        self.flushes.append(at)
        pending = self._open.pop(node, [])
        while pending:
            change = self.changes[pending.pop()]
            if change.safe == NEVER:
                change.safe = at
                pending += change.needs
        reach = self._journal if node in self._grown else self._touched.get(node, 0)
        self._grown.discard(node)
        self._commits.append((at, max(reach, self._commits[-1][1])))

    # -- images

    def until(self, at: int) -> range:
        """The changes that lines before `at` made."""
        return range(bisect_right(self._ats, at - 1))

    def floor(self, at: int) -> int:
        """How many lines of the journal are durable in `ext4` before line `at`."""
        return self._commits[bisect_right(self._commit_ats, at - 1) - 1][1]

    def reach(self, at: int) -> int:
        """How many lines of the journal there are before line `at`."""
        count = len(self.until(at))
        return 0 if not count else self._behind(self.changes[count - 1])

    def _behind(self, change: Change) -> int:
        return change.order if change.is_data else change.order + 1

    def pending(self, at: int) -> list[int]:
        """The changes that are not durable in `strict` before line `at`."""
        return [number for number in self.until(at) if self.changes[number].safe >= at]

    def image(self, name: str) -> Tree:
        """The image with this name, as `names` and `sampled` give them."""
        mode, at, *how = name.split(":")
        return (self._strict if mode == "strict" else self._ext4)(int(at), how)

    def _strict(self, at: int, how: list[str]) -> Tree:
        pending = self.pending(at)
        torn: dict[int, str] = {}
        match how:
            case ["all"]:
                kept = set(pending)
            case ["none"]:
                kept = set[int]()
            case ["drop", number]:
                kept = set(pending) - {int(number)}
            case ["only", number]:
                kept = self._with_needs(int(number))
            case ["tear", number, cut]:
                kept, torn = set(pending), {int(number): cut}
            case ["some", seed]:
                chance = random.Random(f"strict {at} {seed}")
                share = chance.choice((0.1, 0.5, 0.9))
                kept = {number for number in pending if chance.random() < share}
                torn = self._torn(kept, chance, "strict")
            case _:
                raise ValueError(f"no image is called {how}")
        return self._build(at, lambda number: self.changes[number].safe < at or number in kept, torn)

    def _with_needs(self, number: int) -> set[int]:
        found, pending = set[int](), [number]
        while pending:
            one = pending.pop()
            if one not in found:
                found.add(one)
                pending += self.changes[one].needs
        return found

    def _ext4(self, at: int, how: list[str]) -> Tree:
        journal = int(how[0])
        loose = {n for n in self.until(at) if self.changes[n].is_data and self.changes[n].safe >= at}
        torn: dict[int, str] = {}
        match how[1:]:
            case ["all"]:
                kept = loose
            case ["none"]:
                kept = set()
            case ["drop", node]:
                kept = {number for number in loose if self.changes[number].node != int(node)}
            case ["tear", number, cut]:
                kept, torn = loose, {int(number): cut}
            case ["some", seed]:
                chance = random.Random(f"ext4 {at} {journal} {seed}")
                chosen = {node: chance.random() < 0.5 for node in sorted({self.changes[n].node for n in loose})}
                kept = {number for number in loose if chosen[self.changes[number].node]}
                torn = self._torn(kept, chance, "ext4")
            case _:
                raise ValueError(f"no image is called {how}")
        torn = {number: cut for number, cut in torn.items() if self.changes[number].forced >= journal}

        def keeps(number: int) -> bool:
            change = self.changes[number]
            if not change.is_data:
                return change.order < journal
            if change.safe < at or change.forced < journal:
                return True
            # Blocks are given out after the write, so the journal that tells of them tells of all before it.
            return number in kept and (not change.grows or change.order <= journal)

        return self._build(at, keeps, torn)

    def cuts(self, number: int, mode: str) -> list[str]:
        """How an unflushed write may be torn: after so many bytes, or "zeros"."""
        change = self.changes[number]
        if not change.is_data:
            return []
        units = (SECTOR, PAGE) if mode == "strict" else (PAGE,) if change.grows else (SECTOR,)
        found, length = ["zeros"] if mode == "strict" and change.grows else [], len(change.data)
        for unit in units:
            first = unit - change.offset % unit
            if first < length:
                found += [str(first), str(first + (length - first - 1) // unit * unit)]
        return list(dict.fromkeys(found))

    def _torn(self, kept: Iterable[int], chance: random.Random, mode: str) -> dict[int, str]:
        """Some of the writes in `kept`, with how each is torn."""
        return {n: chance.choice(cuts) for n in sorted(kept) if (cuts := self.cuts(n, mode)) and chance.random() < 0.3}

    def _build(self, at: int, keeps: Callable[[int], bool], torn: Mapping[int, str]) -> Tree:
        entries = {folder: dict(names) for folder, names in self._first.items()}
        files: dict[int, bytearray] = {}
        modes: dict[int, int] = {}
        lost: set[int] = set()
        for number in self.until(at):
            change = self.changes[number]
            if not keeps(number) or not lost.isdisjoint(change.needs):
                lost.add(number)
                continue
            if change.kind in ("write", "size"):
                content = files.setdefault(change.node, bytearray(self._nodes[change.node].data))
                _apply(content, change, torn.get(number))
            elif change.kind == "mode":
                modes[change.node] = change.value
            else:
                if change.kind != "link":
                    folder, name = change.names[0]
                    entries.setdefault(folder, {}).pop(name, None)
                if change.kind != "unlink":
                    folder, name = change.names[-1]
                    entries.setdefault(folder, {})[name] = change.node
        return dict(self._seen(entries, files, modes))

    def _seen(
        self, entries: dict[int, dict[str, int]], files: dict[int, bytearray], modes: dict[int, int]
    ) -> Iterator[tuple[str, Node]]:
        names = Counter(number for inside in entries.values() for number in inside.values())
        pending = [("", 0)]
        while pending:
            above, folder = pending.pop()
            for name, number in entries.get(folder, {}).items():
                path, node = above + name, self._nodes[number]
                mode = modes.get(number, node.mode)
                data = bytes(files[number]) if number in files else node.data
                yield path, Node(node.kind, mode, data, number if names[number] > 1 else 0)
                if node.kind == "dir":
                    pending.append((path + "/", number))


def _apply(content: bytearray, change: Change, cut: str | None) -> None:
    if change.kind == "size":
        del content[change.value :]
        content.extend(bytes(change.value - len(content)))
        return
    data = change.data
    if cut == "zeros":
        data = bytes(len(data))
    elif cut is not None:
        data = data[: int(cut)]
    if len(content) < change.offset:
        content.extend(bytes(change.offset - len(content)))
    content[change.offset : change.offset + len(data)] = data
