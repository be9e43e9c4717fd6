"""`research`: fans a question out, and lets no answer pass whose sources are not there."""

from __future__ import annotations

from typing import Any

import pytest
from kit.script_agent import Stage, statuses, turn

PARTS = {
    "questions": [
        {"id": "sign", "question": "Which sign?", "where": "calc.py"},
        {"id": "check", "question": "What is checked?", "where": "check.sh"},
    ]
}
FOUND = {
    "answer": "A minus.",
    "confidence": "high",
    "sources": [{"kind": "file", "where": "calc.py:2", "says": "a - b"}],
}


def source(where: str, kind: str = "file") -> dict[str, str]:
    return {"kind": kind, "where": where, "says": "so"}


def answer(*sources: dict[str, str], text: str = "It subtracts [1].") -> dict[str, Any]:
    return {"answer": text, "confidence": "high", "sources": list(sources) or [source("calc.py:2")]}


def parts() -> list[dict[str, Any]]:
    return [turn("questions", expect="why?", answer=PARTS), turn("find-*", answer=FOUND)]


def test_every_part_is_looked_into_and_the_answer_is_sourced(stage: Stage) -> None:
    stage.play(
        turn("questions", expect=["why?", "At most 5 parts"], answer=PARTS),
        turn("find-sign", expect=["Which sign?", "What is checked?", "calc.py"], answer=FOUND),
        turn("find-check", answer=FOUND),
        turn("answer", expect=["Which sign?", "A minus.", "`calc.py:2`"], answer=answer()),
    )
    state = stage.up("research", prompt="why?")
    assert state.end == "finished"
    assert stage.output(state, "sources") == {"passed": True, "problems": []}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (answer(source("gone.py:1")), "there is no file gone.py"),
        (answer(source("../outside.txt:1")), "there is no file ../outside.txt"),
        (answer(source("calc.py:99")), "the file has 2 lines"),
        (answer(source("calc.py")), "give the line"),
        (answer(source("somewhere", "url")), "somewhere is not an address"),
        (answer(source("HEAD", "commit")), "HEAD is not a commit id"),
        (answer(text="It subtracts [1] and more [2]."), "[2] has no source"),
        (answer(source("calc.py:1"), source("calc.py:2")), "source 2 is used nowhere"),
    ],
)
def test_an_answer_with_a_source_that_is_not_there_goes_back(stage: Stage, wrong: dict[str, Any], told: str) -> None:
    stage.play(
        *parts(),
        turn("answer", 0, answer=wrong),
        turn("answer", 1, expect=["Your last answer did not hold", told], answer=answer(source("calc.py:1-2"))),
    )
    state = stage.up("research", prompt="why?")
    assert statuses(state, "answer") == ["finished", "finished"]


def test_an_answer_that_never_holds_fails_the_run(stage: Stage) -> None:
    stage.play(*parts(), turn("answer", answer=answer(source("gone.py:1"))))
    state = stage.up("research", prompt="why?", code=1)
    assert "sourced reached its ceiling of 3" in str(state.error)


def test_indexing_in_code_is_not_taken_for_a_source(stage: Stage) -> None:
    stage.play(*parts(), turn("answer", answer=answer(text="`argv[9]` decides [1].")))
    assert stage.up("research", prompt="why?").end == "finished"


def test_a_part_that_fails_is_named_in_the_answer_s_prompt(stage: Stage) -> None:
    stage.play(
        turn("find-check", fail={"kind": "refusal", "message": "no"}),
        *parts(),
        turn("answer", expect="Nothing came back", answer=answer()),
    )
    state = stage.up("research", prompt="why?")
    assert state.failed_children == ["find-check"]


def test_no_more_parts_are_looked_into_than_asked_for(stage: Stage) -> None:
    stage.play(*parts(), turn("answer", answer=answer()))
    state = stage.up("research", prompt="why?", max_questions=1)
    assert statuses(state, "find-sign") == ["finished"]
    assert statuses(state, "find-check") == []
