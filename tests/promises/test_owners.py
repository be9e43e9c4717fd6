"""P6: one live owner a run; what people decide meanwhile always arrives, and nothing outlives its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit import engines as kit
from kit import processes, proofs, runs
from kit.engines import Engine, Engines

from smithers_git.core import events as ev
from smithers_git.edge.lock import FileLock
from smithers_git.errors import RunRefused
from smithers_git.names import TaskKey
from smithers_git.service import approvals, control
from smithers_git.service.approvals import Answer
from smithers_git.service.drive import Drive, Resume, go
from smithers_git.service.project import Project

GATE = 'touch "$GATE.reached"; while [ ! -e "$GATE" ]; do sleep 0.01; done'
"""A command that works until the test opens the gate."""

WORKING = f"""\
    return Sequence(
        Task("before", run="echo before >> before.txt"),
        Task("long", run='''echo part > part.txt; {GATE}; echo whole > part.txt'''),
        Task("after", run="echo after >> after.txt"),
    )
"""

ASKING = f"""\
    return Parallel(
        Task("long", run='''{GATE}'''),
        Sequence(Approval("ship"), Task("after", run="echo after >> after.txt")),
    )
"""

WAITING = """\
    return Sequence(Approval("ship"), Task("after", run="echo after >> after.txt"))
"""


class Stage:
    """A repository, engines in it, and a gate that holds a task until the test opens it."""

    def __init__(self, engines: Engines, smithers: runs.Smithers, gate: Path) -> None:
        self.repo = engines.repo
        self.engines = engines
        self.smithers = smithers
        """For what needs no process of its own: it starts in no time."""
        self.gate = gate

    def write(self, body: str) -> None:
        (self.repo / "flow.py").write_text(runs.HEAD + body, "utf-8")

    def working(self, run: str = "run", body: str = WORKING) -> Engine:
        """An engine whose task `long` is in flight."""
        self.write(body)
        engine = self.engines.start("up", "flow.py", "--run-id", run)
        self.reached(engine)
        return engine

    def reached(self, engine: Engine) -> None:
        """Until the task behind the gate works."""
        kit.until(lambda: self._reached.exists() or not engine.alive, "the task begins")
        assert engine.alive, engine.err
        self._reached.unlink()

    @property
    def _reached(self) -> Path:
        return self.gate.with_name(self.gate.name + ".reached")

    def waiting(self, run: str = "run", body: str = WAITING) -> str:
        """A run that waits for its approval; nobody owns it."""
        self.write(body)
        self.smithers("up", "flow.py", "--run-id", run, code=3)
        return run

    def open(self) -> None:
        self.gate.touch()

    def events(self, kind: type, run: str = "run") -> list[Any]:
        return [event for event in kit.events(self.repo, run) if isinstance(event, kind)]

    def until_finished(self, run: str = "run") -> None:
        """Until the run is over and its engine has let go of it: nobody did anything for that."""
        kit.until(lambda: kit.state_of(self.repo, run).end == "finished", f"{run} goes on by itself", 30)
        lock = Project.open(self.repo).lock_path(run)
        kit.until(lambda: FileLock(lock).try_acquire(), "the lock is free")

    def approve(self, run: str = "run") -> None:
        """Decide, and nothing else."""
        project = Project.open(self.repo)
        approvals.decide(project, approvals.choose(project, run, None), Answer(approved=True, by="Ada"))

    def once(self, run: str, *nodes: str) -> None:
        """Each of these steps was started and finished exactly once."""
        started = [event.node for event in self.events(ev.TaskStarted, run)]
        finished = [event.node for event in self.events(ev.TaskFinished, run)]
        assert sorted(started) == sorted(finished) == sorted(nodes)


@pytest.fixture
def stage(
    engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Stage:
    gate = tmp_path / "gate"
    monkeypatch.setenv("GATE", str(gate))
    monkeypatch.chdir(engines.repo)
    return Stage(engines, runs.Smithers(engines.repo, capsys), gate)


# -- two owners


def test_a_second_engine_is_refused_politely_and_changes_nothing(stage: Stage) -> None:
    first = stage.working()
    before = proofs.refs(stage.repo), proofs.folder(proofs.space_path(stage.repo, "run"))
    for argv in (
        ("up", "--resume", "run"),
        ("retry-task", "run", "before"),
        ("rewind", "run", "--frame", "0", "--yes"),
    ):
        said = stage.smithers.json(*argv, code=1)
        assert said["error"]["code"] == "run-busy"
        assert str(first.pid) in said["error"]["message"]
        assert "smithers" in said["error"]["hint"]
    assert (proofs.refs(stage.repo), proofs.folder(proofs.space_path(stage.repo, "run"))) == before
    stage.open()
    first.wait(0)
    stage.once("run", "before", "long", "after")


def test_of_two_engines_that_start_at_once_one_has_the_run(stage: Stage) -> None:
    stage.write(WORKING)
    new = [stage.engines.start("up", "flow.py", "--run-id", "run", "--json") for _ in range(2)]
    kit.until(lambda: not all(engine.alive for engine in new), "one is refused")
    loser = next(engine for engine in new if not engine.alive)
    assert loser.wait() == 1
    assert loser.json["error"]["code"] in ("run-refused", "run-busy")
    winner = next(engine for engine in new if engine is not loser)
    stage.reached(winner)
    winner.kill()

    again = [stage.engines.start("up", "--resume", "run", "--json") for _ in range(3)]
    kit.until(lambda: sum(engine.alive for engine in again) == 1, "two are refused")
    owner = next(engine for engine in again if engine.alive)
    stage.reached(owner)
    stage.open()
    owner.wait(0)
    assert [engine.json["error"]["code"] for engine in again if engine is not owner] == ["run-busy"] * 2
    finished = [event.node for event in stage.events(ev.TaskFinished)]
    assert finished == ["before", "long", "after"]
    numbers = [frame.data.number for frame in kit.frames(stage.repo, "run")]
    assert numbers == list(range(len(numbers))), "one history"
    proofs.sound(stage.repo)
    proofs.index_is_a_rebuild(stage.repo)


def test_a_killed_owner_is_followed_at_once(stage: Stage) -> None:
    stage.working().kill()
    began = time.monotonic()
    engine = stage.engines.start("up", "--resume", "run")
    stage.reached(engine)
    assert time.monotonic() - began < 5, "no heartbeat is waited for"
    stage.open()
    engine.wait(0)
    [cut] = stage.events(ev.TaskInterrupted)
    assert (cut.node, cut.attempt) == ("long", 1)
    assert stage.events(ev.TaskFinished)[1].attempt == 2
    proofs.files_are_the_frames(stage.repo, "run")


# -- approvals


def test_an_approval_given_while_the_engine_works_arrives(stage: Stage) -> None:
    engine = stage.working(body=ASKING)
    kit.until(lambda: kit.state_of(stage.repo, "run").waiting(), "it asks")
    said = stage.smithers.json("approve", "run", "--note", "fine")
    assert said["decision"] == "approved"
    kit.until(lambda: TaskKey("after") in kit.state_of(stage.repo, "run").done, "what was approved is done")
    assert engine.alive, "the same engine did it"
    stage.open()
    engine.wait(0)
    [decided] = stage.events(ev.ApprovalDecided)
    assert (decided.note, decided.by) == ("fine", "Ada Tester <ada@example.test>")
    stage.once("run", "long", "after")


def test_an_approval_that_races_the_engines_exit_is_never_lost(stage: Stage) -> None:
    """The engine asks, finds nothing to do and leaves; the answer comes at any moment of that."""
    chance = kit.chance("approval")
    stage.write(WAITING)
    for number in range(4):
        run = f"run-{number}"
        engine = stage.engines.start("up", "flow.py", "--run-id", run)
        kit.until(
            lambda run=run: kit.tip(stage.repo, run) is not None and kit.state_of(stage.repo, run).waiting(), "it asks"
        )
        kit.pause(chance.uniform(0, 0.12))
        stage.smithers("approve", run)
        stage.until_finished(run)
        assert engine.wait() in (0, 3)
        stage.once(run, "after")


@pytest.mark.parametrize("moment", ["before it lets go", "after it let go"])
def test_what_arrives_while_the_engine_lets_go_is_done_at_once(
    stage: Stage, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stage.waiting()
    _at_release(monkeypatch, lambda: stage.approve(run), moment)
    assert go(Project.open(stage.repo), run, Resume(), Drive()).end == "finished"
    stage.once("run", "after")


@pytest.mark.parametrize("moment", ["before it lets go", "after it let go"])
def test_a_cancel_while_the_engine_lets_go_is_not_undone(
    stage: Stage, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stage.waiting()
    _at_release(monkeypatch, lambda: control.cancel(Project.open(stage.repo), run, "Ada"), moment)
    go(Project.open(stage.repo), run, Resume(), Drive())
    state = kit.state_of(stage.repo, run)
    assert (state.end, state.cancel_requested) == ("cancelled", None)


@pytest.mark.parametrize("moment", ["before it lets go", "after it let go"])
def test_a_pause_while_the_engine_lets_go_is_not_undone(
    stage: Stage, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stage.waiting()

    def pause() -> None:
        control.pause(Project.open(stage.repo), run, "Ada")
        stage.approve(run)

    _at_release(monkeypatch, pause, moment)
    go(Project.open(stage.repo), run, Resume(), Drive())
    state = kit.state_of(stage.repo, run)
    assert (state.end, state.pause_requested, state.latest) == (None, True, {"ship": 0})


def test_the_engine_that_lets_go_leaves_the_run_to_whoever_was_quicker(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stage.waiting()
    other = FileLock(Project.open(stage.repo).lock_path(run))

    def answer() -> None:
        stage.approve(run)
        assert other.try_acquire({"doing": "up"})

    _at_release(monkeypatch, answer, "after it let go")
    assert go(Project.open(stage.repo), run, Resume(), Drive()).end is None
    other.release()


def _at_release(monkeypatch: pytest.MonkeyPatch, deed: Callable[[], object], moment: str) -> None:
    """Do `deed` just before or after the engine of this process gives its lock back."""
    release = FileLock.release
    done = []

    def wrapped(lock: FileLock) -> None:
        ours = "locks" in lock.path.parts and lock.path.name == "run.lock" and not done
        if ours:
            done.append(lock)
        if ours and moment == "before it lets go":
            deed()
        release(lock)
        if ours and moment == "after it let go":
            deed()

    monkeypatch.setattr(FileLock, "release", wrapped)


def test_a_cancel_just_behind_an_approval_is_not_undone_by_the_engine_that_the_approval_starts(stage: Stage) -> None:
    run = stage.waiting(body=f"    return Sequence(Approval('ship'), Task('after', run='''{GATE}'''))\n")
    approved = stage.engines.start("approve", run)
    kit.until(lambda: stage.events(ev.ApprovalDecided), "it is approved")
    control.cancel(Project.open(stage.repo), run, "Ada")
    approved.wait(0)
    lock = Project.open(stage.repo).lock_path(run)
    kit.until(lambda: kit.state_of(stage.repo, run).end == "cancelled", "it is cancelled")
    kit.until(lambda: FileLock(lock).try_acquire(), "its engine is gone")
    kit.pause(0.5)  # an engine that comes late, and must not go on
    assert kit.state_of(stage.repo, run).end == "cancelled"
    proofs.nothing_runs(run)


def test_of_many_answers_at_once_exactly_one_counts(stage: Stage) -> None:
    run = stage.waiting()
    said: dict[str, str] = {}
    barrier = threading.Barrier(6)

    def answer(person: str) -> None:
        project = Project.open(stage.repo)
        question = approvals.choose(project, run, None)
        barrier.wait()
        try:
            approvals.decide(project, question, Answer(approved=person in "ace", by=person))
            said[person] = ""
        except RunRefused as error:
            said[person] = error.message

    threads = [threading.Thread(target=answer, args=(person,)) for person in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [decided] = stage.events(ev.ApprovalDecided)
    assert said.pop(decided.by) == ""
    assert len(said) == 5
    assert all(
        f"already {'approved' if decided.approved else 'denied'} by {decided.by}" in text for text in said.values()
    )


def test_two_approve_commands_at_once_have_one_effect(stage: Stage) -> None:
    run = stage.waiting()
    both = [stage.engines.start("approve", run, "--json") for _ in range(2)]
    codes = sorted(engine.wait() for engine in both)
    assert codes == [0, 1]
    refused = next(engine for engine in both if engine.wait() == 1)
    assert refused.json["error"]["code"] == "run-refused"
    stage.until_finished(run)
    assert len(stage.events(ev.ApprovalDecided)) == 1
    stage.once(run, "after")


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
    assert len(processes.marked("SMITHERS_RUN", "run")) >= 4
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
    stage.write('    return Sequence(*[Task(f"a-rather-long-name-of-a-step-{n}", value=n) for n in range(3000)])\n')
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
    number_then = kit.state_of(stage.repo, "run").number
    assert kit.state_of(stage.repo, "run").end is None
    assert number_then < 3000


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
    assert processes.marked("SMITHERS_RUN", "run")
    stage.smithers("cancel", "run")
    proofs.nothing_runs("run")
    assert kit.state_of(stage.repo, "run").end == "cancelled"


def _kill_with_reapers(engine: Engine, run: str) -> None:
    """Kill the engine and the parents of its trees, so that nobody is left to end what they started."""
    reapers = [pid for pid in processes.marked("SMITHERS_RUN", run) if _parent(pid) == engine.pid]
    assert reapers
    for pid in reapers:
        os.kill(pid, signal.SIGSTOP)
    engine.kill()
    for pid in reapers:
        os.kill(pid, signal.SIGKILL)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
