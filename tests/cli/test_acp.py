"""Agents that speak the Agent Client Protocol, in runs: what a person is asked, and what was said."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from kit import acp_agent, repos
from kit.processes import eventually, marked
from kit.runs import Engine, Smithers

FLOW = """\
from pydantic import BaseModel
from smithers_git import Context, Task, workflow


class Word(BaseModel):
    word: str


@workflow
def flow(ctx: Context):
    return Task("work", agent="fake", prompt="Do it.", output=Word, retries=0)
"""


@pytest.fixture
def asking(smithers: Smithers, tmp_path: Path) -> Smithers:
    """A repository with a run whose agent asks whether it may run a command."""
    script = tmp_path / "script.json"
    turn = [{"say": "I must run this."}, {"run": "touch ran.txt"}, {"say": '{"word": "done"}'}]
    script.write_text(json.dumps({"turns": [turn]}))
    argv = json.dumps(["-I", "-S", acp_agent.__file__, str(script)])
    profile = f'program = ["{sys.executable}"]\ntransport = "acp"\n[acp]\nargv = {argv}\n'
    config = f'[agents.fake]\nask = true\nenv = {{ RUN_TEST = "{tmp_path}" }}\n'
    files = {"flow.py": FLOW, ".smithers/agents/fake.toml": profile, ".smithers/config.toml": config}
    repos.write(smithers.repo, files)
    return smithers


def waits(smithers: Smithers) -> bool:
    return smithers.json("inbox")["waiting"] != []


@pytest.mark.parametrize(("answer", "ran"), [("allow once", True), ("reject once", False)])
def test_what_the_policy_does_not_allow_is_asked_of_a_person(asking: Smithers, answer: str, ran: bool) -> None:
    with Engine(asking.repo, "flow.py", "--run-id", "r1") as engine:
        assert eventually(lambda: waits(asking))
        (asked,) = asking.json("inbox")["waiting"]
        assert (asked["title"], asked["kind"]) == ("fake asks: touch ran.txt", "question")
        asking("answer", "r1", "--value", answer)
        assert engine.end() == 0
    assert asking.json("output", "r1", "work") == {"word": "done"}
    assert ("ran.txt" in repos.git(asking.repo, "ls-tree", "--name-only", "smithers/r1/main")) == ran
    said = asking("chat", "r1").out.splitlines()[2:]  # below the heading and the name of the conversation
    assert said == [
        "I must run this.",
        "> touch ran.txt",
        f"| {'allowed' if ran else 'refused'} by Ada Tester <ada@example.test>: touch ran.txt",
        *([] if ran else ["< failed:"]),
        '{"word": "done"}',
    ]


def test_a_run_that_is_cancelled_while_it_asks_withdraws_the_question_and_leaves_no_process(
    asking: Smithers, tmp_path: Path
) -> None:
    with Engine(asking.repo, "flow.py", "--run-id", "r1") as engine:
        assert eventually(lambda: waits(asking))
        asking("cancel", "r1")
        assert engine.end() == 4
    assert not waits(asking)
    assert marked("RUN_TEST", str(tmp_path)) == []
