"""The journal of one engine: each frame's objects and the move of its ref, on the disk with one flush.

Behind a record stand the loose objects and the ref themselves, at once and unflushed, so that every other process sees
the frame; or, behind several that follow each other within moments, all of their objects and one move of the ref, which
stays locked until then. What a journal holds is settled from time to time: brought into the repository with flushes,
then the journal goes. A record that is whole counts: whoever opens the repository next and finds the journal of a
process that is dead, by kill or by power cut, settles it first (`recover`). Objects are written over then, since after
a power cut a file that is there may be empty, and the ref goes to the last record unless somebody else has moved it
further.

    smithers journal 1
    frame <ref> <commit> <bytes> <CRC-32 of the ref, the commit and these bytes>
    <kind> <size>
    ...                     the object's bytes; kind, size and bytes of the next; and so on
    zeros                   until the next record, or the end

One file is one segment, `.git/smithers/journal/<run>.<number>`; its live owner holds a lock of the system on it.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from smithers_git.edge.git import collection, loose, ref_file, ref_lock
from smithers_git.edge.git.command import storage_errors
from smithers_git.edge.git.durable import flush, flush_all
from smithers_git.edge.git.loose import Loose
from smithers_git.edge.git.pack_file import write_pack
from smithers_git.edge.lock import hold, holding, is_held
from smithers_git.errors import GitError, RepositoryError, StorageError

FULL: Final = 2048
"""Objects in a segment before it is settled; well below the 6,700 at which git starts a gc of its own."""
_BYTES: Final = 8 << 20
"""Bytes in a segment before it is settled; they are in memory too."""
_AHEAD: Final = 64 << 10
"""Zeros behind the records. A flush of a file that has not grown needs no commit of the file system's own journal, into
which all the names of the frame's loose objects would have to go too."""
_FEW: Final = 500
"""Up to so many objects stay loose when they are settled. A pack for every short run would be many packs."""
_WAIT: Final = 60.0
_HEAD: Final = b"smithers journal 1\n"


class Record(NamedTuple):
    """One frame."""

    ref: str
    commit: str
    objects: tuple[Loose, ...]


class Refs(Protocol):
    """What settling the journal of a dead process wants to know of the repository."""

    def ref(self, name: str) -> str | None: ...

    def has(self, oid: str) -> bool: ...

    def is_ancestor(self, older: str, newer: str) -> bool: ...


class Segment:
    """A journal file of ours that is being written, locked by this process."""

    def __init__(self, common_dir: Path, run: str) -> None:
        self.common_dir = common_dir
        self.records: list[Record] = []
        self.objects = 0
        self.size = 0
        self.made: str | None = None
        """The pack that all its objects are in already; whoever says so appends nothing more."""
        self._room = 0
        """Bytes of the file, zeros behind the last record included."""
        self.path, self._fd = _make(common_dir, run)

    def append(self, record: Record) -> None:
        """Have `record` on the disk. Raises OSError; nothing of it is there then."""
        data = _encode(record)
        at = len(_HEAD) + self.size
        end = at + len(data)
        ahead = b"" if end <= self._room else bytes(_AHEAD)
        try:
            _write(self._fd, data + ahead, at)
            _datasync(self._fd)
        except OSError:
            self._cut()
            raise
        self._room = max(self._room, end + len(ahead))
        self.records.append(record)
        self.objects += len(record.objects)
        self.size += len(data)

    def take_back(self) -> None:
        """Forget the last record, of which nothing came to pass. Raises OSError."""
        record = self.records.pop()
        self.objects -= len(record.objects)
        self.size -= len(_encode(record))
        self._cut()

    def _cut(self) -> None:
        self._room = len(_HEAD) + self.size
        os.ftruncate(self._fd, self._room)

    @property
    def owner(self) -> str:
        """What stands in a ref's lock that is held for frames of this journal."""
        return ref_lock.named(self.path)

    def pack(self) -> str:
        """Have all its objects on the disk in one pack; its name. Raises OSError."""
        made, gone = _pack_objects(self.common_dir, _all(self.records))
        flush_all(Path(self.common_dir, "objects", start) for start in gone)
        return made

    @property
    def is_full(self) -> bool:
        return self.objects >= FULL or self.size >= _BYTES

    @storage_errors
    def settle(self) -> str | None:
        """Have all of it on the disk without the journal, and remove that; the name of the pack, if one was made.

        When that fails it is let go of, as by `close`.
        """
        try:
            made = self.made or (_settle_objects(self.common_dir, self.records) if self.records else None)
            for name in {record.ref for record in self.records}:
                ref_file.flush_ref(self.common_dir, name)
            self.path.unlink(missing_ok=True)
            flush(self.path.parent)
        finally:
            self.close()
        return made

    def close(self) -> None:
        """Let go of it; whoever comes next settles what is in it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _make(common_dir: Path, run: str) -> tuple[Path, int]:
    folder = _folder(common_dir)
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        flush(common_dir)
        flush(folder.parent)
    number = max((_number(path) for path in folder.glob(f"{run}.*")), default=-1)
    while True:
        number += 1
        path = folder / f"{run}.{number}"
        with suppress(FileExistsError):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                # Between the two lines above and below, another process may have taken it for a dead one's.
                if hold(fd, path):
                    _write(fd, _HEAD, 0)
                    flush(folder)
                    return path, fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)


def _folder(common_dir: Path) -> Path:
    return common_dir / "smithers" / "journal"


def _number(path: Path) -> int:
    text = path.name.rpartition(".")[2]
    return int(text) if text.isascii() and text.isdigit() else -1


def _datasync(fd: int) -> None:
    getattr(os, "fdatasync", os.fsync)(fd)  # macOS has no fdatasync


def _write(fd: int, data: bytes, at: int) -> None:
    done = os.pwrite(fd, data, at)
    while done < len(data):
        done += os.pwrite(fd, data[done:], at + done)


def _encode(record: Record) -> bytes:
    body = b"".join([b"%b %d\n%b" % (one.kind.encode(), len(one.data), one.data) for one in record.objects])
    what = f"{record.ref} {record.commit}".encode()
    return b"frame %b %d %d\n%b" % (what, len(body), zlib.crc32(body, zlib.crc32(what)), body)


def read(data: bytes) -> Iterator[Record]:
    """The records in a journal's bytes, up to the first that is not whole."""
    at = len(_HEAD)
    while data.startswith(_HEAD) and at < len(data):
        end = data.find(b"\n", at)
        words = data[at:end].split(b" ") if end >= 0 else []
        if len(words) != 5 or words[0] != b"frame" or not (words[3].isdigit() and words[4].isdigit()):
            return
        body = data[end + 1 : end + 1 + int(words[3])]
        what = b" ".join(words[1:3])
        if len(body) != int(words[3]) or zlib.crc32(body, zlib.crc32(what)) != int(words[4]):
            return
        yield Record(words[1].decode(), words[2].decode(), tuple(_objects(body)))
        at = end + 1 + len(body)


def _objects(body: bytes) -> Iterator[Loose]:
    at = 0
    while at < len(body):
        end = body.index(b"\n", at)
        kind, size = body[at:end].split(b" ")
        at = end + 1 + int(size)
        yield loose.make(kind.decode(), body[end + 1 : at])


# -- settling


def _settle_objects(common_dir: Path, records: list[Record]) -> str | None:
    """Have the objects of `records` on the disk; the name of the pack, if they are in one."""
    objects = _all(records)
    folder, files, made = f"{common_dir}/objects", list[Path](), None
    # Beside a `git gc` into a pack: what is loose it may delete, if it looked at the refs before they moved.
    if len(objects) > _FEW or (common_dir / "gc.pid").exists():
        made, _ = _pack_objects(common_dir, objects)
    else:
        for one in objects.values():
            loose.write(folder, one)
        files = [Path(folder, oid[:2], oid[2:]) for oid in objects]
    # Names that went are flushed too: after a power cut a loose object that comes back may be empty.
    flush_all([*files, *(Path(folder, start) for start in {oid[:2] for oid in objects}), Path(folder)])
    return made


def _all(records: list[Record]) -> dict[str, Loose]:
    return {one.oid: one for record in records for one in record.objects}


def _pack_objects(common_dir: Path, objects: dict[str, Loose]) -> tuple[str, set[str]]:
    """The name of the pack that has them now, and the folders from which loose copies went."""
    folder, gone = f"{common_dir}/objects", set()
    made = write_pack(common_dir, objects.values())
    for oid in objects:
        with suppress(FileNotFoundError):
            os.unlink(f"{folder}/{oid[:2]}/{oid[2:]}")  # noqa: PTH108 - thousands, and a Path costs 10 us
            gone.add(oid[:2])
    return made, gone


def recover(common_dir: Path, refs: Refs) -> None:
    """Settle what processes that are dead have left in journals; returns at once when there is none.

    Raises RepositoryError when there is something to do and nothing can be written.
    """
    left = _left(common_dir)
    lock = common_dir / "smithers" / "locks" / "journal.lock"
    if not left or (all(map(is_held, left)) and not is_held(lock)):
        return
    try:
        with holding(lock, _WAIT):
            for path in _left(common_dir):
                _recover(common_dir, path, refs)
    except StorageError as error:
        if any(_is_behind(path, refs) for path in _left(common_dir) if not is_held(path)):
            raise RepositoryError(
                f"a run was cut off and cannot be put in order here: {error.message}",
                hint="free disk space or make .git writable, then run the command again",
            ) from error


def _left(common_dir: Path) -> list[Path]:
    try:
        names = os.listdir(_folder(common_dir))  # noqa: PTH208 - every command looks, 5 us
    except OSError:
        return []
    return sorted((_folder(common_dir) / name for name in names), key=lambda path: (path.stem, _number(path)))


@storage_errors
def _recover(common_dir: Path, path: Path, refs: Refs) -> None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not hold(fd, path):
            return  # its owner lives
        records = list(read(path.read_bytes()))
        before = collection.look(common_dir)
        if records:
            _settle_objects(common_dir, records)
            if _is_lost(common_dir, records, refs):
                records.pop()
        for name, commit in {record.ref: record.commit for record in records}.items():
            ref_file.settle(common_dir, name, _goal(common_dir, name, commit, refs), ref_lock.named(path))
        if records and collection.disturbed(common_dir, before):
            _settle_objects(common_dir, records)  # the refs hold them now
        path.unlink(missing_ok=True)
        flush(path.parent)
    finally:
        os.close(fd)


def _is_lost(common_dir: Path, records: list[Record], refs: Refs) -> bool:
    """Whether a large object of the last frame, which went the ordinary way, was taken before a ref held it.

    Its engine died before it moved the ref: nobody has seen that frame. Of one before it the engine made sure. What the
    journal has does not count: a gc may have taken that just now, and it is written again.
    """
    last = records[-1]
    if _at(common_dir, last.ref, refs) == last.commit:
        return False
    noted = {one.oid for record in records for one in record.objects}
    named = {oid for one in last.objects if one.kind == "tree" for oid in _named(one.data)}
    return not all(map(refs.has, named - noted))


def _named(tree: bytes) -> Iterator[str]:
    """The ids of what a tree holds, submodules left out: their commits are elsewhere."""
    at = 0
    while at < len(tree):
        end = tree.index(b"\0", at)
        if not tree.startswith(b"160000 ", at):
            yield tree[end + 1 : end + 21].hex()
        at = end + 21


@storage_errors
def put_back(common_dir: Path, oid: str) -> bool:
    """Write an object again that is gone or torn, if some journal has it; says whether it did."""
    for path in _left(common_dir):
        with suppress(FileNotFoundError):
            for one in (one for record in read(path.read_bytes()) for one in record.objects):
                if one.oid == oid:
                    loose.write(f"{common_dir}/objects", one)
                    return True
    return False


def _goal(common_dir: Path, name: str, commit: str, refs: Refs) -> Callable[[], str | None]:
    def choose() -> str | None:
        return commit if _stands_before(common_dir, name, commit, refs) else None

    return choose


def _at(common_dir: Path, name: str, refs: Refs) -> str | None:
    """Where the ref is; None when it is lost or damaged."""
    try:
        return ref_file.read(common_dir, name) or refs.ref(name)
    except (GitError, KeyError, ValueError):
        return None


def _stands_before(common_dir: Path, name: str, commit: str, refs: Refs) -> bool:
    """Whether the ref is lost, damaged, or at an earlier commit than the last that was acknowledged."""
    found = _at(common_dir, name, refs)
    try:
        return found is None or (found != commit and refs.is_ancestor(found, commit))
    except GitError:
        return True


def _is_behind(path: Path, refs: Refs) -> bool:
    with suppress(FileNotFoundError):
        last = {record.ref: record.commit for record in read(path.read_bytes())}
        return any(_stands_before(path.parents[2], name, commit, refs) for name, commit in last.items())
    return False
