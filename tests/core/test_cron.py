"""Cron expressions: what is due when, and what is refused."""

from __future__ import annotations

from datetime import datetime

import pytest

from smithers_git.core import cron


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("schedule", "now", "before", "after"),
    [
        ("0 3 * * *", "2026-11-21T05:40:07", "2026-11-21T03:00", "2026-11-22T03:00"),
        ("0 3 * * *", "2026-11-21T03:00:00", "2026-11-21T03:00", "2026-11-22T03:00"),
        ("*/15 * * * *", "2026-11-21T00:14:59", "2026-11-21T00:00", "2026-11-21T00:15"),
        ("5/20 8-10 * * *", "2026-11-21T09:00", "2026-11-21T08:45", "2026-11-21T09:05"),
        ("0 9 * * mon-fri", "2026-11-21T12:00", "2026-11-20T09:00", "2026-11-23T09:00"),
        ("0 9 * * 7", "2026-11-21T12:00", "2026-11-15T09:00", "2026-11-22T09:00"),
        ("0 0 31 * *", "2026-11-21T12:00", "2026-10-31T00:00", "2026-12-31T00:00"),
        ("0 0 29 feb *", "2026-11-21T12:00", "2024-02-29T00:00", "2028-02-29T00:00"),
        ("0 0 13 * fri", "2026-11-21T12:00", "2026-11-20T00:00", "2026-11-27T00:00"),
        ("0 0 13 * */2", "2026-11-21T12:00", "2026-10-13T00:00", "2026-12-13T00:00"),
        ("@weekly", "2026-11-21T12:00", "2026-11-15T00:00", "2026-11-22T00:00"),
        ("59 23 31 12 *", "2026-12-31T23:59:30", "2026-12-31T23:59", "2027-12-31T23:59"),
    ],
)
def test_a_schedule_knows_its_times(schedule: str, now: str, before: str, after: str) -> None:
    found = cron.parse(schedule)
    assert found.before(at(now)) == at(before)
    assert found.after(at(now)) == at(after)


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("0 0 * * * *", "6 fields"),
        ("60 * * * *", "minute: '60' is not between 0 and 59"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day of month"),
        ("* * * 13 *", "month: '13' is not between 1 and 12 or jan to dec"),
        ("* * * * 8", "day of week"),
        ("5-1 * * * *", "goes backwards"),
        ("*/0 * * * *", "the step"),
        ("*/99 * * * *", "the step"),
        ("*-5 * * * *", "begins with *"),
        ("-1 * * * *", "minute: '-1'"),
        ("1,,2 * * * *", "minute: ''"),
        ("٣ * * * *", "minute"),
        ("0 0 L * *", "day of month: 'l'"),
        ("0 0 30 2 *", "a day that none of its months has"),
        ("@reboot", "1 fields"),
        ("$(touch x) * * * *", "fields"),
    ],
)
def test_a_schedule_that_crontab_would_not_take_is_refused_with_the_reason(schedule: str, why: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        cron.parse(schedule)
    assert why in str(refused.value)


def test_the_walk_ends_at_the_end_of_the_calendar() -> None:
    assert cron.parse("0 0 1 1 *").after(at("9999-06-01T00:00")) is None
    assert cron.parse("0 0 1 12 *").before(at("0001-06-01T00:00")) is None
