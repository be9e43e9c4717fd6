"""The profile language is enough for ten ways to write an answer, more than the shipped profiles use.

The shapes are those of gemini 0.61 and qwen 0.24 as one document, copilot 1.0.102, opencode 1.18, pi 0.73, kimi 1.51,
vibe 3.0, cline 3.0, mini-swe-agent 2.4 and aider 0.86.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from smithers_git.core.events import Usage
from smithers_git.core.profile import load_profile
from smithers_git.core.stream import Reader


@dataclass
class Case:
    profile: str
    good: str
    bad: str
    """What a failure prints on standard output."""
    kind: str
    exit: int = 1
    """The exit code of the failure; some lie."""
    files: dict[str, str] = field(default_factory=dict)
    good_stderr: str = ""
    stderr: str = ""
    usage: Usage | None = None
    cost: float | None = None
    session: str | None = None


def jsonl(*values: object) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


GEMINI_STATS = {"models": {"a": {"tokens": {"prompt": 70, "candidates": 4, "cached": 10}},
                           "b": {"tokens": {"prompt": 30, "candidates": 1, "cached": 0}}}}  # fmt: skip
PI_USAGE = {"input": 50, "output": 5, "cacheRead": 20, "cost": {"total": 0.25}}

CASES = {
    "gemini": Case(
        """
        argv = ["-o", "json", "{permission}", "{prompt}"]
        prompt = [{ via = "stdin" }]
        permission = { default = "full", full = { argv = ["--yolo", "--skip-trust"] } }
        [output]
        mode = "json"
        answer = { path = "response" }
        session = { path = "session_id" }
        error = { from = "stderr", path = "error.message" }
        [output.usage]
        input = { path = "stats.models.*.tokens.prompt" }
        output = { path = "stats.models.*.tokens.candidates" }
        cached = { path = "stats.models.*.tokens.cached" }
        input_includes_cached = true
        [[failure]]
        kind = "auth"
        exit = [145]
        """,
        good="Loaded cached credentials.\n"
        + json.dumps({"session_id": "S", "response": "done", "stats": GEMINI_STATS}, indent=2),
        bad="",
        stderr="Error when talking to the API\n" + json.dumps({"error": {"message": "bad key", "code": 401}}, indent=2),
        kind="auth",
        exit=145,
        usage=Usage(input=100, output=5, cached=10),
        session="S",
    ),
    "qwen": Case(
        """
        argv = ["-o", "json", "{prompt}"]
        prompt = [{ via = "stdin" }]
        [output]
        mode = "json"
        answer = { path = "[type=result].result" }
        session = { path = "[type=result].session_id" }
        error = { path = "[type=result].error.message" }
        [success]
        exit = [0]
        """,
        good=json.dumps([{"type": "assistant"}, {"type": "result", "result": "done", "session_id": "S"}]),
        bad=json.dumps([{"type": "result", "error": {"message": "no"}}]),
        kind="crash",
        exit=0,
        session="S",
    ),
    "copilot": Case(
        """
        argv = ["--output-format", "json", "--usage-output-file", "{scratch}/usage.json", "{prompt}"]
        prompt = [{ via = "stdin" }]
        [output]
        mode = "jsonl"
        answer = { where = { type = "assistant.message" }, path = "data.content" }
        error = { where = { type = "session.error" }, path = "data.message" }
        [output.usage]
        input = { from = "file:usage.json", path = "modelMetrics.*.usage.inputTokens" }
        output = { from = "file:usage.json", path = "modelMetrics.*.usage.outputTokens" }
        input_includes_cached = true
        [success]
        event = { type = "result", exitCode = 0 }
        """,
        good=jsonl(
            {"type": "assistant.message", "data": {"content": "thinking"}},
            {"type": "assistant.message", "data": {"content": "done"}},
            {"type": "result", "exitCode": 0},
        ),
        bad=jsonl({"type": "session.error", "data": {"message": "no"}}, {"type": "result", "exitCode": 1}),
        files={
            "file:usage.json": json.dumps({"modelMetrics": {"m": {"usage": {"inputTokens": 9, "outputTokens": 2}}}})
        },
        kind="crash",
        usage=Usage(input=9, output=2, cached=0),
    ),
    "opencode": Case(
        """
        argv = ["run", "--format", "json", "{prompt}"]
        prompt = [{ via = "stdin" }]
        [output]
        mode = "jsonl"
        answer = { where = { type = "text" }, path = "part.text" }
        session = { path = "sessionID" }
        error = { where = { type = "error" }, path = "error.data.message" }
        cost = { where = { type = "step_finish" }, path = "part.cost", pick = "sum" }
        [output.usage]
        input = { where = { type = "step_finish" }, path = "part.tokens.input", pick = "sum" }
        output = { where = { type = "step_finish" }, path = "part.tokens.output", pick = "sum" }
        cached = { where = { type = "step_finish" }, path = "part.tokens.cache.read", pick = "sum" }
        input_includes_cached = false
        [success]
        event = { type = "step_finish", "part.reason" = "stop" }
        """,
        good=jsonl(
            {
                "type": "step_finish",
                "sessionID": "S",
                "part": {
                    "reason": "tool-calls",
                    "cost": 0.5,
                    "tokens": {"input": 10, "output": 1, "cache": {"read": 5}},
                },
            },
            {"type": "text", "sessionID": "S", "part": {"text": "done"}},
            {
                "type": "step_finish",
                "sessionID": "S",
                "part": {"reason": "stop", "cost": 0.25, "tokens": {"input": 20, "output": 2, "cache": {"read": 7}}},
            },
        ),
        bad=jsonl({"type": "error", "error": {"data": {"message": "no"}}}),
        kind="crash",
        exit=0,
        usage=Usage(input=42, output=3, cached=12),
        cost=0.75,
        session="S",
    ),
    "pi": Case(
        """
        argv = ["-p", "--mode", "json", "{prompt}"]
        prompt = [{ via = "stdin" }]
        [output]
        mode = "jsonl"
        answer = { where = { type = "turn_end" }, path = "message.content[type=text].text" }
        session = { where = { type = "session" }, path = "id" }
        error = { where = { type = "turn_end", "message.stopReason" = "error" }, path = "message.errorMessage" }
        cost = { where = { type = "turn_end" }, path = "message.usage.cost.total", pick = "sum" }
        [output.usage]
        input = { where = { type = "turn_end" }, path = "message.usage.input", pick = "sum" }
        output = { where = { type = "turn_end" }, path = "message.usage.output", pick = "sum" }
        cached = { where = { type = "turn_end" }, path = "message.usage.cacheRead", pick = "sum" }
        input_includes_cached = false
        [success]
        event = { type = "turn_end" }
        [[failure]]
        kind = "overload"
        regex = "529|overloaded"
        """,
        good=jsonl(
            {"type": "session", "id": "S"},
            {"type": "turn_end", "message": {"stopReason": "error", "errorMessage": "529 overloaded"}},
            {"type": "auto_retry_start"},
            {
                "type": "turn_end",
                "message": {
                    "stopReason": "stop",
                    "usage": PI_USAGE,
                    "content": [
                        {"type": "thinking", "thinking": "hm"},
                        {"type": "text", "text": "do"},
                        {"type": "text", "text": "ne"},
                    ],
                },
            },
        ),
        bad=jsonl({"type": "turn_end", "message": {"stopReason": "error", "errorMessage": "529 overloaded"}}),
        kind="overload",
        exit=0,
        usage=Usage(input=70, output=5, cached=20),
        cost=0.25,
        session="S",
    ),
    "kimi": Case(
        """
        argv = ["--print", "--output-format", "stream-json", "{prompt}"]
        prompt = [{ via = "stdin" }]
        [output]
        mode = "jsonl"
        answer = [
            { where = { role = "assistant" }, path = "content[type=text].text" },
            { where = { role = "assistant" }, path = "content" },
        ]
        session = { from = "stderr", regex = 'kimi -r (\\S+)' }
        [success]
        event = { role = "assistant" }
        exit = [0]
        [[failure]]
        kind = "overload"
        exit = [75]
        """,
        good=jsonl({"role": "assistant", "content": "done"}),
        good_stderr="\nTo resume this session: kimi -r S\n",
        bad="LLM provider error: 429\n",
        kind="overload",
        exit=75,
        session="S",
    ),
    "vibe": Case(
        """
        argv = ["--output", "streaming", "--output-dir", "{scratch}", "{prompt}"]
        prompt = [{ via = "stdin", argv = ["-p"] }]
        [output]
        mode = "jsonl"
        answer = { where = { role = "assistant" }, path = "content[type=text].text" }
        session = { path = "sessionId" }
        error = { from = "file:export.json", path = "error.code" }
        cost = { from = "file:export.json", path = "cost_usd" }
        [success]
        event = { role = "assistant" }
        """,
        good=jsonl({"role": "assistant", "sessionId": "S", "content": [{"type": "text", "text": "done"}]}),
        bad="",
        files={"file:export.json": json.dumps({"cost_usd": 0.5})},
        kind="crash",
        exit=3,
        cost=0.5,
        session="S",
    ),
    "cline": Case(
        """
        argv = ["--json", "{prompt}"]
        [output]
        mode = "jsonl"
        answer = { where = { type = "run_result" }, path = "text" }
        error = { where = { type = "run_result", finishReason = "error" }, path = "text" }
        [success]
        event = { type = "run_result" }
        exit = [0]
        """,
        good=jsonl({"type": "run_result", "text": "done", "finishReason": "completed"}),
        bad=jsonl({"type": "run_result", "text": "the error stands here", "finishReason": "error"}),
        kind="crash",
    ),
    "mini": Case(
        """
        argv = ["-y", "-o", "{scratch}/trajectory.json", "{prompt}"]
        [output]
        mode = "text"
        [output.answer]
        from = "file:trajectory.json"
        where = { "info.exit_status" = "Submitted" }
        path = "info.submission"
        [success]
        exit = [0]
        """,
        good="progress...\n",
        bad="progress...\n",
        files={"file:trajectory.json": json.dumps({"info": {"exit_status": "Submitted", "submission": "done"}})},
        kind="crash",
    ),
    "aider": Case(
        """
        argv = ["--yes-always", "--no-pretty", "{prompt}"]
        prompt = [{ via = "file", argv = ["--message-file", "{prompt_file}"] }]
        [output]
        mode = "text"
        answer = { regex = '(?s)Repo-map:[^\\n]*\\n(.*)\\nTokens: ' }
        error = { regex = '(?m)^litellm\\.\\w*Error: .*' }
        [success]
        exit = [0]
        [[failure]]
        kind = "limit"
        regex = "RateLimitError"
        """,
        good="Aider v0.86\nRepo-map: using 1024 tokens\n\ndone\n\nTokens: 2.5k sent, 26 received.\n",
        bad="Aider v0.86\nRepo-map: using 1024 tokens\nlitellm.RateLimitError: slow down\nTokens: 0 sent\n",
        kind="limit",
        exit=0,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_turn_that_succeeds_and_one_that_fails(name: str):
    case = CASES[name]
    text = "\n".join(line.strip() for line in case.profile.splitlines())
    profile = load_profile(f'program = ["{name}"]\n{text}', f"agents/{name}.toml")
    assert set(case.files) <= set(profile.sources())

    reader = Reader(profile)
    reader.feed(case.good.encode())
    reply = reader.finish(0, case.good_stderr.encode(), case.files)
    assert reply.error is None
    assert reply.answer.strip() == "done"
    assert (reply.usage, reply.cost, reply.session) == (case.usage, case.cost, case.session)

    reader = Reader(profile)
    reader.feed(case.bad.encode())
    error = reader.finish(case.exit, case.stderr.encode()).error
    assert error is not None
    assert error.kind == case.kind
