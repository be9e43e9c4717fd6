"""Cline with a provider of its user's own."""

from __future__ import annotations

from agents.machine import Machine

MACHINE = Machine(
    name="cline",
    speaks="chat",
    env={},
    files={
        # As `cline auth openai-compatible -k … -m … -b …` writes it.
        ".cline/data/settings/providers.json": """{
            "version": 1,
            "lastUsedProvider": "openai-compatible",
            "modes": {},
            "providers": {"openai-compatible": {
                "settings": {
                    "provider": "openai-compatible",
                    "apiKey": "sk-dummy",
                    "model": "stub-model",
                    "baseUrl": "{url}/v1"
                },
                "updatedAt": "2026-11-21T07:51:51.682Z",
                "tokenSource": "manual"
            }}
        }"""
    },
    hang=25,
)
