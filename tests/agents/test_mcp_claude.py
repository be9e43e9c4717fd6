"""Claude Code itself, with a scripted model, drives smithers through the server."""

from __future__ import annotations

import json
import sys

import pytest
from agents.drive import Driver
from agents.stub.steps import call, say
from kit.processes import eventually

from smithers_git.edge import process
from smithers_git.service.project import Project

pytestmark = [pytest.mark.agents, pytest.mark.parametrize("bench", ["claude"], indirect=True)]

TOOLS = ("run_workflow", "wait", "rewind", "approve")
FLOW = """\
from smithers_git import Approval, Context, Sequence, Task, workflow


@workflow
def flow(ctx: Context):
    return Sequence(Approval("ship", title="Ship it?"), Task("one", run="echo hello > one.txt"))
"""


def test_claude_starts_a_run_asks_and_passes_on_the_decision(cli: Driver) -> None:
    repo, environ = cli.folder, cli.bench.environ
    (repo / "flow.py").write_text(FLOW, encoding="utf-8")
    server = {"command": sys.executable, "args": ["-P", "-m", "smithers_git", "mcp"]}
    config = cli.bench.folder / "servers.json"
    config.write_text(json.dumps({"mcpServers": {"smithers": server}}), encoding="utf-8")
    cli.stub.play(
        # Claude offers the tools of a large server only when they were looked for.
        call("ToolSearch", query=f"select:{','.join(f'mcp__smithers__{name}' for name in TOOLS)}", max_results=9),
        call("mcp__smithers__run_workflow", workflow="flow.py", run_id="by-claude"),
        call("mcp__smithers__wait", run="by-claude", timeout=30),
        call("mcp__smithers__rewind", run="by-claude", frame=0),
        call("mcp__smithers__approve", run="by-claude", note="the user said yes"),
        call("mcp__smithers__wait", run="by-claude", timeout=30),
        say("It is shipped."),
    )
    model = ["--model", str(cli.machine.model), "--output-format", "json"]
    servers = ["--mcp-config", str(config), "--strict-mcp-config", "--allowedTools", "mcp__smithers"]

    done = process.capture(
        [str(cli.machine.executable), "-p", "Ship it.", *model, *servers], cwd=repo, env=environ, timeout=120
    )

    assert cli.stub.complaints == []
    said = json.loads(done.stdout)
    assert (said["is_error"], said["result"]) == (False, "It is shipped.")
    heard = [request.words for request in cli.stub.requests]
    assert "confirm: true" in heard[4]
    assert '\\"status\\": \\"finished\\"' in heard[6] or '\\"status\\":\\"finished\\"' in heard[6], heard[6][-2000:]
    state = Project.open(repo, environ).chain("by-claude").state
    assert state.end == "finished"
    (asked,) = state.approvals.values()
    assert asked.note.startswith("the user said yes (through smithers mcp: claude-code")
    eventually(lambda: cli.leftovers() == [])
