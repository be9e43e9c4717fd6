"""Kimi Code (the one for Node) with a provider of its user's own."""

from __future__ import annotations

from agents.machine import Machine

MACHINE = Machine(
    name="kimi-code",
    speaks="chat",
    env={
        "KIMI_MODEL_NAME": "stub-model",
        "KIMI_MODEL_PROVIDER_TYPE": "openai",
        "KIMI_MODEL_BASE_URL": "{url}/v1",
        "KIMI_MODEL_API_KEY": "sk-dummy",
        "KIMI_MODEL_MAX_CONTEXT_SIZE": "500000",
    },
    hang=30,
)
