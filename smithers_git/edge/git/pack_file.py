"""A pack written by hand, from objects that are at hand: 10 us an object, and no process to start.

Flushed, with its folder, before it counts. `git pack-objects` (50 us an object) is for what has to be read first.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from typing import Final

from smithers_git.edge.git.durable import flush
from smithers_git.edge.git.loose import Loose, deflate

_KINDS: Final = {"commit": 1, "tree": 2, "blob": 3}


def write_pack(common_dir: Path, objects: Iterable[Loose]) -> str:
    """Make one pack of `objects` (at least one) and have it on the disk; returns its name. Raises OSError."""
    rows = sorted({one.oid: one for one in objects}.values())
    data, places = _pack(rows)
    name = data[-20:].hex()
    folder = common_dir / "objects" / "pack"
    if not folder.is_dir():
        folder.mkdir()
        flush(folder.parent)
    # The index last: without it nobody looks for the pack.
    for ending, content in (("pack", data), ("idx", _index(rows, places, data[-20:]))):
        _put(folder, f"pack-{name}.{ending}", content)
    flush(folder)
    return name


def _pack(rows: list[Loose]) -> tuple[bytes, list[tuple[int, int]]]:
    """The pack's bytes, and of each object where it begins and the CRC of what stands there."""
    parts, places, at = [b"PACK" + struct.pack(">II", 2, len(rows))], [], 12
    for one in rows:
        part = _head(_KINDS[one.kind], len(one.data)) + deflate(one.data)
        places.append((at, zlib.crc32(part)))
        parts.append(part)
        at += len(part)
    if at >= 1 << 31:  # the index would need places of eight bytes; a journal holds a thousandth of that
        raise OverflowError(f"{at} bytes are too many for one pack")
    data = b"".join(parts)
    return data + hashlib.sha1(data, usedforsecurity=False).digest(), places


def _head(kind: int, size: int) -> bytes:
    """Kind and size: four bits of the size beside the kind, then seven in each byte, the lowest first."""
    found = bytearray()
    byte, rest = kind << 4 | size & 15, size >> 4
    while rest:
        found.append(byte | 0x80)
        byte, rest = rest & 0x7F, rest >> 7
    found.append(byte)
    return bytes(found)


def _index(rows: list[Loose], places: list[tuple[int, int]], trailer: bytes) -> bytes:
    """The index of the pack, in version 2 (gitformat-pack)."""
    names = [bytes.fromhex(one.oid) for one in rows]
    counts = [0] * 256
    for name in names:
        counts[name[0]] += 1
    number = len(names)
    data = b"".join((
        b"\377tOc\0\0\0\2",
        struct.pack(">256I", *accumulate(counts)),
        *names,
        struct.pack(f">{number}I", *[crc for _, crc in places]),
        struct.pack(f">{number}I", *[at for at, _ in places]),
        trailer,
    ))  # fmt: skip
    return data + hashlib.sha1(data, usedforsecurity=False).digest()


def _put(folder: Path, name: str, data: bytes) -> None:
    fresh = folder / f"tmp_{name}_{os.getpid()}"  # `git gc` clears tmp_* away
    fresh.unlink(missing_ok=True)
    try:
        with fresh.open("xb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
        fresh.rename(folder / name)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
