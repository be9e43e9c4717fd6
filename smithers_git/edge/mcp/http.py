"""The same server over streamable HTTP, for one who holds the token."""

from __future__ import annotations

import hmac
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, Final

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings

from smithers_git.edge.mcp import Offer
from smithers_git.edge.mcp.server import Built, build
from smithers_git.errors import UsageError

PATH: Final = "/mcp"
_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
_GRACE: Final = 2
"""Seconds that open streams get at the end."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen, and the word that every request must bring."""

    host: str
    port: int
    """0: any free one."""
    token: str


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def serve_http(offer: Offer, address: Address, told: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `told` hears the URL once it can be asked.

    Raises:
        UsageError: nobody can listen there.
    """
    listening = _listen(address)
    port = listening.getsockname()[1]
    spelled = f"[{address.host}]" if ":" in address.host else address.host
    built = build(replace(offer, asks_folders=False))  # who asks from afar works in no folder of this machine
    app: Any = built.server.streamable_http_app(
        streamable_http_path=PATH, host=address.host, transport_security=_security(spelled, port)
    )
    told(f"http://{spelled}:{port}{PATH}")
    config = uvicorn.Config(
        _Guard(app, address.token), log_level="warning", access_log=False, timeout_graceful_shutdown=_GRACE
    )
    _Server(config, built).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Ends what waits before it ends itself."""

    def __init__(self, config: uvicorn.Config, built: Built) -> None:
        super().__init__(config)
        self._built = built

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called on the first SIGINT or SIGTERM."""
        self._built.leave()
        # Streams that clients keep open are cut off after the grace, which would be told with a page of traces each.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


def _listen(address: Address) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return socket.create_server((address.host, address.port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(
            f"nobody can listen on {address.host}, port {address.port}: {why}", hint="--http 0 takes a free port"
        ) from error


def _security(host: str, port: int) -> TransportSecuritySettings:
    """Names under which the server may be asked: a page whose name was made to point here (DNS rebinding) has another.

    A server for all addresses of the machine cannot know its names. Its token, and that no page may ask, must do.
    """
    names = [*_LOOPBACK, host]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=host not in ("0.0.0.0", "[::]"),
        allowed_hosts=[f"{name}:{port}" for name in names],
        allowed_origins=[f"http://{name}:{port}" for name in names],
    )


class _Guard:
    """Lets nobody in without the token, and no page of a browser that came from elsewhere."""

    def __init__(self, app: Any, token: str) -> None:
        self._app = app
        self._expected = token.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        kind, _, given = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
        if kind.lower() != b"bearer" or not hmac.compare_digest(given, self._expected):
            await _refuse(send, 401, b"say the token that smithers mcp printed: Authorization: Bearer TOKEN\n")
        elif not _from_here(dict(scope["headers"])):
            await _refuse(send, 403, b"no page of another origin may ask\n")
        else:
            await self._app(scope, receive, send)


def _from_here(headers: dict[bytes, bytes]) -> bool:
    """Whether a request is not a page's, or is of a page that came from the server itself."""
    origin = headers.get(b"origin")
    return origin is None or origin == b"http://" + headers.get(b"host", b"")


async def _refuse(send: Any, status: int, why: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(why)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": why})
