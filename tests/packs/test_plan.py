"""`plan`: drafts until the critic is content; a person can have the last word."""

from __future__ import annotations

from typing import Any

from kit.script_agent import Stage, statuses, turn

from smithers_git.service import approvals, drive
from smithers_git.service.approvals import Answer
from smithers_git.service.drive import Drive, Resume
from smithers_git.service.project import Project

SOUND = {"sound": True, "must_change": []}
UNSOUND = {"sound": False, "must_change": ["there is no file main.rs"]}


def draft(iteration: int | None, title: str = "Add a cache", *expect: str) -> dict[str, Any]:
    step = {"title": "Measure", "what": "Time it.", "files": ["calc.py"], "done_when": "`make bench` says a number"}
    plan = {"title": title, "goal": "faster", "approach": "a cache", "steps": [step], "questions": ["How big? 1 MB."]}
    return turn("draft", iteration, expect=list(expect), answer=plan)


def test_a_sound_draft_becomes_a_document(stage: Stage) -> None:
    stage.play(draft(0, "Add a cache", "make it fast"), turn("critique", expect="Time it.", answer=SOUND))
    state = stage.up("plan", prompt="make it fast")
    markdown = stage.output(state, "document")["markdown"]
    assert markdown.startswith("# Add a cache\n")
    assert "## 1. Measure" in markdown
    assert "How big? 1 MB." in markdown
    assert "critic" not in markdown


def test_objections_go_into_the_next_draft(stage: Stage) -> None:
    stage.play(
        draft(0),
        turn("critique", 0, answer=UNSOUND),
        draft(1, "Add a cache", "Your last draft", "there is no file main.rs"),
        turn("critique", 1, answer=SOUND),
    )
    state = stage.up("plan", prompt="x")
    assert statuses(state, "draft") == ["finished", "finished"]


def test_at_the_ceiling_the_last_draft_stands_with_its_objections(stage: Stage) -> None:
    stage.play(draft(None), turn("critique", answer=UNSOUND))
    state = stage.up("plan", prompt="x", max_rounds=2)
    assert state.end == "finished"
    assert "there is no file main.rs" in stage.output(state, "document")["markdown"]


def test_a_plan_needs_no_check_command(stage: Stage) -> None:
    stage.configure()
    stage.play(draft(None), turn("critique", answer=SOUND))
    assert stage.up("plan", prompt="x").end == "finished"


def decide(stage: Stage, run: str, approved: bool, note: str = "") -> None:
    project = Project.open(stage.repo)
    question = approvals.choose(project, run, None)
    approvals.decide(project, question, Answer(approved, "Ada", note))


def go_on(stage: Stage, run: str) -> Any:
    return drive.go(Project.open(stage.repo), run, Resume(), Drive())


def test_a_denial_goes_into_the_next_draft_and_an_approval_ends_it(stage: Stage) -> None:
    stage.play(
        draft(0),
        draft(1, "Add no cache", "A person said no", "too big", "Ada"),
        turn("critique", answer=SOUND),
    )
    state = stage.up("plan", prompt="x", approve=True, code=3)
    (key,) = state.waiting()
    assert "# Add a cache" in state.approvals[key].summary
    decide(stage, state.run, approved=False, note="too big")
    state = go_on(stage, state.run)
    assert [str(key) for key in state.waiting()] == ["approve@1"]
    decide(stage, state.run, approved=True)
    state = go_on(stage, state.run)
    assert state.end == "finished"
    assert stage.output(state, "document")["markdown"].startswith("# Add no cache")


def test_a_person_is_asked_about_the_last_draft_although_the_critic_objects(stage: Stage) -> None:
    stage.play(draft(None), turn("critique", answer=UNSOUND))
    state = stage.up("plan", prompt="x", approve=True, max_rounds=1, code=3)
    (key,) = state.waiting()
    assert "there is no file main.rs" in state.approvals[key].summary
    decide(stage, state.run, approved=False)
    assert go_on(stage, state.run).end == "failed"
