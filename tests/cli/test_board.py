"""`smithers board`: where each ticket stands, with a run or without, on a narrow terminal and as JSON."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from kit import repos, runs
from kit.repos import git
from kit.runs import Smithers
from kit.script_agent import Stage, turn

from smithers_git.service.project import Project

APPROVED = {"approved": True, "summary": "good", "blocking": []}


@pytest.fixture
def stage(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage(tmp_path, capsys, monkeypatch)
    repos.commit(made.repo, {"check.sh": "test ! -e red\n"})
    return made


@pytest.fixture
def smithers(stage: Stage, capsys: pytest.CaptureFixture[str]) -> Smithers:
    """The program in the stage's repository, for its text; `stage.smithers` is for its JSON."""
    return Smithers(stage.repo, capsys)


def put(repo: Path, id: str, *needs: str) -> None:
    text = f"+++\nid = '{id}'\ntitle = 'Do {id}'\ndepends_on = {list(needs)}\n+++\n"
    repos.write(repo, {f".smithers/tickets/{id}.md": text})


def land(repo: Path, id: str) -> str:
    git(repo, "commit", "-q", "--allow-empty", "-m", f"Do {id}\n\nSmithers-Ticket: {id}\nSmithers-Entry: 1")
    return git(repo, "rev-parse", "HEAD")


def columns(document: Any) -> dict[str, list[str]]:
    """Ids by column, of those that hold something."""
    return {name: [card["ticket"] for card in cards] for name, cards in document["columns"].items() if cards}


def test_without_tickets_it_says_how_to_get_some(smithers: Smithers) -> None:
    said = smithers("board")
    assert said.out == ""
    assert "smithers up tickets-create" in said.err


def test_tickets_that_no_run_has_begun(stage: Stage, smithers: Smithers) -> None:
    commit = land(stage.repo, "old")
    for id, *needs in (("old",), ("new", "old"), ("later", "new"), ("x", "y"), ("y", "x")):
        put(stage.repo, id, *needs)
    repos.write(stage.repo, {".smithers/tickets/bad.md": "# Bad\n"})

    document = stage.smithers("board")

    assert columns(document) == {"todo": ["later", "new"], "landed": ["old"], "blocked": ["x", "y"]}
    assert (document["run"], document["onto"], document["ahead"]) == (None, "smithers/integration", 0)
    assert document["columns"]["landed"][0]["commit"] == commit
    assert document["columns"]["todo"][0]["why"] == "waits for new"
    assert list(document["broken"]) == [".smithers/tickets/bad.md"]
    said = smithers("board")
    assert said.out.startswith("1 of 5 tickets landed on smithers/integration\n")
    assert "blocked x: y is blocked itself" in said.out
    assert "bad.md:1: this file has no head" in said.err


def test_a_run_over_all_its_columns(stage: Stage, smithers: Smithers) -> None:
    for id, *needs in (("good",), ("bad",), ("after-bad", "bad")):
        put(stage.repo, id, *needs)
    answer = {"summary": "did it", "files_changed": []}
    stage.play(
        turn("good.implement", write=[{"path": "good", "text": "x"}], answer=answer),
        turn("bad.implement", write=[{"path": "red", "text": "x"}], answer=answer),
        turn("*.review", answer=APPROVED),
    )
    run = stage.up("kanban", max_iterations=2).run
    assert stage.smithers("inspect", run)["next"][0] == f"smithers board {run}"
    put(stage.repo, "fresh")

    document = stage.smithers("board", run)

    assert columns(document) == {"landed": ["good"], "blocked": ["after-bad"], "failed": ["bad"]}
    (failed,) = document["columns"]["failed"]
    assert failed["why"] == "its check is red: it said nothing, after 2 passes"
    assert failed["passes"] == 2
    assert columns(stage.smithers("board"))["todo"] == ["fresh"], "without a run: what lies in the checkout now"
    assert document["columns"]["landed"][0]["commit"] == git(stage.repo, "rev-parse", "smithers/integration")
    said = smithers("board", run)
    assert f"next: smithers land smithers/integration brings {document['ahead']} commits onto your branch" in said.err
    git(stage.repo, "merge", "-q", "--squash", "smithers/integration")
    git(stage.repo, "commit", "-qm", "All of it")
    assert stage.smithers("board", run)["ahead"] == 0
    text = said.out.splitlines()
    assert text[0] == f"run {run} is finished, 1 of 3 tickets landed on smithers/integration"
    assert [word for word in text[2].split() if not word.isdigit()] == ["LANDED", "BLOCKED", "FAILED"]
    assert text[3].split() == ["good", "after-bad", "bad"]
    assert f"failed bad: {failed['why']}" in text


def test_what_waits_for_a_person_is_in_review(stage: Stage) -> None:
    put(stage.repo, "a")
    put(stage.repo, "b", "a")
    answer = {"summary": "did it", "files_changed": []}
    stage.play(
        turn("*.implement", write=[{"path": "a", "text": "x"}], answer=answer), turn("*.review", answer=APPROVED)
    )
    run = stage.up("kanban", approve=True, code=3).run
    (stage.repo / ".smithers/tickets/a.md").unlink()

    for document in (stage.smithers("board", run), stage.smithers("board")):
        assert columns(document) == {"todo": ["b"], "review": ["a"]}, "what is being worked on stays on the board"
        assert document["columns"]["review"][0]["why"] == "waits for a person"
        assert document["status"] == "waiting"


def at_work(stage: Stage, run: str) -> int:
    """How many tasks of a run are in flight; none while it does not exist."""
    project = Project.open(stage.repo)
    return len(project.chain(run).state.running) if run in project.tips() else 0


FLOW = """\
from smithers_git import Context, Loop, Parallel, Sequence, Survey, Task, Ticket, workflow

IDS = ["in-work", "in-review", "in-the-queue", "waiting", "given-up"]
STEPS = {{"in-work": "implement", "in-review": "review", "in-the-queue": "land"}}


@workflow
def kanban(ctx: Context):
    tickets = [Ticket(id=id, title=id, depends_on=["in-work"] * (id == "waiting")) for id in IDS]
    return Sequence(
        Task("survey", value=Survey(onto="next", tickets=tickets, notes=["ticket in-work was edited"])),
        Parallel(
            Loop(
                Task("given-up.check", value=1),
                until=False,
                max_iterations=1,
                on_max="return-last",
                id="given-up.loop",
            ),
            [Task(f"{{id}}.{{step}}", run={hold!r}) for id, step in STEPS.items()],
        ),
    )
"""


def test_a_run_that_is_at_work(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, smithers: Smithers, tmp_path: Path
) -> None:
    repos.write(stage.repo, {"packs/kanban/workflow.py": FLOW.format(hold=runs.hold(tmp_path / "gate"))})
    for id in ("in-work", "another"):
        put(stage.repo, id)
    with runs.Engine(stage.repo, "packs/kanban", "--run-id", "k1"):
        for _ in range(400):
            if at_work(stage, "k1") == 3:
                break
            time.sleep(0.05)
        document = stage.smithers("board", "k1")
        monkeypatch.setattr("smithers_git.edge.output.columns", lambda: 80)
        text = smithers("board", "k1")
        (tmp_path / "gate").touch()

    assert document["status"] == "running"
    assert columns(document) == {
        "todo": ["waiting"],
        "doing": ["in-work"],
        "review": ["in-review"],
        "queued": ["in-the-queue"],
        "failed": ["given-up"],
    }
    assert document["columns"]["doing"][0]["why"] == "pass 1: implement"
    assert document["columns"]["failed"][0]["why"] == "given up after 1 pass"
    assert max(map(len, text.out.splitlines())) <= 80
    assert "\x1b" not in text.out
    heads = [line for line in text.out.splitlines() if line.isupper()]
    assert [line.split()[::2] for line in heads] == [["TODO", "DOING", "REVIEW"], ["QUEUED", "FAILED"]]
    assert "note: ticket in-work was edited" in text.err


def test_a_run_that_works_on_no_tickets_has_no_board(stage: Stage, smithers: Smithers) -> None:
    stage.play(turn("*", answer={"questions": ["a"], "answer": "b"}))
    repos.write(stage.repo, {"flow.py": runs.HEAD + '    return Task("survey", value={"tickets": 3})\n'})
    run = stage.smithers("up", "flow.py")["run"]
    said = smithers("board", run, code=1)
    assert f"run {run} works on no tickets" in said.err
    assert "smithers board without a run" in said.err
