"""`review`: finds what is to be reviewed, looks through several lenses, and makes one verdict."""

from __future__ import annotations

from typing import Any

import pytest
from kit import repos
from kit.script_agent import Stage, statuses, turn

LENSES = ("correctness", "security", "tests", "upkeep")
NOTHING = {"findings": [], "looked_at": "all of it"}
FINDING = {"where": "calc.py:2", "severity": "blocking", "problem": "wrong sign", "wanted": "a plus"}
GOOD = {"verdict": "approve", "summary": "fine", "findings": []}


def branch(stage: Stage) -> str:
    """A feature branch with one commit; returns the commit that it left main at."""
    base = repos.git(stage.repo, "rev-parse", "HEAD")
    repos.git(stage.repo, "checkout", "-qb", "feature")
    repos.commit(stage.repo, {"new.py": "x = 1\n"}, "Add x")
    return base


def lenses(*expect: str, **deeds: Any) -> list[dict[str, Any]]:
    return [turn(name, expect=list(expect), **(deeds or {"answer": NOTHING})) for name in LENSES]


def test_the_branch_is_compared_with_where_it_left_main(stage: Stage) -> None:
    base = branch(stage)
    repos.git(stage.repo, "checkout", "-q", "main")
    repos.commit(stage.repo, {"later.py": ""}, "Meanwhile")
    repos.git(stage.repo, "checkout", "-q", "feature")
    stage.play(*lenses(f"git diff {base[:12]} ", "new.py", "mind the x"), turn("verdict", answer=GOOD))
    state = stage.up("review", prompt="mind the x")
    assert state.end == "finished"
    assert "later.py" not in stage.output(state, "change")["tail"]
    assert [statuses(state, name) for name in LENSES] == [["finished"]] * 4


def test_uncommitted_changes_are_reviewed_with_dirty(stage: Stage) -> None:
    repos.write(stage.repo, {"calc.py": "def add(a, b):\n    return a + b\n", "untracked.py": ""})
    stage.play(*lenses("calc.py", "untracked.py"), turn("verdict", answer=GOOD))
    assert stage.up("review", "--dirty").end == "finished"


@pytest.mark.parametrize("request_", [{}, {"base": "main"}, {"base": "no-such-branch"}])
def test_nothing_to_review_is_said_and_costs_nothing(stage: Stage, request_: dict[str, str]) -> None:
    stage.play()
    state = stage.up("review", code=1, **request_)
    assert "there is nothing to review" in str(state.error)
    assert "--dirty" in state.error_hint
    assert not state.tokens
    assert [key.node for key in state.nodes] == ["change"]


def test_a_base_can_be_named(stage: Stage) -> None:
    first = repos.git(stage.repo, "rev-parse", "HEAD")
    repos.commit(stage.repo, {"two.py": "2\n"})
    stage.play(*lenses(f"git diff {first[:12]} ", "two.py"), turn("verdict", answer=GOOD))
    assert stage.up("review", base="HEAD~1").end == "finished"


def test_the_verdict_gets_every_report_and_what_the_check_said(stage: Stage) -> None:
    branch(stage)
    stage.play(
        turn("correctness", answer={"findings": [FINDING], "looked_at": "the diff"}),
        *lenses(),
        turn(
            "verdict",
            expect=["wrong sign", "all of it", "`sh check.sh` is red", "answer is"],
            answer={"verdict": "request-changes", "summary": "no", "findings": [FINDING]},
        ),
    )
    state = stage.up("review")
    assert stage.output(state, "verdict")["verdict"] == "request-changes"


def test_a_lens_that_fails_does_not_stop_the_others(stage: Stage) -> None:
    branch(stage)
    stage.play(
        turn("security", fail={"kind": "refusal", "message": "no"}),
        *lenses(),
        turn("verdict", expect="Say in `summary` that security was not looked at", answer=GOOD),
    )
    state = stage.up("review")
    assert state.end == "finished"
    assert state.failed_children == ["security"]


def test_without_any_report_there_is_no_verdict(stage: Stage) -> None:
    branch(stage)
    stage.play(*lenses(fail={"kind": "refusal", "message": "no"}))
    state = stage.up("review", code=1)
    assert "no lens brought a report" in str(state.error)


def test_a_project_without_a_check_is_reviewed_too(stage: Stage) -> None:
    stage.configure()
    branch(stage)
    stage.play(*lenses(), turn("verdict", answer=GOOD))
    state = stage.up("review")
    assert statuses(state, "check") == []


def test_an_approval_with_a_blocking_finding_goes_back(stage: Stage) -> None:
    branch(stage)
    wrong = {"node": "verdict", "correction": 0, "answer": {**GOOD, "findings": [FINDING]}}
    told = "request-changes exactly when a finding is blocking"
    stage.play(*lenses(), wrong, {"node": "verdict", "correction": 1, "expect": told, "answer": GOOD})
    assert stage.up("review").end == "finished"
