"""How much memory this machine has left."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

MEMINFO: Final = Path("/proc/meminfo")


def available(meminfo: Path | None = None) -> int:
    """Bytes that programs can have before others are pushed out; all there is where the system does not tell.

    Args:
        meminfo: where Linux tells it; MEMINFO when it is not given.
    """
    try:
        text = (meminfo or MEMINFO).read_text("ascii")
    except OSError:
        text = ""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
