"""Which start of the machine this is: what was not flushed before it may be lost, and nobody from before it lives."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from smithers_git.clock import SystemClock

_LINUX: Final = Path("/proc/sys/kernel/random/boot_id")
_COARSE: Final = 60
"""Seconds. Elsewhere a start is known by its moment, which moves with every correction of the clock."""


@dataclass(frozen=True, slots=True)
class Boot:
    """One start of the machine."""

    id: str
    """Another one after every start; where the system gives none, sometimes another one without a start."""
    since: float
    """Unix seconds, by the clock of now: late by what it was put forward since, outside of Linux also by sleep."""
    exact: bool = True
    """Whether another id is another start for sure."""


@cache
def current() -> Boot:
    """This one."""
    clock = SystemClock()
    # The monotonic clock of Linux stands still while the machine sleeps (clock_gettime(2)).
    up = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else clock.monotonic()
    since = clock.now() - up
    try:
        return Boot(_LINUX.read_text("ascii").strip(), since)
    except OSError:
        return Boot(f"{since // _COARSE:.0f}", since, exact=False)
