"""A conversation outlives a kill, a new HOME and another machine; where it cannot, what is known of it is written."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from kit import engines, processes, recaller
from kit.repos import git
from kit.runs import Engine, Smithers

from smithers_git.core import events as ev
from smithers_git.edge import boot

ASK = """\
    return Sequence(Task("work", agent="{agent}", output=Change, retries=0, prompt="remember #apple"))
"""


@pytest.fixture(autouse=True)
def home() -> Path:
    """The HOME, without conversations."""
    path = Path(os.environ["HOME"])
    shutil.rmtree(path / ".recaller", ignore_errors=True)
    return path


def tries(smithers: Smithers, run: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = smithers.json("node", run, "work")["tries"]
    return found


def test_a_kill_in_the_middle_of_the_first_turn_loses_no_conversation(smithers: Smithers) -> None:
    hang = 'say = "Thinking."\nhang = true\n'
    script = smithers.repo.parent / "script.toml"
    script.write_text(f'[[turn]]\nattempt = 1\n{hang}[[turn]]\nanswer = {{ summary = "done" }}\n')
    os.environ["SMITHERS_SCRIPT"] = str(script)
    smithers.write(ASK.format(agent="script"))
    talk = smithers.repo / ".git" / "smithers" / "runs" / "r" / "live" / "work@0.1.session"
    with Engine(smithers.repo, "flow.py", "--run-id", "r") as engine:
        assert processes.eventually(talk.exists, 30)
        session = talk.read_text()
        assert processes.eventually(lambda: "Thinking." in smithers("chat", "r").out)
        assert f"session {session}" in smithers("chat", "r").out
        engine.kill()
    smithers.json("up", "--resume", "r")

    first, second = tries(smithers, "r")
    assert (first["status"], first["session"]) == ("interrupted", session)
    assert (second["status"], second["session"], second["conversation"]) == ("finished", session, "continued")
    (cut,) = [one for one in engines.events(smithers.repo, "r") if isinstance(one, ev.TaskInterrupted)]
    assert (cut.session, cut.agent, cut.restored) == (session, "script", True)


def failed_once(smithers: Smithers, scope: str = "moves") -> str:
    """A run whose agent was told of an apple, and failed."""
    recaller.install(smithers.repo, {"1": "fail"}, scope)
    return smithers.up(body=ASK.format(agent="recaller"), code=1)


def test_a_conversation_that_is_on_this_machine_goes_on(smithers: Smithers, home: Path) -> None:
    run = failed_once(smithers)
    (file,) = recaller.files(home)
    file.write_text(file.read_text() + '"and #plum"\n')  # newer than the frame: never written over
    assert smithers.json("up", "--resume", run)["status"] == "finished"
    assert tries(smithers, run)[1]["conversation"] == "continued"
    assert smithers.json("output", run, "work") == {"summary": "#apple #plum"}


def test_its_files_are_put_back_where_the_home_is_new(smithers: Smithers, home: Path) -> None:
    run = failed_once(smithers)
    (file,) = recaller.files(home)
    before = file.read_bytes()
    shutil.rmtree(home / ".recaller")
    assert smithers.json("up", "--resume", run)["status"] == "finished"
    first, second = tries(smithers, run)
    assert (first["conversation"], second["conversation"]) == ("new", "restored")
    assert first["session"] == second["session"]
    assert file.read_bytes().startswith(before)
    assert smithers.json("output", run, "work") == {"summary": "#apple"}
    assert f"session {second['session']}, restored" in smithers("node", run, "work").out
    assert "restored" in smithers("chat", run).out


@pytest.mark.parametrize(("torn", "known"), [(b"", True), (b"\0" * 40, True), (b'"re', True), (b"", False)])
def test_what_a_power_loss_tore_of_its_files_is_put_back_or_counts_as_lost(
    smithers: Smithers, home: Path, monkeypatch: pytest.MonkeyPatch, torn: bytes, known: bool
) -> None:
    if not known:
        monkeypatch.setattr("smithers_git.service.conversations.MOST", 10)
    run = failed_once(smithers)
    (file,) = recaller.files(home)
    before = file.read_bytes()
    file.write_bytes(torn)
    monkeypatch.setattr(boot, "current", lambda: boot.Boot("another", time.time() + 60))
    assert smithers.json("up", "--resume", run)["status"] == "finished"
    assert tries(smithers, run)[1]["conversation"] == ("restored" if known else "summary")
    assert smithers.json("output", run, "work") == {"summary": "#apple" if known else "#apple #apple"}
    assert file.with_name(f"{file.name}.torn").read_bytes() == torn
    assert not known or file.read_bytes().startswith(before)


def test_secrets_are_taken_out_of_the_files_that_a_frame_holds(
    smithers: Smithers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "geheim-geheim")
    recaller.install(smithers.repo, {"1": "fail"})
    run = smithers.up(body=ASK.format(agent="recaller").replace("#apple", "geheim-geheim"), code=1)
    held = git(smithers.repo, "grep", "-h", "remember", f"refs/smithers/runs/{run}", "--", "sessions")
    assert "remember [redacted]" in held


def test_a_conversation_that_is_nowhere_is_gone_on_with_from_what_is_written_down(
    smithers: Smithers, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smithers_git.service.conversations.MOST", 10)
    recaller.install(smithers.repo, {"1": "fail"})
    smithers.write(ASK.format(agent="recaller"))
    said = smithers("up", "flow.py", "--run-id", "r", code=1)
    assert "another machine cannot go on with it" in said.err
    shutil.rmtree(home / ".recaller")
    assert smithers.json("up", "--resume", "r")["status"] == "finished"
    first, second = tries(smithers, "r")
    assert second["conversation"] == "summary"
    assert second["session"] != first["session"]
    (prompt,) = map(json.loads, recaller.files(home)[0].read_text().splitlines())
    assert "What you said last:\nI know #apple" in prompt
    assert "It ended: " in prompt


def test_a_conversation_that_is_tied_to_another_folder_is_not_resumed(smithers: Smithers, home: Path) -> None:
    run = failed_once(smithers, "folder")
    # Another clone: its workspaces have other paths, and the files of the conversation are there all the same.
    clone = smithers.repo.parent / "clone"
    git(smithers.repo.parent, "clone", "-q", str(smithers.repo), str(clone))
    git(
        clone, "fetch", "-q", "origin", "refs/smithers/*:refs/smithers/*", "refs/heads/smithers/*:refs/heads/smithers/*"
    )
    shutil.copytree(smithers.repo / ".smithers", clone / ".smithers", dirs_exist_ok=True)
    os.chdir(clone)
    assert smithers.json("up", "--resume", run)["status"] == "finished"
    first, second = tries(smithers, run)
    assert second["conversation"] == "summary"
    assert second["session"] != first["session"]


def test_a_frame_from_elsewhere_writes_nothing_but_the_conversation(smithers: Smithers, home: Path) -> None:
    from smithers_git.service import conversations
    from smithers_git.service.pools import profile
    from smithers_git.service.project import Project

    recaller.install(smithers.repo, {})
    own = profile(Project.open(smithers.repo), "recaller")
    names = ["settings.json", "talks/x/s.jsonl/y", "talks/../s.jsonl", "talks/x/other.jsonl", "talks/x/y/s.jsonl"]
    kept = conversations.Kept("s", "recaller", "/x", dict.fromkeys([*names, "talks/x/s.jsonl"], b"evil"))
    assert conversations.put_back(kept, own, {"HOME": str(home)})
    assert recaller.files(home) == [home / ".recaller" / "talks" / "x" / "s.jsonl"]
    assert not conversations.put_back(kept, own, {"HOME": str(home)})


def test_an_agent_that_needs_more_than_the_files_is_not_given_them(smithers: Smithers, home: Path) -> None:
    recaller.install(smithers.repo, {"1": "fail"})
    own = smithers.repo / ".smithers" / "agents" / "recaller.toml"
    own.write_text(own.read_text().replace("[state]", "[state]\nportable = false"))
    run = smithers.up(body=ASK.format(agent="recaller"), code=1)
    assert not git(smithers.repo, "ls-tree", "-r", f"refs/smithers/runs/{run}", "--", "sessions")
    shutil.rmtree(home / ".recaller")
    assert smithers.json("up", "--resume", run)["status"] == "finished"
    assert tries(smithers, run)[1]["conversation"] == "summary"
