"""agents list and agents test, with fake programs for the real ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.repos import contents, write
from kit.runs import Smithers

FAKE = """#!/usr/bin/env python3
import json, pathlib, sys
if sys.argv[1:] == ["--version"]:
    print("%(version)s (Claude Code)")
    sys.exit()
if sys.argv[1:] == ["auth", "status"]:
    sys.exit(%(logged_in)d)
prompt = sys.stdin.read()
%(deed)s
result = {"type": "result", "subtype": "success", "is_error": False, "session_id": "s-1", "result": %(answer)r}
result["usage"] = {"input_tokens": 10, "output_tokens": 5}
print(json.dumps(result))
"""
WELL = {
    "version": "2.1.5",
    "logged_in": 0,
    "deed": 'pathlib.Path("proof.txt").write_text("smithers-was-here\\n")',
    "answer": '{"word": "smithers-was-here"}',
}


@pytest.fixture
def claude(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a fake `claude` that behaves as `WELL` with some changes."""
    folder = tmp_path / "programs"
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def install(**changes: object) -> None:
        write(folder, {"claude": FAKE % {**WELL, **changes}})
        (folder / "claude").chmod(0o755)

    return install


def _agent(smithers: Smithers, name: str) -> dict:
    return next(agent for agent in smithers.json("agents", "list")["agents"] if agent["name"] == name)


def test_an_agent_that_is_not_installed_is_shown_with_how_to_get_it(smithers: Smithers) -> None:
    agent = _agent(smithers, "claude")

    assert (agent["installed"], agent["program"]) == (False, None)
    assert "npm install" in agent["install"]
    assert "npm install" in smithers("agents", "list").out


def test_an_installed_agent_is_shown_with_version_and_login(smithers: Smithers, claude) -> None:
    claude()

    agent = _agent(smithers, "claude")

    assert (agent["installed"], agent["version"], agent["note"], agent["logged_in"]) == (True, "2.1.5", "", True)


def test_an_untested_version_and_a_missing_login_are_said(smithers: Smithers, claude) -> None:
    claude(version="9.0.0", logged_in=1)

    agent = _agent(smithers, "claude")

    assert "outside the tested range" in agent["note"]
    assert agent["logged_in"] is False
    assert "outside the tested range" in smithers("agents", "list").out


def test_a_repositorys_own_agent_and_a_broken_one_are_listed(smithers: Smithers) -> None:
    own = 'program = ["sh"]\nargv = ["-c", "{prompt}"]\noutput = { mode = "text" }\nsuccess = { exit = [0] }\n'
    write(smithers.repo, {".smithers/agents/mine.toml": own, ".smithers/agents/bad.toml": "nonsense = 1\n"})

    assert _agent(smithers, "mine")["builtin"] is False
    assert "bad.toml" in _agent(smithers, "bad")["trouble"]


def test_pools_are_shown_with_what_they_mean_here(smithers: Smithers, claude) -> None:
    claude()
    write(smithers.repo, {".smithers/config.toml": '[pools]\nsmart = ["script", "claude"]\n'})

    pools = smithers.json("agents", "list")["pools"]

    assert pools["smart"] == ["script", "claude"]
    assert pools["fast"] == ["claude"]


def test_the_script_agent_proves_itself_and_touches_nothing(smithers: Smithers) -> None:
    before = contents(smithers.repo)

    said = smithers("agents", "test", "script")

    assert [line.split()[0] for line in said.out.splitlines()[:-1]] == ["ok"] * 6
    assert "edited a file" in said.out
    assert said.out.splitlines()[-1].startswith("script works")
    assert contents(smithers.repo) == before


def test_a_proof_says_each_step_and_what_it_cost(smithers: Smithers, claude) -> None:
    claude()

    document = smithers.json("agents", "test", "claude")

    assert [(step["name"], step["ok"]) for step in document["steps"]] == [
        ("profile", True),
        ("found", True),
        ("version", True),
        ("logged in", True),
        ("answered", True),
        ("structured output", True),
        ("edited a file", True),
    ]
    assert (document["ok"], document["tokens"]) == (True, 15)


@pytest.mark.parametrize(
    ("changes", "step", "words"),
    [
        ({"logged_in": 1}, "logged in", "no"),
        ({"deed": "sys.exit(3)"}, "answered", "3"),
        ({"answer": "no JSON here"}, "structured output", "does not fit"),
        ({"answer": '{"word": "else"}'}, "structured output", "else"),
        ({"deed": "pass"}, "edited a file", "None"),
    ],
    ids=["logged out", "crash", "no JSON", "wrong word", "no edit"],
)
def test_a_proof_fails_at_the_step_that_does_not_work(
    changes: dict, step: str, words: str, smithers: Smithers, claude
) -> None:
    claude(**changes)

    document = smithers.json("agents", "test", "claude", code=1)

    (failed,) = [one for one in document["steps"] if not one["ok"]]
    assert failed["name"] == step
    assert words in failed["text"]


def test_what_is_not_installed_fails_with_how_to_get_it(smithers: Smithers) -> None:
    said = smithers("agents", "test", "claude", code=1)

    assert "FAILED  found" in said.out
    assert "npm install" in said.err


def test_an_unknown_agent_is_refused_with_those_that_there_are(smithers: Smithers) -> None:
    assert "known: claude" in smithers("agents", "test", "nix", code=1).err


def test_a_hanging_agent_is_ended_in_time(smithers: Smithers, claude) -> None:
    claude(deed="import time; time.sleep(60)")

    document = smithers.json("agents", "test", "claude", "--timeout", "1", code=1)

    assert document["steps"][-1]["text"].startswith("timeout")
