"""`smithers mcp serve`: the tools of this repository for another program, until it goes."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import Final

from smithers_git.edge import output
from smithers_git.errors import UsageError
from smithers_git.front.tools.call import Desk

TOKEN: Final = "SMITHERS_MCP_TOKEN"
"""The variable that holds a token of the user's choice."""
_SHORTEST: Final = 16


@dataclass(frozen=True, slots=True)
class Listen:
    """Where `--http` wants the server."""

    host: str
    port: int


def address(text: str) -> Listen:
    """`8080`, `HOST:8080` or `[::1]:8080`; raises UsageError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not port.isascii() or not port.isdigit() or int(port) > 65535 or (colon and not host):
        raise UsageError(f"--http {text!r} is no address", hint="say --http 8080, --http 127.0.0.1:8080, or --http 0")
    return Listen(host or "127.0.0.1", int(port))


def stdio(desk: Desk) -> None:
    """Serve one client over standard input and output until it goes; the runs that it started go on."""
    from smithers_git.edge.mcp import server

    if output.is_terminal():
        output.note("a program is expected to speak here, the Model Context Protocol; Ctrl-D ends this")
    server.serve_stdio(desk.offer())


def http(desk: Desk, where: Listen, *, exposed: bool, as_json: bool) -> None:
    """Serve over HTTP until Ctrl-C; prints the URL and the token that every request must bring."""
    from smithers_git.edge.mcp.http import Address, is_loopback, serve_http

    if not exposed and not is_loopback(where.host):
        raise UsageError(
            f"{where.host} can be reached from other machines, and a client may run anything here",
            hint="leave HOST out, or say --expose when that is what you want; the connection is not encrypted",
        )
    given = os.environ.get(TOKEN, "")
    if given and len(given) < _SHORTEST:
        raise UsageError(f"{TOKEN} has fewer than {_SHORTEST} characters", hint="leave it unset: one is made up then")
    token = given or secrets.token_urlsafe(32)

    def tell(url: str) -> None:
        shown = f"the value of {TOKEN}" if given else token
        if as_json:
            output.document({"url": url, "token": None if given else token})
        else:
            output.emit(f"listening on {url}")
            output.emit(f"each request must say: Authorization: Bearer {shown}")

    serve_http(desk.offer(), Address(where.host, where.port, token), tell)
