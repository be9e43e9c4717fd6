"""CLIs that say how a turn ended not on their output but in a file."""

from __future__ import annotations

import json

import pytest

from smithers_git.core.profile import load_profile
from smithers_git.core.reply import EndReason, Reply
from smithers_git.core.stream import Reader

PROFILE = """
program = ["x"]
argv = ["{prompt}"]
[state]
folder = ".x"
[output]
mode = "jsonl"
answer = { where = { role = "assistant" }, path = "text" }
error = [
    { from = "file:end.json", path = "error" },
    { from = "state:log", regex = "refused: (.*)" },
]
[success]
from = "file:end.json"
event = { outcome = "finished" }
[[failure]]
kind = "limit"
regex = "429"
"""
LOG = "refused: 429 Too Many Requests\n"


def turn(end: dict[str, str] | None, log: str = "", ended: EndReason = "exited") -> Reply:
    reader = Reader(load_profile(PROFILE, "agents/x.toml"))
    reader.feed(b'{"role": "assistant", "text": "half or whole"}\n')
    files = {"file:end.json": json.dumps(end)} if end else {}
    return reader.finish(0, files=files | ({"state:log": log} if log else {}), ended=ended, message="stopped")


def kind(reply: Reply) -> str:
    return reply.error.kind if reply.error else ""


def test_an_answer_counts_when_the_file_says_that_the_turn_is_over():
    assert turn({"outcome": "finished"}).answer == "half or whole"
    assert kind(turn({"outcome": "deadline"})) == "crash"
    assert kind(turn(None)) == "crash"
    assert kind(turn({"outcome": "finished", "error": "HTTP 429"})) == "limit"


@pytest.mark.parametrize(
    ("ended", "expected"),
    [("exited", "limit"), ("idle", "limit"), ("timeout", "limit"), ("cancelled", "cancelled")],
)
def test_what_it_noted_in_between_tells_why_a_turn_never_ended(ended: EndReason, expected: str):
    assert kind(turn(None, LOG, ended)) == expected


def test_what_it_noted_in_between_is_past_when_the_turn_ended_well():
    assert kind(turn({"outcome": "finished"}, LOG)) == ""
