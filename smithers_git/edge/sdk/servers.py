"""MCP servers whose tools a model gets, through the library's own client."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from pydantic_ai.toolsets import AbstractToolset

from smithers_git.core.sdk_agent import McpServer


class NoServer(Exception):
    """A server that was asked for cannot be reached."""


async def toolsets(
    servers: Mapping[str, McpServer], permission: str, stack: AsyncExitStack
) -> list[AbstractToolset[Any]]:
    """The tools of each server, their names led by that of the server. With `read`, those that say they only read.

    The servers are there until `stack` is closed. Raises NoServer.
    """
    found: list[AbstractToolset[Any]] = []
    for name, server in servers.items():
        tools = _connected(name, server)
        try:
            await stack.enter_async_context(tools)
        except Exception as error:  # three libraries are below it, each with exceptions of its own
            raise NoServer(f"the MCP server {name!r} cannot be reached: {error}") from error
        if permission == "read":
            tools = tools.filtered(lambda _ctx, tool: _only_reads(tool.metadata))
        found.append(tools.prefixed(re.sub(r"\W", "_", name)))
    return found


def _connected(name: str, server: McpServer) -> AbstractToolset[Any]:
    from fastmcp.client.transports import StdioTransport
    from pydantic_ai.mcp import MCPToolset

    if server.command is None:
        return MCPToolset(str(server.url), id=name, headers=_texts(server.headers), tool_error_behavior="failed")
    # The MCP library gives the program a short list of harmless variables and these, not ours with the model's key.
    transport = StdioTransport(command=server.command, args=list(server.args), env=_texts(server.env))
    return MCPToolset(transport, id=name, tool_error_behavior="failed")


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    """In a job every reference has been fetched."""
    return {name: str(value) for name, value in values.items()}


def _only_reads(metadata: Mapping[str, Any] | None) -> bool:
    annotations = (metadata or {}).get("annotations") or {}
    return bool(annotations.get("readOnlyHint"))
