"""Codex with a provider of its user's own, whose retries can be turned down, unlike those of the built-in one."""

from __future__ import annotations

from agents.machine import Machine

MACHINE = Machine(
    name="codex",
    speaks="responses",
    env={"OPENAI_API_KEY": "sk-dummy"},
    files={
        ".codex/config.toml": """
            model_provider = "stub"
            model = "gpt-5-codex"
            [model_providers.stub]
            name = "stub"
            base_url = "{url}/v1"
            env_key = "OPENAI_API_KEY"
            wire_api = "responses"
            request_max_retries = 1
            stream_max_retries = 1
            """
    },
    full="full",
)
