"""The sole home of time and randomness, so that everything above it can be handed a fake one."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Protocol


class Clock(Protocol):
    """Time and chance as the engine sees them."""

    def now(self) -> float:
        """Seconds since the Unix epoch (UTC); what is written into frames."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; for durations within one process."""

    def jitter(self) -> float:
        """A number in [0, 1) that spreads retries."""

    def token(self, digits: int) -> str:
        """A random lower-case hexadecimal string of `digits` digits."""

    def sleep(self, seconds: float) -> None:
        """Let so many seconds go by."""


@dataclass(frozen=True)
class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def jitter(self) -> float:
        return int.from_bytes(os.urandom(4), "big") / 2**32

    def token(self, digits: int) -> str:
        return os.urandom((digits + 1) // 2).hex()[:digits]  # what secrets.token_hex does, without its imports

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def iso(moment: float) -> str:
    """`moment` (Unix seconds) as RFC 3339 in UTC, to the millisecond: 2026-11-21T01:02:03.456Z."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ago(seconds: float) -> str:
    """A duration in seconds as people say it: 4s, 12m, 3h, 2d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def zone(name: str | None) -> tzinfo | None:
    """The time zone `name` ("Europe/Berlin"), this machine's for None; None when it is not known here."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # 15 ms that no command but a waiting run needs

    if name is None:
        return datetime.now(UTC).astimezone().tzinfo
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of zones
        return None


def midnight(moment: float) -> float:
    """Unix seconds at which the day of `moment` began where this machine is."""
    there = datetime.fromtimestamp(moment, UTC).astimezone()
    return datetime(there.year, there.month, there.day).astimezone().timestamp()


def local(moment: float, now: float) -> str:
    """`moment` (Unix seconds) as a clock on the wall shows it; with the date when that is not the date of `now`."""
    there, today = (datetime.fromtimestamp(at, UTC).astimezone() for at in (moment, now))
    return there.strftime("%H:%M:%S" if there.date() == today.date() else "%Y-%m-%d %H:%M:%S")
