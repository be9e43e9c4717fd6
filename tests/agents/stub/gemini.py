"""Gemini generateContent and streamGenerateContent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agents.stub.wire import Event, Turn


def whole(turn: Turn) -> dict[str, Any]:
    """The answer as one document."""
    return _document(turn, "SAFETY" if turn.step.kind == "decline" else "STOP")


def stream(turn: Turn) -> Iterator[Event]:
    """The answer as documents; a dropped one ends in its middle."""
    if turn.step.kind == "drop":
        yield Event(_document(turn, None))
        return
    yield Event(whole(turn))


def _document(turn: Turn, finish: str | None) -> dict[str, Any]:
    step = turn.step
    part: dict[str, Any] = {"text": turn.text}
    if turn.call:
        part = {"functionCall": {"name": turn.call.name, "args": turn.call.arguments}}
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    usage = {
        "promptTokenCount": step.input_tokens,
        "candidatesTokenCount": step.output_tokens,
        "cachedContentTokenCount": step.cached_tokens,
        "totalTokenCount": step.input_tokens + step.output_tokens,
    }
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": turn.model, "responseId": turn.id}
