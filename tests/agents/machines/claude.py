"""Claude Code with a key for a service of its user's own."""

from __future__ import annotations

from agents.machine import Machine

MACHINE = Machine(
    name="claude",
    speaks="messages",
    model="claude-sonnet-4-5",
    env={
        "ANTHROPIC_BASE_URL": "{url}",
        "ANTHROPIC_API_KEY": "sk-dummy",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        # Root has to say that the machine itself is the sandbox.
        "IS_SANDBOX": "1",
    },
    full="full",
)
