"""`implement`: its loop is real, with the script agent as implementer and reviewer."""

from __future__ import annotations

from typing import Any

from kit import repos
from kit.script_agent import Stage, statuses, turn

from smithers_git.service import drive, travel
from smithers_git.service.drive import Drive, Resume
from smithers_git.service.project import Project

APPROVED = {"approved": True, "summary": "good", "blocking": []}
REFUSED = {
    "approved": False,
    "summary": "no test",
    "blocking": [{"where": "calc.py:1", "problem": "zero is not handled", "wanted": "a guard"}],
}


def work(iteration: int, says: str, *expect: str) -> dict[str, Any]:
    """A turn of the implementer, who leaves `says` in the file that the check reads."""
    return turn(
        "implement",
        iteration,
        expect=list(expect),
        write=[{"path": "answer", "text": says}],
        answer={"summary": f"wrote {says}", "files_changed": ["answer"]},
    )


def test_a_green_check_and_a_good_review_end_it_after_one_pass(stage: Stage) -> None:
    stage.play(work(0, "right", "Fix the sum", "sh check.sh"), turn("review", answer=APPROVED))
    state = stage.up("implement", prompt="Fix the sum")
    assert state.end == "finished"
    assert statuses(state, "implement") == ["finished"]
    assert stage.file(state, "answer") == "right"
    assert not (stage.repo / "answer").exists(), "the user's checkout is left alone"


def test_a_check_that_was_red_before_is_shown_to_the_implementer(stage: Stage) -> None:
    stage.play(work(0, "right", "The check before you began", "answer is cat: answer"), turn("review", answer=APPROVED))
    state = stage.up("implement", prompt="x")
    assert stage.output(state, "baseline")["passed"] is False


def test_a_check_that_was_green_before_is_not_mentioned(stage: Stage) -> None:
    repos.commit(stage.repo, {"answer": "right"})
    red = turn("implement", expect="The check before you began", answer={"summary": "?", "files_changed": []})
    stage.play(red)
    state = stage.up("implement", prompt="x", code=1)
    assert "does not hold 'The check before you began'" in str(state.error)


def test_a_red_check_skips_the_review_and_its_output_goes_into_the_next_prompt(stage: Stage) -> None:
    so_far = f"git diff {repos.git(stage.repo, 'rev-parse', 'HEAD')[:12]}"
    stage.play(
        work(0, "wrong"),
        work(1, "right", "The check is red", "answer is wrong", so_far),
        turn("review", 1, expect="wrote right", answer=APPROVED),
    )
    state = stage.up("implement", prompt="x")
    assert statuses(state, "implement") == ["finished", "finished"]
    assert statuses(state, "review") == ["skipped", "finished"]
    assert [stage.output(state, "check", n)["passed"] for n in (0, 1)] == [False, True]


def test_a_refusal_goes_back_to_the_implementer_and_its_issues_to_the_next_review(stage: Stage) -> None:
    stage.play(
        work(0, "right"),
        turn("review", 0, answer=REFUSED),
        work(1, "right", "The review refused it", "zero is not handled", "a guard"),
        turn("review", 1, expect=["Refused before for this", "zero is not handled"], answer=APPROVED),
    )
    state = stage.up("implement", prompt="x")
    assert state.end == "finished"
    assert statuses(state, "review") == ["finished", "finished"]


def test_a_refusal_is_not_forgotten_while_the_check_is_red(stage: Stage) -> None:
    stage.play(
        work(0, "right"),
        turn("review", 0, answer=REFUSED),
        work(1, "wrong", "The review refused it"),
        work(2, "right", "The check is red", "The review refused it", "zero is not handled"),
        turn("review", 2, answer=APPROVED),
    )
    state = stage.up("implement", prompt="x")
    assert statuses(state, "review") == ["finished", "skipped", "finished"]


def test_what_a_reviewer_changed_is_checked_again(stage: Stage) -> None:
    note = [{"path": "notes.txt", "text": "tried things"}]
    stage.play(work(0, "right"), turn("review", write=note, answer=APPROVED))
    state = stage.up("implement", prompt="x")
    assert state.end == "finished"
    assert statuses(state, "recheck") == ["finished"]


def test_what_a_reviewer_broke_goes_back_to_the_implementer(stage: Stage) -> None:
    broken = [{"path": "answer", "text": "broken"}]
    stage.play(
        work(0, "right"),
        turn("review", 0, write=broken, answer=APPROVED),
        work(1, "right", "It was green before the reviewer", "answer is broken"),
        turn("review", 1, answer=APPROVED),
    )
    state = stage.up("implement", prompt="x")
    assert state.end == "finished"
    assert stage.output(state, "recheck", 0)["passed"] is False
    assert statuses(state, "recheck") == ["finished"], "the second reviewer changed nothing"


def test_at_the_ceiling_the_run_fails_and_says_so(stage: Stage) -> None:
    stage.play(turn("implement", answer={"summary": "nothing", "files_changed": []}))
    state = stage.up("implement", prompt="x", max_iterations=2, code=1)
    assert state.end == "failed"
    assert "until-green reached its ceiling of 2" in str(state.error)
    assert f"smithers fork {state.run} --input '{{\"max_iterations\": 4}}'" in state.error_hint
    assert statuses(state, "check") == ["finished", "finished"]
    assert statuses(state, "review") == ["skipped", "skipped"]


def test_a_verdict_that_contradicts_itself_goes_back_to_the_reviewer(stage: Stage) -> None:
    told = "approved must be true exactly when blocking is empty"
    stage.play(
        work(0, "right"),
        {"node": "review", "correction": 0, "answer": {**REFUSED, "approved": True}},
        {"node": "review", "correction": 1, "expect": told, "answer": APPROVED},
    )
    state = stage.up("implement", prompt="x")
    assert stage.output(state, "review") == {**APPROVED, "minor": []}


def test_without_a_check_command_nothing_starts(stage: Stage) -> None:
    stage.configure()
    stage.play()
    document = stage.smithers("up", "implement", "-p", "x", code=1)
    assert document["error"]["code"] == "workflow"
    assert "check command" in document["error"]["message"]
    assert 'set check = "…" in .smithers/config.toml' in document["error"]["hint"]
    assert repos.git(stage.repo, "for-each-ref", "refs/smithers") == ""


def test_a_check_that_hangs_is_red_and_not_the_end_of_the_run(stage: Stage) -> None:
    stage.configure(check="sh -c 'test -e done || sleep 60'")
    idle = {"summary": "s", "files_changed": []}
    done = [{"path": "done", "text": ""}]
    stage.play(
        turn("implement", 0, answer=idle),
        turn("implement", 1, expect=["The check is red", "was stopped"], write=done, answer=idle),
        turn("review", answer=APPROVED),
    )
    state = stage.up("implement", prompt="x", check_minutes=0.01)
    assert state.end == "finished"
    assert stage.output(state, "check", 0)["exit_code"] is None


def test_a_check_that_cannot_start_fails_before_a_token_is_spent(stage: Stage) -> None:
    stage.configure(check="no-such-program --all")
    stage.play()
    state = stage.up("implement", prompt="x", code=1)
    assert "no-such-program" in str(state.error)
    assert not [key for key in state.nodes if key.node == "implement"]


def test_with_approve_a_person_decides_when_check_and_review_are_content(stage: Stage) -> None:
    stage.play(work(0, "wrong"), work(1, "right"), turn("review", answer=APPROVED))
    state = stage.up("implement", prompt="Fix the sum", approve=True, code=3)
    (key,) = state.waiting()
    assert str(key) == "approve@1"
    assert "wrote right" in state.approvals[key].summary
    assert "Fix the sum" in state.approvals[key].summary


def test_an_empty_prompt_is_refused(stage: Stage) -> None:
    document = stage.smithers("up", "implement", "-p", "", code=2)
    assert "prompt" in document["error"]["message"]


def test_a_run_that_reached_its_ceiling_goes_on_in_a_fork_with_a_higher_one(stage: Stage) -> None:
    stage.play(work(0, "wrong"), work(1, "right", "The check is red"), turn("review", answer=APPROVED))
    parent = stage.up("implement", prompt="x", max_iterations=1, code=1)
    project = Project.open(stage.repo)
    child = travel.fork(project, parent.run, travel.Fork(input={"max_iterations": 2}))
    state = drive.go(project, child.run, Resume(), Drive())
    assert state.end == "finished"
    assert statuses(state, "check") == ["finished", "finished"]
