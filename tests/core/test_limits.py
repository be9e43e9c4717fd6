"""When a limit ends, in the words of every vendor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smithers_git.core.limits import FURTHEST, is_limit, reset_at

NOW = datetime(2026, 11, 21, 13, 30, tzinfo=UTC).timestamp()  # a Saturday
HERE = timezone(timedelta(hours=1))


def zone(name: str | None) -> tzinfo | None:
    """A machine one hour east of Greenwich, so that a time that is local by mistake shows."""
    return {None: HERE, "UTC": UTC, "Europe/Berlin": HERE, "America/Los_Angeles": timezone(timedelta(hours=-8))}.get(
        name
    )


def at(*date: int) -> float:
    return datetime(*date, tzinfo=UTC).timestamp()  # type: ignore[arg-type]


SAID = [
    ("Claude AI usage limit reached|1795276800", 1795276800),
    ("You've hit your limit · resets 1:30am (Europe/Berlin)", at(2026, 11, 22, 0, 30)),
    ("5-hour limit reached ∙ resets 3pm", at(2026, 11, 21, 14)),
    ("You've hit your weekly limit · resets Nov 24 at 5pm (UTC)", at(2026, 11, 24, 17)),
    ("limit reached, resets Mon 9am (UTC)", at(2026, 11, 23, 9)),
    ("You've hit your usage limit. Upgrade to Pro, or try again at 3:05 PM.", at(2026, 11, 21, 14, 5)),
    ("or try again at Dec 3rd, 2026 3:05 PM.", at(2026, 12, 3, 14, 5)),
    ("usage limit. Try again in 3 days 4 hours 5 minutes.", NOW + 3 * 86400 + 4 * 3600 + 300),
    ('{"error":{"type":"usage_limit_reached","resets_in_seconds":3600}}', NOW + 3600),
    ('{"type":"usage_limit_reached","resets_at":1795276800}', 1795276800),
    ("Rate limit reached for gpt-5. Please try again in 1h2m3s. Visit", NOW + 3723),
    ("Please try again in 20s.", NOW + 20),
    ("Please try again in 6m0s.", NOW + 360),
    ("Please try again in 850ms.", NOW + 0.85),
    ("Please retry in 34.07s.", NOW + 34.07),
    ('"retryDelay": "34s"', NOW + 34),
    ("Your quota will reset after 14h52m33s.", NOW + 14 * 3600 + 52 * 60 + 33),
    ("429 Too Many Requests: retry after 30", NOW + 30),
    ("Retry-After: 30", NOW + 30),
    ("retry-after: Sat, 21 Nov 2026 13:45:00 GMT", NOW + 900),
    ("quota exceeded until 2026-11-21T14:00:00Z", NOW + 1800),
    ("available again at 2026-11-21 15:00:00+01:00", NOW + 1800),
    ("daily quota resets at 00:00 UTC", at(2026, 11, 22)),
    ("Limit resets at 12:00 AM PT", at(2026, 11, 22, 8)),
    ("try again after Nov 30, 2026", at(2026, 11, 29, 23)),
    ("Wait 2 minutes, then retry. Resets in 90 seconds", NOW + 90),
    ("5-hour limit, resets 3pm; weekly limit, resets Nov 24 at 5pm", at(2026, 11, 21, 14)),
]


@pytest.mark.parametrize(("text", "moment"), SAID, ids=[text[:48] for text, _ in SAID])
def test_the_moment_is_read_as_it_is_said(text: str, moment: float) -> None:
    assert reset_at(text, NOW, zone) == pytest.approx(moment, rel=0, abs=0.01)


SILENT = [
    "You exceeded your current quota, please check your plan and billing details.",
    "Reconnecting... 3/5",
    "Retrying in 10 seconds… (attempt 4/10)",
    "usage limit reached|1600000000",
    "limit resets Nov 31 at 5pm",
    "resets 25:70",
    "resets 17pm",
    "try again in 400 days",
    "2026-13-45T99:99:99Z",
    "",
]


@pytest.mark.parametrize("text", SILENT)
def test_what_names_no_moment_ahead_gives_none(text: str) -> None:
    assert reset_at(text, NOW, zone) is None


@given(st.lists(st.sampled_from([text for text, _ in SAID] + SILENT + [" ", "|", "9", ":"]), max_size=4).map("".join))
def test_no_mixture_crashes_or_leads_into_the_past_or_beyond_a_month(text: str) -> None:
    for piece in (text, text[len(text) // 3 :], text[: len(text) // 2]):
        found = reset_at(piece, NOW, zone)
        assert found is None or NOW <= found <= NOW + FURTHEST


def test_a_limit_is_told_from_an_overload() -> None:
    for text in (
        "429 rate_limit",
        "HTTP 429",
        "rate limited",
        "You've hit your usage limit",
        "Quota exceeded",
        "5-hour limit",
    ):
        assert is_limit(text), text
    for text in ("529 overloaded_error", "503 Service Unavailable", "connection reset", "request 14290 failed"):
        assert not is_limit(text), text
