"""When does a limit end? Read from the words in which vendors say it. Pure: time and time zones are handed in.

The shapes, as the CLIs and the services behind them print them: `usage limit reached|1700000000` and `resets 1:30am
(Europe/Berlin)`, `resets Oct 3 at 5pm` (claude), `try again at 3:05 PM`, `try again in 3 days 4 hours 5 minutes` and
`resets_in_seconds` (codex), `try again in 1h2m3s`, `6m0s`, `850ms` (OpenAI), `retryDelay: "34s"`, `quota will reset
after 14h52m33s` (Gemini), `Retry-After: 30` or a date (HTTP), ISO times (all).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, tzinfo
from typing import Final

Zone = Callable[[str | None], tzinfo | None]
"""A time zone by its name; that of the machine for None. None for a name that nobody knows."""

FURTHEST: Final = 40 * 86400.0
"""Seconds. What is said to be further away was misread: the longest window of any plan is a month."""

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_ZONES: Final = {
    **dict.fromkeys(("PT", "PST", "PDT"), "America/Los_Angeles"),
    **dict.fromkeys(("ET", "EST", "EDT"), "America/New_York"),
    **dict.fromkeys(("Z", "GMT"), "UTC"),
}

_LIMIT: Final = re.compile(r"(?i)\b429\b|rate.?limit|(usage|weekly|hour|daily|monthly)\W+limit|quota|too many requests")

_UNIT = r"(?:ms|milliseconds?|secs?|seconds?|mins?|minutes?|hrs?|hours?|days?|weeks?|[smhdw])"
_AMOUNT = rf"\d+(?:\.\d+)?\s*{_UNIT}(?![a-z])"
# Not "retrying in 2 s": that is the CLI's own next try.
_FROM = (
    r"(?:try again|retry|resets?|reset_in|available(?: again)?|wait|come back)[\s:]*(?:in|after|for)?[\s:~]*(?:about )?"
)
_IN = re.compile(rf"(?i)\b{_FROM}({_AMOUNT}(?:(?:\s|,|and)*\d+(?:\.\d+)?\s*{_UNIT}(?![a-z]))*)")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_BARE = re.compile(
    r"""(?i)\bretry[-_ ]?(?:after|delay)(?:_seconds|_secs)?["']?\s*[:= ]\s*["']?(\d+(?:\.\d+)?)(s?)\b(?![:.]\d|ms)"""
)
_NAMED = re.compile(r"""(?i)\b(?:resets?|retry)_(?:in|after)_(ms|seconds|secs)["']?\s*[:=]\s*["']?(\d+(?:\.\d+)?)""")
_EPOCH = re.compile(r"""(?i)(?:\||\bresets?_?\s?(?:at|time)?["']?\s*[:=]?\s*["']?)(1[6-9]\d{8}|2\d{9})(\d{3})?\b""")
_ISO = re.compile(r"(20\d\d-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?\s?(Z|UTC|GMT|[+-]\d\d:?\d\d)?")
_HTTP = re.compile(r"(?i)\b(?:mon|tue|wed|thu|fri|sat|sun), (\d\d) ([a-z]{3}) (20\d\d) (\d\d):(\d\d):(\d\d) GMT")

_CLOCK = r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::\d\d)?)?\s*(?P<half>[ap]\.?m\.?)?(?!\d)"
_DATE = r"(?P<month>[a-z]{3})[a-z]*\.? (?P<day>\d{1,2})(?:st|nd|rd|th)?(?:,? (?P<year>20\d\d))?"
_PLACE = r"(?:\s*\(?(?P<zone>UTC|GMT|[PE][SD]?T|[A-Z][A-Za-z]+/[A-Za-z_/+-]+)\)?)?"
_AT = r"\b(?:try again|retry|resets?|available(?: again)?|until|renews?)(?: (?:at|on|after))?:? "
_WHEN = re.compile(
    rf"(?i:{_AT})(?:(?i:{_DATE})(?i:,? (?:at )?)|(?i:(?:on )?(?P<weekday>[a-z]{{3}})[a-z]*,? (?:at )?))?"
    rf"(?i:{_CLOCK}){_PLACE}"
)
_DAY = re.compile(rf"(?i:{_AT})(?i:{_DATE})")


def is_limit(text: str) -> bool:
    """Whether words of a service sound like a limit rather than an overload."""
    return _LIMIT.search(text) is not None


def reset_at(text: str, now: float, zone: Zone) -> float | None:
    """Unix seconds at which the limit that `text` tells of ends; None when it does not say.

    Of several moments the nearest: too early costs one more question, too late costs the wait.
    """
    found = [moment for moment in _moments(text, now, zone) if now <= moment <= now + FURTHEST]
    return min(found, default=None)


def _moments(text: str, now: float, zone: Zone) -> Iterator[float]:
    for match in _EPOCH.finditer(text):
        yield float(match[1])
    for match in _NAMED.finditer(text):
        yield now + float(match[2]) * (0.001 if match[1].lower() == "ms" else 1.0)
    for match in _IN.finditer(text):
        yield now + sum(float(number) * _SECONDS[_unit(unit)] for number, unit in _PART.findall(match[1].lower()))
    for match in _BARE.finditer(text):
        yield now + float(match[1])
    for moment in (*_iso(text, zone), *_http(text, zone), *_walls(text, now, zone)):
        yield moment.timestamp()


def _unit(word: str) -> str:
    return "ms" if word.startswith(("ms", "milli")) else word[0]


def _iso(text: str, zone: Zone) -> Iterator[datetime]:
    for match in _ISO.finditer(text):
        offset = match[3] if match[3] and match[3][0] in "+-" else ""
        there = datetime.fromisoformat(f"{match[1]}T{match[2]}{offset}") if _is_time(match) else None
        if there is None:
            continue
        yield there if offset else there.replace(tzinfo=zone("UTC" if match[3] else None))


def _is_time(match: re.Match[str]) -> bool:
    month, day = (int(part) for part in match[1].split("-")[1:])
    parts = [int(part) for part in match[2].split(":")]
    return 1 <= month <= 12 and 1 <= day <= 28 + 3 * (month != 2) and parts[0] < 24 and max(parts[1:]) < 60


def _http(text: str, zone: Zone) -> Iterator[datetime]:
    for match in _HTTP.finditer(text):
        month = _position(_MONTHS, match[2])
        if month is not None:
            day, year, hour, minute, second = (int(match[n]) for n in (1, 3, 4, 5, 6))
            made = _made(zone("UTC"), (year, month + 1, day), (hour, minute, second))
            if made is not None:
                yield made


def _walls(text: str, now: float, zone: Zone) -> Iterator[datetime]:
    """Moments as a clock on a wall has them, with or without a date."""
    exact = list(_WHEN.finditer(text))
    timed = {match.start() for match in exact if match["month"]}
    for match in (*exact, *(match for match in _DAY.finditer(text) if match.start() not in timed)):
        said = {"hour": None, "minute": None, "half": None, "weekday": None, "zone": None, **match.groupdict()}
        name = said["zone"]
        place = zone(_ZONES.get(name.upper(), name) if name else None) or zone(None)
        clock = _clock(said)
        here = datetime.fromtimestamp(now, place)
        moment = None if clock is None else _dated(said, here, clock)
        if moment is not None:
            yield moment


def _clock(said: dict[str, str | None]) -> tuple[int, int, int] | None:
    if said["hour"] is None:
        return 0, 0, 0  # a date alone
    hour, minute, half = int(said["hour"]), int(said["minute"] or 0), (said["half"] or "").lower()
    if half and not 1 <= hour <= 12:
        return None
    if half:
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    elif said["minute"] is None:
        return None  # a bare number is no time of day
    return (hour, minute, 0) if hour < 24 and minute < 60 else None


def _dated(said: dict[str, str | None], here: datetime, clock: tuple[int, int, int]) -> datetime | None:
    """The moment with that time of day: at its date, else the next one after `here`."""
    if said["month"]:
        month = _position(_MONTHS, said["month"])
        if month is None:
            return None
        year = int(said["year"] or here.year)
        found = _made(here.tzinfo, (year, month + 1, int(said["day"] or 0)), clock)
        past = found is not None and found < here and said["year"] is None
        return _made(here.tzinfo, (year + 1, month + 1, int(said["day"] or 0)), clock) if past else found
    weekday = _position(_DAYS, said["weekday"])
    if said["weekday"] and weekday is None and said["weekday"].lower() not in ("tod", "tom"):
        return None
    first = 1 if (said["weekday"] or "").lower() == "tom" else 0
    for days in range(first, 9):
        day = here + timedelta(days=days)
        found = _made(here.tzinfo, (day.year, day.month, day.day), clock)
        if found is not None and found > here and weekday in (None, found.weekday()):
            return found
    return None


def _position(names: tuple[str, ...], word: str | None) -> int | None:
    return names.index(word.lower()) if word and word.lower() in names else None


def _made(zone: tzinfo | None, date: tuple[int, int, int], clock: tuple[int, int, int]) -> datetime | None:
    try:
        return datetime(*date, *clock, tzinfo=zone)
    except ValueError:  # the 31st of a month that has 30 days
        return None
