"""Turns with a model, in this process: every protocol that the library speaks, against a model on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agents.stub.server import StubModel
from agents.stub.steps import Step, decline, drop, refuse, run, say, write

from smithers_git.core.events import Usage
from smithers_git.core.profile import load_profile
from smithers_git.core.reply import AgentEvent
from smithers_git.core.sdk_agent import SdkJob, parse
from smithers_git.core.stream import Reader
from smithers_git.edge.sdk import PROFILE
from smithers_git.edge.sdk.turn import Turn

MODELS = ["anthropic/claude-sonnet-5-5", "openai/gpt-5", "openai-chat/gpt-4o", "google/gemini-2.5-pro"]
SCHEMA = {"type": "object", "title": "C", "properties": {"summary": {"type": "string"}}, "required": ["summary"]}
DONE = '{"summary": "done"}'
KEY = "sk-test-of-nobody"


@pytest.fixture(scope="module")
def stub() -> Iterator[StubModel]:
    with StubModel() as found:
        yield found


@pytest.fixture
def work(repo: Path, stub: StubModel, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, and an environment in which every provider is the stub."""
    for name, value in {
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": stub.url,
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{stub.url}/v1",
        "GEMINI_API_KEY": KEY,
        "GOOGLE_GEMINI_BASE_URL": stub.url,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("smithers_git.edge.sdk.turn._PAUSES", (0.01, 0.01))
    return repo


class Told(list[dict[str, Any]]):
    """The lines of a turn."""

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self if line["type"] == kind]

    @property
    def result(self) -> dict[str, Any]:
        assert self[-1]["type"] == "result"
        return self[-1]

    @property
    def history(self) -> list[dict[str, Any]]:
        assert [line["n"] for line in self.of("message")] == list(range(len(self.of("message"))))
        return [line["message"] for line in self.of("message")]

    @property
    def answers(self) -> list[Any]:
        """What tools gave back."""
        parts = [part for message in self.history for part in message["parts"]]
        return [part["content"] for part in parts if part["part_kind"] == "tool-return"]


def turn(work: Path, model: str = MODELS[0], permission: str = "edit", **job: Any) -> Told:
    told = Told()
    whole = SdkJob(**{"prompt": "Do it.", "session": "s", "output": SCHEMA, "max_requests": 20} | job)
    Turn(parse(f"sdk:{model}"), permission, whole, work, told.append).run()
    return told


@pytest.mark.parametrize("model", MODELS)
def test_a_turn_writes_a_file_and_counts_its_tokens(model: str, work: Path, stub: StubModel):
    stub.play(
        write("new/calc.py", "x = 'ümläut'\n", input_tokens=120, cached_tokens=20, output_tokens=30),
        say(DONE, input_tokens=150, output_tokens=40),
    )
    told = turn(work, model)
    assert told.result == {"type": "result", "answer": DONE, "error": None}
    assert (work / "new" / "calc.py").read_text() == "x = 'ümläut'\n"
    used = told.of("usage")
    # Anthropic's input is without the cached tokens; the library adds them.
    assert [line["input"] for line in used] == [140 if "anthropic" in model else 120, 150]
    assert ([line["output"] for line in used], used[0]["cached"]) == ([30, 40], 20)
    # The stub calls Google's model by a name that no price list has: then there is no cost, rather than a wrong one.
    assert all(("cost" in line) == ("google" not in model) for line in used)
    assert all(line.get("cost", 1) > 0 for line in used)


def test_the_profile_reads_a_turn_and_takes_no_part_of_it_for_a_success(work: Path, stub: StubModel):
    stub.play(write("a.txt", "a\n", input_tokens=10), refuse(503, "api_error", "hiccup"), say(DONE, cached_tokens=7))
    lines = [{"type": "session", "session": "s", "model": MODELS[0]}, *turn(work)]
    profile = load_profile(PROFILE.read_text(), str(PROFILE))
    for end in range(len(lines) + 1):
        reader, events = Reader(profile), list[AgentEvent]()
        for line in lines[:end]:
            events += reader.feed(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        reply = reader.finish(0)
        assert (reply.error is None) == (end == len(lines))
    assert (reply.answer, reply.session) == (DONE, "s")
    assert reply.usage == Usage(input=117, output=20, cached=7)
    assert reply.cost == pytest.approx(sum(line["cost"] for line in lines if line["type"] == "usage"))
    told = [(event.kind, event.text) for event in events if event.kind != "usage"]
    assert told == [
        ("started", MODELS[0]),
        ("tool", "write a.txt"),
        ("tool_done", "write made a.txt"),
        ("retrying", "claude-sonnet-5-5: 503 hiccup"),
        ("text", DONE),
    ]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (refuse(429, "rate_limit_error", "slow down", retry_after="7"), ("limit", 7)),
        (refuse(401, "authentication_error", "who are you"), ("auth", None)),
        (refuse(400, "invalid_request_error", "what do you mean"), ("bad_request", None)),
        (refuse(404, "not_found_error", "no such model"), ("bad_request", None)),
        (refuse(529, "overloaded_error", "busy"), ("overload", None)),
        (decline("I would rather not."), ("refusal", None)),
        (drop('{"summ'), ("overload", None)),
        (say(""), ("empty", None)),
    ],
    ids=lambda value: f"{value.kind}-{value.status}" if isinstance(value, Step) else "",
)
def test_what_a_service_says_is_classified(
    model: str, step: Step, expected: tuple[str, float | None], work: Path, stub: StubModel
):
    stub.play(step)
    error = turn(work, model).result["error"]
    assert (error["kind"], error["retry_after"]) == expected
    assert step.text in error["message"] or step.kind in ("drop", "text")


def test_an_account_that_has_run_dry_is_for_a_person_to_mend(work: Path, stub: StubModel):
    stub.play(refuse(429, "insufficient_quota", "You exceeded your current quota"))
    assert turn(work, "openai/gpt-5").result["error"]["kind"] == "auth"


def test_a_blip_is_tried_again_and_a_limit_is_not(work: Path, stub: StubModel):
    stub.play(refuse(503, "api_error", "hiccup"), say(DONE))
    told = turn(work)
    assert told.result["error"] is None
    assert [line["message"] for line in told.of("retrying")] == ["claude-sonnet-5-5: 503 hiccup"]
    stub.play(refuse(429, "rate_limit_error", "slow down"))
    turn(work)
    assert len(stub.requests) == 1


def test_without_a_key_nothing_is_asked(work: Path, stub: StubModel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    stub.play(say(DONE))
    error = turn(work).result["error"]
    assert (error["kind"], error["message"]) == ("auth", "anthropic: no key; set ANTHROPIC_API_KEY")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert turn(work, "openai-chat/llama").result["answer"] == DONE  # a server of one's own wants none
    assert len(stub.requests) == 1


def test_a_provider_that_nobody_knows_is_named(work: Path):
    error = turn(work, "nobody/model").result["error"]
    assert error["kind"] == "bad_request"
    assert "nobody" in error["message"]


@pytest.mark.parametrize("model", MODELS)
def test_a_conversation_goes_on(model: str, work: Path, stub: StubModel):
    stub.play(write("a.txt", "a\n"), say(DONE))
    first = turn(work, model, prompt="The word is aubergine.")
    stub.play(say('{"summary": "again"}'))
    second = turn(work, model, prompt="Which word?", history=first.history)
    assert json.loads(second.result["answer"]) == {"summary": "again"}
    sent = json.dumps(stub.requests[0].body)
    assert all(word in sent for word in ("The word is aubergine.", "made a.txt", "Which word?"))
    assert [line["n"] for line in second.of("message")] == [len(first.history), len(first.history) + 1]


@pytest.mark.parametrize("model", MODELS)
def test_a_conversation_that_was_cut_off_in_a_tool_goes_on(model: str, work: Path, stub: StubModel):
    stub.play(write("a.txt", "a\n"), say(DONE))
    whole = turn(work, model, prompt="Make a.txt.").history
    assert whole[1]["parts"][0]["part_kind"] == "tool-call"
    stub.play(say(DONE))
    second = turn(work, model, prompt="Go on.", history=whole[:2])
    assert second.result["error"] is None
    assert "It may have had effects" in json.dumps(stub.requests[0].body)
    third = turn(
        work, model, prompt="And on.", history=[*whole[:2], *(line["message"] for line in second.of("message"))]
    )
    assert third.result["error"] is None


def test_an_answer_in_words_is_handed_on(work: Path, stub: StubModel):
    stub.play(say("I am done."))
    assert turn(work).result["answer"] == "I am done."
    assert turn(work, output=None).result["answer"] == "I am done."


def test_a_schema_that_no_tool_can_have_is_left_to_the_prompt(work: Path, stub: StubModel):
    tree = {"$ref": "#/$defs/T", "$defs": {"T": {"type": "object", "properties": {"t": {"$ref": "#/$defs/T"}}}}}
    stub.play(say('{"t": {}}'))
    for schema in (tree, {"type": "array", "items": {"type": "string"}}):
        assert turn(work, output=schema).result["answer"] == '{"t": {}}'


def test_a_turn_ends_when_it_has_made_its_requests(work: Path, stub: StubModel):
    stub.play(write("a.txt", "a\n"))
    told = turn(work, max_requests=3)
    assert told.result["error"]["kind"] == "timeout"
    assert "3" in told.result["error"]["message"]
    assert len(told.of("usage")) == 3


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"permission": "read", "shell": []}, ["read", "grep"]),
        ({"permission": "edit"}, ["read", "grep", "write", "edit"]),
        ({"permission": "edit", "shell": ["nice"]}, ["read", "grep", "write", "edit", "bash"]),
        ({"permission": "full", "shell": [], "tools": ["grep", "bash"]}, ["grep", "bash"]),
    ],
)
def test_a_level_has_its_tools(given: dict[str, Any], names: list[str], work: Path, stub: StubModel):
    stub.play(say(DONE))
    turn(work, **given)
    offered = [tool["name"] for tool in stub.requests[0].body["tools"]]
    assert offered == names  # the answer has a form of its own, not a tool
    assert ("You cannot run commands." in stub.requests[0].words) == ("bash" not in names)


def test_a_command_does_not_see_the_key(work: Path, stub: StubModel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HARMLESS", "seen")
    stub.play(run("env; exit 3"), say(DONE))
    told = turn(work, permission="full", shell=[], hidden=["ANTHROPIC_*", "OPENAI_*", "GOOGLE_*", "GEMINI_*"])
    (said,) = told.answers
    assert "HARMLESS=seen" in said
    assert KEY not in said
    assert said.endswith("[exited with code 3]")


def test_commands_are_run_through_what_is_given(work: Path, stub: StubModel):
    stub.play(run("echo $INSIDE"), say(DONE))
    assert turn(work, permission="edit", shell=["env", "INSIDE=yes"]).answers == ["yes"]


def test_what_a_command_says_is_cut_in_its_middle_and_what_it_left_is_ended(work: Path, stub: StubModel):
    stub.play(run("echo begin; seq 1 100000; sleep 600 & echo end"), say(DONE))
    (said,) = turn(work, permission="full", shell=[]).answers
    assert said.startswith("begin\n1\n")
    assert said.endswith("\n100000\nend")
    assert "bytes left out]" in said
    assert len(said) < 60_000


def test_a_conversation_that_cannot_be_read_is_lost(work: Path, stub: StubModel):
    stub.play(say(DONE))
    lines = turn(work, history=[{"kind": "request", "parts": [{"part_kind": "of another time"}]}])
    reader = Reader(load_profile(PROFILE.read_text(), str(PROFILE)))
    reader.feed(json.dumps(lines.result).encode() + b"\n")
    error = reader.finish(1).error
    assert error is not None
    assert error.lost_session
    assert stub.requests == []


@pytest.mark.parametrize(
    ("name", "keys", "passed"),
    [
        ("openai-chat/a", ("OPENAI_API_KEY",), {"OPENAI_*", "OPENAI_CHAT_BASE_URL"}),
        ("google-cloud/a", ("GOOGLE_CLOUD_API_KEY",), {"GOOGLE_*"}),
        ("openrouter/a/b", ("OPENROUTER_API_KEY",), {"OPENROUTER_API_KEY", "OPENROUTER_BASE_URL"}),
        ("bedrock/eu.anthropic.claude-v1:0", ("BEDROCK_API_KEY",), {"AWS_*"}),
    ],
)
def test_a_provider_sees_its_own_variables(name: str, keys: tuple[str, ...], passed: set[str]):
    agent = parse(f"sdk:{name}")
    assert agent.id == name
    assert agent.keys == keys
    assert passed <= set(agent.passed)
