"""MCP servers whose tools a model without a CLI gets: real servers, on pipes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agents.stub.server import StubModel
from agents.stub.steps import call, say
from kit.repos import make_repo

from smithers_git.core.sdk_agent import McpServer, SdkJob, parse
from smithers_git.edge.sdk.turn import Turn

pytestmark = pytest.mark.agents

DONE = '{"summary": "done"}'
SCHEMA = {"type": "object", "title": "C", "properties": {"summary": {"type": "string"}}, "required": ["summary"]}


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubModel]:
    with StubModel() as found:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test-of-nobody")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", found.url)
        yield found


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return make_repo(tmp_path / "repo")


def turn(work: Path, permission: str = "edit", **job: Any) -> list[dict[str, Any]]:
    """The lines of a turn."""
    told: list[dict[str, Any]] = []
    whole = SdkJob(prompt="Do it.", session="s", output=SCHEMA, **job)
    Turn(parse("sdk:anthropic/claude-sonnet-5-5"), permission, whole, work, told.append).run()
    return told


def answers(told: list[dict[str, Any]]) -> list[Any]:
    """What tools gave back."""
    parts = [part for line in told if line["type"] == "message" for part in line["message"]["parts"]]
    return [part["content"] for part in parts if part["part_kind"] == "tool-return"]


SERVER = """
import os
from mcp.server import MCPServer
from mcp.types import ToolAnnotations

server = MCPServer("greeter")

@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def look() -> str:
    "Say what is in the environment."
    return f"{os.environ['GREETING']} {os.environ.get('ANTHROPIC_API_KEY')}"

@server.tool()
def change(word: str) -> str:
    "Change something."
    if word == "bad":
        raise ValueError("not that word")
    return f"changed {word}"

server.run("stdio")
"""


@pytest.fixture
def greeter(tmp_path: Path) -> McpServer:
    """A server with a tool that only reads, and one that does not say so."""
    path = tmp_path / "server.py"
    path.write_text(SERVER)
    return McpServer(command=sys.executable, args=[str(path)], env={"GREETING": "hello"})


def test_the_tools_of_a_server_are_used(work: Path, stub: StubModel, greeter: McpServer):
    stub.play(
        call("my_server_look"), call("my_server_change", word="it"), call("my_server_change", word="bad"), say(DONE)
    )
    told = turn(work, servers={"my-server": greeter})
    assert told[-1]["error"] is None
    assert answers(told)[:2] == ["hello None", "changed it"]
    assert "Error executing tool change" in answers(told)[2]


def test_with_read_a_server_offers_what_only_reads(work: Path, stub: StubModel, greeter: McpServer):
    stub.play(say(DONE))
    turn(work, permission="read", tools=["read"], servers={"greeter": greeter})
    assert [tool["name"] for tool in stub.requests[0].body["tools"]] == ["read", "greeter_look"]


def test_a_server_that_cannot_be_had_is_named(work: Path, stub: StubModel):
    stub.play(say(DONE))
    for server in (McpServer(command="/no/such/program"), McpServer(url="http://127.0.0.1:1/mcp")):
        error = turn(work, servers={"mine": server})[-1]["error"]
        assert error["kind"] == "bad_request"
        assert "mine" in error["message"]
    assert stub.requests == []
