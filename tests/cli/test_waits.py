"""answer, ask, inbox and signal: what a run waits for, and what ends it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from kit.processes import eventually
from kit.repos import git
from kit.runs import Engine, Smithers

HEAD = """\
from enum import Enum
from typing import Literal
from pydantic import BaseModel, Field
from smithers_git import Backoff, CommandResult, Context, HumanTask, Parallel, Poller, Sequence, Signal, Task, Timer
from smithers_git import workflow


class Where(BaseModel):
    place: Literal["north", "south"]
    people: int = Field(default=2, ge=1, le=9)


class Deploy(BaseModel):
    version: str


@workflow
def flow(ctx: Context):
"""
ASK = """\
    return Sequence(
        Task("make", value="two tents"),
        HumanTask("where", output=Where, prompt=lambda make: f"Where do we put {make}?\\nThink first.", expires=3600),
        Task("last", call=lambda where: f"{where.people} go {where.place}"),
    )
"""
SIGNAL = """\
    return Sequence(Signal("go", name="deploy", output=Deploy), Task("last", call=lambda go: go.version))
"""
TWO = """\
    return Parallel(Signal("a", name="deploy"), Signal("b", name="deploy"), Signal("c", name="deploy", correlation="7"))
"""


def up(smithers: Smithers, body: str, code: int = 3) -> str:
    (smithers.repo / "flow.py").write_text(HEAD + body, encoding="utf-8")
    return str(smithers.json("up", "flow.py", code=code)["run"])


def status(smithers: Smithers, run: str) -> str:
    return str(smithers.json("inspect", run)["status"])


# -- questions


def test_a_question_is_answered_and_the_run_goes_on(smithers: Smithers) -> None:
    run = up(smithers, ASK)

    said = smithers("answer", run[:4], "--value", '{"place": "north", "people": 3}')

    assert "where" in said.out
    assert "answered by Ada Tester" in said.out
    assert eventually(lambda: status(smithers, run) == "finished")
    assert smithers.json("output", run, "last") == "3 go north"


def test_a_waiting_run_says_what_it_waits_for_and_what_to_type(smithers: Smithers) -> None:
    run = up(smithers, ASK)
    command = f"smithers answer {run} --node where"

    (listed,) = smithers.json("ps")["runs"]
    (blocker,) = smithers.json("why", run)["blockers"]
    inspected = smithers.json("inspect", run)

    assert (listed["status"], listed["step"]) == ("waiting", "where?")
    assert listed["wake_at"] is not None
    assert [(one["kind"], one["title"], one["command"]) for one in listed["waiting"]] == [
        ("question", "Where do we put two tents?", command)
    ]
    assert (blocker["kind"], blocker["commands"]) == ("question", [command])
    assert "Think first." in blocker["details"]
    assert inspected["next"] == [command]
    assert inspected["waits"][0]["answer"]["properties"]["place"]["enum"] == ["north", "south"]


@pytest.mark.parametrize(
    ("value", "issue"),
    [
        ('{"place": "west"}', "place: Input should be 'north' or 'south'"),
        ('{"place": "north", "people": 12}', "people: Input should be less than or equal to 9"),
        ("{}", "place: Field required"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_and_the_question_stays_open(
    smithers: Smithers, value: str, issue: str
) -> None:
    run = up(smithers, ASK)
    before = git(smithers.repo, "for-each-ref", "refs/smithers")

    assert issue in smithers("answer", run, "--value", value, code=1).err

    assert git(smithers.repo, "for-each-ref", "refs/smithers") == before
    smithers("answer", run, "--value", '{"place": "south"}', "--no-resume")
    smithers("up", "--resume", run)


def test_what_is_no_json_is_a_usage_error(smithers: Smithers) -> None:
    run = up(smithers, ASK)
    assert "--value is not JSON" in smithers("answer", run, "--value", "north", code=2).err
    assert "--value is not JSON" in smithers("answer", run, "--value", '{"people": NaN}', code=2).err
    assert "--data is not JSON" in smithers("signal", run, "x", "--data", "[Infinity]", code=2).err


def test_without_a_terminal_the_form_of_the_answer_is_shown(smithers: Smithers) -> None:
    run = up(smithers, ASK)
    error = smithers.json("answer", run, code=2)["error"]
    assert error["hint"] == f"""smithers answer {run} --node where --value '{{"people": …, "place": …}}'"""
    assert f"smithers answer {run} --node where" in smithers("answer", code=2).err


def test_the_second_answer_is_told_who_was_first(smithers: Smithers) -> None:
    run = up(smithers, ASK)
    smithers("answer", run, "--value", '{"place": "south"}', "--by", "Eve", "--no-resume")
    for argv in (("--node", "where"), ()):
        said = smithers("answer", run, *argv, "--value", '{"place": "north"}', code=1)
        assert "already answered by Eve" in said.err or "asks nothing" in said.err
    assert len(smithers.json("events", run, "--type", "wait.resolved")["events"]) == 1


def test_an_answer_after_the_question_expired_is_refused_and_the_policy_holds(smithers: Smithers) -> None:
    body = """\
    return Sequence(
        HumanTask("where", output=Where, prompt="Where?", expires=31, on_expiry="skip"),
        Task("last", call=lambda: "went home"),
    )
"""
    run = up(smithers, body)
    later = time.time() + 60
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smithers_git.clock.SystemClock.now", lambda _self: later)
        said = smithers("answer", run, "--value", '{"place": "north"}', "--no-resume", code=1)
        assert "too late" in said.err
        smithers("up", "--resume", run)
        assert smithers.json("inspect", run)["nodes"][0]["status"] == "skipped"
        assert smithers.json("output", run, "last") == "went home"


def test_a_question_that_expires_while_nothing_runs_fails_the_node_at_the_next_look(smithers: Smithers) -> None:
    run = up(smithers, ASK)
    later = time.time() + 4000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smithers_git.clock.SystemClock.now", lambda _self: later)
        document = smithers.json("up", "--resume", run, code=1)
    assert "nobody answered in time" in document["error"]


@pytest.mark.parametrize(("policy", "code", "stands"), [("fail", 1, "failed"), ("skip", 0, "finished")])
def test_a_withdrawn_question_follows_its_policy(smithers: Smithers, policy: str, code: int, stands: str) -> None:
    body = f"""\
    return Sequence(HumanTask("where", output=Where, prompt="Where?", on_cancel="{policy}"), Task("last", value=1))
"""
    run = up(smithers, body)

    said = smithers("answer", run, "--withdraw", "--note", "we stay", "--no-resume")

    assert "withdrawn by Ada Tester" in said.out
    late = smithers("answer", run, "--node", "where", "--value", '{"place": "north"}', code=1)
    assert "withdrawn by Ada Tester <ada@example.test>: we stay" in late.err
    assert smithers.json("up", "--resume", run, code=code)["status"] == stands


def test_only_those_who_are_allowed_may_answer(smithers: Smithers) -> None:
    body = '    return HumanTask("where", output=Where, prompt="Where?", allowed=["eve@example.test"])\n'
    run = up(smithers, body)
    value = ("--value", '{"place": "north"}')
    assert "may not answer where" in smithers("answer", run, *value, code=1).err
    assert "may not answer where" in smithers("answer", run, "--withdraw", code=1).err
    smithers("answer", run, *value, "--by", "Eve <eve@example.test>", "--no-resume")


def test_a_cancelled_run_asks_nothing_any_more(smithers: Smithers) -> None:
    run = up(smithers, ASK)
    smithers("cancel", run)
    said = smithers("answer", run, "--node", "where", "--value", '{"place": "north"}', code=1)
    assert f"run {run} is cancelled" in said.err
    assert smithers.json("inbox")["waiting"] == []


def test_a_question_that_a_rewind_took_back_is_not_answered(smithers: Smithers) -> None:
    run = up(smithers, ASK)
    smithers("rewind", run, "--frame", "0", "--yes")
    said = smithers("answer", run, "--node", "where", "--value", '{"place": "north"}', code=1)
    assert f"where of run {run} does not wait for an answer" in said.err


@pytest.fixture
def cloned(smithers: Smithers, tmp_path: Path) -> tuple[str, Path]:
    """A run that asks, in a clone that fetched it and in which its workflow would leave a trace; and that trace."""
    trace = tmp_path / "ran"
    run = up(smithers, ASK)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(smithers.repo), str(clone))
    git(clone, "fetch", "-q", "origin", "+refs/smithers/*:refs/smithers/*")
    (clone / "flow.py").write_text(f"open({str(trace)!r}, 'w')\n", encoding="utf-8")
    os.chdir(clone)
    return run, trace


def test_a_fetched_run_is_answered_without_running_anything_of_it(smithers: Smithers, cloned: tuple[str, Path]) -> None:
    run, trace = cloned
    said = smithers("answer", run, "--value", '{"place": "north"}')
    assert "the run was never driven here" in said.err
    again = smithers("answer", run, "--value", '{"place": "south"}', "--by", "Eve", code=1)
    assert "already answered by Ada Tester" in again.err
    assert not trace.exists()

    git(Path.cwd(), "push", "-q", "origin", f"refs/smithers/runs/{run}")
    os.chdir(smithers.repo)
    smithers("up", "--resume", run)
    assert smithers.json("output", run, "last") == "2 go north"


def test_an_answer_from_elsewhere_that_does_not_fit_leaves_the_question_open(
    smithers: Smithers, cloned: tuple[str, Path]
) -> None:
    run, _trace = cloned
    smithers("answer", run, "--value", '{"place": "west"}')
    git(Path.cwd(), "push", "-q", "origin", f"refs/smithers/runs/{run}")
    os.chdir(smithers.repo)

    smithers("up", "--resume", run, code=3)

    (refused,) = smithers.json("events", run, "--type", "signal.refused")["events"]
    assert refused["issue"] == "place: Input should be 'north' or 'south'"
    smithers("answer", run, "--value", '{"place": "south"}', "--no-resume")


# -- signals


def test_a_signal_ends_the_wait_with_its_data(smithers: Smithers) -> None:
    run = up(smithers, SIGNAL)
    assert smithers.json("ps")["runs"][0]["waiting"][0]["command"] == f"smithers signal {run} deploy"

    smithers("signal", run, "deploy", "--data", '{"version": "2.1"}')

    assert eventually(lambda: status(smithers, run) == "finished")
    assert smithers.json("output", run, "last") == "2.1"


def test_a_signal_that_does_not_fit_is_refused(smithers: Smithers) -> None:
    run = up(smithers, SIGNAL)
    said = smithers("signal", run, "deploy", "--data", '{"v": 1}', code=1)
    assert "go: version: Field required" in said.err
    assert smithers.json("inspect", run)["signals"] == []


def test_an_early_signal_is_kept_for_a_later_wait(smithers: Smithers, tmp_path: Path) -> None:
    body = SIGNAL.replace("Sequence(", "Sequence(Signal('first'), ")
    run = up(smithers, body)
    said = smithers("signal", run, "deploy", "--data", '{"version": "3"}')
    assert "is kept" in said.out

    smithers("signal", run, "first", "--no-resume")
    smithers("up", "--resume", run)

    assert smithers.json("output", run, "last") == "3"


def test_one_signal_ends_one_wait_and_a_correlation_is_looked_at(smithers: Smithers) -> None:
    run = up(smithers, TWO)
    ends: list[list[str]] = []
    for data, argv in (("1", ()), ("2", ()), ("3", ("--correlation", "8")), ("4", ("--correlation", "7"))):
        smithers("signal", run, "deploy", "--data", data, "--no-resume", *argv)
        code = smithers("up", "--resume", run, code=None).code
        ends.append([one["node"] for one in smithers.json("inspect", run)["waits"] if one["end"]])
    assert ends == [["a"], ["a", "b"], ["a", "b"], ["a", "b", "c"]]
    assert code == 0
    assert [smithers.json("output", run, node) for node in "abc"] == [1, 2, 4]


def test_a_rewind_behind_a_signal_makes_it_consumable_again(smithers: Smithers) -> None:
    run = up(smithers, SIGNAL)
    smithers("signal", run, "deploy", "--data", '{"version": "5"}', "--no-resume")
    arrived = smithers.json("inspect", run)["frame"]
    smithers("up", "--resume", run)

    smithers("rewind", run, "--frame", str(arrived), "--yes")

    assert status(smithers, run) == "waiting"
    smithers("up", "--resume", run)
    assert smithers.json("output", run, "last") == "5"


def test_a_signal_to_a_run_that_is_over_is_refused(smithers: Smithers) -> None:
    run = up(smithers, '    return Task("a", value=1)\n', code=0)
    assert "is finished: it takes no signals" in smithers("signal", run, "deploy", code=1).err


# -- timers


def test_a_near_timer_is_waited_for_in_process(smithers: Smithers) -> None:
    run = up(smithers, '    return Sequence(Timer("t", for_=0.2), Task("last", value=1))\n', code=0)
    fired = smithers.json("output", run, "t")
    assert 0 <= fired["fired"] - fired["due"] < 5


def test_a_far_timer_has_no_process_and_fires_at_the_next_look(smithers: Smithers) -> None:
    run = up(smithers, '    return Sequence(Timer("t", for_=3600), Task("last", value=1))\n')
    assert status(smithers, run) == "waiting"
    assert smithers.json("up", "--resume", run, code=3)["status"] == "waiting"
    (blocker,) = smithers.json("why", run)["blockers"]
    assert (blocker["kind"], blocker["commands"]) == ("timer", [])
    later = time.time() + 4000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smithers_git.clock.SystemClock.now", lambda _self: later)
        assert "it can go on at once" in smithers.json("why", run)["blockers"][0]["text"]
        smithers("up", "--resume", run)
    fired = smithers.json("output", run, "t")
    assert fired["fired"] - fired["due"] == pytest.approx(400, abs=60)


def test_a_rewind_arms_a_timer_anew(smithers: Smithers) -> None:
    run = up(smithers, '    return Sequence(Task("a", value=1), Timer("t", for_=3600))\n')
    before = smithers.json("inspect", run)["wake_at"]
    smithers("rewind", run, "--frame", "0", "--yes")
    time.sleep(1.1)
    after = smithers.json("up", "--resume", run, code=3)["wake_at"]
    assert after > before


def test_a_poller_looks_until_it_is_there(smithers: Smithers, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    body = f"""\
    look = ctx.latest(CommandResult, "look")
    return Sequence(
        Poller(
            "wait-for-it",
            Task("look", run="echo x >> {seen}; test $(wc -l < {seen}) -ge 3", check=False),
            until=bool(look and look.passed),
            every=0.05,
        ),
        Task("last", value=1),
    )
"""
    run = up(smithers, body, code=0)
    assert seen.read_text() == "x\n" * 3
    pauses = [one for one in smithers.json("inspect", run)["nodes"] if one["node"] == "wait-for-it.pause"]
    assert [one["status"] for one in pauses] == ["finished", "finished", "skipped"]


def test_a_far_retry_has_no_process_either(smithers: Smithers, tmp_path: Path) -> None:
    there = tmp_path / "there"
    body = f"""\
    return Task("make", run="test -e {there}", backoff=Backoff(first=600, most=600, jitter=0))
"""
    run = up(smithers, body)
    (listed,) = smithers.json("ps")["runs"]
    assert (listed["status"], listed["step"]) == ("waiting", "tries again later")
    assert [one["kind"] for one in smithers.json("why", run)["blockers"]] == ["retry"]
    there.touch()
    later = time.time() + 700
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smithers_git.clock.SystemClock.now", lambda _self: later)
        assert status(smithers, run) == "interrupted", "it is due, and nobody drives it"
        smithers("up", "--resume", run)


# -- ask


def test_a_running_task_asks_and_goes_on_with_the_answer(smithers: Smithers) -> None:
    body = """\
    return Task("make", run="smithers ask 'Drop the old table?' --choice yes --choice no > answer.txt; cat answer.txt")
"""
    (smithers.repo / "flow.py").write_text(HEAD + body, encoding="utf-8")
    with Engine(smithers.repo, "flow.py", "--run-id", "r1") as engine:
        assert eventually(lambda: smithers.json("inbox")["waiting"] != [])
        (asked,) = smithers.json("inbox")["waiting"]
        assert (asked["title"], asked["kind"]) == ("Drop the old table?", "question")
        assert asked["command"] == "smithers answer r1 --node make.ask1"
        assert "none of the choices" in smithers("answer", "r1", "--value", "maybe", code=1).err
        smithers("answer", "r1", "--value", "no")
        assert engine.end() == 0
    assert smithers.json("output", "r1", "make")["tail"] == "no\n"
    assert smithers.json("inbox")["waiting"] == []


def test_an_answer_outlives_the_engine_and_the_next_attempt_gets_it(smithers: Smithers) -> None:
    body = """\
    return Task("make", run="smithers ask Really?; smithers ask Really? --timeout 0.1s || true")
"""
    (smithers.repo / "flow.py").write_text(HEAD + body, encoding="utf-8")
    with Engine(smithers.repo, "flow.py", "--run-id", "r1") as engine:
        assert eventually(lambda: smithers.json("inbox")["waiting"] != [])
        engine.kill()
    smithers("answer", "r1", "--value", "yes", "--no-resume")

    smithers("up", "--resume", "r1")

    assert smithers.json("output", "r1", "make")["tail"].startswith("yes\n")
    ends = [(one["node"], one["end"]) for one in smithers.json("inspect", "r1")["waits"]]
    assert ends == [("make.ask1", "resolved"), ("make.ask2", "resolved"), ("make.ask3", "expired")]


def test_a_question_of_a_task_ends_with_its_time(smithers: Smithers) -> None:
    body = '    return Task("make", run="smithers ask Really? --timeout 0.2s; echo code $?")\n'
    run = up(smithers, body, code=0)
    assert "code 3" in smithers.json("output", run, "make")["tail"]
    said = smithers("answer", run, "--node", "make.ask1", "--value", "yes", code=1)
    assert "nobody answered in time" in said.err


def test_a_question_of_an_attempt_that_is_over_is_withdrawn(smithers: Smithers) -> None:
    asked = "smithers ask Really? & until smithers inbox | grep -q Really; do sleep 0.05; done; exit 1"
    run = up(smithers, f'    return Task("make", run="{asked}", retries=0)\n', code=1)
    said = smithers("answer", run, "--node", "make.ask1", "--value", "yes", code=1)
    assert "the attempt of make that asked is over" in said.err


def test_a_question_of_a_task_can_be_withdrawn_and_cannot_write_to_the_terminal(smithers: Smithers) -> None:
    body = """\
    return Task("make", run=["sh", "-c", r"smithers ask '\x1b[2JDrop it?'; echo code $?"])
"""
    (smithers.repo / "flow.py").write_text(HEAD + body.replace('r"', '"'), encoding="utf-8")
    with Engine(smithers.repo, "flow.py", "--run-id", "r1") as engine:
        assert eventually(lambda: smithers.json("inbox")["waiting"] != [])
        assert "\x1b" not in smithers("inbox").out + smithers("why", "r1").out + smithers("inspect", "r1").out
        smithers("answer", "r1", "--withdraw")
        assert engine.end() == 0
    assert "code 4" in smithers.json("output", "r1", "make")["tail"]


def test_asking_outside_of_a_task_is_refused(smithers: Smithers) -> None:
    said = smithers("ask", "Who is there?", code=2)
    assert "smithers ask is for a task of a run" in said.err


def test_asking_for_an_attempt_that_is_over_is_refused(smithers: Smithers, monkeypatch: pytest.MonkeyPatch) -> None:
    run = up(smithers, '    return Task("a", value=1)\n', code=0)
    for name, value in (("RUN", run), ("NODE", "a"), ("ITERATION", "0"), ("ATTEMPT", "1")):
        monkeypatch.setenv(f"SMITHERS_{name}", value)
    assert "attempt 1 of a in run" in smithers("ask", "Anybody?", code=1).err


# -- inbox


def test_the_inbox_lists_every_run_oldest_first_with_the_command(smithers: Smithers) -> None:
    first = up(smithers, ASK)
    second = up(smithers, '    return HumanTask("b", output=Where, prompt="Now?")\n')
    up(smithers, SIGNAL)

    waiting = smithers.json("inbox")["waiting"]
    said = smithers("inbox").out

    assert [(one["run"], one["node"]) for one in waiting] == [(first, "where"), (second, "b")]
    assert said.index(f"smithers answer {first} --node where") < said.index(f"smithers answer {second} --node b")


def test_an_empty_inbox_is_no_error(smithers: Smithers) -> None:
    assert "nobody is waited for" in smithers("inbox").err
