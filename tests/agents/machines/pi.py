"""Pi with a provider of its user's own."""

from __future__ import annotations

from agents.machine import Machine

MACHINE = Machine(
    name="pi",
    speaks="chat",
    model="stub/stub-model",
    env={},
    files={
        ".pi/agent/models.json": """{"providers": {"stub": {
            "baseUrl": "{url}/v1",
            "api": "openai-completions",
            "apiKey": "sk-dummy",
            "models": [{"id": "stub-model", "contextWindow": 500000,
                "cost": {"input": 1, "output": 2, "cacheRead": 0.5, "cacheWrite": 0}}]
        }}}""",
        # Its own three tries take a quarter of a minute, and only the user's settings turn them down.
        ".pi/agent/settings.json": """{"retry": {"maxRetries": 1, "baseDelayMs": 100}}""",
    },
)
