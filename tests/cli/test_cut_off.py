"""A node of a run that nobody drives is not running, whatever was begun."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from kit.repos import commit

FLOW = """
from smithers_git import Context, NoInput, Task, workflow

@workflow
def slow(ctx: Context[NoInput]):
    return Task("nap", run="sleep 60")
"""


def smithers(repo: Path, *args: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-m", "smithers_git", *args, "--json"], cwd=repo, capture_output=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_every_surface_says_that_an_attempt_was_cut_off_when_its_engine_was_killed(repo):
    commit(repo, {"flow.py": FLOW})
    engine = subprocess.Popen(
        [sys.executable, "-m", "smithers_git", "up", "flow.py", "--run-id", "r"], cwd=repo, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 30
    while not list((repo / ".git/smithers/runs/r/pids").glob("*")):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert smithers(repo, "inspect", "r")["nodes"][0]["status"] == "running"  # type: ignore[index]
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    assert smithers(repo, "inspect", "r")["nodes"][0]["status"] == "interrupted"  # type: ignore[index]
    node = smithers(repo, "node", "r", "nap")
    assert node["status"] == "interrupted"
    assert [one["status"] for one in node["tries"]] == ["interrupted"]  # type: ignore[attr-defined]
    kinds = [one["kind"] for one in smithers(repo, "why", "r")["blockers"]]  # type: ignore[attr-defined]
    assert "running" not in kinds
    assert "interrupted" in kinds
