"""OpenAI Chat Completions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from agents.stub.wire import Event, Turn


def whole(turn: Turn) -> dict[str, Any]:
    """The answer as one document."""
    message = {"role": "assistant", "content": None if turn.call else turn.text, **_calls(turn)}
    choice = {"index": 0, "message": message, "finish_reason": _finish(turn), "logprobs": None}
    return {**_frame(turn), "object": "chat.completion", "choices": [choice], "usage": _usage(turn)}


def stream(turn: Turn) -> Iterator[Event]:
    """The answer as chunks; a dropped one ends in its middle."""
    calls = _calls(turn)
    for call in calls.get("tool_calls", ()):
        call["index"] = 0
    # In pieces, the role first, as the vendors send it.
    yield _chunk(turn, {"role": "assistant", "content": None if calls else ""})
    yield _chunk(turn, calls or {"content": turn.text})
    if turn.step.kind == "drop":
        return
    yield _chunk(turn, {}, _finish(turn))
    yield Event({**_frame(turn), "object": "chat.completion.chunk", "choices": [], "usage": _usage(turn)})


def _chunk(turn: Turn, delta: dict[str, Any], finish: str | None = None) -> Event:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return Event({**_frame(turn), "object": "chat.completion.chunk", "choices": [choice]})


def _frame(turn: Turn) -> dict[str, Any]:
    return {"id": f"chatcmpl-{turn.id}", "created": 1, "model": turn.model}


def _calls(turn: Turn) -> dict[str, Any]:
    if turn.call is None:
        return {}
    function = {"name": turn.call.name, "arguments": json.dumps(turn.call.arguments)}
    return {"tool_calls": [{"id": f"call_{turn.id}", "type": "function", "function": function}]}


def _finish(turn: Turn) -> str:
    if turn.step.kind == "decline":
        return "content_filter"
    return "tool_calls" if turn.call else "stop"


def _usage(turn: Turn) -> dict[str, Any]:
    step = turn.step
    return {
        "prompt_tokens": step.input_tokens,
        "completion_tokens": step.output_tokens,
        "total_tokens": step.input_tokens + step.output_tokens,
        "prompt_tokens_details": {"cached_tokens": step.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
