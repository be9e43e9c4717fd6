"""Triggers: which occasion concerns which, what the input becomes, what the run is called."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from smithers_git.core.settings import Settings
from smithers_git.core.trigger import Occasion, TriggerSettings, concerned, filled, run_id, slot_id, touches
from smithers_git.names import check_run_id


def trigger(**values: Any) -> TriggerSettings:
    return TriggerSettings.model_validate({"name": "look", "on": "post-commit", "workflow": "review", **values})


HERE = Occasion("post-commit", "main", "a" * 40)


@pytest.mark.parametrize(
    ("globs", "branch", "fits"),
    [
        ([], "main", True),
        ([], "", True),
        (["main"], "main", True),
        (["main"], "domain", False),
        (["*"], "feature/x", False),
        (["**"], "feature/x", True),
        (["release/*"], "release/1.2", True),
        (["release/*"], "release/1.2/fix", False),
        (["release/**"], "release/1.2/fix", True),
        (["v?"], "v1", True),
        (["a.b"], "axb", False),
        (["main", "next"], "next", True),
        (["*"], "", True),
    ],
)
def test_branches_are_matched_part_by_part(globs: list[str], branch: str, fits: bool) -> None:
    found = concerned([trigger(branches=globs)], Occasion("post-commit", branch, "a" * 40))
    assert bool(found) == fits


def test_another_event_does_not_concern_a_trigger() -> None:
    assert concerned([trigger(on="pre-push")], HERE) == []


@pytest.mark.parametrize(
    ("globs", "changed", "fits"),
    [
        ([], [], True),
        (["*.py"], ["src/deep/app.py"], True),
        (["*.py"], ["app.pyc"], False),
        (["src/*.py"], ["src/app.py"], True),
        (["src/*.py"], ["src/deep/app.py"], False),
        (["src/**"], ["src/deep/app.py"], True),
        (["**/app.py"], ["app.py"], True),
        (["/docs/**"], ["docs/a.md"], True),
        (["docs/**"], ["other/docs/a.md"], False),
        (["*.py"], [], False),
        (["*"], ["a\nb"], True),
    ],
)
def test_paths_are_matched_as_in_gitignore(globs: list[str], changed: list[str], fits: bool) -> None:
    assert touches(trigger(paths=globs), changed) == fits


def test_values_are_filled_in_once_and_only_where_they_are_named() -> None:
    occasion = Occasion("pre-push", "{commit}", "b" * 40, remote="origin", message="m")
    given = {"prompt": "review {branch} on {remote} {other} {}", "deep": [{"at": "{commit}"}], "n": 3}
    assert filled(given, occasion) == {
        "prompt": "review {commit} on origin {other} {}",
        "deep": [{"at": "b" * 40}],
        "n": 3,
    }


def test_the_same_commit_has_the_same_run_and_another_one_another() -> None:
    first = run_id(trigger(), HERE)
    assert first == run_id(trigger(), Occasion("post-commit", "next", "a" * 40))
    assert first != run_id(trigger(), Occasion("post-commit", "main", "b" * 40))
    assert first != run_id(trigger(name="other"), HERE)


def test_what_is_about_to_be_committed_tells_runs_apart_not_the_commit_before() -> None:
    staged = [Occasion("pre-commit", "main", "a" * 40, tree=letter * 40) for letter in "cd"]
    assert run_id(trigger(), staged[0]) != run_id(trigger(), staged[1])
    again = Occasion("pre-commit", "main", "b" * 40, tree="c" * 40)
    assert run_id(trigger(), staged[0]) != run_id(trigger(), again), "the same files are another change elsewhere"
    said = [Occasion("commit-msg", "main", "a" * 40, tree="c" * 40, message=text) for text in ("one", "two")]
    assert run_id(trigger(), said[0]) != run_id(trigger(), said[1])


def test_every_name_of_a_trigger_makes_a_run_id() -> None:
    longest = trigger(name="a" * 40)
    assert check_run_id(run_id(longest, HERE))
    assert check_run_id(slot_id(longest, datetime(2026, 11, 21, 3, 0)))  # noqa: DTZ001 - schedules are wall-clock times


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../x"},
        {"name": "Upper"},
        {"name": "-x"},
        {"name": "a" * 41},
        {"name": "x\n"},
        {"workflow": "../evil"},
        {"workflow": "flows/x.py"},
        {"workflow": "x.py"},
        {"workflow": "/etc/x"},
        {"workflow": ".."},
        {"on": "post-rewrite"},
        {"on": "cron"},
        {"schedule": "0 3 * * *"},
        {"on": "cron", "schedule": "nonsense"},
        {"on": "cron", "schedule": "0 3 * * *", "wait": True},
        {"on": "cron", "schedule": "0 3 * * *", "paths": ["*"]},
        {"timeout": 0},
        {"command": "rm -rf ."},
    ],
)
def test_a_trigger_that_makes_no_sense_or_leads_elsewhere_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        trigger(**wrong)


def test_two_triggers_of_one_name_are_refused() -> None:
    one = {"name": "look", "on": "post-commit", "workflow": "review"}
    with pytest.raises(ValidationError, match="two triggers called 'look'"):
        Settings.model_validate({"trigger": [one, one]})
