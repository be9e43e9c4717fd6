"""Aider with an OpenAI-compatible service. Its model gets no tools."""

from __future__ import annotations

from agents.machine import Machine

MACHINE = Machine(
    name="aider",
    speaks="chat",
    model="openai/stub-model",
    env={"OPENAI_API_KEY": "sk-dummy", "OPENAI_API_BASE": "{url}/v1"},
    # Of a model that it does not know it would want whole files.
    files={".aider.conf.yml": "edit-format: diff\n"},
    tools=False,
    relative=True,
    kinds={"drop": "overload", "cut": "overload"},
    usage="rounded",
    hang=40,
)
