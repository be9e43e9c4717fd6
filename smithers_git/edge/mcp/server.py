"""From requests of the protocol to calls of functions, and back."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

import anyio
import anyio.to_thread
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListRootsRequest,
    ListRootsResult,
    ListToolsResult,
    ReadResourceResult,
    ResourceTemplate,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from mcp_types import Resource as ResourceEntry
from mcp_types import Tool as ToolEntry

from smithers_git.edge.mcp import Answer, Call, Offer, Resource, Tool

T = TypeVar("T")

_THREADS: Final = 32
"""Calls at work at once; as many again may wait. Further ones queue up."""
_PATIENCE: Final = 5.0
"""Seconds for a client to say where it works."""
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Built:
    """A server for any transport."""

    server: Server[Any]
    calls: set[Call]
    """Those at work."""

    def leave(self) -> None:
        """Tell all calls at work that the server ends."""
        for call in list(self.calls):
            call.stop.set()


def build(offer: Offer) -> Built:
    """A server of `offer`."""
    calls: set[Call] = set()
    at_work, waiting = _Threads(), _Threads()
    by_name = {tool.name: tool for tool in offer.tools}
    entries = [_entry(tool) for tool in offer.tools]

    async def list_tools(_context: Any, _params: Any) -> ListToolsResult:
        return ListToolsResult(tools=entries)

    async def call_tool(context: Any, params: Any) -> CallToolResult:
        folders = await _folders(context) if offer.asks_folders else ()
        call = Call(params.name, dict(params.arguments or {}), _client(context), folders=folders)
        tool = by_name.get(call.name)
        threads = waiting if tool is not None and tool.waits else at_work
        calls.add(call)
        try:
            answer = await threads.run(lambda: offer.call(call))
        finally:
            calls.discard(call)
            call.stop.set()
        text = TextContent(type="text", text=_text(answer))
        return CallToolResult(content=[text], structured_content=answer.document, is_error=answer.failed)

    async def list_resources(_context: Any, _params: Any) -> ListResourcesResult:
        return ListResourcesResult(resources=[_resource(one) for one in await at_work.run(offer.resources)])

    async def list_templates(_context: Any, _params: Any) -> ListResourceTemplatesResult:
        one = offer.template
        entry = ResourceTemplate(uri_template=one.uri, name=one.name, description=one.description, mime_type=_JSON)
        return ListResourceTemplatesResult(resource_templates=[entry])

    async def read_resource(_context: Any, params: Any) -> ReadResourceResult:
        uri = str(params.uri)
        answer = await at_work.run(lambda: offer.read(uri))
        if answer.failed:
            raise MCPError(code=INVALID_PARAMS, message=_text(answer), data={"uri": uri})
        return ReadResourceResult(contents=[TextResourceContents(uri=uri, text=_text(answer), mime_type=_JSON)])

    server = Server(
        offer.name,
        version=offer.version,
        instructions=offer.instructions,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
    )
    return Built(server, calls)


class _Threads:
    """A number of threads for calls of one kind."""

    def __init__(self) -> None:
        self._limiter: anyio.CapacityLimiter | None = None  # it belongs to an event loop, which is not there yet

    async def run(self, function: Callable[[], T]) -> T:
        """Call `function` on a thread; when nobody waits for it any more it is left to end by itself."""
        self._limiter = self._limiter or anyio.CapacityLimiter(_THREADS)
        return await anyio.to_thread.run_sync(function, abandon_on_cancel=True, limiter=self._limiter)


def _entry(tool: Tool) -> ToolEntry:
    hints = ToolAnnotations(
        read_only_hint=tool.reads,
        destructive_hint=tool.destroys,
        idempotent_hint=tool.repeats or tool.reads,
        open_world_hint=False if tool.reads else None,
    )
    return ToolEntry(
        name=tool.name, title=tool.title, description=tool.description, input_schema=tool.schema, annotations=hints
    )


def _resource(one: Resource) -> ResourceEntry:
    return ResourceEntry(uri=one.uri, name=one.name, description=one.description, mime_type=_JSON)


def _text(answer: Answer) -> str:
    return json.dumps(answer.document, ensure_ascii=False)


def _client(context: Any) -> str:
    params = context.session.client_params
    info = params.client_info if params is not None else None
    return " ".join(filter(None, [info.name, info.version])) if info is not None else ""


async def _folders(context: Any) -> tuple[Path, ...]:
    """The roots of a client; none when it has no such thing, or no way to be asked."""
    session = context.session
    if session.client_capabilities is None or session.client_capabilities.roots is None:
        return ()
    try:
        found = await session.send_request(ListRootsRequest(), ListRootsResult, request_read_timeout_seconds=_PATIENCE)
    except MCPError:
        return ()
    return tuple(Path(unquote(urlsplit(str(root.uri)).path)) for root in found.roots)


def serve_stdio(offer: Offer) -> None:
    """Serve one client over standard input and output, until it closes them.

    What anything else prints goes to standard error, until the end of the process: a call that was under way when the
    client left may print after it. (The package moves standard output away too, but back before such calls are over:
    mcp 2.3.0.) A child process cannot read what the client says. SIGINT ends the server at once, as SIGTERM does: the
    thread that waits for the client's next line could not be interrupted otherwise, and whatever a kill cuts off is
    made to bear that.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n") as spoken:
        os.dup2(2, 1)
        anyio.run(_serve, build(offer).server, anyio.wrap_file(spoken))


async def _serve(server: Server[Any], spoken: anyio.AsyncFile[str]) -> None:
    async with stdio_server(stdout=spoken) as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
