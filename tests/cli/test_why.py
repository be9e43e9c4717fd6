"""Why a run does not go on: never nothing, and always what to type."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from kit.processes import eventually
from kit.runs import Engine, Shipped, Smithers, hold

ASK_FIRST = """\
    return Sequence(
        Approval("start", title="Start?"),
        Task("work", agent="claude", output=Change, prompt="work"),
    )
"""


def _kinds(smithers: Smithers, run: str) -> dict[str, Any]:
    """Kind to the first blocker of that kind."""
    found: dict[str, Any] = {}
    for blocker in smithers.json("why", run)["blockers"]:
        found.setdefault(blocker["kind"], blocker)
    assert found, "a run that does not go on has a reason"
    return found


def _running(smithers: Smithers, run: str, node: str) -> bool:
    said = smithers("inspect", run, "--json", code=None)
    return said.code == 0 and any(one["node"] == node and one["status"] == "running" for one in said.json["nodes"])


def test_an_approval_with_the_request_and_both_commands(shipped: Shipped) -> None:
    smithers, run = shipped.smithers, shipped.run

    blocker = _kinds(smithers, run)["approval"]

    assert blocker["commands"][0] == f"smithers approve {run} --node ship"
    assert blocker["commands"][1].startswith(f"smithers deny {run} --node ship")
    assert blocker["details"] == ["The check passed: True"]
    assert "smithers approve" in smithers("why").out


def test_a_decided_approval_leaves_a_run_that_only_wants_to_be_resumed(smithers: Smithers) -> None:
    run = smithers.ship()
    smithers("approve", run, "--no-resume")

    assert _kinds(smithers, run)["interrupted"]["commands"] == [f"smithers up --resume {run}"]


def test_a_missing_agent_with_how_to_install_it(smithers: Smithers) -> None:
    run = smithers.up(body=ASK_FIRST, code=3)
    smithers("approve", run, "--no-resume")

    blocker = _kinds(smithers, run)["agent"]

    assert "claude is not installed" in blocker["text"]
    assert "npm install" in blocker["commands"][0]
    smithers("up", "--resume", run, code=1)
    assert "npm install" in _kinds(smithers, run)["failed"]["commands"][0], "and also after it failed for it"


def test_a_failed_task_with_the_end_of_what_it_said(smithers: Smithers) -> None:
    run = smithers.up(body='    return Task("bad", run="echo oops; exit 3", retries=0)\n', code=1)

    blocker = _kinds(smithers, run)["failed"]

    assert "oops" in blocker["text"]
    assert f"smithers retry-task {run} bad" in blocker["commands"]


def test_a_ceiling_that_was_reached(smithers: Smithers) -> None:
    run = smithers.up(body='    return Loop(Task("a", value=1), until=False, max_iterations=2)\n', code=1)

    blocker = _kinds(smithers, run)["ceiling"]

    assert blocker["node"] == "a.loop"
    assert "max_iterations" in blocker["text"]
    assert blocker["commands"] == [f"smithers up --resume {run} --accept-change"]


def test_a_denied_approval(smithers: Smithers) -> None:
    run = smithers.up(body='    return Approval("ship", title="Ship?")\n', code=3)
    smithers("deny", run, "--note", "no", "--no-resume")
    smithers("up", "--resume", run, code=1)

    assert "denied by Ada" in _kinds(smithers, run)["failed"]["text"]


def test_a_cancelled_and_a_finished_run(smithers: Smithers) -> None:
    cancelled = smithers.up(body='    return Approval("ship", title="Ship?")\n', code=3)
    smithers("cancel", cancelled)
    finished = smithers.up(body='    return Task("a", value=1)\n')

    assert _kinds(smithers, cancelled)["cancelled"]["commands"] == [f"smithers up --resume {cancelled}"]
    assert "nothing is left to do" in _kinds(smithers, finished)["finished"]["text"]


def test_a_changed_workflow_with_the_files_that_changed(smithers: Smithers) -> None:
    run = smithers.ship()
    flow = smithers.repo / "flow.py"
    flow.write_text(flow.read_text() + "# changed\n")

    blocker = _kinds(smithers, run)["source-changed"]

    assert blocker["details"] == ["changed flow.py"]
    assert blocker["commands"] == [f"smithers up --resume {run} --accept-change"]


def test_a_workflow_that_does_not_load_any_more(smithers: Smithers) -> None:
    run = smithers.ship()
    (smithers.repo / "flow.py").write_text("def broken(:\n")

    assert "flow.py:1" in _kinds(smithers, run)["workflow"]["text"]


def test_a_killed_engine(smithers: Smithers, tmp_path: Path) -> None:
    smithers.write(f'    return Task("slow", run="{hold(tmp_path / "go")}")\n')
    with Engine(smithers.repo, "flow.py", "--run-id", "lost") as engine:
        assert eventually(lambda: _running(smithers, "lost", "slow"))
        assert _kinds(smithers, "lost")["running"]["node"] == "slow", "while it runs, that is what is waited for"
        assert "driven by process" in smithers("why", "lost").out
        engine.kill()

    blocker = _kinds(smithers, "lost")["interrupted"]

    assert "slow was cut off" in blocker["text"]
    assert blocker["commands"] == ["smithers up --resume lost"]


def test_a_stopped_engine(smithers: Smithers, tmp_path: Path) -> None:
    smithers.write(f'    return Task("slow", run="{hold(tmp_path / "go")}")\n')
    with Engine(smithers.repo, "flow.py", "--run-id", "still") as engine:
        assert eventually(lambda: _running(smithers, "still", "slow"))
        assert smithers.json("ps")["runs"][0]["stopped"] is None
        os.kill(engine.process.pid, signal.SIGSTOP)
        assert eventually(lambda: "stopped" in _kinds_of(smithers, "still"))
        goes_on = f"kill -CONT {engine.process.pid}"

        assert _kinds(smithers, "still")["stopped"]["commands"] == [goes_on]
        assert smithers.json("ps")["runs"][0]["stopped"] == engine.process.pid
        assert f"stopped: {goes_on}" in smithers("ps").out
        for needs_its_lock in (("up", "--resume", "still"), ("rewind", "still", "--frame", "0", "--yes")):
            assert goes_on in smithers(*needs_its_lock, code=None).err

        os.kill(engine.process.pid, signal.SIGCONT)
        (tmp_path / "go").touch()
        assert engine.end() == 0


def test_a_retry_that_is_not_due_yet_and_what_needs_it(smithers: Smithers, tmp_path: Path) -> None:
    smithers.write(
        "    return Parallel(\n"
        '        Task("bad", run="exit 3", backoff=Backoff(first=60)),\n'
        f'        Sequence(Task("slow", run="{hold(tmp_path / "go")}"), Task("after", value=1, needs="bad")),\n'
        '        Task("late", value=2, needs="bad"),\n'
        "    )\n"
    )
    with Engine(smithers.repo, "flow.py", "--run-id", "later"):
        assert eventually(lambda: "retry" in _kinds_of(smithers, "later"))
        found = _kinds(smithers, "later")

    assert found["retry"]["node"] == "bad"
    assert found["retry"]["until"] is not None
    assert found["needs"]["text"] == "waits for bad"


def _kinds_of(smithers: Smithers, run: str) -> set[str]:
    said = smithers("why", run, "--json", code=None)
    return {blocker["kind"] for blocker in said.json["blockers"]} if said.code == 0 else set()


def test_a_slot_that_is_not_free(smithers: Smithers, tmp_path: Path) -> None:
    command = hold(tmp_path / "go")
    smithers.write(f'    return Parallel(*[Task(f"t{{i}}", run="{command}") for i in range(3)], max_concurrency=2)\n')
    with Engine(smithers.repo, "flow.py", "--run-id", "full"):
        assert eventually(lambda: {"running", "slot"} <= _kinds_of(smithers, "full"))
        found = smithers.json("why", "full")["blockers"]

    assert sorted((one["kind"], one["node"]) for one in found) == [("running", "t0"), ("running", "t1"), ("slot", "t2")]
