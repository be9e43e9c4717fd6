"""Money and tokens: nothing starts beyond a budget, what was spent is never forgotten, and the person can raise it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit import engines as kit
from kit import repos, runs
from kit.runs import Smithers

from smithers_git.core import events as ev
from smithers_git.core.budget import Spent
from smithers_git.core.nodes import Budget
from smithers_git.names import TaskKey
from smithers_git.service.budget import Day
from smithers_git.service.project import Project

pytestmark = pytest.mark.usefixtures("warm_reapers")

STEPS = """\
    return Sequence(
        Task("one", agent="script", output=Change, prompt="1"),
        Task("two", agent="script", output=Change, prompt="2"),
        Task("three", agent="script", output=Change, prompt="3"),
    )
"""
PLAY = """\
[[turn]]
usage = { input = 900, output = 100 }
cost = 1.0
answer = { summary = "done" }
"""
"""Every attempt costs a dollar and a thousand tokens."""


@pytest.fixture
def smithers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Smithers:
    monkeypatch.setenv("SMITHERS_SCRIPT", "")  # so that what a test plays is forgotten after it
    repo = runs.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    runs.play(repo, PLAY)
    return Smithers(repo, capsys)


def configure(smithers: Smithers, text: str) -> None:
    repos.write(smithers.repo, {".smithers/config.toml": f"[budget]\n{text}\n"})


def attempts(smithers: Smithers, run: str) -> list[str]:
    """The nodes of all attempts of a run that were started, in order."""
    return [event.node for event in kit.events(smithers.repo, run) if isinstance(event, ev.TaskStarted)]


def parked(smithers: Smithers, *argv: str, code: int = 3) -> dict[str, Any]:
    found: dict[str, Any] = smithers.json(*argv, code=code)
    assert found["status"] == "parked"
    return found


# -- the soft limit


def test_at_the_soft_limit_nothing_starts_and_the_run_says_what_to_type(smithers: Smithers) -> None:
    smithers.write(STEPS)
    found = parked(smithers, "up", "flow.py", "--run-id", "r", "--budget", "2.5usd")
    assert attempts(smithers, "r") == ["one", "two"]
    assert "$2.00 of $2.50" in found["parked"]
    assert found["next"][0] == "smithers up --resume r --budget 5usd"
    assert (found["budget"], found["cost"]) == ({"usd": 2.5, "tokens": None}, 2.0)
    assert kit.events(smithers.repo, "r")[-1] == ev.RunParked(reason=found["parked"], kind="budget")
    why = smithers.json("why", "r")["blockers"][0]
    assert (why["kind"], why["commands"]) == ("parked", ["smithers up --resume r --budget 5usd"])
    assert "$2.00 of $2.50" in smithers("inspect", "r").out
    assert "$2.00 of $2.50" in smithers("ps").out
    assert smithers.json("ps")["runs"][0]["budget"] == {"usd": 2.5, "tokens": None}


def test_a_resume_over_the_limit_is_refused_with_the_figures_and_nothing_starts(smithers: Smithers) -> None:
    smithers.write(STEPS)
    parked(smithers, "up", "flow.py", "--run-id", "r", "--budget", "2.5usd")
    before = kit.tip(smithers.repo, "r")
    for argv in ((), ("--detach",), ("--budget", "2usd"), ("--budget", "2.4usd", "--detach")):
        error = smithers.json("up", "--resume", "r", *argv, code=1)["error"]
        assert error["code"] == "run-refused"
        assert "$2.00 of $2" in error["message"]
        assert "--budget 5usd" in error["hint"] or "--budget 4" in error["hint"]
    assert smithers("up", "--resume", "r", "--background", code=3).code == 3, "an engine in the background leaves"
    assert kit.tip(smithers.repo, "r") == before


@pytest.mark.parametrize("raised", ["10usd", "none"])
def test_a_raised_budget_is_recorded_and_the_run_goes_on_where_it_was(smithers: Smithers, raised: str) -> None:
    smithers.write(STEPS)
    parked(smithers, "up", "flow.py", "--run-id", "r", "--budget", "2.5usd")
    assert smithers.json("up", "--resume", "r", "--budget", raised)["status"] == "finished"
    assert attempts(smithers, "r") == ["one", "two", "three"]
    said = [event for event in kit.events(smithers.repo, "r") if isinstance(event, ev.RunBudgeted)]
    assert [event.usd for event in said] == [2.5, None if raised == "none" else 10.0]
    assert said[1].by == "Ada Tester <ada@example.test>"


def test_what_runs_at_the_soft_limit_goes_on_to_its_end(smithers: Smithers, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    smithers.write(f"""\
    return Sequence(
        Parallel(
            Task("slow", run={runs.hold(gate)!r}),
            Sequence(
                Task("dear", agent="script", output=Change, prompt="1"),
                Task("next", run="touch next.txt"),
            ),
        ),
    )
""")
    with runs.Engine(smithers.repo, "flow.py", "--run-id", "r", "--budget", "1100tokens") as engine:
        kit.until(lambda: kit.tip(smithers.repo, "r") and kit.has(smithers.repo, "r", ev.TaskFinished, "dear"), "dear")
        gate.touch()
        assert engine.end() == 3
    state = kit.state_of(smithers.repo, "r")
    assert state.done == {TaskKey("slow"), TaskKey("dear")}
    assert state.parked_for == "budget"
    assert "1000 of 1100 tokens" in str(state.parked)
    assert "next" not in attempts(smithers, "r")


def test_a_raise_reaches_the_engine_that_is_at_work(smithers: Smithers, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    smithers.write(f"""\
    return Parallel(
        Task("slow", run={runs.hold(gate)!r}),
        Sequence(
            Task("dear", agent="script", output=Change, prompt="1"),
            Task("next", run="touch next.txt"),
        ),
    )
""")
    with runs.Engine(smithers.repo, "flow.py", "--run-id", "r", "--budget", "1.2usd") as engine:
        kit.until(lambda: kit.tip(smithers.repo, "r") and kit.has(smithers.repo, "r", ev.TaskFinished, "dear"), "dear")
        assert smithers.json("up", "--resume", "r", "--budget", "9usd")["status"] == "running"
        kit.until(lambda: kit.has(smithers.repo, "r", ev.TaskFinished, "next"), "it goes on by itself")
        gate.touch()
        assert engine.end() == 0


def test_an_agent_that_names_no_price_is_said_once_when_the_budget_is_in_dollars(smithers: Smithers) -> None:
    smithers.write(STEPS)
    runs.play(smithers.repo, PLAY.replace("cost = 1.0\n", ""))
    said = "script names no price: a budget in dollars does not see it"
    assert smithers("up", "flow.py", "--budget", "2usd").err.count(said) == 1
    assert said not in smithers("up", "flow.py", "--budget", "9M").err


def test_a_run_that_has_nothing_left_to_start_is_finished_not_parked(smithers: Smithers) -> None:
    smithers.write('    return Task("one", agent="script", output=Change, prompt="1")\n')
    assert smithers.json("up", "flow.py", "--budget", "1usd")["status"] == "finished"


# -- the hard limit


def test_at_the_hard_limit_what_runs_is_ended_and_kept_and_a_higher_one_goes_on(smithers: Smithers) -> None:
    smithers.write("""\
    return Parallel(
        Worktree("a", Task("long", run="echo part > part.txt; [ -e ../go ] || sleep 50")),
        Worktree("b", Task("dear", agent="script", output=Change, prompt="1")),
    )
""")
    runs.play(smithers.repo, PLAY.replace("[[turn]]", "[[turn]]\nsleep = 0.5"))
    found = parked(smithers, "up", "flow.py", "--run-id", "r", "--budget", "0.9usd")
    assert "$1.00 of $0.90" in found["parked"]
    ends = [event for event in kit.events(smithers.repo, "r") if isinstance(event, ev.TaskInterrupted)]
    assert [event.node for event in ends] == ["long"]
    assert "budget" in ends[0].reason
    state = kit.state_of(smithers.repo, "r")
    assert repos.git(smithers.repo, "show", f"{state.spaces['a'].commit}:part.txt") == "part"
    place = Project.open(smithers.repo).workspaces("r").path("a")
    (place.parent / "go").touch()
    assert smithers.json("up", "--resume", "r", "--budget", "5usd")["status"] == "finished"


def test_a_raise_that_comes_while_what_runs_is_ended_lets_the_run_go_on(smithers: Smithers, tmp_path: Path) -> None:
    ending, gate = tmp_path / "ending", tmp_path / "gate"
    hold = f"until [ -e {gate} ]; do sleep 0.05; done"
    slow = f"trap 'touch {ending}; {hold}; exit 1' TERM; [ -e {gate} ] || sleep 50 & wait"
    smithers.write(f"""\
    return Parallel(
        Worktree("a", Task("long", run={slow!r})),
        Worktree("b", Task("dear", agent="script", output=Change, prompt="1")),
    )
""")
    runs.play(smithers.repo, PLAY.replace("[[turn]]", "[[turn]]\nsleep = 0.5"))
    with runs.Engine(smithers.repo, "flow.py", "--run-id", "r", "--budget", "0.9usd") as engine:
        kit.until(ending.exists, "what runs is ended")
        assert smithers.json("up", "--resume", "r", "--budget", "9usd")["status"] == "running"
        gate.touch()
        assert engine.end() == 0
    assert attempts(smithers, "r").count("long") == 2
    assert not any(isinstance(event, ev.RunParked) for event in kit.events(smithers.repo, "r"))


def test_what_an_attempt_had_reported_is_spent_when_its_engine_is_killed(smithers: Smithers) -> None:
    smithers.write(STEPS)
    wrong = PLAY.replace("[[turn]]", "[[turn]]\ncorrection = 0").replace('{ summary = "done" }', "{ nothing = 1 }")
    runs.play(smithers.repo, f"{wrong}\n[[turn]]\nsay = 'again'\nhang = true\n")
    with runs.Engine(smithers.repo, "flow.py", "--run-id", "r", "--budget", "1.2usd") as engine:
        live = Project.open(smithers.repo).run_dir("r") / "live"
        kit.until(lambda: any(b"again" in path.read_bytes() for path in live.glob("*.jsonl")), "the second turn")
        engine.kill()
    runs.play(smithers.repo, PLAY)
    error = smithers("up", "--resume", "r", code=3)
    state = kit.state_of(smithers.repo, "r")
    assert (state.cost, state.tokens) == (1.0, 1000), error.out
    assert attempts(smithers, "r") == ["one"], "nothing starts beyond the budget"


# -- where a budget comes from


def test_the_lower_of_the_workflows_and_the_configured_budget_holds_unless_the_person_says(smithers: Smithers) -> None:
    path = smithers.write(STEPS)
    source = path.read_text("utf-8")
    source = source.replace("Approval, ", "Approval, Budget, ").replace("input=Request", "input=Request, budget=BUDGET")
    path.write_text(
        source.replace("class Request", "BUDGET = Budget(usd=7.0, tokens=9000)\n\n\nclass Request"), "utf-8"
    )
    configure(smithers, "run_usd = 5.0\nrun_tokens = 10_000")
    for argv, usd, tokens in (((), 5.0, 9000), (("--budget", "90usd"), 90.0, 9000), (("--budget", "none"), None, None)):
        run = smithers.json("up", "flow.py", *argv)["run"]
        assert kit.state_of(smithers.repo, run).budget == Budget(usd, tokens)


def test_what_is_no_budget_is_refused_before_anything_starts(smithers: Smithers) -> None:
    smithers.write(STEPS)
    error = smithers.json("up", "flow.py", "--budget", "lots", code=2)["error"]
    assert "write it like 5usd" in error["message"]
    assert smithers.json("ps")["runs"] == []


def test_the_soft_part_is_a_setting(smithers: Smithers) -> None:
    configure(smithers, "soft = 0.3")
    smithers.write(STEPS)
    parked(smithers, "up", "flow.py", "--run-id", "r", "--budget", "3usd")
    assert attempts(smithers, "r") == ["one"]


def test_what_a_parked_run_says_to_type_is_enough_whatever_the_soft_part(smithers: Smithers) -> None:
    configure(smithers, "soft = 0.2")
    smithers.write(STEPS)
    for command in parked(smithers, "up", "flow.py", "--run-id", "r", "--budget", "2usd")["next"][:1]:
        parked(smithers, *command.split()[1:])
    assert attempts(smithers, "r") == ["one", "two"]


def test_a_run_whose_budget_was_raised_says_that_it_waits_for_the_day(smithers: Smithers) -> None:
    configure(smithers, "day_tokens = 1000\nsoft = 1.0")
    smithers.write(STEPS)
    parked(smithers, "up", "flow.py", "--run-id", "r", "--budget", "1usd")
    assert "today" in smithers.json("up", "--resume", "r", "--budget", "9usd", code=1)["error"]["message"]
    found = smithers.json("inspect", "r")
    assert found["parked"] == "1000 of 1000 tokens spent today: the budget of the day is used up"
    assert found["next"][0] == "smithers up --resume r", "and not a budget that is higher still"


# -- travel


def test_a_fork_carries_the_budget_and_what_was_spent_of_it(smithers: Smithers) -> None:
    smithers.write(STEPS)
    parked(smithers, "up", "flow.py", "--run-id", "r", "--budget", "2.5usd")
    smithers("fork", "r", "--run-id", "f")
    parked(smithers, "up", "--resume", "f")
    assert attempts(smithers, "f") == ["one", "two"], "those of its parent"
    state = kit.state_of(smithers.repo, "f")
    assert (state.cost, state.tokens, state.budget) == (2.0, 2000, Budget(2.5))
    assert smithers.json("up", "--resume", "f", "--budget", "9usd")["status"] == "finished"


def test_a_rewind_gives_the_run_its_budget_back_but_not_the_day(smithers: Smithers) -> None:
    configure(smithers, "day_usd = 3.0\nsoft = 1.0")
    smithers.write(STEPS)
    parked(smithers, "up", "flow.py", "--run-id", "r", "--budget", "2usd")
    frame = next(f.data.number for f in kit.frames(smithers.repo, "r") if ev.TaskFinished in map(type, f.data.events))
    smithers("rewind", "r", "--frame", str(frame), "--yes")
    assert kit.state_of(smithers.repo, "r").cost == 1.0
    project = Project.open(smithers.repo)
    assert Day(project).spent(project.clock.now()) == Spent(2.0, 2000)
    found = parked(smithers, "up", "--resume", "r", "--budget", "9usd")
    assert "$3.00 of $3.00 spent today" in found["parked"]


# -- the day


def test_the_day_is_that_of_all_runs_and_the_next_one_begins_at_nothing(smithers: Smithers) -> None:
    configure(smithers, "day_tokens = 4000\nsoft = 1.0")
    smithers.write(STEPS)
    assert smithers.json("up", "flow.py")["status"] == "finished"
    found = parked(smithers, "up", "flow.py", "--run-id", "r")
    assert attempts(smithers, "r") == ["one"]
    assert "4000 of 4000 tokens spent today" in found["parked"]
    error = smithers.json("up", "--resume", "r", code=1)["error"]
    assert "4000 of 4000 tokens" in error["message"]
    assert "after midnight" in error["hint"]
    project = Project.open(smithers.repo)
    now = project.clock.now()
    assert Day(project).spent(now) == Spent(4.0, 4000)
    assert Day(project).spent(now + 86_400) == Spent()
    configure(smithers, "day_tokens = 400_000")
    assert smithers.json("up", "--resume", "r")["status"] == "finished"


def test_a_fork_does_not_spend_again_what_its_parent_has_spent_today(smithers: Smithers) -> None:
    smithers.write(STEPS)
    assert smithers.json("up", "flow.py", "--run-id", "r")["status"] == "finished"
    smithers("fork", "r", "--run-id", "f", "--reset", "three")
    assert smithers.json("up", "--resume", "f")["status"] == "finished"
    project = Project.open(smithers.repo)
    now = project.clock.now()
    assert kit.state_of(smithers.repo, "f").cost == 4.0
    assert Day(project).spent(now) == Spent(4.0, 4000)
    smithers("gc")
    assert Day(Project.open(smithers.repo)).spent(now) == Spent(4.0, 4000), "folded runs count too"
