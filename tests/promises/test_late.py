"""Frames of functions and values that follow each other are published together: none is lost, nobody waits for long."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from kit import engines as kit
from kit import proofs, repos, runs
from kit.engines import Engines
from kit.runs import Smithers

from smithers_git.core import events as ev
from smithers_git.core.late import may_be_late
from smithers_git.core.state import State
from smithers_git.edge.git.objects import Objects
from smithers_git.service import drive, launch
from smithers_git.service.project import Project
from smithers_git.service.watcher import Watcher

pytestmark = pytest.mark.usefixtures("warm_reapers")

QUICK = """\
    import os, signal

    def step(number):
        def work():
            with open("{ledger}", "a") as ledger:
                ledger.write(f"{{number}}\\n")
            if number == {die} and not os.path.exists("{ledger}.died"):
                open("{ledger}.died", "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
            return {{"n": number}}
        return work

    return Sequence([Task(f"t{{i}}", call=step(i)) if i % 3 else Task(f"t{{i}}", value={{"n": i}}) for i in range({n})])
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger"
    path.touch()
    return path


def write(repo: Path, ledger: Path, *, n: int, die: int = -1) -> None:
    (repo / "flow.py").write_text(runs.HEAD + QUICK.format(ledger=ledger, n=n, die=die), "utf-8")


@pytest.mark.parametrize("die", [1, 2, 50, 118])
def test_a_kill_takes_no_function_that_had_ended(repo: Path, ledger: Path, engines: Engines, die: int) -> None:
    write(repo, ledger, n=119, die=die)
    assert engines.run("up", "flow.py", "--run-id", "r", code=None).wait() == -signal.SIGKILL
    engines.run("up", "--resume", "r")
    calls = [number for number in range(119) if number % 3]
    at = calls.index(die)
    assert [int(line) for line in ledger.read_text().split()] == calls[: at + 1] + calls[at:]
    finished = [event.node for event in kit.events(repo, "r") if isinstance(event, ev.TaskFinished)]
    assert finished == [f"t{number}" for number in range(119)]
    numbers = [frame.data.number for frame in kit.frames(repo, "r")]
    assert numbers == [*range(len(numbers))]
    proofs.index_is_a_rebuild(repo)
    proofs.sound(repo)


def test_whoever_is_told_of_a_frame_finds_it_in_git(repo: Path, ledger: Path) -> None:
    write(repo, ledger, n=60)
    project, other = Project.open(repo), Objects(repo / ".git")
    made = launch.begin(project, launch.Request("flow.py", run="r", cwd=repo))
    told: list[str] = []

    def look(_state: State, events: tuple[ev.Event, ...], _at: float) -> None:
        told.extend(event.node for event in events if isinstance(event, ev.TaskFinished))
        tip = other.ref("refs/smithers/runs/r")
        done = {str(key) for key in kit._project(repo).chain("r").at(str(tip)).done}
        assert set(told) <= done

    state = drive.go(project, made.chain.run, drive.Resume(), drive.Drive(Watcher(recorded=look)))
    assert state.end == "finished", state.error
    assert told == [f"t{number}" for number in range(60)]


SEES = """\
    import subprocess, time

    def look():
        if not {soon}:
            time.sleep(0.3)
        log = subprocess.run(["git", "log", "--format=%s", "refs/smithers/runs/r"], capture_output=True, text=True)
        return {{"log": log.stdout}}

    return Sequence(
        [Task(f"v{{i}}", value=i) for i in range(9)],
        Task("command", run="git log --format=%s refs/smithers/runs/r > log.txt") if {soon} else Task("f", call=look),
    )
"""


@pytest.mark.parametrize("soon", [True, False], ids=["a command", "a function that takes its time"])
def test_who_looks_into_git_while_a_run_works_sees_all_that_was_before(smithers: Smithers, soon: bool) -> None:
    smithers.write(SEES.format(soon=soon))
    smithers("up", "flow.py", "--run-id", "r")
    name = "command" if soon else "f"
    at = "refs/smithers/runs/r:code/main/log.txt"
    log = repos.git(smithers.repo, "show", at) if soon else smithers.json("output", "r", "f")["log"]
    assert log.splitlines()[0].endswith(f"{name} started")
    assert "v8 finished" in log


def test_a_cancel_reaches_a_run_whose_steps_take_no_time(repo: Path, ledger: Path, engines: Engines) -> None:
    write(repo, ledger, n=4_000)
    engine = engines.start("up", "flow.py", "--run-id", "r")
    kit.until(lambda: len(ledger.read_text().split()) > 50, "it works")
    engines.run("cancel", "r")
    engine.wait()
    state = kit.state_of(repo, "r")
    assert state.end == "cancelled"
    assert len(state.done) < 4_000
    proofs.sound(repo)


@pytest.fixture
def smithers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Smithers:
    repo = runs.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    return Smithers(repo, capsys)


STARTED = ev.TaskStarted(node="a", iteration=0, attempt=1)
FINISHED = ev.TaskFinished(node="a", iteration=0, attempt=1, output="outputs/000/a@0.json")


@pytest.mark.parametrize(
    ("event", "late"),
    [
        (STARTED, True),
        (FINISHED, True),
        (ev.TaskSkipped(node="a", iteration=0, reason="so"), True),
        (STARTED.model_copy(update={"agent": "claude"}), False),
        (STARTED.model_copy(update={"commit": "c"}), False),
        (STARTED.model_copy(update={"child": "r2"}), False),
        (STARTED.model_copy(update={"successor": "r2"}), False),
        (FINISHED.model_copy(update={"commit": "c"}), False),
        (FINISHED.model_copy(update={"cache_key": "k"}), False),
        (ev.RunFinished(), False),
        (ev.PauseRequested(), False),
    ],
)
def test_only_what_nobody_acts_on_may_be_late(event: ev.Event, late: bool) -> None:
    assert may_be_late([event]) is late
    assert may_be_late([STARTED, event]) is late
