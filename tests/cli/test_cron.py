"""Schedules: written into the configuration, due once for each time, started once whoever looks."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from kit import hooked, repos, runs
from kit.hooked import trigger

from smithers_git.errors import NotTrusted
from smithers_git.service import triggers
from smithers_git.service.project import Project

DAY = 86_400.0


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.fixture
def nightly(smithers: runs.Smithers) -> Project:
    """A trusted repository with a schedule at three."""
    hooked.set_up(smithers.repo, trigger("nightly", "cron", schedule="0 3 * * *"))
    smithers("trust")
    return Project.open(smithers.repo)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that were handed to a background engine, which is not started here."""
    return hooked.no_engines(monkeypatch)


def test_a_schedule_is_added_listed_and_removed_and_comments_stay(smithers: runs.Smithers) -> None:
    path = smithers.repo / ".smithers/config.toml"
    repos.write(smithers.repo, {".smithers/config.toml": '# mine\ncheck = "true"\n'})
    said = smithers("cron", "add", "nightly", "0 3 * * *", "review", "-p", "look")
    assert "smithers trust" in said.err
    assert path.read_text().startswith('# mine\ncheck = "true"\n')
    (row,) = smithers.json("cron", "list")["schedules"]
    assert (row["name"], row["workflow"], row["input"]) == ("nightly", "review", {"prompt": "look"})
    assert row["next"].endswith(" 03:00")
    assert "already" in smithers("cron", "add", "nightly", "@daily", "review", code=2).err
    smithers("cron", "rm", "nightly")
    assert smithers.json("cron", "list")["schedules"] == []
    assert path.read_text().strip() == '# mine\ncheck = "true"'
    assert smithers.json("cron", "rm", "nightly", code=2)["error"]["code"] == "usage"


@pytest.mark.parametrize(
    "argv", [("nightly", "0 25 * * *", "review"), ("../x", "@daily", "review"), ("x", "@daily", "../evil")]
)
def test_a_schedule_that_is_wrong_is_refused_and_nothing_written(
    smithers: runs.Smithers, argv: tuple[str, ...]
) -> None:
    assert smithers.json("cron", "add", *argv, code=1)["error"]["code"] == "config"
    assert not (smithers.repo / ".smithers").exists()


def test_a_schedule_is_due_from_its_next_time_on_once_for_each(nightly: Project, started: list[str]) -> None:
    assert triggers.due(nightly, at("2026-11-21T12:00")) == [], "seen for the first time"
    assert triggers.due(nightly, at("2026-11-22T02:59:59")) == []
    (item,) = triggers.due(nightly, at("2026-11-22T03:00:10"))
    assert item.run == "nightly-20261122-0300"
    assert triggers.due(nightly, at("2026-11-22T03:00:11")) == [item], "looking starts nothing"
    assert triggers.start_due(nightly, item).fresh
    assert triggers.due(nightly, at("2026-11-22T03:00:12")) == []
    assert started == [item.run]
    assert nightly.tip(item.run) is not None


def test_a_week_without_a_look_is_made_up_for_once(nightly: Project, started: list[str]) -> None:
    triggers.due(nightly, at("2026-11-21T12:00"))
    (item,) = triggers.due(nightly, at("2026-11-28T12:00"))
    assert item.run == "nightly-20261128-0300"
    triggers.start_due(nightly, item)
    assert triggers.due(nightly, at("2026-11-28T12:01")) == []


def test_two_who_found_it_due_start_one_run(nightly: Project, started: list[str]) -> None:
    triggers.due(nightly, at("2026-11-21T12:00"))
    (item,) = triggers.due(nightly, at("2026-11-22T12:00"))
    first, second = (triggers.start_due(Project.open(nightly.worktree), item) for _ in range(2))
    assert (first.fresh, second.fresh) == (True, False)
    assert first.run == second.run


def test_a_changed_schedule_begins_anew_and_a_lost_memory_fires_nothing(
    nightly: Project, smithers: runs.Smithers
) -> None:
    triggers.due(nightly, at("2026-11-21T12:00"))
    hooked.set_up(smithers.repo, trigger("nightly", "cron", schedule="0 4 * * *"))
    smithers("trust")
    changed = Project.open(smithers.repo)
    assert triggers.due(changed, at("2026-11-22T12:00")) == []
    assert len(triggers.due(changed, at("2026-11-23T12:00"))) == 1
    (changed.state_dir / "cron.json").write_text("{", "utf-8")
    assert triggers.due(changed, at("2026-11-24T12:00")) == []


def test_nothing_is_due_or_started_without_trust(nightly: Project, smithers: runs.Smithers) -> None:
    triggers.due(nightly, at("2026-11-21T12:00"))
    (item,) = triggers.due(nightly, at("2026-11-22T12:00"))
    smithers("trust", "--revoke")
    assert triggers.due(nightly, at("2026-11-22T12:00")) == []
    with pytest.raises(NotTrusted):
        triggers.start_due(nightly, item)
    assert nightly.tip(item.run) is None


def test_an_hour_that_the_clock_has_twice_is_one_time(
    nightly: Project, smithers: runs.Smithers, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    if not Path("/usr/share/zoneinfo/Europe/Berlin").exists():
        pytest.skip("no time zones on this machine")
    hooked.set_up(smithers.repo, trigger("nightly", "cron", schedule="30 2 * * *"))
    smithers("trust")
    project = Project.open(smithers.repo)
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        first = 1_792_888_200.0  # 2026-10-25T02:30 in Berlin, summer time; an hour later it is 02:30 again
        triggers.due(project, first - DAY)
        (item,) = triggers.due(project, first + 1)
        triggers.start_due(project, item)
        assert triggers.due(project, first + 3601) == []
        assert triggers.due(project, first + 7200) == []
    finally:
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()
