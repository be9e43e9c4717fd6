"""`ticket-create` and `tickets-create`: proposals that hold together become files, and nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest
from kit import repos
from kit.script_agent import Stage, statuses, turn

from smithers_git.core.ticket import parse
from smithers_git.service import approvals, drive
from smithers_git.service.approvals import Answer
from smithers_git.service.drive import Drive, Resume
from smithers_git.service.project import Project


def piece(id: str, *needs: str, **more: Any) -> dict[str, Any]:
    title = id.replace("-", " ").capitalize()
    return {"id": id, "title": title, "body": f"Do {id}.", "acceptance": [f"{id} is done"], "depends_on": needs, **more}


def propose(iteration: int | None, *pieces: dict[str, Any], expect: tuple[str, ...] = ()) -> dict[str, Any]:
    return turn("propose", iteration, expect=list(expect), answer={"tickets": pieces, "not_included": ["a parser"]})


def put(stage: Stage, id: str) -> None:
    """A ticket that is there already."""
    repos.write(stage.repo, {f".smithers/tickets/{id}.md": f"+++\nid = '{id}'\ntitle = 'Old {id}'\n+++\n"})


def files(stage: Stage) -> dict[str, str]:
    folder = stage.repo / ".smithers" / "tickets"
    return {path.name: path.read_text() for path in sorted(folder.iterdir())} if folder.is_dir() else {}


def decide(stage: Stage, run: str, approved: bool, note: str = "") -> Any:
    project = Project.open(stage.repo)
    approvals.decide(project, approvals.choose(project, run, None), Answer(approved, "Ada", note))
    return drive.go(Project.open(stage.repo), run, Resume(), Drive())


def test_one_ticket_becomes_a_file_in_the_checkout_and_nothing_else(stage: Stage) -> None:
    put(stage, "parse-input")
    (stage.repo / ".git" / "info" / "exclude").write_text("/.smithers/config.toml\n")
    wanted = ("make it fast", "`parse-input`: Old parse-input", "sh check.sh")
    stage.play(turn("propose", expect=list(wanted), answer=piece("measure-first", "parse-input", priority=2)))
    state = stage.up("ticket-create", prompt="make it fast")
    assert state.end == "finished"
    written = {"id": "measure-first", "path": ".smithers/tickets/measure-first.md"}
    assert stage.output(state, "write") == written
    found = parse(files(stage)["measure-first.md"], "x.md")
    assert (found.id, found.title, found.priority) == ("measure-first", "Measure first", 2)
    assert (found.depends_on, found.acceptance, found.body) == (
        ["parse-input"],
        ["measure-first is done"],
        "Do measure-first.",
    )
    assert repos.git(stage.repo, "diff", "--name-only", "HEAD", f"smithers/{state.run}/main") == ""
    assert set(files(stage)) == {"measure-first.md", "parse-input.md"}
    assert repos.git(stage.repo, "status", "--porcelain", "-uno") == ""


def test_a_set_becomes_files_in_its_order(stage: Stage) -> None:
    stage.play(propose(None, piece("b", "a"), piece("a")))
    state = stage.up("tickets-create", prompt="all of it")
    assert stage.output(state, "write") == {
        "ids": ["b", "a"],
        "paths": [".smithers/tickets/b.md", ".smithers/tickets/a.md"],
        "not_included": ["a parser"],
    }
    assert parse(files(stage)["b.md"], "x.md").depends_on == ["a"]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ([piece("a", "b"), piece("b", "a")], "a: it depends on itself: "),
        ([piece("a", "lost")], "a: it depends on 'lost', which is no ticket"),
        ([piece("a"), piece("A")], "two tickets have the id 'a' ('A')"),
        ([piece("not an id")], "'not an id' cannot be an id"),
        ([piece("old")], "there is a ticket 'old' already"),
        ([piece("a", title="two\nlines")], "a: the title must be one line"),
        ([piece(f"t{n}") for n in range(4)], "there are 4 tickets, at most 3 are wanted"),
    ],
)
def test_what_does_not_hold_together_goes_back_to_the_same_agent(bad: list[Any], said: str, stage: Stage) -> None:
    put(stage, "old")
    stage.play(propose(0, *bad), propose(1, piece("a", "old"), expect=("Your last proposal cannot be written", said)))
    state = stage.up("tickets-create", prompt="x", max_tickets=3)
    assert statuses(state, "propose") == ["finished", "finished"]
    assert sorted(files(stage)) == ["a.md", "old.md"]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (piece("old"), "there is a ticket 'old' already"),
        (piece("a b"), "cannot be an id"),
        (piece("a", "a"), "it depends on itself"),
        (piece("a", "odl"), "which is no ticket (did you mean 'old'?)"),
    ],
)
def test_one_ticket_that_does_not_fit_goes_back_too(bad: Any, said: str, stage: Stage) -> None:
    put(stage, "old")
    stage.play(turn("propose", 0, answer=bad), turn("propose", 1, expect=said, answer=piece("new", "old")))
    assert stage.up("ticket-create", prompt="x").end == "finished"
    assert sorted(files(stage)) == ["new.md", "old.md"]


@pytest.mark.parametrize("pack", ["ticket-create", "tickets-create"])
def test_an_agent_that_never_gets_it_right_writes_nothing(pack: str, stage: Stage) -> None:
    bad = piece("a", "lost")
    stage.play(turn("propose", answer=bad if pack == "ticket-create" else {"tickets": [bad]}))
    state = stage.up(pack, prompt="x", max_rounds=2, code=1)
    assert "until-sound reached its ceiling of 2" in str(state.error)
    assert files(stage) == {}


def test_a_person_sees_the_set_before_anything_is_written(stage: Stage) -> None:
    stage.play(
        propose(0, piece("a"), piece("b", "a")),
        propose(1, piece("c"), expect=("A person said no to it", "Ada: one will do")),
    )
    state = stage.up("tickets-create", prompt="x", approve=True, code=3)
    (key,) = state.waiting()
    assert "2. b: B\n   after a" in state.approvals[key].summary
    assert "Not included: a parser" in state.approvals[key].summary
    assert files(stage) == {}
    state = decide(stage, state.run, approved=False, note="one will do")
    assert files(stage) == {}
    assert decide(stage, state.run, approved=True).end == "finished"
    assert list(files(stage)) == ["c.md"]


def test_a_person_sees_the_one_ticket_too(stage: Stage) -> None:
    stage.play(turn("propose", answer=piece("a")))
    state = stage.up("ticket-create", prompt="x", approve=True, code=3)
    (key,) = state.waiting()
    assert state.approvals[key].summary.startswith("a: A\n\nDo a.\n\nDone when:\n- a is done")
    assert decide(stage, state.run, approved=True).end == "finished"


def test_a_file_that_came_in_between_is_not_overwritten(stage: Stage) -> None:
    stage.play(turn("propose", answer=piece("a")))
    state = stage.up("ticket-create", prompt="x", approve=True, code=3)
    put(stage, "a")
    before = files(stage)
    state = decide(stage, state.run, approved=True)
    assert "there is a ticket 'a' already" in str(state.error)
    assert files(stage) == before


def test_neither_needs_a_check_command(stage: Stage) -> None:
    stage.configure()
    stage.play(turn("propose", answer=piece("a")))
    assert stage.up("ticket-create", prompt="x").end == "finished"
