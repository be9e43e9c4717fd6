"""Cron expressions, read strictly. Pure: times come in as wall-clock times without a zone.

Of our own because it is eighty lines, and the libraries that do this take what cron itself would not (a sixth field for
seconds, `L`, `#`, hashed values): a schedule that crontab refuses should be refused here, when it is written down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)
_SHORT: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_PART: Final = re.compile(r"(\*|[0-9a-z]+)(?:-([0-9a-z]+))?(?:/([0-9]+))?", re.ASCII)
_FAR: Final = 366 * 8 + 2
"""Days to look for a time: 29 February is eight years apart at most (1896 to 1904)."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The minutes at which something is due."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    either: bool
    """Both kinds of day are restricted: one of them is enough then, as POSIX has it."""

    def on(self, day: datetime) -> bool:
        """Whether anything is due on the day of `day`."""
        if day.month not in self.months:
            return False
        by_date, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_date or by_week if self.either else by_date and by_week

    def before(self, moment: datetime) -> datetime | None:
        """The newest time of the schedule that is not after `moment`; None when there was none in eight years."""
        return next(self._walk(moment, -1), None)

    def after(self, moment: datetime) -> datetime | None:
        """The first time of the schedule that is later than the minute of `moment`; None when there is none."""
        return next(self._walk(moment.replace(second=0, microsecond=0) + timedelta(minutes=1), 1), None)

    def _walk(self, start: datetime, step: int) -> Iterator[datetime]:
        day = start.replace(hour=0, minute=0, second=0, microsecond=0)
        for _ in range(_FAR):
            if self.on(day):
                for hour in sorted(self.hours, reverse=step < 0):
                    for minute in sorted(self.minutes, reverse=step < 0):
                        found = day.replace(hour=hour, minute=minute)
                        if (found <= start) if step < 0 else (found >= start):
                            yield found
            try:
                day += timedelta(days=step)
            except OverflowError:  # the end of the calendar
                return


def parse(text: str) -> Schedule:
    """The schedule that `text` says: five fields as in crontab(5), or @hourly, @daily, @weekly, @monthly, @yearly.

    Raises ValueError saying which field is wrong and why.
    """
    words = _SHORT.get(text.strip().lower(), text).lower().split()
    if len(words) != len(_FIELDS):
        raise ValueError(f"{text!r} has {len(words)} fields, a schedule has 5: minute hour day month weekday")
    sets = [_field(word, number) for number, word in enumerate(words)]
    either = not words[2].startswith("*") and not words[4].startswith("*")
    found = Schedule(sets[0], sets[1], sets[2], sets[3], frozenset(day % 7 for day in sets[4]), either)
    if not either and min(found.days) > max(_length(month) for month in found.months):
        raise ValueError(f"{text!r} names a day that none of its months has")
    return found


def _length(month: int) -> int:
    return 29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31


def _field(text: str, number: int) -> frozenset[int]:
    name, low, high, _ = _FIELDS[number]
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(
                f"{name}: {part!r} is not a number, a range like 1-5, *, or one of them with a step like */15"
            )
        first, last, step = match.groups()
        if first == "*":
            if last:
                raise ValueError(f"{name}: {part!r} is a range that begins with *")
            begin, end = low, high
        else:
            begin = _number(first, number)
            # `5/15` is 5, 20, 35, 50: crontab(5) leaves it open, every cron in use reads it so.
            end = _number(last, number) if last else high if step else begin
        if step == "0" or (step and int(step) > high):
            raise ValueError(f"{name}: the step of {part!r} is not between 1 and {high}")
        if begin > end:
            raise ValueError(f"{name}: {part!r} goes backwards")
        found.update(range(begin, end + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, field: int) -> int:
    name, low, high, names = _FIELDS[field]
    if text in names:
        return names.index(text) + low
    if not text.isdecimal() or not low <= int(text) <= high:
        also = f" or {names[0]} to {names[-1]}" if names else ""
        raise ValueError(f"{name}: {text!r} is not between {low} and {high}{also}")
    return int(text)
