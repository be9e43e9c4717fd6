"""Which events are told, with what reason and command."""

from __future__ import annotations

from typing import get_args

import pytest

from smithers_git.core import events as ev
from smithers_git.core.notice import notices

TOLD = [
    (
        ev.ApprovalRequested(node="ship", iteration=2, title="Ship it?\nreally"),
        ("needs_approval", "Ship it?", ("approve", "run", "--node", "ship@2")),
    ),
    (
        ev.WaitStarted(node="which", kind="question", title="Which one?"),
        ("question", "Which one?", ("answer", "run", "--node", "which")),
    ),
    (ev.RunParked(reason="the disk is full"), ("parked", "the disk is full", ("why", "run"))),
    (ev.RunParked(reason="$5 of $5", kind="budget"), ("budget", "$5 of $5", ("why", "run"))),
    (ev.RunFailed(error="test failed: red\nmore"), ("failed", "test failed: red", ("why", "run"))),
    (ev.RunFinished(), ("finished", "nothing is left to do", ("inspect", "run"))),
    (
        ev.RunFinished(failed_children=["lint"]),
        ("finished", "nothing is left to do; failed on the way: lint", ("inspect", "run")),
    ),
]


@pytest.mark.parametrize(("event", "expected"), TOLD, ids=lambda value: getattr(value, "type", ""))
def test_what_needs_a_person_or_ends_a_run_is_told(event, expected):
    (found,) = notices(("abc", 7, 1.0), "run", [event])
    assert (found.event, found.reason, found.command) == expected
    assert (found.id, found.frame, found.run) == ("abc:0", 7, "run")


def test_two_requests_in_one_frame_are_two_notices_and_the_rest_is_silent():
    asked = [ev.ApprovalRequested(node=name, title="?") for name in ("left", "right")]
    silent = [
        ev.TaskStarted(node="a", attempt=1),
        ev.WaitStarted(node="t", kind="timer", title="t"),
        ev.RunCancelled(),
        ev.PauseRequested(),
        ev.RunFinished(successor="next"),
    ]
    found = notices(("abc", 7, 1.0), "run", [*asked, *silent])
    assert [one.id for one in found] == ["abc:0", "abc:1"]


def test_the_command_can_be_typed_anywhere():
    (found,) = notices(("abc", 7, 1.0), "run", [ev.RunFinished()])
    assert found.typed("/some where/repo") == "smithers -C '/some where/repo' inspect run"
    assert found.line("/some where/repo") == "repo: run run is finished: nothing is left to do"


def test_terminal_codes_in_a_title_do_not_reach_anybody():
    (found,) = notices(("abc", 7, 1.0), "run", [ev.ApprovalRequested(node="a", title="ok\x1b[2J\x07")])
    assert found.reason.isprintable()


def test_every_told_event_is_one_that_a_frame_can_hold():
    kinds = get_args(get_args(ev.Event)[0])
    assert {type(event) for event, _ in TOLD} <= set(kinds)
