"""Runs whose agent is a model without a CLI: the program of its own, its conversation, its limits, and what is shown."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from agents.stub.server import StubModel
from agents.stub.steps import Step, hang, refuse, say, write
from kit.processes import eventually, marked
from kit.repos import git
from kit.runs import Smithers

AGENT = "sdk:anthropic/claude-sonnet-5-5"
FLOW = f'    return Task("implement", agent="{AGENT}", output=Change, prompt="Make calc.py.", retries=1, %s)\n'
DONE = '{"summary": "made it"}'
KEY = "sk-test-of-nobody"


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubModel]:
    with StubModel() as found:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", found.url)
        yield found


def ended(smithers: Smithers, run: str) -> list[dict[str, object]]:
    """The ends of the attempts."""
    events = smithers.json("events", run)["events"]
    return [event for event in events if event["type"] in ("task.finished", "task.failed")]


def test_a_task_is_done_and_the_frame_says_what_it_took(smithers: Smithers, stub: StubModel):
    stub.play(
        write("calc.py", "x = 1\n", input_tokens=1000, output_tokens=100),
        say('{"summary": 5}'),  # it does not fit: corrected in the same conversation
        say(DONE, cached_tokens=500),
    )
    run = smithers.up(body=FLOW % "")
    assert git(smithers.repo, "show", f"smithers/{run}/main:calc.py") == "x = 1"
    (end,) = ended(smithers, run)
    assert end["agent"] == AGENT
    assert end["model"] == "anthropic/claude-sonnet-5-5"
    assert end["usage"] == {"input": 1700, "output": 120, "cached": 500}
    assert end["cost"] > 0
    assert "Make calc.py." in stub.requests[2].words
    assert "does not fit" in stub.requests[2].words
    shown = smithers("chat", run).out
    assert "write calc.py" in shown
    assert "made it" in shown
    stored = git(smithers.repo, "grep", "-h", "made calc.py", f"refs/smithers/runs/{run}", "--", "transcripts")
    assert stored
    assert not git(smithers.repo, "grep", "-h", KEY, f"refs/smithers/runs/{run}", check=False)


def test_a_killed_turn_goes_on_in_its_conversation(smithers: Smithers, stub: StubModel):
    stub.play(write("calc.py", "x = 1\n", input_tokens=1000), hang())

    def kill() -> None:
        eventually(lambda: len(stub.requests) == 2, 30)
        found = [pid for pid in marked("SMITHERS_NODE", "implement") if _is_turn(pid)]
        stub.play(say(DONE))
        for pid in found:
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    run = smithers.up(body=FLOW % "")
    killer.join()
    first, second = ended(smithers, run)
    assert (first["type"], first["kind"]) == ("task.failed", "crash")
    assert first["usage"]["input"] == 1000  # what was spent counts, although the turn did not end
    assert first["session"] == second["session"]
    (request,) = stub.requests
    assert all(word in request.words for word in ("Make calc.py.", "made calc.py", "did not succeed"))
    assert marked("SMITHERS_NODE", "implement") == []


def _is_turn(pid: int) -> bool:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return words[1:4] == [b"-P", b"-m", b"smithers_git.edge.sdk"]


@pytest.mark.parametrize(
    ("step", "options", "kind"),
    [
        (refuse(401, "authentication_error", "invalid x-api-key"), "", "auth"),
        (hang(), "idle_timeout=4", "idle"),
    ],
    ids=lambda value: value.kind if isinstance(value, Step) else "",
)
def test_a_failure_is_told_and_leaves_no_process(
    step: Step, options: str, kind: str, smithers: Smithers, stub: StubModel
):
    stub.play(step)
    body = FLOW.replace("retries=1", "retries=0") % options
    run = smithers.up(body=body, code=1)
    (end,) = ended(smithers, run)
    assert end["kind"] == kind
    assert marked("SMITHERS_NODE", "implement") == []
