"""What would be run for the CLIs that cannot be had: the words, and what is made of what they are known to print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from smithers_git.core.command_line import Turn, build
from smithers_git.core.profile import Profile, load_profile
from smithers_git.core.stream import Reader

AGENTS = Path(__file__).parents[2] / "agents"
PROMPT = "Fix it, then say so."
AMP = "--no-ide --no-color --no-notifications --no-archive-after-execute"
FRESH, GOING_ON = {"new_session": "U"}, {"session": "S"}


def shipped(name: str) -> Profile:
    return load_profile((AGENTS / f"{name}.toml").read_text("utf-8"), f"agents/{name}.toml")


@pytest.mark.parametrize(
    ("name", "turn", "words"),
    [
        (
            "amp",
            FRESH,
            f"{AMP} --dangerously-allow-all --stream-json --execute",
        ),
        (
            "amp",
            {**GOING_ON, "model": "high"},
            f"threads continue S {AMP} --dangerously-allow-all --mode high --stream-json --execute",
        ),
        (
            "cursor",
            {**FRESH, "permission": "read"},
            f"--print --output-format stream-json --trust -- {PROMPT}",
        ),
        (
            "cursor",
            {**GOING_ON, "model": "gpt-5"},
            f"--print --output-format stream-json --trust --force --model gpt-5 --resume S -- {PROMPT}",
        ),
        ("antigravity", FRESH, f"--cwd /w --dangerously-skip-permissions -p {PROMPT}"),
        ("goose", FRESH, "run --quiet --name U --instructions -"),
        ("goose", {**GOING_ON, "model": "m"}, "run --quiet --resume --name S --model m --instructions -"),
    ],
)
def test_the_command_of_a_turn(name: str, turn: dict[str, str], words: str):
    call = build(shipped(name), Turn("/bin/x", PROMPT, "/w", "/scratch", **turn))  # type: ignore[arg-type]

    assert " ".join(call.argv[1:]) == words
    assert (call.stdin is None) == (PROMPT in words)
    assert call.stdin in (None, PROMPT.encode())


@pytest.mark.parametrize(("level", "mode"), [(None, "auto"), ("read", "chat")])
def test_goose_is_given_its_permission_by_a_variable(level: str | None, mode: str):
    call = build(shipped("goose"), Turn("/bin/x", PROMPT, "/w", "/scratch", permission=level))  # type: ignore[arg-type]
    assert call.env_set["GOOSE_MODE"] == mode


@pytest.mark.parametrize("name", ["amp", "cursor"])
def test_the_stream_of_a_turn_is_read(name: str):
    message = {"content": [{"type": "text", "text": "Done."}], "usage": {"input_tokens": 7, "output_tokens": 3}}
    lines = [
        {"type": "system", "subtype": "init", "session_id": "S"},
        {"type": "assistant", "message": message, "session_id": "S"},
        {"type": "result", "subtype": "success", "is_error": False, "result": "Done.", "session_id": "S"},
    ]
    reader = Reader(shipped(name))
    events = reader.feed("".join(json.dumps(line) + "\n" for line in lines).encode())
    reply = reader.finish(0)
    assert (reply.error, reply.answer, reply.session) == (None, "Done.", "S")
    assert [event.kind for event in events if event.kind != "usage"] == ["started", "text"]


@pytest.mark.parametrize("name", ["amp", "cursor", "antigravity", "goose"])
@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Error: 429 Too many requests: rate limit reached", "limit"),
        ("Error: 401 Unauthorized: invalid API key", "auth"),
        ("Error: 503 Service unavailable", "overload"),
    ],
)
def test_the_words_of_a_refusal_are_known(name: str, said: str, kind: str):
    error = Reader(shipped(name)).finish(1, said.encode()).error
    assert error is not None
    assert error.kind == kind


def test_amp_is_known_to_wait_for_a_person_when_it_has_no_key():
    # As 0.0.1790142911 prints it on standard output, without its address.
    reader = Reader(shipped("amp"))
    reader.feed(b"No API key found. Starting login flow...\nIf your browser does not open automatically, visit:\n")
    assert reader.waits
    error = reader.finish(None).error
    assert error is not None
    assert error.kind == "auth"
    assert "No API key found" in error.message
