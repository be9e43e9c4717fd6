"""Small pieces of text that several screens share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it brings pydantic, which `ps` does without
    from smithers_git.core.reply import AgentEvent

_PREFIX = {"tool": "> ", "tool_done": "< ", "retrying": "~ ", "other": "| "}


def said(event: AgentEvent) -> list[str]:
    """An agent's event as lines for a person; none for what only a program wants to know."""
    if event.kind in ("usage", "started") or not event.text.strip():
        return []
    prefix = _PREFIX.get(event.kind, "")
    return [prefix + line.rstrip() for line in event.text.strip().splitlines()]


def count(number: float) -> str:
    """A number of tokens in at most five characters: 950, 12.3k, 1.2M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(int(number))


def money(dollars: float) -> str:
    """US dollars; empty for nothing, so that a column of nothing can be left out."""
    return f"${dollars:.2f}" if dollars else ""


def unasked(bypass: str) -> str:
    """That an agent did what it wanted without being asked, and whether it was isolated; empty when something asks."""
    return {"isolated": "(unasked, isolated)", "open": "(unasked, NOT isolated)"}.get(bypass, "")


def plural(number: int, noun: str) -> str:
    """`3 frames`, `1 frame`."""
    return f"{number} {noun}{'s' * (number != 1)}"
