"""Qwen Code with a key for a service of its user's own that speaks OpenAI's Chat Completions."""

from __future__ import annotations

from agents.machine import Machine

MACHINE = Machine(
    name="qwen",
    speaks="chat",
    model="qwen3-coder-plus",
    env={"OPENAI_API_KEY": "sk-dummy", "OPENAI_BASE_URL": "{url}/v1"},
    hang=15,
)
