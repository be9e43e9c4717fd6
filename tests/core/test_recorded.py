"""What the real CLIs said, read again: `tests/agents/recorded/NAME/*.json`, made by `tests/agents/recording.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from smithers_git.core.profile import load_profile
from smithers_git.core.reply import Reply
from smithers_git.core.stream import Reader

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "agents" / "recorded"
NAMES = sorted(str(path.relative_to(RECORDED).with_suffix("")) for path in RECORDED.glob("*/*.json"))


def recording(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text("utf-8"))
    return found


def replay(name: str, said: str, ending: dict[str, Any]) -> Reply:
    path = ROOT / "agents" / f"{name.partition('/')[0]}.toml"
    profile = load_profile(path.read_text("utf-8"), str(path))
    # Where the CLI does not say which conversation it is, the one that it was told to be counts.
    reader = Reader(profile, None, ending["reply"]["session"])
    reader.feed(said.encode())
    return reader.finish(
        ending["exit"], ending["stderr"].encode(), ending["files"], ended=ending["ended"], message=ending["message"]
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_turn_is_read_as_it_was(name: str):
    known = recording(name)
    reply = replay(name, "".join(f"{line}\n" for line in known["said"]), known)
    usage = reply.usage
    assert known["reply"] == {
        "kind": reply.error.kind if reply.error else "",
        "answer": reply.answer,
        "session": reply.session,
        "usage": [usage.input, usage.output, usage.cached] if usage else None,
        "cost": reply.cost,
    }


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("/edit")])
def test_a_turn_that_was_cut_off_is_no_success(name: str):
    """Whatever its exit code: everything but the end of what it said, and nothing that it wrote beside it."""
    known = recording(name)
    if len(known["said"]) < 2:
        pytest.skip("one line says it all")
    half = "".join(f"{line}\n" for line in known["said"][: len(known["said"]) // 2])
    ending = {**known, "files": {}, "exit": 0, "stderr": ""}
    error = replay(name, half, ending).error
    assert error is not None
