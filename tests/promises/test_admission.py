"""One machine for all runs of a user: no more agents than it carries, whoever waits says so, and a dead owner frees."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
from kit import engines as kit
from kit import processes, repos, runs
from kit.engines import Engines
from kit.runs import Smithers

from smithers_git.core import events as ev
from smithers_git.edge import memory
from smithers_git.service import admission
from smithers_git.service.project import Project

AGENT = '    return Task("work", agent="script", output=Change, prompt="do it")\n'


@pytest.fixture
def smithers(repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Smithers:
    monkeypatch.setenv("SMITHERS_SCRIPT", "")  # so that what a test plays is forgotten after it
    monkeypatch.chdir(repo)
    return Smithers(repo, capsys)


def configure(text: str) -> None:
    """The user's own file."""
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "smithers" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"[admission]\ngap = 0\n{text}\n", "utf-8")


def play(repo: Path, command: str) -> None:
    """Every agent runs a command, then answers."""
    runs.play(repo, f"[[turn]]\nrun = ['''{command}''']\nanswer = {{ summary = \"done\" }}\n")


def waits(repo: Path, run: str) -> bool:
    return bool(admission.in_line(Project.open(repo), run))


def test_agents_of_runs_in_two_repositories_take_turns_at_one_slot(
    smithers: Smithers, engines: Engines, tmp_path: Path
) -> None:
    configure("max_agents = 1")
    log = tmp_path / "log"
    play(smithers.repo, f"echo in >> {log}; sleep 0.2; echo out >> {log}")
    body = "    return Parallel(*[Task(f'work-{n}', agent='script', output=Change, prompt='x') for n in range(2)])\n"
    other = runs.make_repo(tmp_path / "other")
    smithers.write(body)
    Smithers(other, smithers._capsys).write(body)
    both = [engines.start("up", "flow.py", "--run-id", "r", repo=place) for place in (smithers.repo, other)]
    for engine in both:
        engine.wait(0)
    assert log.read_text("utf-8").split() == ["in", "out"] * 4


def test_a_waiting_agent_says_for_what_and_a_killed_holder_frees_its_slot(
    smithers: Smithers, engines: Engines, tmp_path: Path
) -> None:
    configure("slots = { script = 1 }")
    gate = tmp_path / "gate"
    play(smithers.repo, runs.hold(gate))
    smithers.write(AGENT)
    holder = engines.start("up", "flow.py", "--run-id", "holder")
    kit.until(lambda: kit.tip(smithers.repo, "holder") and kit.running(smithers.repo, "holder", "work"), "it works")
    waiter = engines.start("up", "flow.py", "--run-id", "waiter")
    kit.until(lambda: waits(smithers.repo, "waiter"), "it waits")
    assert not kit.has(smithers.repo, "waiter", ev.TaskStarted), "an attempt that waits has not begun"
    why = smithers.json("why", "waiter")["blockers"]
    assert [one["kind"] for one in why] == ["machine"]
    assert "1 of 1 script agent is at work on this machine" in why[0]["text"]
    assert "work of run holder" in why[0]["details"][0]
    assert "work waits for its turn on this machine" in smithers("logs", "waiter").out
    gate.touch()  # for the waiter; the holder dies first or has answered, either way its slot is free
    holder.kill()
    waiter.wait(0)
    assert "waits for its turn" in waiter.err
    assert not waits(smithers.repo, "waiter")


def test_commands_need_no_slot_and_go_on_although_the_run_may_do_only_one_thing_at_once(
    smithers: Smithers, engines: Engines, tmp_path: Path
) -> None:
    configure("max_agents = 1")
    gate = tmp_path / "gate"
    play(smithers.repo, runs.hold(gate))
    smithers.write(AGENT)
    holder = engines.start("up", "flow.py", "--run-id", "holder")
    kit.until(lambda: kit.tip(smithers.repo, "holder") and kit.running(smithers.repo, "holder", "work"), "it works")
    smithers.write("""\
    return Parallel(
        Task("work", agent="script", output=Change, prompt="do it"),
        Sequence(Task("one", run="true"), Task("two", value=2), Task("three", call=lambda: 3)),
    )
""")
    both = engines.start("up", "flow.py", "--run-id", "both", "-c", "1")
    kit.until(
        lambda: kit.tip(smithers.repo, "both") and kit.has(smithers.repo, "both", ev.TaskFinished, "three"), "go on"
    )
    assert not kit.has(smithers.repo, "both", ev.TaskStarted, "work")
    gate.touch()
    holder.wait(0)
    both.wait(0)


def test_an_agent_that_starts_a_run_does_not_wait_for_itself(smithers: Smithers, tmp_path: Path) -> None:
    configure("max_agents = 1")
    inner = runs.make_repo(tmp_path / "inner")
    Smithers(inner, smithers._capsys).write(AGENT.replace("work", "deep"))
    command = f"cd {inner} && {sys.executable} -m smithers_git up flow.py --run-id inner"
    turns = [
        f"[[turn]]\nnode = 'work'\nrun = [\"{command}\"]\nanswer = {{ summary = 'outer' }}\n",
        "[[turn]]\nnode = 'deep'\nanswer = { summary = 'inner' }\n",
    ]
    runs.play(smithers.repo, "".join(turns))
    smithers.write(AGENT.replace('prompt="do it"', 'prompt="do it", timeout=60, retries=0'))
    assert smithers.json("up", "flow.py")["status"] == "finished"
    assert kit.state_of(inner, "inner").end == "finished"


def test_an_agent_waits_for_memory_and_begins_when_there_is_some(
    smithers: Smithers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure('min_free_memory = "1 GiB"')
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       8000000 kB\nMemAvailable:    500000 kB\n", "utf-8")
    monkeypatch.setattr(memory, "MEMINFO", meminfo)
    play(smithers.repo, "true")
    smithers.write(AGENT)
    seen = []

    def free() -> None:
        seen.append(processes.eventually(lambda: waits(smithers.repo, "r"), 30))
        meminfo.write_text("MemAvailable:    5000000 kB\n", "utf-8")

    helper = threading.Thread(target=free)
    helper.start()
    said = smithers("up", "flow.py", "--run-id", "r")
    helper.join(30)
    assert seen == [True]
    assert "has 488 MiB of memory free, [admission] min_free_memory asks for 1 GiB" in said.err


def test_a_stop_while_an_agent_waits_leaves_the_line(smithers: Smithers, engines: Engines, tmp_path: Path) -> None:
    configure("max_agents = 1")
    gate = tmp_path / "gate"
    play(smithers.repo, runs.hold(gate))
    smithers.write(AGENT)
    holder = engines.start("up", "flow.py", "--run-id", "holder")
    kit.until(lambda: kit.tip(smithers.repo, "holder") and kit.running(smithers.repo, "holder", "work"), "it works")
    waiter = engines.start("up", "flow.py", "--run-id", "waiter")
    kit.until(lambda: waits(smithers.repo, "waiter"), "it waits")
    smithers("cancel", "waiter")
    waiter.wait(4)
    assert not waits(smithers.repo, "waiter")
    gate.touch()
    holder.wait(0)


def test_a_repository_has_no_say_in_what_the_machine_carries(smithers: Smithers) -> None:
    repos.write(smithers.repo, {".smithers/config.toml": "[admission]\nmax_agents = 64\n"})
    smithers.write(AGENT)
    error = smithers.json("up", "flow.py", code=1)["error"]
    assert error["code"] == "config"
    assert "about the machine" in error["message"]
    assert "/smithers/config.toml" in error["hint"]
