"""mini-swe-agent with an OpenAI-compatible service. Its model gives its answer by a command."""

from __future__ import annotations

import shlex

from agents.machine import Machine
from agents.stub.steps import Step, run


def _submit(text: str, **counts: int) -> Step:
    return run(f"printf '%s\\n' COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT {shlex.quote(text)}", **counts)


MACHINE = Machine(
    name="mini-swe-agent",
    program="mini",
    speaks="chat",
    model="openai/stub-model",
    env={"OPENAI_API_KEY": "sk-dummy", "OPENAI_API_BASE": "{url}/v1"},
    answer=_submit,
    kinds={"drop": "overload", "cut": "overload"},
    hang=40,
)
