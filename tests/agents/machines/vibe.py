"""Mistral Vibe with a provider of its user's own."""

from __future__ import annotations

from agents.machine import Machine

MACHINE = Machine(
    name="vibe",
    speaks="chat",
    env={"OPENAI_API_KEY": "sk-dummy"},
    files={
        ".vibe/config.toml": """
            active_model = "stub"
            enable_update_checks = false
            enable_telemetry = false
            [[providers]]
            name = "stub"
            api_base = "{url}/v1"
            api_key_env_var = "OPENAI_API_KEY"
            api_style = "openai"
            backend = "generic"
            [[models]]
            name = "stub-model"
            provider = "stub"
            alias = "stub"
            input_price = 1.0
            output_price = 2.0
            """
    },
    hang=30,
    patience=30,
    full="full",
)
