"""JSON out of what agents write, and what they are told when it does not fit."""

from __future__ import annotations

import datetime as dt
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, RootModel, ValidationError

from smithers_git.core.fish import documents, extract
from smithers_git.core.parse import Parsed, Rejection, correction, instructions, validate
from smithers_git.errors import WorkflowError


class Change(BaseModel):
    summary: str
    files_changed: list[str] = []


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    day: dt.date
    count: int


GOOD = {"summary": "fixed", "files_changed": ["a.py"]}
TEXT = json.dumps(GOOD)
OTHER = json.dumps({"summary": "an earlier thought"})

FISHED = {
    "whole": TEXT,
    "whole with space around": f"\n\n {TEXT}\n",
    "byte order mark": f"\ufeff{TEXT}",
    "fence": f"Here it is:\n\n```json\n{TEXT}\n```\nDone.",
    "fence without a language": f"```\n{TEXT}\n```",
    "indented fence": f"1. so:\n   ```json\n   {TEXT}\n   ```",
    "tilde fence": f"~~~json\n{TEXT}\n~~~",
    "fence that nobody closed": f"Well:\n```json\n{TEXT}",
    "longer fence around a fence": f"````md\n```json\n{TEXT}\n```\n````",
    "last fence wins": f"```json\n{OTHER}\n```\nno, rather\n```json\n{TEXT}\n```",
    "a later fence that does not fit": f"```json\n{TEXT}\n```\nRun:\n```sh\nmake test\n```",
    "fence before prose": f"```json\n{TEXT}\n```\nas in {OTHER}",
    "prose": f"I did it. {TEXT} That is all.",
    "last in prose": f"First {OTHER} then {TEXT}.",
    "over several lines": f"Result:\n{json.dumps(GOOD, indent=2)}\nBye.",
    "inside a list": f"[{TEXT}, nonsense]",
    "after braces that are no JSON": f"use {{braces}} and {TEXT}",
    "after a bracket that nobody closed": f"a list [ of things: {TEXT}",
    "after a quote in prose": f'the file "a{{b" is odd\n{TEXT}',
    "braces inside strings": '{"summary": "use } and { and \\" there", "files_changed": ["a.py"]} ok',
    "line separators inside strings": 'x {"summary": "a\u2028b", "files_changed": ["a.py"]}',
    "inline fence": f"``` {TEXT} ```",
}


@pytest.mark.parametrize("text", FISHED.values(), ids=FISHED)
def test_json_is_fished_from(text: str):
    parsed = validate(text, Change)
    assert isinstance(parsed, Parsed)
    assert isinstance(parsed.value, Change)
    assert parsed.value.files_changed == ["a.py"]


NOTHING = ["", "No JSON here.", "{", "}{", '{"summary": ', "```json\n```", "{'summary': 'python'}", "[1, 2", "\x00"]


@pytest.mark.parametrize("text", NOTHING)
def test_text_without_json_is_rejected_as_such(text: str):
    assert validate(text, Change) == Rejection([], found=False)


def test_issues_name_the_path_of_each_mistake():
    rejection = validate('{"files_changed": ["a", 3]}', Change)
    assert isinstance(rejection, Rejection)
    assert rejection.found
    assert rejection.issues == ["summary: Field required", "files_changed.1: Input should be a valid string"]


def test_issues_are_those_of_the_closest_object():
    rejection = validate('{"files_changed": 1} or {"summary": 1}, I was told [1]', Change)
    assert isinstance(rejection, Rejection)
    assert rejection.issues == ["summary: Input should be a valid string"]


def test_a_strict_model_judges_json_not_python():
    assert isinstance(validate('{"day": "2026-11-21", "count": 1}', Strict), Parsed)
    assert isinstance(validate('{"day": "2026-11-21", "count": "1"}', Strict), Rejection)


@pytest.mark.parametrize("text", ['{"summary": NaN}', '{"summary": "\\ud800"}', f'{{"summary": {"[" * 5000}'])
def test_what_json_does_not_allow_is_not_accepted(text: str):
    assert isinstance(validate(text, Change), Rejection)


def test_a_model_of_a_list_takes_a_list():
    class Names(RootModel[list[str]]):
        pass

    parsed = validate('The names: ["a", "b"]', Names)
    assert isinstance(parsed, Parsed)
    assert parsed.value.model_dump() == ["a", "b"]


HOSTILE = {
    "open braces": "{" * 100_000,
    "open brackets": "[" * 100_000,
    "nested objects": '{"a":' * 20_000,
    "nested and closed": "[" * 50_000 + "]" * 50_000,
    "nested, closed, broken in the middle": "[1," * 30_000 + "x" + "]" * 30_000,
    "quotes": '["' * 50_000,
    "quotes and braces": '{"' * 30_000 + '"}' * 30_000,
    "backslashes": '["' + "\\" * 100_000,
    "fences": "```\n" * 25_000,
    "fences of all lengths": "\n".join("`" * n for n in range(3, 440)),
    "long numbers": f"[{'9' * 100_000}]",
    "many small objects": "{} " * 33_000,
    "many broken objects": "{x} " * 25_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_takes_no_more_than_a_moment(text: str):
    began = time.monotonic()
    assert isinstance(validate(text, Change), Rejection)
    assert time.monotonic() - began < 20  # linear is under a second; quadratic would be minutes


@given(st.text(alphabet=st.sampled_from('{}[]":,\\\n`~ ax1-') | st.characters(), max_size=300))
def test_any_text_is_read_without_a_crash_and_nothing_else_than_valid_json_comes_out(text: str):
    for value in extract(text):
        assert json.loads(json.dumps(value)) == value
    outcome = validate(text, Change)
    if isinstance(outcome, Parsed):
        accepted = []
        for value in extract(text):
            try:
                accepted.append(Change.model_validate_json(json.dumps(value)))
            except ValidationError:
                continue
        assert outcome.value == accepted[0]


PLAIN = st.text(alphabet=st.characters(exclude_characters='{}[]"`~', exclude_categories=("Cs",)), max_size=80)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(before=PLAIN, after=PLAIN, value=st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_an_object_between_words_comes_out_as_it_went_in(before: str, after: str, value: dict[str, object]):
    assert value in list(extract(f"{before}\n{json.dumps(value, ensure_ascii=False)}\n{after}"))


@given(value=st.dictionaries(st.text(max_size=8), JSON, max_size=4), other=JSON)
def test_of_two_fenced_objects_the_last_comes_first(value: dict[str, object], other: object):
    text = f"One\n```json\n{json.dumps(other)}\n```\nTwo\n```json\n{json.dumps(value, indent=1)}\n```\n"
    assert next(iter(extract(text))) == value


def test_documents_are_one_or_one_a_line_or_one_among_words():
    assert documents('{"a": 1}') == [{"a": 1}]
    assert documents('{"a": 1}\nnoise\n{"b": 2}\n') == [{"a": 1}, {"b": 2}]
    assert documents('Error:\n{\n "error": {"code": 429}\n}\n') == [{"error": {"code": 429}}]
    assert documents("nothing") == []


def test_the_prompt_asks_for_the_schema():
    text = instructions(Change)
    assert "one JSON object and nothing else" in text
    assert json.dumps(Change.model_json_schema(), indent=2) in text


def test_a_model_that_json_cannot_hold_is_refused_with_a_hint():
    class Odd(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        thing: threading_lock

    with pytest.raises(WorkflowError, match="Odd cannot be asked of an agent") as caught:
        instructions(Odd)
    assert caught.value.hint


def test_a_correction_lists_the_issues_and_repeats_the_schema():
    rejection = validate('{"files_changed": []}', Change)
    assert isinstance(rejection, Rejection)
    text = correction(rejection, Change)
    assert "- summary: Field required" in text
    assert '"summary"' in text
    assert "holds no JSON" in correction(Rejection(), Change)


threading_lock = type("Lock", (), {})
