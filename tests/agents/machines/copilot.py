"""GitHub Copilot CLI with a model of its user's own, so without an account."""

from __future__ import annotations

from agents.machine import Machine

MACHINE = Machine(
    name="copilot",
    speaks="chat",
    model="stub-model",
    env={
        "COPILOT_PROVIDER_BASE_URL": "{url}/v1",
        "COPILOT_PROVIDER_TYPE": "openai",
        "COPILOT_PROVIDER_API_KEY": "sk-dummy",
        "COPILOT_OFFLINE": "true",
    },
    hang=20,
    full="full",
)
