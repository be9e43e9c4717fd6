"""What a task behind a loop is handed of the nodes inside it."""

from __future__ import annotations

import json

from kit.repos import git
from kit.runs import Smithers


def test_a_task_behind_a_loop_is_handed_the_last_pass_of_its_nodes(smithers: Smithers) -> None:
    run = smithers.ship()

    frame = json.loads(git(smithers.repo, "show", f"refs/smithers/runs/{run}:frame.json"))

    asked = next(event for event in frame["events"] if event["type"] == "approval.requested")
    assert asked["summary"] == "The check passed: True"
