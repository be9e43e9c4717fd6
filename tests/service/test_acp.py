"""Talking with agents over the Agent Client Protocol: real processes, a fake agent."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kit import acp_agent, repos
from kit.processes import marked
from pydantic import BaseModel

from smithers_git.core.events import Usage
from smithers_git.core.nodes import Task
from smithers_git.core.profile import load_profile
from smithers_git.errors import AgentError
from smithers_git.names import TaskKey
from smithers_git.service import isolation
from smithers_git.service.job import Job, Result
from smithers_git.service.live import Live, Watch
from smithers_git.service.project import Project
from smithers_git.service.talk.converse import converse
from smithers_git.service.transcripts import Interpreter

SECRET = "sk-secret-0123456789"


class Word(BaseModel):
    word: str


ANSWER = {"say": ['{"wo', 'rd": "done"}']}


class Stage:
    """One fake agent, whose profile has a program and [acp] and nothing else, in one repository."""

    def __init__(self, repo: Path, folder: Path, python: str = sys.executable) -> None:
        self.python = python
        self.repo, self.script, self.log = repo, folder / "script.json", folder / "log"
        self.profile = ""
        self.events: list[tuple[str, str]] = []
        self.said = ""
        self.cancel = threading.Event()
        self.cancel_at = ""
        """The kind of event at which the attempt is cancelled."""
        self.tries = 0
        self.mark = str(folder)
        self.configure()

    def configure(self, profile: str = "", **own: Any) -> None:
        argv = json.dumps(["-I", "-S", acp_agent.__file__, str(self.script)])
        text = f'program = ["{self.python}"]\ntransport = "acp"\n{profile}\n[acp]\nargv = {argv}\n'
        settings = "".join(f"{key} = {json.dumps(value)}\n" for key, value in own.items())
        env = f'env = {{ RUN_TEST = "{self.mark}", SOME_TOKEN = "{SECRET}" }}\n'
        # An isolated attempt sees nothing below a temporary folder, where this file may lie.
        config = f'[agents.fake]\n{settings}{env}[isolate]\nread = ["{acp_agent.__file__}"]\n'
        repos.write(self.repo, {".smithers/agents/fake.toml": text, ".smithers/config.toml": config})

    def play(self, *turns: list[dict[str, Any]], **script: Any) -> None:
        self.script.write_text(json.dumps({"turns": turns, "log": str(self.log)} | script))

    def attempt(self, session: str | None = None, agent: str = "fake", isolated: bool = False, **task: Any) -> Result:
        """One attempt, as the engine makes it."""
        self.tries += 1
        project = Project.open(self.repo)
        node = Task("t", agent=agent, prompt="Do it.", output=Word, **task)
        job = Job("r1", TaskKey("t", 0), self.tries, node, None, prompt="Do it.", agent=agent, session=session)
        job = replace(job, isolated=isolated)
        result = Result(job, agent=agent)
        live = Live(project.run_dir("r1"), job, self.report)
        try:
            converse(project, job, result, self.repo, Watch(self.cancel, live))
        finally:
            self.said = live.close().decode()
        assert marked("RUN_TEST", self.mark) == []
        return result

    def report(self, kind: str, text: str) -> None:
        self.events.append((kind, text))
        if kind == self.cancel_at:
            self.cancel.set()

    @property
    def heard(self) -> list[dict[str, Any]]:
        """What the agent was told."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    @property
    def methods(self) -> list[str]:
        return [message["method"] for message in self.heard if "method" in message]


@pytest.fixture
def stage(repo: Path, tmp_path: Path) -> Stage:
    (tmp_path / "stage").mkdir()
    return Stage(repo, tmp_path / "stage")


def test_its_conversation_is_on_the_disk_while_it_talks(stage: Stage):
    stage.configure('session.scope = "folder"')
    stage.play([{"think": "hm"}, ANSWER])
    live, seen = Project.open(stage.repo).run_dir("r1") / "live", list[str]()
    stage.report = lambda _kind, _text: seen.append((live / "t@0.1.session").read_text())  # type: ignore[method-assign]
    session = stage.attempt().session
    assert session
    assert set(seen) == {session}
    assert not list(live.iterdir())


def test_a_profile_of_a_program_and_acp_is_enough_for_a_turn(stage: Stage):
    counts = {"usage": {"inputTokens": 100, "outputTokens": 20, "totalTokens": 120, "cachedReadTokens": 30}}
    stage.play([{"say": "I shall write."}, {"edit": "new.txt", "text": "x\n"}, ANSWER, {"result": counts}])
    result = stage.attempt()
    assert (result.kind, result.value) == (None, {"word": "done"})
    assert (stage.repo / "new.txt").read_text() == "x\n"
    assert result.usage == Usage(input=100, output=20, cached=30)
    assert result.session
    assert [event for event in stage.events if event[0] != "usage"] == [
        ("text", "I shall write."),
        ("tool", "Write new.txt"),
        ("tool_done", ""),
        ("text", '{"word": "done"}'),
    ]
    assert [(event.kind, event.text) for event in chat(stage.said)] == stage.events[:-1]


def chat(said: str) -> list[Any]:
    """A transcript as `smithers chat` reads it."""
    interpreter = Interpreter(load_profile('program = ["x"]\ntransport = "acp"\n', "x.toml"))
    return interpreter.feed(said.encode()) + interpreter.finish()


def test_a_correction_goes_on_in_the_same_process_and_tokens_count_once(stage: Stage):
    def counts(given: int) -> dict[str, Any]:
        return {"result": {"usage": {"inputTokens": given, "outputTokens": given}}}

    stage.play([{"say": "Done."}, counts(10)], [{"say": "{}"}, counts(25)], [ANSWER, counts(60)])
    result = stage.attempt()
    assert result.value == {"word": "done"}
    assert result.usage == Usage(input=60, output=60)
    assert stage.methods == ["initialize", "session/new", *["session/prompt"] * 3]
    assert "holds no JSON" in stage.heard[3]["params"]["prompt"][0]["text"]


def test_a_conversation_is_loaded_only_where_the_profile_says_so_and_old_words_are_no_answer(stage: Stage):
    sessions = str(stage.script.parent / "sessions")
    stage.play([ANSWER], sessions=sessions)
    known = stage.attempt().session
    stage.play([{"think": "hm"}], [{"say": '{"word": "new"}'}], sessions=sessions)
    stage.log.unlink()
    assert stage.attempt(session=known).value is None
    assert "session/load" not in stage.methods
    stage.configure('session.scope = "folder"')
    stage.play([{"say": '{"word": "new"}'}], sessions=sessions)
    result = stage.attempt(session=known)
    assert (result.value, result.session) == ({"word": "new"}, known)
    assert stage.methods[-2:] == ["session/load", "session/prompt"]
    assert '"old' not in stage.said
    assert "You were interrupted." in stage.heard[-1]["params"]["prompt"][0]["text"]


def test_what_the_agent_leaves_in_the_folder_is_taken_away(stage: Stage):
    stage.configure('leaves = [".cache"]')
    stage.play([{"edit": ".cache", "text": "x"}, {"edit": "new.txt", "text": "x"}, ANSWER])
    assert stage.attempt().value == {"word": "done"}
    assert [(stage.repo / name).exists() for name in (".cache", "new.txt")] == [False, True]


def test_a_turn_counts_although_the_agent_ends_right_after_it(stage: Stage):
    stage.play([ANSWER], leave=True)
    assert stage.attempt().value == {"word": "done"}


@pytest.mark.parametrize("gone", ["error", "no loadSession"])
def test_a_conversation_that_is_gone_begins_anew_with_the_whole_task(stage: Stage, gone: str):
    stage.configure('session.scope = "folder"')
    refuse = {"session/load": {"code": -32002, "message": "Resource not found"}}
    more = {"sessions": str(stage.script.parent / "sessions"), "refuse": refuse} if gone == "error" else {}
    stage.play([ANSWER], **more)
    result = stage.attempt(session="11111111-2222-4333-8444-555555555555")
    assert result.value == {"word": "done"}
    assert ("other", "the conversation is gone; a new one begins") in stage.events
    assert "Do it." in stage.heard[-1]["params"]["prompt"][0]["text"]


LEVELS = [
    ("read", False, False, False),
    ("edit", True, False, False),
    ("full", True, True, True),
]


@pytest.mark.parametrize(("level", "inside", "outside", "command"), LEVELS)
def test_permissions_are_given_by_the_level(stage: Stage, level: str, inside: bool, outside: bool, command: bool):
    stage.configure(permission=level)
    beside, other = stage.script.parent / "beside.txt", stage.repo / "link"
    other.symlink_to(stage.script.parent)
    stage.play(
        [
            {"edit": "in.txt", "text": "x", "ask": True},
            {"edit": str(beside), "text": "x", "ask": True},
            {"edit": "link/linked.txt", "text": "x", "ask": True},
            {"edit": ".git/config2", "text": "x", "ask": True},
            {"edit": "nowhere.txt", "text": "x", "ask": True, "locations": []},
            {"edit": "other.txt", "text": "x", "ask": True, "kind": "other"},
            {"run": "touch ran.txt"},
            ANSWER,
        ]
    )
    assert stage.attempt().value == {"word": "done"}
    assert (stage.repo / "in.txt").exists() == inside
    wide = [beside, stage.script.parent / "linked.txt", stage.repo / ".git" / "config2"]
    assert [path.exists() for path in wide] == [outside] * 3
    assert [(stage.repo / name).exists() for name in ("nowhere.txt", "other.txt", "ran.txt")] == [command] * 3
    decisions = [text for kind, text in stage.events if kind == "other"]
    assert decisions[0] == f"{'allowed' if inside else 'refused'} by policy: Write in.txt"
    chosen = [message["result"]["outcome"]["optionId"] for message in stage.heard if "result" in message]
    assert set(chosen) <= {"id-allow_once", "id-reject_once"}


BWRAP, PYTHON = shutil.which("bwrap"), shutil.which("python3", path="/usr/bin:/usr/local/bin")


@pytest.mark.skipif(
    BWRAP is None or PYTHON is None or bool(isolation._try(BWRAP)),
    reason="there is no bubblewrap, or it cannot make namespaces, or no Python outside of covered folders",
)
def test_an_isolated_agent_may_run_commands_where_it_may_edit(repo: Path, tmp_path: Path):
    stage = Stage(repo, repo, str(PYTHON))  # the only folder that it sees
    stage.play([{"run": f"touch ran.txt; touch {tmp_path}/outside.txt"}, ANSWER])
    result = stage.attempt(isolated=True)
    assert result.value == {"word": "done"}, result.message
    assert (repo / "ran.txt").exists()
    assert not (tmp_path / "outside.txt").exists()


def failed(stage: Stage, *deeds: dict[str, Any], **script: Any) -> tuple[str | None, str]:
    stage.play(list(deeds), **script)
    result = stage.attempt()
    assert result.value is None
    return result.kind, result.message


def test_an_end_that_is_none_or_an_answer_that_is_none_is_a_failure(stage: Stage):
    assert failed(stage, ANSWER, {"stop": "max_tokens"})[0] == "crash"
    assert failed(stage, ANSWER, {"stop": "refusal"})[0] == "refusal"
    assert failed(stage, ANSWER, {"stop": "cancelled"})[0] == "cancelled"
    assert failed(stage, ANSWER, {"stop": None})[0] == "crash"
    assert failed(stage, {"say": " \n"})[0] == "empty"
    kind, message = failed(stage, ANSWER, {"exit": 3})
    assert (kind, message) == ("crash", "fake: it exited with code 3 before its turn was over: the agent fell over")


ERRORS = [
    ({"code": -32000, "message": "Authentication required"}, "auth"),
    ({"code": 401, "message": "invalid"}, "auth"),
    ({"code": -32603, "message": "Internal error", "data": {"details": "401 Incorrect API key"}}, "auth"),
    ({"code": -32603, "message": "Internal error: Rate limit reached"}, "limit"),
    ({"code": 500, "message": "no"}, "overload"),
    ({"code": -32603, "message": "Internal error", "data": {"details": "503 Service Unavailable"}}, "overload"),
    ({"code": -32603, "message": "the prompt is too long"}, "bad_request"),
    ({"code": -32603, "message": "the moon is full"}, "limit"),
    ("not even an object", "crash"),
]


@pytest.mark.parametrize(("error", "kind"), ERRORS)
def test_an_error_of_the_turn_is_classified_by_the_profile_or_else_by_what_it_says(stage: Stage, error: Any, kind: str):
    stage.configure("[[failure]]\nkind = 'limit'\nregex = 'moon'")
    assert failed(stage, ANSWER, refuse={"session/prompt": error})[0] == kind


def test_a_conversation_that_cannot_begin_says_why(stage: Stage):
    needs_login = {"code": -32000, "message": "Authentication required"}
    assert failed(stage, ANSWER, refuse={"session/new": needs_login}) == ("auth", "fake: Authentication required")
    assert failed(stage, ANSWER, initialize={"protocolVersion": 7})[0] == "bad_request"
    assert failed(stage, ANSWER, new={"sessionId": None}) == ("bad_request", "fake gave the conversation no id")
    stage.configure(model="nope")
    assert failed(stage, ANSWER) == ("bad_request", "fake offers no model 'nope'")
    stage.configure()
    stage.script.write_text("this is no JSON")
    assert stage.attempt().kind == "crash"


def test_the_mode_in_which_it_asks_and_the_model_that_is_wanted_are_set(stage: Stage):
    stage.configure(model="big")
    modes = {"currentModeId": "auto", "availableModes": [{"id": "auto"}, {"id": "default"}]}
    models = {"currentModelId": "small", "availableModels": [{"modelId": "small"}, {"modelId": "v/big", "name": "big"}]}
    stage.play([ANSWER], new={"modes": modes, "models": models})
    assert stage.attempt().model == "big"
    assert [message["params"] for message in stage.heard[2:4]] == [
        {"sessionId": stage.heard[2]["params"]["sessionId"], "modeId": "default"},
        {"sessionId": stage.heard[2]["params"]["sessionId"], "modelId": "v/big"},
    ]


@pytest.mark.parametrize(("how", "kind"), [("cancel", "cancelled"), ("idle", "idle"), ("stubborn", "timeout")])
def test_an_agent_that_hangs_is_told_to_stop_and_ended(stage: Stage, how: str, kind: str):
    turn = [{"say": '{"word": "half"}'}, {"edit": "a.txt", "text": "x"}, {"hang": True}]
    stage.play(turn, **({"stubborn": True} if how == "stubborn" else {}))
    limits = {"idle": {"idle_timeout": 0.6}, "stubborn": {"timeout": 0.6}}.get(how, {})
    stage.cancel_at = "tool_done" if how == "cancel" else ""
    result = stage.attempt(**limits)
    assert (result.kind, result.value) == (kind, None)
    assert stage.methods[-1] == "session/cancel"
    assert result.session


def test_what_is_no_message_stops_nothing(stage: Stage):
    nonsense = [
        {"raw": "warning: something"},
        {"raw": "{"},
        {"raw": "[" * 2000},
        {"raw": '{"jsonrpc": "2.0", "id": 99, "result": {"stopReason": "end_turn"}}'},
        {"raw": '{"jsonrpc": "2.0", "id": [1], "result": 7}'},
        {"raw": '{"jsonrpc": "2.0", "method": 7, "id": 5}'},
        {"raw": '{"jsonrpc": "2.0", "method": "session/update", "params": {"update": {"sessionUpdate": ["x"]}}}'},
        {"raw": '{"jsonrpc": "2.0", "method": "session/update", "params": 5}'},
        {"raw": '{"jsonrpc": "2.0", "method": "session/request_permission", "id": 9, "params": {"options": 5}}'},
        {"raw": "\udcff\udcfe"},
        {"update": {"sessionUpdate": "agent_message_chunk", "content": {"type": "image", "text": 5}}},
        {"update": {"sessionUpdate": "usage_update", "cost": {"amount": 0.5, "currency": "USD"}}},
    ]
    other = {"sessionId": "other", "update": {"sessionUpdate": "agent_message_chunk", "content": {"text": "no"}}}
    nonsense.append({"raw": json.dumps({"jsonrpc": "2.0", "method": "session/update", "params": other})})
    stage.play([*nonsense, ANSWER])
    result = stage.attempt()
    assert (result.kind, result.value, result.cost) == (None, {"word": "done"}, 0.5)
    assert "warning: something\n" in stage.said


def test_an_agent_that_reads_nothing_is_given_up(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("smithers_git.service.talk.acp._DEAF", 100_000)
    monkeypatch.setattr("smithers_git.service.talk.acp._LEAVE", 0.1)
    assert failed(stage, {"deaf": 5000}) == ("idle", "fake does not read what it is told")


def test_a_secret_that_lies_across_pieces_is_in_no_transcript(stage: Stage):
    halves = [f"The token is {SECRET[:9]}", f"{SECRET[9:]}, and that was it."]
    stage.play([{"say": halves}, {"raw": SECRET}, {"edit": f"{SECRET}.txt", "text": "x"}, ANSWER])
    assert stage.attempt().value == {"word": "done"}
    assert SECRET not in stage.said + str(stage.events)
    assert SECRET[9:] not in stage.said
    assert "The token is [redacted], and that was it." in stage.said


def test_a_transport_that_the_profile_does_not_know_is_refused(stage: Stage):
    config = '[agents.script]\ntransport = "acp"\n[agents.fake]\ntransport = "exec"\n'
    (stage.repo / ".smithers" / "config.toml").write_text(config)
    with pytest.raises(AgentError, match=r"script has no \[acp\]"):
        stage.attempt(agent="script")
    with pytest.raises(AgentError, match="speaks the Agent Client Protocol and nothing else"):
        stage.attempt()
