"""`smithers answer` at a terminal: a form made from the model, driven as a person would."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pexpect
import pytest
from kit.repos import git
from kit.runs import Smithers
from kit.terminal import Terminal

BODY = """\
from enum import Enum
from typing import Literal
from pydantic import BaseModel, Field, model_validator
from smithers_git import Context, HumanTask, workflow


class Colour(Enum):
    red = "red"
    green = "green"


class Trip(BaseModel):
    name: str = Field(min_length=2, description="what it is called")
    place: Literal["north", "south", "east"]
    colour: Colour = Colour.green
    people: int = Field(default=2, ge=1, le=9)
    price: float | None = None
    tents: bool = True
    stops: list[str] = []
    days: list[Literal["sat", "sun"]] = Field(min_length=1)

    @model_validator(mode="after")
    def fits(self):
        if self.name == "solo" and self.people > 1:
            raise ValueError("solo is for one")
        return self


@workflow
def flow(ctx: Context):
    return HumanTask("trip", output=Trip, prompt="Where do we go?\\nAnd how?")
"""
DOWN = "\x1b[B"


@pytest.fixture
def run(smithers: Smithers) -> str:
    (smithers.repo / "flow.py").write_text(BODY, encoding="utf-8")
    return str(smithers.json("up", "flow.py", code=3)["run"])


def at_terminal(repo: Path, *argv: str, columns: int = 80) -> Terminal:
    env = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(columns)}
    env["PROMPT_TOOLKIT_NO_CPR"] = "1"  # nobody answers where the cursor is, and each question would wait for that
    return Terminal(repo, "answer", *argv, env=env, size=(40, columns))


def fill(child: Terminal, name: str = "Alps") -> None:
    child.expect("what it is called")
    child.send(f"{name}\r")
    child.expect("place")
    child.send(f"{DOWN}\r")
    child.expect("colour")
    child.send("\r")
    child.expect("people")
    child.send("\x7f4\r")  # the default goes, then 4
    child.expect("price")
    child.send("12.5\r")
    child.expect("tents")
    child.send("n")
    child.expect("stops")
    child.send("Ulm, Bern\r")
    child.expect("days")
    child.send(" \r")


@pytest.mark.parametrize("columns", [80, 40])
def test_each_field_is_asked_in_its_own_way(smithers: Smithers, run: str, columns: int) -> None:
    child = at_terminal(smithers.repo, "--no-resume", columns=columns)
    child.expect("What do you want to answer")
    child.send("\r")
    child.expect("And how")
    fill(child)
    child.expect("answered by")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert smithers.json("output", run, "trip") == {
        "name": "Alps", "place": "south", "colour": "green", "people": 4, "price": 12.5, "tents": False,
        "stops": ["Ulm", "Bern"], "days": ["sat"],
    }  # fmt: skip


def test_what_does_not_fit_is_said_at_once_and_only_that_is_asked_again(smithers: Smithers, run: str) -> None:
    child = at_terminal(smithers.repo, run, "--no-resume")
    child.expect("what it is called")
    child.send("x\r")
    child.expect("at least 2 characters")
    child.send("y\r")
    child.expect("place")
    child.sendcontrol("c")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130


def test_a_rule_of_the_whole_model_asks_again_with_what_was_given(smithers: Smithers, run: str) -> None:
    child = at_terminal(smithers.repo, run, "--no-resume")
    fill(child, "solo")
    child.expect("solo is for one")
    child.expect("what it is called")
    child.send("s\r")  # behind what was given: solos
    for field in ("place", "colour", "people", "price", "tents", "stops", "days"):
        child.expect(field)
        child.send("\r")
    child.expect("answered by")
    child.expect(pexpect.EOF)
    assert smithers.json("output", run, "trip")["name"] == "solos"
    assert smithers.json("output", run, "trip")["people"] == 4


@pytest.mark.parametrize("fields", [0, 1, 3])
def test_giving_up_in_the_middle_leaves_nothing_half_answered(smithers: Smithers, run: str, fields: int) -> None:
    before = git(smithers.repo, "for-each-ref")
    child = at_terminal(smithers.repo, run)
    for label, keys in [("what it is called", "Alps\r"), ("place", "\r"), ("colour", "\r")][:fields]:
        child.expect(label)
        child.send(keys)
    child.expect(["what it is called", "place", "colour", "people"][fields])
    child.sendcontrol("c")
    child.expect("nothing was answered")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert git(smithers.repo, "for-each-ref") == before


def test_with_json_nothing_is_asked_even_at_a_terminal(smithers: Smithers, run: str) -> None:
    child = at_terminal(smithers.repo, run, "--json")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2
    assert '"code": "usage"' in (child.before or "")


def test_the_form_gives_what_the_value_option_gives(smithers: Smithers, run: str) -> None:
    value = {"name": "Alps", "place": "south", "days": ["sun"]}
    smithers("answer", run, "--value", json.dumps(value), "--no-resume")
    assert smithers.json("output", run, "trip")["colour"] == "green"
