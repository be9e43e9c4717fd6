"""What the real CLIs said, as `smithers chat` shows it: by the rules of each profile, and over the protocol."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from smithers_git.core.profile import load_profile
from smithers_git.core.reply import AgentEvent
from smithers_git.service.transcripts import Interpreter

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "agents" / "recorded"
EDITS = sorted(str(path.relative_to(RECORDED)) for path in RECORDED.glob("*/edit.json"))


def shown(agent: str, said: bytes, pieces: int) -> list[AgentEvent]:
    path = ROOT / "agents" / f"{agent}.toml"
    reader = Interpreter(load_profile(path.read_text("utf-8"), str(path)))
    size = len(said) // pieces + 1
    found = [event for start in range(0, len(said), size) for event in reader.feed(said[start : start + size])]
    return found + reader.finish()


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("pieces", [1, 97])
def test_an_edit_is_shown_with_its_words(name: str, pieces: int):
    known = json.loads((RECORDED / name).read_text("utf-8"))
    events = shown(name.partition("/")[0], "".join(f"{line}\n" for line in known["said"]).encode(), pieces)
    words = "\n".join(event.text for event in events)
    for line in known["reply"]["answer"].strip().splitlines():
        assert line.strip() in words
    assert len(events) < 400


@pytest.mark.parametrize("name", ["claude-edit", "codex-edit"])
def test_an_edit_is_shown_with_its_tools(name: str):
    events = shown(name.partition("-")[0], (RECORDED / f"{name}.jsonl").read_bytes(), 13)
    assert {"started", "tool", "tool_done", "text"} <= {event.kind for event in events}


def test_the_protocol_is_read_for_an_agent_without_rules():
    path = ROOT / "agents" / "aider.toml"
    update = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "Hello."}}
    line = {"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s", "update": update}}
    events = Interpreter(load_profile(path.read_text("utf-8"), str(path))).feed(json.dumps(line).encode() + b"\n")
    assert [(event.kind, event.text) for event in events] == [("text", "Hello.")]
