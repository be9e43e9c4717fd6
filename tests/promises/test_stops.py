"""Cancel, pause, signals and orphans: what runs is ended with its whole tree, and its files are kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kit import engines as kit
from kit import processes, proofs, repos
from kit.engines import Engine, Engines
from kit.gates import GATE, Stage, make_stage

from smithers_git.core import events as ev
from smithers_git.names import TaskKey


@pytest.fixture
def stage(
    engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Stage:
    return make_stage(engines, tmp_path, monkeypatch, capsys)


# -- cancel and pause

LEAVES = f"""\
    return Task("long", run='''
        echo part > part.txt
        (trap "" TERM INT HUP; setsid sh -c "trap \\"\\" TERM INT HUP; sleep 57" &)
        setsid sleep 58 &
        sleep 59 &
        {GATE}
    ''')
"""
"""A step with processes in sessions of their own, some of which ignore every polite signal."""


def test_a_cancel_ends_the_whole_tree_of_a_live_run_and_keeps_its_files(stage: Stage) -> None:
    engine = stage.working(body=LEAVES)
    assert len(proofs.started_by("run")) >= 4
    stage.smithers("cancel", "run")
    engine.wait(4)
    proofs.nothing_runs("run")
    state = kit.state_of(stage.repo, "run")
    assert state.end == "cancelled"
    assert not state.running
    assert proofs.tree(stage.repo, "refs/smithers/runs/run:code/main")["part.txt"][1] == b"part\n"
    proofs.files_are_the_frames(stage.repo, "run")


def test_a_cancel_of_a_run_that_nobody_owns_is_done_at_once(stage: Stage) -> None:
    run = stage.waiting()
    assert stage.smithers.json("cancel", run)["cancelled"] is True
    assert kit.state_of(stage.repo, run).end == "cancelled"
    again = stage.smithers.json("cancel", run, code=1)
    assert again["error"]["code"] == "run-refused"
    assert stage.smithers.json("approve", run, code=1)["error"]["code"] == "run-refused"


def test_a_paused_run_ends_what_is_in_flight_and_starts_nothing_until_it_is_resumed(stage: Stage) -> None:
    engine = stage.working()
    assert stage.smithers.json("pause", "run")["in_flight"] == ["long"]
    stage.open()
    engine.wait(3)
    state = kit.state_of(stage.repo, "run")
    assert state.end is None
    assert state.done == {TaskKey("before"), TaskKey("long")}
    assert stage.smithers.json("ps")["runs"][0]["status"] == "paused"
    stage.smithers("up", "--resume", "run")
    stage.once("run", "before", "long", "after")


# -- signals, and processes that lost their engine


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_what_runs_and_keeps_its_files_and_the_run_goes_on_later(
    stage: Stage, number: signal.Signals, code: int
) -> None:
    engine = stage.working(body=LEAVES)
    engine.signal(number)
    engine.wait(code)
    proofs.nothing_runs("run")
    assert proofs.tree(stage.repo, "refs/smithers/runs/run:code/main")["part.txt"][1] == b"part\n"
    proofs.files_are_the_frames(stage.repo, "run")
    assert kit.state_of(stage.repo, "run").end is None
    assert len(stage.events(ev.TaskInterrupted)) == 1
    stage.open()
    stage.smithers("up", "--resume", "run")
    assert [event.attempt for event in stage.events(ev.TaskFinished)] == [2]


def test_a_signal_during_the_setup_of_a_worktree_ends_it_and_a_resume_sets_up_again(stage: Stage) -> None:
    made = stage.gate.with_name("made")
    setup = f'echo x >> {made}; touch "$GATE.reached"; [ -e "$GATE" ] || sleep 58.37'
    repos.write(stage.repo, {".smithers/config.toml": f"[worktree]\nsetup = '''{setup}'''\n"})
    engine = stage.working(body='    return Task("only", run="echo done > done.txt")\n')
    engine.signal(signal.SIGTERM)
    engine.wait(143)
    assert not [pid for pid in _all_pids() if "sleep\x0058.37" in _words(pid)], "the setup command is gone"
    stage.open()
    stage.smithers("up", "--resume", "run")
    assert made.read_text() == "x\nx\n"
    assert proofs.tree(stage.repo, "smithers/run/main")["done.txt"][1] == b"done\n"


def _all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_smithers_still_starts_leaves_a_run_that_can_be_resumed(
    stage: Stage, number: signal.Signals
) -> None:
    stage.write('    return Task("only", run="echo x >> x.txt")\n')
    chance = kit.chance(f"early {number}")
    for turn in range(2):
        run = f"run-{turn}"
        engine = stage.engines.start("up", "flow.py", "--run-id", run)
        kit.until(lambda run=run, engine=engine: kit.tip(stage.repo, run) or not engine.alive, "frame 0")
        kit.pause(chance.uniform(0, 0.1))
        engine.signal(number)
        assert engine.wait() in (0, 128 + number, -number)
        stage.smithers("up", "--resume", run)
        assert proofs.folder(proofs.space_path(stage.repo, run))["x.txt"][1] in (b"x\n", b"x\nx\n")
        proofs.files_are_the_frames(stage.repo, run)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_nobody_reads_what_is_printed_does_not_break_the_run(
    stage: Stage, number: signal.Signals, code: int
) -> None:
    """`smithers up | less`, and then Ctrl-C: the signal comes in the middle of a write that waits."""
    stage.write('    return Sequence(*[Task("long-" * 20 + str(n), value=n) for n in range(900)])\n')
    argv = [sys.executable, "-m", "smithers_git", "up", "flow.py", "--run-id", "run"]
    env = {**os.environ, "PYTHONUNBUFFERED": ""}  # with it, nothing is in the middle of anything
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
    try:
        kit.until(lambda: _stands_still(stage.repo), "the pipe is full, and the engine waits")
        process.send_signal(number)
        _, said = process.communicate(timeout=kit.PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code, said[-2000:]
    assert f"{signal.Signals(number).name}: ending what runs".encode() in said
    assert kit.state_of(stage.repo, "run").end is None


def _stands_still(repo: Path) -> bool:
    before = kit.tip(repo, "run")
    kit.pause(0.4)
    return before is not None and kit.tip(repo, "run") == before


def test_the_agent_of_a_killed_engine_is_ended_before_its_node_starts_again(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the reaper is left: only the pid, its start time and the mark in the environment tell."""
    pids, overlap = tmp_path / "pids", tmp_path / "overlap"
    told = f"""
for pid in $(cat {pids} 2>/dev/null); do
    grep -q '^State:.[^ZX]' /proc/$pid/status 2>/dev/null && echo $pid >> {overlap}
done
echo $$ >> {pids}
{GATE.replace("$GATE", str(stage.gate))}
"""
    script = tmp_path / "script.toml"
    script.write_text(f"[[turn]]\nrun = ['''{told}''']\nanswer = {{ summary = 'x' }}\n")
    monkeypatch.setenv("SMITHERS_SCRIPT", str(script))
    engine = stage.working(body='    return Task("ask", agent="script", output=Change, prompt="go")\n')
    _kill_with_reapers(engine, "run")
    [orphan] = [int(line) for line in pids.read_text().split()]
    assert processes.alive(orphan), "the test has made an orphan"
    again = stage.engines.start("up", "--resume", "run")
    stage.reached(again)
    assert not processes.alive(orphan)
    assert not overlap.exists()
    stage.open()
    again.wait(0)
    assert "ended" in again.err
    proofs.nothing_runs("run")


def test_a_cancel_of_a_killed_engines_run_ends_what_it_left(stage: Stage) -> None:
    engine = stage.working(body=LEAVES)
    _kill_with_reapers(engine, "run")
    assert proofs.started_by("run")
    stage.smithers("cancel", "run")
    proofs.nothing_runs("run")
    assert kit.state_of(stage.repo, "run").end == "cancelled"


def _kill_with_reapers(engine: Engine, run: str) -> None:
    """Kill the engine and the parents of its trees, so that nobody is left to end what they started."""
    reapers = [pid for pid in proofs.started_by(run) if _parent(pid) == engine.pid]
    assert reapers
    for pid in reapers:
        os.kill(pid, signal.SIGSTOP)
    engine.kill()
    for pid in reapers:
        os.kill(pid, signal.SIGKILL)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it was a step's short-lived command
