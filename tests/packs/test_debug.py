"""`debug`: no fix before a test shows the bug, and none that touches that test."""

from __future__ import annotations

from typing import Any

from kit import repos
from kit.script_agent import Stage, statuses, turn

APPROVED = {"approved": True, "summary": "good", "blocking": []}
SEEN = {"summary": "add subtracts", "tests": ["tests/add.sh"], "suspicion": "the sign"}
FIXED = {"cause": "a minus", "summary": "plus", "files_changed": ["calc.py"]}
# Green while every script in tests/ is.
CHECK = "sh -c 'for t in tests/*.sh; do sh $t || exit 1; done'"
# -B: the fix is as long as the bug and comes in the same second, so Python would take the bug's byte code for its own.
SHOWS = 'test "$(python3 -B -c "import calc; print(calc.add(1, 2))")" = 3 || { echo "add(1, 2) is not 3"; exit 1; }\n'


def stage_it(stage: Stage) -> None:
    repos.commit(stage.repo, {"tests/ok.sh": "true\n", ".gitignore": "__pycache__/\n"})
    stage.configure(check=CHECK)


def reproduce(iteration: int, test: str = SHOWS, *expect: str, **more: Any) -> dict[str, Any]:
    write = [{"path": "tests/add.sh", "text": test}]
    return turn("reproduce", iteration, expect=list(expect), write=write, answer={**SEEN, **more})


def fix(iteration: int, *expect: str, **deeds: Any) -> dict[str, Any]:
    edit = {"edit": [{"path": "calc.py", "find": "a - b", "replace": "a + b"}]}
    return turn("fix", iteration, expect=list(expect), **(deeds or edit), answer=FIXED)


def test_a_bug_is_shown_by_a_test_then_mended(stage: Stage) -> None:
    stage_it(stage)
    stage.play(
        reproduce(0, SHOWS, "add is wrong", "Show a bug"),
        fix(0, "add is wrong", "add subtracts", "tests/add.sh", "add(1, 2) is not 3", "the sign"),
        turn("review", expect=["a minus", "tests/add.sh"], answer=APPROVED),
    )
    state = stage.up("debug", prompt="add is wrong")
    assert state.end == "finished"
    passed = {node: stage.output(state, node)["passed"] for node in ("baseline", "evidence", "check")}
    assert passed == {"baseline": True, "evidence": False, "check": True}
    assert "a + b" in stage.file(state, "calc.py")


def test_a_test_that_stays_green_is_no_evidence(stage: Stage) -> None:
    stage_it(stage)
    stage.play(
        reproduce(0, "true\n"),
        reproduce(1, SHOWS, "Your last try did not show it"),
        fix(0),
        turn("review", answer=APPROVED),
    )
    state = stage.up("debug", prompt="x")
    assert statuses(state, "reproduce") == ["finished", "finished"]
    assert statuses(state, "fix") == ["finished"]


def test_a_test_file_that_does_not_exist_is_no_evidence(stage: Stage) -> None:
    stage_it(stage)
    stage.play(
        reproduce(0, SHOWS, tests=["tests/other.sh"]),
        reproduce(1, SHOWS, "A file that you named is not there", "tests/other.sh"),
        fix(0),
        turn("review", answer=APPROVED),
    )
    assert stage.up("debug", prompt="x").end == "finished"


def test_a_bug_that_cannot_be_shown_ends_the_run_before_any_fix(stage: Stage) -> None:
    stage_it(stage)
    stage.play({**reproduce(0, "true\n"), "iteration": "*"})
    state = stage.up("debug", prompt="x", max_reproductions=2, code=1)
    assert "reproduction reached its ceiling of 2" in str(state.error)
    assert statuses(state, "fix") == []


def test_a_check_that_was_red_before_is_pointed_out(stage: Stage) -> None:
    stage_it(stage)
    repos.commit(stage.repo, {"tests/add.sh": SHOWS})
    named = turn("reproduce", 0, expect=["the check was red before you began", "add(1, 2) is not 3"], answer=SEEN)
    stage.play(named, fix(0), turn("review", answer=APPROVED))
    assert stage.up("debug", prompt="x").end == "finished"


def test_a_fix_that_touches_the_evidence_is_red_and_not_reviewed(stage: Stage) -> None:
    stage_it(stage)
    cheat = fix(0, write=[{"path": "tests/add.sh", "text": "true\n"}])
    back = fix(
        1,
        "The evidence was changed",
        write=[{"path": "tests/add.sh", "text": SHOWS}],
        edit=[{"path": "calc.py", "find": "a - b", "replace": "a + b"}],
    )
    stage.play(reproduce(0), cheat, back, turn("review", 1, answer=APPROVED))
    state = stage.up("debug", prompt="x")
    assert stage.output(state, "check", 0)["passed"] is True
    assert statuses(state, "review") == ["skipped", "finished"]


def test_a_red_check_and_a_refusal_go_into_the_next_pass(stage: Stage) -> None:
    stage_it(stage)
    refused = {
        "approved": False,
        "summary": "only the symptom",
        "blocking": [{"where": "calc.py:2", "problem": "hides it", "wanted": "the root"}],
    }
    stage.play(
        reproduce(0),
        fix(0, write=[{"path": "note", "text": ""}]),
        fix(1, "The check is red", "add(1, 2) is not 3"),
        turn("review", 1, answer=refused),
        fix(2, "only the symptom", "hides it", write=[{"path": "note", "text": "root"}]),
        turn("review", 2, expect="hides it", answer=APPROVED),
    )
    state = stage.up("debug", prompt="x")
    assert statuses(state, "review") == ["skipped", "finished", "finished"]


def test_what_a_reviewer_broke_goes_back(stage: Stage) -> None:
    stage_it(stage)
    broken = [{"path": "calc.py", "text": "oops"}]
    whole = [{"path": "calc.py", "text": "def add(a, b):\n    return a + b\n"}]
    stage.play(
        reproduce(0),
        fix(0),
        turn("review", 0, write=broken, answer=APPROVED),
        fix(1, "It was green before the reviewer", write=whole),
        turn("review", 1, answer=APPROVED),
    )
    state = stage.up("debug", prompt="x")
    assert state.end == "finished"
    assert statuses(state, "recheck") == ["finished"]


def test_the_ceiling_of_the_fix_fails_the_run(stage: Stage) -> None:
    stage_it(stage)
    stage.play(reproduce(0), turn("fix", write=[{"path": "note", "text": ""}], answer=FIXED))
    state = stage.up("debug", prompt="x", max_iterations=2, code=1)
    assert "repair reached its ceiling of 2" in str(state.error)


def test_without_a_check_command_nothing_starts(stage: Stage) -> None:
    stage.configure()
    document = stage.smithers("up", "debug", "-p", "x", code=1)
    assert "check command" in document["error"]["message"]
    assert ".smithers/config.toml" in document["error"]["hint"]
