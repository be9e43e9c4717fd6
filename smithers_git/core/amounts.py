"""Sizes and spans of time as people write them."""

from __future__ import annotations

import re
from typing import Final

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b)?", re.IGNORECASE)
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
FILE: Final = 50 << 20
"""Bytes that a file in git history may have: GitHub warns from here on, and refuses a push with twice that."""

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def size(text: str) -> int:
    """Bytes of `1 GiB`, `500 MB`, `2G` (as in git's own settings, 1024s) or `1048576`; raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a size: write it like 2 GiB, 500 MB or 2G")
    step = 1000 if (found[3] or "").lower() == "b" and found[2] else 1024
    return int(float(found[1]) * step ** _POWERS[found[2].lower()])


def span(text: str) -> float:
    """Seconds of `90d`, `12h`, `30m`, `10s` or `2w`; raises ValueError."""
    found = _SPAN.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a span of time: write it like 90d, 12h or 30m")
    return float(found[1]) * _SECONDS[found[2].lower()]


def shown(amount: float) -> str:
    """Bytes for a person, in at most eight characters: `0 B`, `512 B`, `1.5 MiB`."""
    unit = "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1000:
            break
        amount, unit = amount / 1024, bigger
    return f"{amount:.0f} B" if unit == "B" else f"{amount:.3g} {unit}"
