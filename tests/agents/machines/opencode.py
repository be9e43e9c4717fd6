"""opencode with a provider of its user's own that speaks Chat Completions."""

from __future__ import annotations

from agents.machine import Machine

MACHINE = Machine(
    name="opencode",
    speaks="chat",
    model="stub/stub-model",
    env={
        # A configuration in its own folder would be a reason to install packages there.
        "OPENCODE_CONFIG": "{home}/opencode.json",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    },
    files={
        "opencode.json": """{
            "provider": {"stub": {
                "npm": "@ai-sdk/openai-compatible",
                "options": {"baseURL": "{url}/v1", "apiKey": "sk-dummy"},
                "models": {"stub-model": {"limit": {"context": 200000, "output": 8000}}}
            }}
        }"""
    },
    lost="ses_ffffffffffffffffffffffffff",
    hang=25,
    # A lost connection is tried again five times, after 2 to 30 seconds.
    patience=150,
    # A stream that ends without a reason makes it ask again, for ever.
    kinds={"cut": "timeout"},
    full="full",
)
