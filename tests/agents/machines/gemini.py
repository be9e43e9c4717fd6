"""Gemini CLI with a key for a service of its user's own."""

from __future__ import annotations

from agents.machine import Machine

MACHINE = Machine(
    name="gemini",
    speaks="gemini",
    model="gemini-2.5-pro",
    env={"GEMINI_API_KEY": "sk-dummy", "GOOGLE_GEMINI_BASE_URL": "{url}"},
    files={
        # Its ten tries take minutes, and only the user's own settings can turn them down.
        ".gemini/settings.json": """{
            "security": {"auth": {"selectedType": "gemini-api-key"}},
            "general": {"maxAttempts": 1}
        }"""
    },
    full="full",
)
