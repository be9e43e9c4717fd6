"""The preload library `shim.c` from Python: compile it, say what is wanted, and hear what happened.

Nothing here runs inside the operation: it is another process, or a fork of one, with `Page.env` in its environment.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_SOURCE = Path(__file__).with_name("shim.c")
_PIDS, _TEXT, _MAGIC = 1000, 1024, 0x43505431


class Kind(IntFlag):
    """Kinds of calls; the bits are those of `shim.c`."""

    OPEN = 1 << 0
    WRITE = 1 << 1
    RENAME = 1 << 2
    LINK = 1 << 3
    UNLINK = 1 << 4
    MKDIR = 1 << 5
    RMDIR = 1 << 6
    TRUNC = 1 << 7
    SYNC = 1 << 8
    MODE = 1 << 9
    REOPEN = 1 << 10
    """Opening for writing what is there already: it changes nothing, but may fail."""
    CHANGES = (1 << 10) - 1


class Action(IntEnum):
    """What happens at the target."""

    COUNT = 0
    KILL_BEFORE = 1
    KILL_AFTER = 2
    TEAR = 3
    """Half of a write, then the end; any other call as KILL_BEFORE."""
    FAIL = 4
    FAIL_FROM = 5
    """This call and each later one."""
    STOP = 6
    """SIGSTOP for the process that makes the call."""


class _Fields(ctypes.Structure):
    """`struct page` of `shim.c`."""

    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("magic", "generation", "on", "record")),
        *((name, ctypes.c_uint32) for name in ("mask", "target", "action", "error")),
        *((name, ctypes.c_uint32) for name in ("counter", "hits", "dead", "npids")),
        *((name, ctypes.c_uint32) for name in ("lock", "seq", "kind", "hit_pid", "spare", "padding")),
        ("pids", ctypes.c_int32 * _PIDS),
        ("root", ctypes.c_char * _TEXT),
        ("log", ctypes.c_char * _TEXT),
        ("what", ctypes.c_char * (2 * _TEXT)),
        ("match", ctypes.c_char * _TEXT),
    )


@cache
def library() -> Path:
    """The compiled library, in a cache folder. Skips the test, loudly, where it cannot be had."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if os.uname().sysname != "Linux" or compiler is None:
        pytest.skip("RELIABILITY NOT PROVEN HERE: the preload shim needs Linux and a C compiler (cc)")
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    folder = Path(__file__).parents[2] / ".cache" / "reliability"
    made = folder / f"shim-{digest}.so"
    if not made.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fresh = made.with_suffix(f".{os.getpid()}")
        command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(fresh), str(_SOURCE), "-ldl", "-pthread"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"RELIABILITY NOT PROVEN HERE: the preload shim does not compile: {done.stderr[-400:]}")
        fresh.replace(made)
    return made


class Page:
    """The memory that the test and all processes of an operation share."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(b"\0" * ctypes.sizeof(_Fields))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._fields = _Fields.from_buffer(self._map)
        self._fields.magic = _MAGIC

    @property
    def env(self) -> dict[str, str]:
        """What a process needs in its environment to be seen."""
        return {"LD_PRELOAD": str(library()), "CRASHPOINT": str(self.path)}

    def arm(self, root: Path, kinds: Kind = Kind.CHANGES, *, spare: bool = False) -> None:
        """From now on count the calls of these kinds below the folder `root`; what starts now takes part.

        `spare` what the steps of a run start: only the program itself, and its gits, are counted.
        """
        fields = self._fields
        fields.on = 0
        fields.generation += 1
        for name in ("record", "target", "action", "error", "counter", "hits", "dead", "npids", "lock", "seq"):
            setattr(fields, name, 0)
        fields.kind = fields.hit_pid = 0
        fields.spare = spare
        fields.what = fields.match = b""
        fields.root, fields.mask = os.fsencode(root.resolve()), int(kinds)
        fields.on = 1

    def at(self, target: int, action: Action, error: int = 0, match: str = "") -> None:
        """What happens at the `target`-th of them; after `arm`, before the operation starts.

        `match` (`write /packed-refs`) is a call's name and a part of its path: then only such calls are counted.
        """
        self._fields.match = os.fsencode(match)
        self._fields.error, self._fields.action, self._fields.target = error, int(action), target

    def record(self, log: Path) -> None:
        """Write down what the calls did; after `arm`. The form is described in `shim.c`."""
        log.unlink(missing_ok=True)
        self._fields.log = os.fsencode(log)
        self._fields.record = 1

    def mark(self, text: str) -> None:
        """A line of the record: what is known to others at this moment."""
        done = _callable().crashpoint_mark(os.fsencode(self.path), text.encode())
        assert done == 0, "nothing is recorded"

    def off(self) -> None:
        """See nothing more. Whoever still belongs to the operation ends at its next call."""
        self._fields.generation += 1
        self._fields.on = 0

    @property
    def counter(self) -> int:
        return int(self._fields.counter)

    @property
    def hits(self) -> int:
        """How often the target was met."""
        return int(self._fields.hits)

    @property
    def dead(self) -> bool:
        return bool(self._fields.dead)

    @property
    def what(self) -> str:
        """The call that was met first: its name and path."""
        return os.fsdecode(self._fields.what)

    @property
    def pids(self) -> list[int]:
        """Everybody who took part, and may have ended."""
        assert self._fields.npids < _PIDS, "more processes than the page can list"
        return list(dict.fromkeys(self._fields.pids[: self._fields.npids]))

    def end(self, seconds: float = 10.0) -> list[int]:
        """Kill what is left of the operation and wait until it is gone; returns the pids that had to be killed."""
        left = [pid for pid in self.pids if self._takes_part(pid)]
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        until = time.monotonic() + seconds
        while any(_lives(pid) and self._takes_part(pid) for pid in left):
            assert time.monotonic() < until, f"still there: {left}"
            time.sleep(0.001)
        return left

    def _takes_part(self, pid: int) -> bool:
        """Whether this is still the process that was listed: pids come again."""
        try:
            return str(self.path) in Path(f"/proc/{pid}/maps").read_text("utf-8", "replace")
        except OSError:
            return False


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@cache
def _callable() -> Any:
    return ctypes.CDLL(str(library()))


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a record. What is not there is "", -1 or b""."""

    seq: int
    pid: int
    op: str
    path: str
    path2: str
    offset: int
    length: int
    data: bytes


def entries(log: Path) -> Iterator[Entry]:
    """The lines of a record, in the order in which the calls were completed."""
    for line in log.read_bytes().splitlines():
        seq, pid, op, path, path2, offset, length, data = line.split(b"\t")
        yield Entry(
            int(seq), int(pid), op.decode(), _path(path), _path(path2),
            int(offset or -1), int(length or -1), bytes.fromhex(data.decode()),
        )  # fmt: skip


def _path(text: bytes) -> str:
    parts = [part.replace(b"\\t", b"\t").replace(b"\\n", b"\n") for part in text.split(b"\\\\")]
    return os.fsdecode(b"\\".join(parts))
