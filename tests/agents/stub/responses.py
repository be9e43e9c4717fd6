"""OpenAI Responses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from agents.stub.wire import Event, Turn


def whole(turn: Turn) -> dict[str, Any]:
    """The answer as one document."""
    step = turn.step
    document: dict[str, Any] = {
        "id": f"resp_{turn.id}",
        "object": "response",
        "created_at": 1,
        "model": turn.model,
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
    }
    if step.kind == "decline":
        error = {"code": "content_policy_violation", "message": turn.text}
        return {**document, "status": "failed", "error": error, "output": []}
    usage = {
        "input_tokens": step.input_tokens,
        "input_tokens_details": {"cached_tokens": step.cached_tokens},
        "output_tokens": step.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": step.input_tokens + step.output_tokens,
    }
    return {**document, "status": "completed", "error": None, "output": [_item(turn)], "usage": usage}


def stream(turn: Turn) -> Iterator[Event]:
    """The answer as events; a dropped one ends in its middle."""
    for number, (name, data) in enumerate(_events(turn)):
        yield Event({"type": name, "sequence_number": number, **data}, name)


def _events(turn: Turn) -> Iterator[tuple[str, dict[str, Any]]]:
    document = whole(turn)
    begun = {**document, "status": "in_progress", "output": [], "error": None, "usage": None}
    yield "response.created", {"response": begun}
    if turn.step.kind == "decline":
        yield "response.failed", {"response": document}
        return
    item = document["output"][0]
    empty = {**item, "content": []} if item["type"] == "message" else {**item, "arguments": ""}
    where = {"output_index": 0, "item_id": item["id"]}
    yield "response.output_item.added", {"output_index": 0, "item": {**empty, "status": "in_progress"}}
    if item["type"] == "message":
        part = {"type": "output_text", "text": turn.text, "annotations": []}
        yield "response.content_part.added", {**where, "content_index": 0, "part": {**part, "text": ""}}
        yield "response.output_text.delta", {**where, "content_index": 0, "delta": turn.text}
        if turn.step.kind == "drop":
            return
        yield "response.output_text.done", {**where, "content_index": 0, "text": turn.text}
        yield "response.content_part.done", {**where, "content_index": 0, "part": part}
    else:
        yield "response.function_call_arguments.delta", {**where, "delta": item["arguments"]}
        yield "response.function_call_arguments.done", {**where, "arguments": item["arguments"]}
    yield "response.output_item.done", {"output_index": 0, "item": item}
    yield "response.completed", {"response": document}


def _item(turn: Turn) -> dict[str, Any]:
    if turn.call is None:
        content = [{"type": "output_text", "text": turn.text, "annotations": []}] if turn.text else []
        return {
            "type": "message",
            "id": f"msg_{turn.id}",
            "role": "assistant",
            "status": "completed",
            "content": content,
        }
    return {
        "type": "function_call",
        "id": f"fc_{turn.id}",
        "call_id": f"call_{turn.id}",
        "name": turn.call.name,
        "arguments": json.dumps(turn.call.arguments),
        "status": "completed",
    }
