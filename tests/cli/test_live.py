"""Commands beside a run that an engine drives: following, cancelling, pausing, approving."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kit.processes import eventually
from kit.runs import Engine, Smithers, hold, play


def _running(smithers: Smithers, run: str, node: str) -> bool:
    said = smithers("inspect", run, "--json", code=None)
    return said.code == 0 and any(one["node"] == node and one["status"] == "running" for one in said.json["nodes"])


def _slow(smithers: Smithers, gate: Path) -> None:
    command = hold(gate)
    smithers.write(f'    return Sequence(Task("slow", run="{command}"), Task("after", value=1))\n')


@pytest.mark.parametrize("follow", ["logs", "chat"])
def test_following_shows_what_agents_say_and_ends_with_the_run(follow: str, smithers: Smithers, tmp_path: Path) -> None:
    gate = tmp_path / "go"
    turn = f'[[turn]]\nsay = "Working on it."\nrun = ["{hold(gate)}"]\nanswer = {{ summary = "done" }}\n'
    play(smithers.repo, turn)
    smithers.write('    return Task("work", agent="script", output=Change, prompt="work")\n')
    with Engine(smithers.repo, "flow.py", "--run-id", "live") as engine:
        assert eventually(lambda: _running(smithers, "live", "work"))
        assert eventually(lambda: "Working on it." in smithers("chat", "live").out), "live, before any frame has it"
        gate.touch()
        said = smithers(follow, "live", "-f")
        assert engine.end() == 0

    assert said.out.count("Working on it.") == 1
    if follow == "logs":
        assert said.out.splitlines()[-1].endswith("run finished")


def test_following_a_failing_run_ends_with_its_exit_code(smithers: Smithers, tmp_path: Path) -> None:
    gate = tmp_path / "go"
    smithers.write(f'    return Task("bad", run="{hold(gate, "exit 5")}", retries=0)\n')
    with Engine(smithers.repo, "flow.py", "--run-id", "live") as engine:
        assert eventually(lambda: _running(smithers, "live", "bad"))
        gate.touch()
        smithers("logs", "live", "-f", code=1)
        assert engine.end() == 1


def test_following_ends_when_nobody_reads_any_more(smithers: Smithers, tmp_path: Path) -> None:
    _slow(smithers, tmp_path / "go")
    with Engine(smithers.repo, "flow.py", "--run-id", "live"):
        assert eventually(lambda: _running(smithers, "live", "slow"))
        command = [sys.executable, "-m", "smithers_git", "logs", "-f", "live"]
        reader = subprocess.Popen(command, cwd=smithers.repo, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert reader.stdout is not None
        assert b"run of flow.py created" in reader.stdout.readline()
        reader.stdout.close()
        smithers("pause", "live")  # something more to write

        assert reader.wait(20) == 0


def test_a_run_is_cancelled_under_its_engine(smithers: Smithers, tmp_path: Path) -> None:
    _slow(smithers, tmp_path / "go")
    with Engine(smithers.repo, "flow.py", "--run-id", "live") as engine:
        assert eventually(lambda: _running(smithers, "live", "slow"))

        assert smithers.json("cancel", "live")["cancelled"] is False
        smithers("logs", "-f", "live", code=4)

        assert engine.end() == 4
    assert smithers.json("inspect", "live")["status"] == "cancelled"


def test_a_paused_engine_ends_what_is_in_flight_and_starts_nothing_new(smithers: Smithers, tmp_path: Path) -> None:
    gate = tmp_path / "go"
    _slow(smithers, gate)
    with Engine(smithers.repo, "flow.py", "--run-id", "live") as engine:
        assert eventually(lambda: _running(smithers, "live", "slow"))
        assert smithers.json("pause", "live")["in_flight"] == ["slow"]
        assert "what is in flight ends first" in smithers("why", "live").out
        gate.touch()
        assert engine.end() == 3

    nodes = {node["node"]: node["status"] for node in smithers.json("inspect", "live")["nodes"]}
    assert nodes == {"slow": "finished", "after": "pending"}
    assert smithers.json("ps")["runs"][0]["status"] == "paused"


def test_an_approval_while_the_engine_works_reaches_it(smithers: Smithers, tmp_path: Path) -> None:
    gate = tmp_path / "go"
    command = hold(gate)
    smithers.write(
        f'    return Parallel(Task("slow", run="{command}"), Sequence(Approval("ok"), Task("then", value=1)))\n'
    )
    with Engine(smithers.repo, "flow.py", "--run-id", "live") as engine:
        assert eventually(lambda: _running(smithers, "live", "slow"))
        assert eventually(lambda: smithers("approve", "live", code=None).code == 0)
        assert eventually(lambda: smithers("output", "live", "then", code=None).code == 0), "while slow still runs"
        gate.touch()
        assert engine.end() == 0


@pytest.mark.parametrize("verb", [("rewind", "--frame", "0", "--yes"), ("retry-task", "slow")])
def test_a_run_that_is_driven_cannot_be_moved(verb: tuple[str, ...], smithers: Smithers, tmp_path: Path) -> None:
    _slow(smithers, tmp_path / "go")
    with Engine(smithers.repo, "flow.py", "--run-id", "live"):
        assert eventually(lambda: _running(smithers, "live", "slow"))

        said = smithers(verb[0], "live", *verb[1:], "--json", code=1)

    assert said.json["error"]["code"] == "run-busy"
    assert "smithers cancel live" in said.json["error"]["hint"]


def test_control_c_ends_a_follower_and_nothing_else(smithers: Smithers, tmp_path: Path) -> None:
    gate = tmp_path / "go"
    _slow(smithers, gate)
    with Engine(smithers.repo, "flow.py", "--run-id", "live") as engine:
        assert eventually(lambda: _running(smithers, "live", "slow"))
        command = [sys.executable, "-m", "smithers_git", "logs", "-f", "live"]
        reader = subprocess.Popen(command, cwd=smithers.repo, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert reader.stdout is not None
        reader.stdout.readline()
        os.kill(reader.pid, signal.SIGINT)
        assert reader.wait(20) == 130
        reader.stdout.close()
        gate.touch()
        assert engine.end() == 0
