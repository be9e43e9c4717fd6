"""Kimi CLI (the Python one) with a provider of its user's own."""

from __future__ import annotations

from agents.machine import Machine

MACHINE = Machine(
    name="kimi",
    speaks="chat",
    env={},
    files={
        ".kimi/config.toml": """
            default_model = "stub"
            [providers.stub]
            type = "openai_legacy"
            base_url = "{url}/v1"
            api_key = "sk-dummy"
            [models.stub]
            provider = "stub"
            model = "stub-model"
            max_context_size = 500000
            """
    },
    lost=None,
    # A stream that ends early without an error is an answer to it.
    kinds={"cut": ""},
    hang=30,
)
