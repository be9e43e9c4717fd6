"""agents list and agents test, with fake programs for the real ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.repos import contents, write
from kit.runs import Smithers

FAKE = """#!/usr/bin/env python3
import json, pathlib, re, subprocess, sys
if sys.argv[1:] == ["--version"]:
    print("%(version)s (Claude Code)")
    sys.exit()
if sys.argv[1:] == ["auth", "status"]:
    sys.exit(%(logged_in)d)
prompt = sys.stdin.read()
memory = pathlib.Path(__file__).with_name("memory")
answer = %(answer)r
if "sleep 600" in prompt:
    %(long)s
elif "Which code word" in prompt:
    answer = json.dumps({"word": memory.read_text()})
elif "--resume" not in sys.argv:
    memory.write_text(re.search("code word ([0-9a-f]+)", prompt)[1])
    %(deed)s
result = {"type": "result", "subtype": "success", "is_error": False, "session_id": %(session)r, "result": answer}
result["usage"] = {"input_tokens": 10, "output_tokens": 5}
print(json.dumps(result))
"""
WELL = {
    "version": "2.1.5",
    "logged_in": 0,
    "deed": 'pathlib.Path("proof.txt").write_text("smithers-was-here\\n")',
    "long": 'pathlib.Path("begun.txt").touch(); subprocess.run(["sleep", "600"])',
    "session": "s-1",
    "answer": '{"word": "smithers-was-here"}',
}
STEPS = ["found", "version", "login", "answer", "edit", "json", "session", "usage", "limit", "stop"]


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


def test_the_list_says_in_words_why_an_agent_can_be_used_or_not(smithers: Smithers, claude) -> None:
    claude()
    assert _agent(smithers, "claude")["why"] == "installed and logged in; not isolated: its permission is edit"
    assert _agent(smithers, "script")["why"] == "installed; not isolated: its permission is edit"
    assert _agent(smithers, "codex")["why"].startswith("not installed: npm install")
    claude(logged_in=1)
    agent = _agent(smithers, "claude")
    assert (agent["usable"], agent["why"]) == (False, "not logged in: claude auth login")


def test_the_script_agent_proves_itself_and_touches_nothing(smithers: Smithers) -> None:
    before = contents(smithers.repo)

    said = smithers("agents", "test", "script")

    lines = said.out.splitlines()
    assert [line[:8].strip() for line in lines[:-1]] == [
        "ok", "has none", "has none", "ok", "ok", "ok", "ok", "ok", "has none", "ok",
    ]  # fmt: skip
    assert [line[10:18].strip() for line in lines[:-1]] == STEPS
    assert lines[-1].startswith("script works")
    assert contents(smithers.repo) == before


def test_a_proof_says_each_step_and_what_it_cost(smithers: Smithers, claude) -> None:
    claude()

    document = smithers.json("agents", "test", "claude")

    assert [(step["name"], step["standing"]) for step in document["steps"]] == [(name, "ok") for name in STEPS]
    assert (document["ok"], document["tokens"]) == (True, 30)


@pytest.mark.parametrize(
    ("changes", "step", "words"),
    [
        ({"deed": "sys.exit(3)"}, "answer", "3"),
        ({"answer": "no JSON here"}, "json", "does not fit"),
        ({"answer": '{"word": "else"}'}, "json", "else"),
        ({"deed": "pass"}, "edit", "not there"),
        ({"deed": 'memory.write_text("nothing")' + "; " + str(WELL["deed"])}, "session", "nothing"),
        ({"session": None}, "session", "did not say which conversation"),
    ],
    ids=["crash", "no JSON", "wrong word", "no edit", "forgets", "no id"],
)
def test_a_proof_fails_at_the_step_that_does_not_work(
    changes: dict, step: str, words: str, smithers: Smithers, claude
) -> None:
    claude(**changes)

    document = smithers.json("agents", "test", "claude", "--only", step, code=1)

    (failed,) = [one for one in document["steps"] if one["standing"] == "failed"]
    assert failed["name"] == step
    assert words in failed["text"]
    assert failed["hint"]


def test_a_cli_that_denies_a_login_and_works_is_believed_in_its_work(smithers: Smithers, claude) -> None:
    claude(logged_in=1)

    login, answer = smithers.json("agents", "test", "claude", "--only", "login", "--only", "answer")["steps"]

    assert (login["standing"], login["hint"], answer["standing"]) == ("warning", "claude auth login", "ok")


def test_only_the_steps_that_are_wanted_are_taken_and_told(smithers: Smithers, claude) -> None:
    claude(deed="sys.exit(3)")

    document = smithers.json("agents", "test", "claude", "--only", "limit", "--only", "version")

    assert [step["name"] for step in document["steps"]] == ["version", "limit"]
    assert document["tokens"] == 0


def test_a_long_turn_that_ends_by_itself_proves_no_stop(smithers: Smithers, claude) -> None:
    claude(long="pass")

    (stop,) = smithers.json("agents", "test", "claude", "--only", "stop")["steps"]

    assert (stop["standing"], stop["name"]) == ("warning", "stop")
    assert "over before" in stop["text"]


@pytest.mark.parametrize(
    ("rules", "standing"),
    [("", "failed"), ("[[failure]]\nkind = 'limit'\nregex = '(?i)rate.?limit|too many requests'\n", "ok")],
    ids=["no rule", "a rule"],
)
def test_a_profile_that_knows_no_limit_is_told_what_to_add(rules: str, standing: str, smithers: Smithers) -> None:
    own = 'program = ["sh"]\nargv = ["-c", "{prompt}"]\noutput = { mode = "text" }\nsuccess = { exit = [0] }\n'
    write(smithers.repo, {".smithers/agents/mine.toml": own + rules})

    (limit,) = smithers.json("agents", "test", "mine", "--only", "limit", code=None)["steps"]

    assert limit["standing"] == standing
    assert ("OpenAI" in limit["text"]) == (standing == "ok")
    assert ('kind = "limit"' in limit["hint"]) == (standing == "failed")


def test_what_is_not_installed_fails_with_how_to_get_it(smithers: Smithers) -> None:
    said = smithers("agents", "test", "claude", code=1)

    assert "FAILED    found" in said.out
    assert "npm install" in said.err


def test_an_unknown_agent_is_refused_with_those_that_there_are(smithers: Smithers) -> None:
    assert " claude, " in smithers("agents", "test", "nix", code=1).err


def test_a_hanging_agent_is_ended_in_time(smithers: Smithers, claude) -> None:
    claude(deed="import time; time.sleep(60)")

    document = smithers.json("agents", "test", "claude", "--only", "answer", "--timeout", "1", code=1)

    (failed,) = [step for step in document["steps"] if step["standing"] == "failed"]
    assert failed["text"].startswith("timeout")
    assert "--timeout" in failed["hint"]


def test_an_agent_that_waits_for_a_person_to_log_in_is_ended_at_once(
    smithers: Smithers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = "echo No API key found. Starting login flow...; printf 'When prompted, paste your code here: '; sleep 600"
    write(tmp_path / "programs", {"amp": f'#!/bin/sh\n[ "$1" = --version ] && exec echo 0.0.1790142911\n{flow}\n'})
    (tmp_path / "programs" / "amp").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "programs"), prepend=":")
    write(Path.home(), {".config/smithers/config.toml": "[isolate]\nmachine = true\n"})

    document = smithers.json("agents", "test", "amp", "--only", "answer", code=1)

    (failed,) = [step for step in document["steps"] if step["standing"] == "failed"]
    assert failed["text"].startswith("auth: ")
    assert failed["hint"] == "amp login"
