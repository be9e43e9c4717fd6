"""A merge queue inside a workflow: worktrees side by side, landing one after another, refusals that go back."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kit import queues, repos
from kit.engines import Engine
from kit.processes import eventually
from kit.repos import git
from kit.runs import Smithers, play

from smithers_git.core.landing.events import EntryRefused
from smithers_git.errors import StorageError
from smithers_git.service.landing import desk, line, request, task
from smithers_git.service.landing.ledger import Ledger
from smithers_git.service.project import Project

pytestmark = pytest.mark.usefixtures("warm_reapers")

LINE = "smithers/integration"

SIDE_BY_SIDE = """\
    return MergeQueue(
        Worktree("one", Task("t1", run="echo 1 > one.txt")),
        Worktree("two", Task("t2", run="echo 2 > two.txt")),
        gates=["sh gate.sh"],
    )
"""

BACK = """\
    landing = ctx.latest(Landing, "land")
    feedback = landing.evidence if landing and not landing.landed else ""
    return Worktree(
        "side",
        Loop(
            Task("implement", agent="script", output=Change, same_conversation=True, prompt="fix it\\n" + feedback),
            Land("land", gates=["sh gate.sh"], check=False, title="Say it right"),
            until=bool(landing and landing.landed),
            max_iterations=3,
        ),
    )
"""


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = queues.make_repo(tmp_path / "repo")
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def smithers(repo: Path, capsys: pytest.CaptureFixture[str]) -> Smithers:
    return Smithers(repo, capsys)


def up(smithers: Smithers, body: str, code: int | None = 0) -> str:
    smithers.write(body)
    path = smithers.repo / "flow.py"
    names = "from smithers_git import Land, Landing, MergeQueue\n"
    path.write_text(names + path.read_text("utf-8"), encoding="utf-8")
    return str(smithers.json("up", "flow.py", code=code)["run"])


def test_worktrees_land_on_an_integration_branch_and_the_base_branch_has_not_moved(smithers: Smithers, repo: Path):
    base = git(repo, "rev-parse", "main")
    up(smithers, SIDE_BY_SIDE)
    assert git(repo, "rev-parse", "main") == base
    assert git(repo, "show", f"{LINE}:one.txt") == "1"
    assert git(repo, "show", f"{LINE}:two.txt") == "2"
    assert git(repo, "rev-list", "--first-parent", "--count", f"{base}..{LINE}") == "2"
    assert smithers.json("verify", f"{base}..{LINE}", "--strict")["ok"] is True


def test_a_run_that_landed_on_an_integration_branch_lands_that_branch_on_the_users(smithers: Smithers, repo: Path):
    run = up(smithers, SIDE_BY_SIDE)
    said = smithers.json("land", run, "--gate", "sh gate.sh")
    assert (said["onto"], said["landed"]) == ("main", True)
    assert (repo / "one.txt").exists()
    assert (repo / "two.txt").exists()


def test_an_integration_branch_whose_work_came_home_begins_again_at_the_base(smithers: Smithers, repo: Path):
    run = up(smithers, SIDE_BY_SIDE)
    smithers.json("land", run, "--gate", "sh gate.sh")
    repos.commit(repo, {"more.txt": "x\n"})
    tip = git(repo, "rev-parse", "main")
    up(smithers, SIDE_BY_SIDE.replace("one.txt", "three.txt").replace("two.txt", "four.txt"))
    assert git(repo, "merge-base", tip, LINE) == tip


def test_a_conflict_goes_back_to_the_same_conversation_with_the_hunks_of_both_sides(smithers: Smithers, repo: Path):
    git(repo, "branch", LINE)
    git(repo, "checkout", "-q", LINE)
    repos.commit(repo, {"a.txt": "theirs\n"})
    git(repo, "checkout", "-q", "main")
    play(
        repo,
        """
[[turn]]
node = "implement"
iteration = 0
write = [{ path = "a.txt", text = "mine\\n" }]
answer = { summary = "first" }

[[turn]]
node = "implement"
iteration = 1
expect = ["conflicts with the target", "theirs", "mine"]
run = [["git", "merge", "-q", "-s", "ours", "smithers/integration"]]
write = [{ path = "a.txt", text = "theirs\\nand mine\\n" }]
answer = { summary = "second" }
""",
    )
    run = up(smithers, BACK)
    assert git(repo, "show", f"{LINE}:a.txt") == "theirs\nand mine"
    sessions = [smithers.json("node", run, f"implement@{n}")["tries"][-1]["session"] for n in (0, 1)]
    assert sessions[0]
    assert sessions[0] == sessions[1]
    assert git(repo, "log", "-1", "--format=%s", LINE) == "Say it right"


def test_nobody_hears_of_a_refusal_before_the_frame_that_has_it(
    smithers: Smithers, repo: Path, monkeypatch: pytest.MonkeyPatch
):
    heard, early = threading.Event(), []
    tell, write = task.evidence, Ledger.commit

    def told(*args: Any) -> str:
        heard.set()
        return tell(*args)

    def slowly(ledger: Ledger) -> bool:
        if any(isinstance(event, EntryRefused) for event in ledger._pending):
            early.append(heard.wait(0.2))
        return write(ledger)

    monkeypatch.setattr(task, "evidence", told)
    monkeypatch.setattr(desk, "_PAUSE", 0.01)
    monkeypatch.setattr(Ledger, "commit", slowly)
    body = '    return MergeQueue(Worktree("one", Task("t1", run="touch red")), gates=["sh gate.sh"])\n'
    run = up(smithers, body, code=1)
    assert early == [False]
    assert "red is there" in smithers.json("node", run, "one.land")["tries"][-1]["message"]


def test_evidence_that_a_frame_should_have_and_has_not_is_an_error(smithers: Smithers, repo: Path):
    body = '    return MergeQueue(Worktree("one", Task("t1", run="touch red")), gates=["sh gate.sh"])\n'
    up(smithers, body, code=1)
    project = Project.open(repo)
    (refused,) = line.open_ledger(project, f"refs/heads/{LINE}").state.entries.values()
    assert "red is there" in line.evidence(project, f"refs/heads/{LINE}", refused)
    with pytest.raises(StorageError, match=r"evidence/gone\.txt"):
        line.evidence(project, f"refs/heads/{LINE}", replace(refused, evidence="evidence/gone.txt"))


def test_a_red_gate_on_the_merged_tree_goes_back_with_its_log(smithers: Smithers, repo: Path):
    play(
        repo,
        """
[[turn]]
node = "implement"
iteration = 0
write = [{ path = "red", text = "" }]
answer = { summary = "first" }

[[turn]]
node = "implement"
iteration = 1
expect = ["red is there"]
delete = ["red"]
write = [{ path = "b.txt", text = "b" }]
answer = { summary = "second" }
""",
    )
    up(smithers, BACK)
    assert git(repo, "show", f"{LINE}:b.txt") == "b"


def test_a_refusal_outside_of_a_loop_fails_the_task(smithers: Smithers, repo: Path):
    body = 'return MergeQueue(Worktree("one", Task("t1", run="touch red")), gates=["sh gate.sh"])\n'
    run = up(smithers, "    " + body, code=1)
    last = smithers.json("node", run, "one.land")["tries"][-1]
    assert last["kind"] == "gate"
    assert "red is there" in last["message"]


def test_siblings_of_what_is_refused_land(smithers: Smithers, repo: Path):
    body = """\
    return MergeQueue(
        Worktree("bad", Task("t1", run="touch red"), Land("bad.in", continue_on_fail=True)),
        Worktree("after", Task("t3", run="echo 3 > three.txt"), Land("after.in", needs="good.in")),
        Worktree("good", Task("t2", run="echo 2 > two.txt"), Land("good.in")),
        gates=["sh gate.sh"],
    )
"""
    up(smithers, body)
    assert git(repo, "ls-tree", "--name-only", LINE, "two.txt", "three.txt", "red").split() == ["three.txt", "two.txt"]


def test_a_worktree_can_begin_at_what_has_landed(smithers: Smithers, repo: Path):
    body = """\
    return MergeQueue(
        Worktree("one", Task("t1", run="echo 1 > one.txt"), Land("in1")),
        Worktree("two", Task("t2", run="cat one.txt > two.txt", needs="in1"), base="smithers/integration"),
        gates=["sh gate.sh"],
    )
"""
    up(smithers, body)
    assert git(repo, "show", f"{LINE}:two.txt") == "1"


def test_a_run_whose_landing_waits_for_what_never_comes_leaves_no_process(smithers: Smithers, repo: Path):
    body = """\
    return Worktree("one", Task("t1", run="echo 1 > one.txt"), Land("in", gates=["true"], depends_on="other"))
"""
    run = up(smithers, body, code=3)
    assert smithers.json("inspect", run)["status"] == "interrupted"
    assert "other" in smithers("timeline", run).out


def test_a_landing_that_was_taken_out_with_its_engine_has_not_failed(
    smithers: Smithers, repo: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whoever drives the queue may tell it that it was ejected before it has left."""
    publish, withdraw, told = desk.Desk._publish, desk._withdraw, threading.Event()

    def tell(self: desk.Desk, shared: Any, *rest: Any) -> bool:
        done = publish(self, shared, *rest)
        if any(ticket.settled for ticket in shared.tickets):
            told.set()
        return done

    def leave(*args: Any) -> None:
        withdraw(*args)
        assert told.wait(30)

    monkeypatch.setattr(desk.Desk, "_publish", tell)
    monkeypatch.setattr(desk, "_withdraw", leave)
    body = """\
    return Worktree("one", Task("t1", run="echo 1 > one.txt"), Land("in", gates=["true"], depends_on="other"))
"""
    run = up(smithers, body, code=3)
    said = smithers("timeline", run).out
    assert "in interrupted" in said
    assert "in failed" not in said


def test_the_gates_of_a_landing_default_to_the_projects_check(smithers: Smithers, repo: Path):
    repos.commit(repo, {".smithers/config.toml": 'check = "sh gate.sh"\n'})
    up(smithers, '    return MergeQueue(Worktree("one", Task("t1", run="echo 1 > one.txt")))\n')
    found = smithers.json("verify", LINE)["commits"][0]
    assert [one["gate"] for one in found["gates"]] == [["sh", "gate.sh"]]


def test_what_a_person_approved_is_said_in_the_entry(smithers: Smithers, repo: Path):
    body = """\
    return Worktree("one", Task("t1", run="echo 1 > one.txt"), Land("in", gates=["true"], needs_approval="Take it?"))
"""
    run = up(smithers, body, code=3)
    smithers("approve", run, "--by", "Grace", "--no-resume")
    smithers("up", "--resume", run)
    assert queues.state(repo, LINE).waiting() == []
    assert queues.entries(repo, LINE)[f"{run}/one"].entry.approval == "Grace"


def test_a_cancel_takes_what_waits_out_of_the_queue(smithers: Smithers, repo: Path, tmp_path: Path):
    began, gate = tmp_path / "began", f"touch {tmp_path}/began; sleep 60"
    names = "from smithers_git import Land\n"
    smithers.write(f'    return Worktree("one", Task("t1", run="echo 1 > one.txt"), Land("in", gates=["{gate}"]))\n')
    (repo / "flow.py").write_text(names + (repo / "flow.py").read_text())
    engine = Engine(repo, "up", "flow.py", "--run-id", "r", log=tmp_path / "up")
    while not began.exists():
        time.sleep(0.02)
    assert "r/one is in the queue of smithers/integration" in smithers("why", "r").out
    smithers("cancel", "r")
    engine.wait(4)
    assert queues.entries(repo, LINE)["r/one"].status == "ejected"


def test_a_run_that_is_killed_while_it_lands_goes_on_and_lands_once(smithers: Smithers, repo: Path, tmp_path: Path):
    base = git(repo, "rev-parse", "main")
    smithers.write(SIDE_BY_SIDE.replace("sh gate.sh", "sleep 0.1; sh gate.sh"))
    (repo / "flow.py").write_text("from smithers_git import MergeQueue\n" + (repo / "flow.py").read_text())
    chance = random.Random(7)
    argv = ("up", "flow.py", "--run-id", "r")
    for number in range(6):
        engine = Engine(repo, *argv, log=tmp_path / f"up{number}")
        until = time.monotonic() + chance.uniform(0.3, 1.2)
        while engine.alive and time.monotonic() < until:
            time.sleep(0.01)
        engine.kill()
        if git(repo, "for-each-ref", "refs/smithers/runs/r"):
            argv = ("up", "--resume", "r")
    smithers("up", "--resume", "r")
    assert git(repo, "rev-list", "--first-parent", "--count", f"{base}..{LINE}") == "2"
    assert smithers.json("verify", f"{base}..{LINE}", "--strict")["ok"] is True


def test_what_is_in_the_target_already_counts_as_landed_for_those_who_wait_for_it(smithers: Smithers, repo: Path):
    message = "An older ticket\n\nSmithers-Ticket: old\nSmithers-Entry: 0123456789abcdef"
    git(repo, "commit", "-q", "--allow-empty", "-m", message)
    body = """\
    return Worktree("one", Task("t1", run="echo 1 > one.txt"), Land("in", gates=["true"], depends_on="old"))
"""
    up(smithers, body)
    assert git(repo, "show", f"{LINE}:one.txt") == "1"


def test_a_landing_whose_withdrawal_fails_leaves_nobody_at_the_queue(repo: Path, monkeypatch: pytest.MonkeyPatch):
    queues.branch(repo, "side", {"b.txt": "b\n"})
    project = Project.open(repo)
    asked = request.make(project, request.Request("side", gates=("sleep 60",), by="Ada"))
    at, stop = desk.Desk(project, lambda _text: None), threading.Event()

    def fails(*_: object) -> None:
        raise StorageError("no space left on device", hint="free disk space")

    monkeypatch.setattr(desk, "_withdraw", fails)
    stop.set()
    with pytest.raises(StorageError):
        at.land(asked, "Ada", stop)
    assert eventually(lambda: not any(one.name.startswith("smithers queue") for one in threading.enumerate()))
