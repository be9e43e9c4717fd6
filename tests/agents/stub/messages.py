"""Anthropic Messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from agents.stub.wire import Event, Turn

_STOPS = {"write": "tool_use", "run": "tool_use", "call": "tool_use", "decline": "refusal"}


def whole(turn: Turn) -> dict[str, Any]:
    """The answer as one document."""
    step = turn.step
    block: dict[str, Any] = {"type": "text", "text": turn.text}
    if turn.call:
        block = {
            "type": "tool_use",
            "id": f"toolu_{turn.id}",
            "name": turn.call.name,
            "input": turn.call.arguments,
        }
    usage = {
        "input_tokens": step.input_tokens,
        "cache_read_input_tokens": step.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": step.output_tokens,
    }
    return {
        "id": f"msg_{turn.id}",
        "type": "message",
        "role": "assistant",
        "model": turn.model,
        "content": [block],
        "stop_reason": _STOPS.get(step.kind, "end_turn"),
        "stop_sequence": None,
        "usage": usage,
    }


def stream(turn: Turn) -> Iterator[Event]:
    """The answer as events; a dropped one ends in its middle."""
    for name, data in _events(turn):
        yield Event({"type": name, **data}, name)


def _events(turn: Turn) -> Iterator[tuple[str, dict[str, Any]]]:
    message = whole(turn)
    block = message["content"][0]
    end = {"stop_reason": message.pop("stop_reason"), "stop_sequence": None}
    yield "message_start", {"message": {**message, "content": [], "stop_reason": None}}
    if block["type"] == "text":
        yield "content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}
        yield "content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": turn.text}}
        if turn.step.kind == "drop":
            return
    else:
        arguments = json.dumps(block["input"])
        yield "content_block_start", {"index": 0, "content_block": {**block, "input": {}}}
        yield "content_block_delta", {"index": 0, "delta": {"type": "input_json_delta", "partial_json": arguments}}
    yield "content_block_stop", {"index": 0}
    yield "message_delta", {"delta": end, "usage": {"output_tokens": turn.step.output_tokens}}
    yield "message_stop", {}
