"""Fake programs and ways to look at real processes. Every fake ends by itself after a minute at the latest."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

PYTHON = [sys.executable, "-I", "-S", "-c"]
"""Prefix of a fake program written in Python, started in 10 ms."""

DAEMON = """
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
for fd in (0, 1, 2): os.close(fd)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(60)
"""
"""Detaches itself completely, then writes its pid to the file named by its argument."""


def eventually(condition: Callable[[], object], seconds: float = 10.0) -> bool:
    """Whether `condition` holds within `seconds`."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def pid_in(path: Path) -> int:
    """The pid that a fake program writes to `path`, when it has."""
    assert eventually(lambda: path.exists() and path.read_text().strip()), f"no pid in {path}"
    return int(path.read_text())


def marked(name: str, value: str) -> list[int]:
    """The running processes that were started with this variable."""
    wanted, found = os.fsencode(f"{name}={value}"), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and alive(int(entry.name)):
            try:
                variables = (entry / "environ").read_bytes()
            except OSError:
                continue
            if wanted in variables.split(b"\0"):
                found.append(int(entry.name))
    return found
