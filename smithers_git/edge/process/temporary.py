"""Temporary folders, by names that say whose they are: a process that is killed leaves its own to a later one."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

from smithers_git.clock import SystemClock

_NAME: Final = re.compile(r"smithers-([0-9]+)-\w+")
_OLD: Final = 3600.0
"""Seconds. Another machine may share the place, and its processes cannot be seen from here."""


def folder() -> tempfile.TemporaryDirectory[str]:
    """A new one, for a `with` block."""
    return tempfile.TemporaryDirectory(prefix=f"smithers-{os.getpid()}-")


def clear_left() -> list[Path]:
    """Remove those that killed processes of this user left an hour ago or more; returns them."""
    gone, now = [], SystemClock().now()
    for path in Path(tempfile.gettempdir()).glob("smithers-*"):
        named = _NAME.fullmatch(path.name)
        if named is None or _alive(int(named[1])):
            continue
        try:
            found = path.lstat()
            if found.st_uid == os.getuid() and now - found.st_mtime > _OLD:
                shutil.rmtree(path)
                gone.append(path)
        except OSError:
            continue  # somebody else was quicker, or it is closed to us
    return gone


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
