"""A `git gc` of the user's beside us: it removes what no ref held when it looked, also what one holds by now.

`git gc --prune=now` reads the refs, and some time later deletes every loose object that they did not reach. Whoever
writes objects and then moves a ref in between loses them (git 2.39: one frame in 400 beside a gc without a pause).
git says so in its manual and leaves it to the user. So we look behind each move of a ref whether a gc runs, or has run
since the first of its objects was written; then we wait for it, look what is missing, and write that again.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Final, NamedTuple

_LONG: Final = 600.0
"""Seconds after which we go on beside a gc that does not end."""
_PAUSE: Final = 0.005


class Calm(NamedTuple):
    """What the git folder looked like. A gc that begins or ends makes or removes a file in it."""

    changed: int
    running: bool


def look(common_dir: Path) -> Calm:
    """How it stands now; 5 us."""
    try:
        changed = os.stat(common_dir).st_mtime_ns  # noqa: PTH116 - a Path costs 2 us, and this is done for every frame
    except OSError:
        changed = 0
    return Calm(changed, os.path.exists(f"{common_dir}/gc.pid"))  # noqa: PTH110


def disturbed(common_dir: Path, before: Calm) -> bool:
    """Whether a gc may have removed objects since `before`; one that runs is waited for, so that all it does is done.

    Other things change that folder too: then it was none, and a look at what was written costs little.
    """
    if not before.running and look(common_dir) == before:
        return False
    end = time.monotonic() + _LONG
    while _runs(common_dir / "gc.pid") and time.monotonic() < end:
        time.sleep(_PAUSE)
    return True


def _runs(pid_file: Path) -> bool:
    """Whether the process that is named there lives; one of another machine is not waited for."""
    try:
        pid, host = pid_file.read_text("utf-8").split()[:2]
        if host != socket.gethostname():
            return False
        os.kill(int(pid), 0)
    except (OSError, ValueError) as error:
        return isinstance(error, PermissionError)
    return True
