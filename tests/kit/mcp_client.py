"""The official client of the Model Context Protocol, for tests that are not asynchronous."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio.from_thread
import httpx2
from kit.processes import eventually
from kit.starter import Forked
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import Implementation, ListRootsResult, Root
from pydantic import FileUrl

ARGV = ["-P", "-m", "smithers_git", "mcp"]
_WHO = Implementation(name="test-client", version="1.0")


class Connection:
    """A client that is connected to a server."""

    def __init__(self, portal: Any, client: Client) -> None:
        self._portal, self.client = portal, client

    def ask(self, method: str, *args: Any) -> Any:
        """A method of the client itself."""
        return self._portal.call(getattr(self.client, method), *args)

    def raw(self, tool: str, **arguments: Any) -> Any:
        """The whole result of a call."""
        return self.ask("call_tool", tool, arguments)

    def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that must not fail; returns its answer."""
        result = self.raw(tool, **arguments)
        assert not result.is_error, result.structured_content
        assert json.loads(result.content[0].text) == result.structured_content
        assert isinstance(result.structured_content, dict)
        return result.structured_content

    def error(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that must fail; returns the error."""
        result = self.raw(tool, **arguments)
        assert result.is_error, result.structured_content
        found = result.structured_content["error"]
        assert isinstance(found, dict)
        return found

    def later(self, tool: str, **arguments: Any) -> Any:
        """Begin a call; returns a future of its result."""
        return self._portal.start_task_soon(self.client.call_tool, tool, arguments)


@contextmanager
def over_stdio(
    repo: Path, *argv: str, env: dict[str, str] | None = None, works_in: Path | None = None
) -> Iterator[Connection]:
    """A server process of its own, in the folder `repo`, greeted as clients greet that know no newer protocol.

    `works_in`: what the client says when it is asked for the folder that it works in.
    """

    async def roots(_context: Any) -> ListRootsResult:
        return ListRootsResult(roots=[Root(uri=FileUrl(str(works_in and works_in.as_uri())))])

    whole = {**os.environ, **(env or {})}
    server = StdioServerParameters(command=sys.executable, args=[*ARGV, *argv], cwd=repo, env=whole)
    with anyio.from_thread.start_blocking_portal() as portal:
        asked = roots if works_in is not None else None
        client = Client(stdio_client(server), mode="legacy", client_info=_WHO, list_roots_callback=asked)
        with portal.wrap_async_context_manager(client):
            yield Connection(portal, client)


@contextmanager
def over_http(url: str, token: str) -> Iterator[Connection]:
    """A server that listens already, greeted in the newest way."""
    headers = {"Authorization": f"Bearer {token}"}
    with ExitStack() as stack:
        portal = stack.enter_context(anyio.from_thread.start_blocking_portal())
        http = portal.call(lambda: _http(headers))
        stack.enter_context(portal.wrap_async_context_manager(http))
        client = Client(streamable_http_client(url, http_client=http), client_info=_WHO)
        stack.enter_context(portal.wrap_async_context_manager(client))
        yield Connection(portal, client)


async def _http(headers: dict[str, str]) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(headers=headers, timeout=60)


@contextmanager
def listening(repo: Path, *argv: str, env: dict[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """A server that listens on a free port; its URL and token."""
    with tempfile.TemporaryDirectory(prefix="said-") as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        words = ("mcp", "serve", "--http", "0", "--json", *argv)
        process = Forked(words, repo, str(out), str(err), {**os.environ, **(env or {})})
        try:
            assert eventually(lambda: out.exists() and out.read_text().endswith("}\n"), 60), err.read_text()
            found = json.loads(out.read_text())
            yield found["url"], found["token"]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
