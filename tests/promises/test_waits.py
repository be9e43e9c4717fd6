"""Whatever a run waits for: one effect, whoever is first, after any crash; clear words for the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import engines as kit
from kit.engines import Engines
from kit.repos import git

from smithers_git.core import events as ev
from smithers_git.names import TaskKey

HEAD = """\
from pydantic import BaseModel
from smithers_git import Context, HumanTask, Parallel, Sequence, Signal, Task, Timer, workflow


class Word(BaseModel):
    text: str


@workflow
def flow(ctx: Context):
"""
QUESTION = """\
    return Sequence(HumanTask("say", output=Word, prompt="Say it"), Task("after", run="echo x >> after.txt"))
"""
SIGNALS = """\
    return Parallel(*[
        Sequence(Signal(f"s{n}", name="go"), Task(f"after{n}", run=f"echo x >> after{n}.txt")) for n in range(3)
    ])
"""


def write(repo: Path, body: str) -> None:
    (repo / "flow.py").write_text(HEAD + body, encoding="utf-8")


def count(repo: Path, kind: type) -> int:
    return sum(isinstance(event, kind) for event in kit.events(repo, "run"))


def finished(repo: Path) -> bool:
    return kit.state_of(repo, "run").end == "finished"


def test_of_several_answers_at_once_one_counts_and_the_others_are_told_whose(repo: Path, engines: Engines) -> None:
    write(repo, QUESTION)
    engines.run("up", "flow.py", "--run-id", "run", code=3)

    racing = [
        engines.start("answer", "run", "--node", "say", "--value", f'{{"text": "{name}"}}', "--by", name, "--json")
        for name in ("ann", "ben", "cid")
    ]
    codes = sorted(one.wait() for one in racing)

    assert codes == [0, 1, 1]
    kit.until(lambda: finished(repo), "the run goes on by itself")
    winner = kit.state_of(repo, "run").waits[TaskKey("say")].by
    for one in racing:
        document = one.json
        if "error" in document:
            assert document["error"]["message"].endswith(f"already answered by {winner}")
        else:
            assert document["by"] == winner
    assert count(repo, ev.WaitResolved) == 1
    assert count(repo, ev.TaskStarted) == 1


def test_signals_that_arrive_at_once_end_one_wait_each(repo: Path, engines: Engines) -> None:
    write(repo, SIGNALS)
    engines.run("up", "flow.py", "--run-id", "run", code=3)

    racing = [engines.start("signal", "run", "go", "--data", str(number)) for number in range(3)]
    assert [one.wait() for one in racing] == [0, 0, 0]

    kit.until(lambda: finished(repo), "all three went on")
    state = kit.state_of(repo, "run")
    taken = [wait.signal for wait in state.waits.values()]
    assert sorted(taken, key=str) == sorted((signal.id for signal in state.signals), key=str)
    assert count(repo, ev.TaskStarted) == 3


def test_a_timer_fires_although_the_engine_that_armed_it_was_killed(repo: Path, engines: Engines) -> None:
    write(repo, '    return Sequence(Timer("t", for_=1.5), Task("after", value=1))\n')
    engine = engines.start("up", "flow.py", "--run-id", "run")
    kit.until(lambda: kit.tip(repo, "run") and kit.state_of(repo, "run").open_waits, "it is armed")
    due = kit.state_of(repo, "run").wake_at
    engine.kill()

    engines.run("up", "--resume", "run")

    assert kit.state_of(repo, "run").waits[TaskKey("t")].until == due, "it was not armed anew"
    assert count(repo, ev.WaitStarted) == 1


def test_a_question_outlives_the_engine_that_asked_it(repo: Path, engines: Engines) -> None:
    write(repo, QUESTION.replace("Sequence(", 'Parallel(Task("long", run="sleep 60"), ', 1))
    engine = engines.start("up", "flow.py", "--run-id", "run")
    kit.until(lambda: kit.tip(repo, "run") and kit.state_of(repo, "run").open_waits, "it asks")
    engine.kill()
    (repo / ".git" / "smithers" / "index.sqlite").unlink(missing_ok=True)

    (asked,) = engines.json("inbox")["waiting"]
    engines.run("answer", "run", "--value", '{"text": "hello"}', "--no-resume")

    assert asked["command"] == "smithers answer run --node say"
    assert kit.state_of(repo, "run").waits[TaskKey("say")].end == "resolved"


def test_an_answer_in_two_clones_at_once_has_one_effect_where_they_meet(
    repo: Path, engines: Engines, tmp_path: Path
) -> None:
    write(repo, QUESTION)
    engines.run("up", "flow.py", "--run-id", "run", code=3)
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", str(repo), str(other))
    git(other, "config", "user.name", "Ben")
    git(other, "fetch", "-q", "origin", "+refs/smithers/*:refs/smithers/*")
    value = ("answer", "run", "--value", '{"text": "x"}', "--no-resume")
    engines.run(*value)
    engines.run(*value, repo=other)

    with pytest.raises(AssertionError, match="rejected"):  # git itself keeps the second one out
        git(other, "push", "-q", "origin", "refs/smithers/runs/run")

    assert count(repo, ev.WaitResolved) == 1
    assert kit.state_of(repo, "run").waits[TaskKey("say")].by.startswith("Ada")
