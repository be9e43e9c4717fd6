"""Tokens and money, in each of the shapes in which agents tell them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from smithers_git.core.acp.rpc import table, tables, word
from smithers_git.core.events import Usage


def of_counts(counts: Any) -> Usage | None:
    """The protocol's own shape, and gemini's; None where there are no counts."""
    known = table(counts)
    given = _number(known, "inputTokens", "input_tokens")
    out = _number(known, "outputTokens", "output_tokens")
    if given is None and out is None:
        return None
    read = _number(known, "cachedReadTokens", "cached_read_tokens", "cached_tokens") or 0
    written = _number(known, "cachedWriteTokens", "cached_write_tokens") or 0
    given, out, total = given or 0, out or 0, _number(known, "totalTokens", "total_tokens")
    # Input is told with the cached ones (copilot, vibe, qwen, gemini) or without (opencode); only the total tells.
    if total is not None and read + written and total >= given + out + read + written:
        given += read + written
    return Usage(input=given, output=out, cached=read)


def of_result(result: dict[str, Any]) -> Usage | None:
    """What the end of a turn tells."""
    meta = table(result, "_meta")
    shapes = (result.get("usage"), table(meta, "quota").get("token_count"), meta.get("usage"))
    return next((found for found in map(of_counts, shapes) if found), None)


def of_chunk(update: dict[str, Any]) -> Usage | None:
    """What a piece of a message tells of one call of the model (qwen)."""
    return of_counts(table(update, "_meta").get("usage"))


def cost_of(update: dict[str, Any]) -> float | None:
    """US dollars of the conversation so far, as a `usage_update` tells them."""
    cost = table(update, "cost")
    amount = cost.get("amount")
    if isinstance(amount, bool) or not isinstance(amount, int | float) or word(cost.get("currency")).upper() != "USD":
        return None
    return float(amount)


def model_of(result: dict[str, Any]) -> str | None:
    """The model that a new conversation has, where the agent tells."""
    chosen = word(table(result, "models").get("currentModelId"))
    options = [one for one in tables(result.get("configOptions")) if one.get("category") == "model"]
    return chosen or next((word(one.get("currentValue")) for one in options), "") or None


@dataclass
class Meter:
    """Takes what the turns before used from what a conversation used.

    Args:
        counts: what the agent's numbers are of. The protocol says the conversation.
        total: the numbers at the end of the turn before, when the conversation goes on.
    """

    counts: Literal["conversation", "turn"]
    total: Usage | None = None

    def turn(self, told: Usage | None) -> Usage | None:
        """Tokens of the turn at whose end the agent told these numbers."""
        before, self.total = self.total, told or self.total
        if told is None or before is None or self.counts == "turn":
            return told
        if told.input < before.input or told.output < before.output:
            return told  # a sum never shrinks: this agent tells each turn for itself, or began to count anew
        return Usage(
            input=told.input - before.input,
            output=told.output - before.output,
            cached=max(0, told.cached - before.cached),
        )


def _number(known: dict[str, Any], *names: str) -> int | None:
    for name in names:
        value = known.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15:
            return int(value)
    return None
