"""P6: one live owner a run, and what people decide meanwhile always arrives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kit import engines as kit
from kit import proofs
from kit.engines import Engines
from kit.gates import ASKING, GATE, WAITING, WORKING, Stage, make_stage

from smithers_git.core import events as ev
from smithers_git.edge.lock import FileLock, is_held
from smithers_git.errors import RunRefused
from smithers_git.names import TaskKey
from smithers_git.service import approvals, control
from smithers_git.service.approvals import Answer
from smithers_git.service.drive import Drive, Resume, go
from smithers_git.service.project import Project


@pytest.fixture
def stage(
    engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Stage:
    return make_stage(engines, tmp_path, monkeypatch, capsys)


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


def test_an_engine_whose_lock_was_removed_leaves_the_run_to_the_one_that_took_it_over(stage: Stage) -> None:
    first = stage.working()
    Project.open(stage.repo).lock_path("run").unlink()
    second = stage.engines.start("up", "--resume", "run")
    stage.reached(second)
    first.wait(3)
    assert "the run has another owner" in first.err
    assert second.alive
    stage.open()
    second.wait(0)
    assert [event.node for event in stage.events(ev.TaskFinished)] == ["before", "long", "after"]
    [cut] = stage.events(ev.TaskInterrupted)
    assert (cut.node, cut.attempt) == ("long", 1)
    assert stage.events(ev.TaskFinished)[1].attempt == 2
    proofs.files_are_the_frames(stage.repo, "run")
    proofs.sound(stage.repo)


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
    kit.until(lambda: not is_held(lock), "its engine is gone")
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


def test_answers_arrive_while_the_engine_writes_frames_as_fast_as_it_can(stage: Stage) -> None:
    steps = 500
    body = f"""\
    return Parallel(
        Sequence(*[Task(f"t{{n}}", value=n) for n in range({steps})], Task("long", run='''{GATE}''')),
        *[Sequence(Approval(f"ask-{{n}}"), Task(f"told-{{n}}", value=n)) for n in range(4)],
    )
"""
    stage.write(body)
    engine = stage.engines.start("up", "flow.py", "--run-id", "run")
    kit.until(lambda: kit.tip(stage.repo, "run") and len(kit.state_of(stage.repo, "run").waiting()) == 4, "it asks")
    project = Project.open(stage.repo)
    for question in approvals.pending(project, "run"):
        approvals.decide(project, question, Answer(approved=True, by="Ada"))
    kit.until(lambda: {TaskKey(f"told-{n}") for n in range(4)} <= kit.state_of(stage.repo, "run").done, "all arrive")
    stage.open()
    engine.wait(0)
    finished = [event.node for event in stage.events(ev.TaskFinished)]
    assert sorted(finished) == sorted([*(f"t{n}" for n in range(steps)), *(f"told-{n}" for n in range(4)), "long"])
    assert len(stage.events(ev.ApprovalDecided)) == 4
    proofs.index_is_a_rebuild(stage.repo)


def test_runs_side_by_side_in_one_repository_do_not_disturb_each_other(stage: Stage) -> None:
    body = """\
    return Sequence(
        *[Task(f"t{n}", value=n) for n in range(150)],
        Parallel(*[Worktree(f"w{n}", Task(f"work-{n}", run=f"echo {n} > own.txt")) for n in range(3)]),
        Task("last", run="echo last > last.txt"),
    )
"""
    stage.write(body)
    engines = [stage.engines.start("up", "flow.py", "--run-id", f"run-{number}") for number in range(3)]
    for number, engine in enumerate(engines):
        engine.wait(0)
        assert stage.events(ev.TaskFailed, f"run-{number}") == []
        proofs.files_are_the_frames(stage.repo, f"run-{number}")
    assert len(proofs.index_rows(stage.repo)) == 3
    proofs.index_is_a_rebuild(stage.repo)
    proofs.sound(stage.repo)
