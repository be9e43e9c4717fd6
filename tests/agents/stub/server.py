"""The server: it takes a request of any protocol, plays the next step, and keeps what came in.

A test plays a list of steps; every request for a turn of the model consumes one and the last one repeats. Nothing here
calls out.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any, ClassVar

from agents.stub import chat, gemini, messages, responses, tools
from agents.stub.steps import Step, joined, say
from agents.stub.wire import Event, Turn

MODEL = "stub-model"


@dataclass(frozen=True)
class Request:
    """One request for a turn of the model, as it came in."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def words(self) -> str:
        """Everything that was sent to the model as conversation, tools left out."""
        names = ("system", "instructions", "messages", "input", "systemInstruction", "contents")
        return json.dumps({key: self.body.get(key) for key in names}, ensure_ascii=False)


class StubModel:
    """The server. `url` is its address; use it as a context manager.

    Args:
        tools: whether the CLI offers tools to its model. If it does, a request that offers none is no turn of the
            conversation but a title, a summary or a memory: it is answered apart, with no tokens, and costs no step.
    """

    def __init__(self, *, tools: bool = True) -> None:
        self.tools = tools
        self.requests: list[Request] = []
        self.asides: list[Request] = []
        self.others: list[str] = []
        self.complaints: list[str] = []
        """Steps that could not be played because the CLI offers no tool for them: the model says so instead."""
        self._steps: list[Step] = [say("Nothing was scripted.")]
        self._next = 0
        self._lock = threading.Lock()
        self.closing = threading.Event()
        handler = type("Handler", (_Handler,), {"stub": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def play(self, *steps: Step) -> None:
        """Answer the following requests with `steps`; the last one repeats. Forgets what was recorded."""
        with self._lock:
            self._steps, self._next = list(steps) if self.tools else joined(steps), 0
            for kept in (self.requests, self.asides, self.others, self.complaints):
                kept.clear()

    def take(self, request: Request) -> Step:
        """The step for a request, which is recorded."""
        with self._lock:
            if self.tools and not tools.offered(request.body):
                self.asides.append(request)
                return say("Aside", input_tokens=0, output_tokens=0)
            self.requests.append(request)
            step = self._steps[min(self._next, len(self._steps) - 1)]
            self._next += 1
            return step

    def __enter__(self) -> StubModel:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A CLI that was ended leaves its connection open: nothing to print."""


class _Handler(BaseHTTPRequestHandler):
    stub: ClassVar[StubModel]
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.stub.others.append(f"HEAD {self.path}")
        self._send(200, {})

    def do_GET(self) -> None:
        self.stub.others.append(f"GET {self.path}")
        path = self.path.partition("?")[0]
        if path.endswith("/models"):
            one = {"id": MODEL, "object": "model", "type": "model", "display_name": MODEL, "created": 1}
            self._send(200, {"object": "list", "data": [one], "models": [{"name": f"models/{MODEL}"}]})
        else:
            self._not_here()

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        if path.endswith(("/count_tokens", ":countTokens")):
            self._send(200, {"input_tokens": 1, "totalTokens": 1})
            return
        protocol = _protocol(path)
        if protocol is None:
            self.stub.others.append(f"POST {path}")
            self._not_here()
            return
        body = json.loads(raw)
        step = self.stub.take(Request(path, body, {k.lower(): v for k, v in self.headers.items()}))
        streamed = bool(body.get("stream")) or path.endswith(":streamGenerateContent")
        try:
            self._answer(protocol, step, body, streamed=streamed)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(self, protocol: ModuleType, step: Step, body: dict[str, Any], *, streamed: bool) -> None:
        if step.kind == "refuse":
            self._send(step.status, _refusal(protocol, step), step.headers)
            return
        if step.kind == "hang":
            self.close_connection = True
            self.stub.closing.wait(120)
            return
        turn = self._turn(step, body)
        if streamed:
            self._stream(protocol.stream(turn), step, sentinel=protocol is chat)
        else:  # claude, too, asks again like this when a stream breaks
            self._send(200, protocol.whole(turn), cut=step.kind == "drop")

    def _turn(self, step: Step, body: dict[str, Any]) -> Turn:
        call, text = None, step.text
        if step.kind == "write" and not self.stub.tools:
            text = tools.edit_block(step)
        else:
            try:
                call = tools.call_for(step, body)
            except tools.NoSuchTool as error:
                self.stub.complaints.append(str(error))
                step, text = replace(step, kind="text"), str(error)
        return Turn(step, uuid.uuid4().hex[:24], str(body.get("model", MODEL)), call, text)

    def _stream(self, events: Iterator[Event], step: Step, *, sentinel: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events:
            name = f"event: {event.name}\n" if event.name else ""
            self._chunk(f"{name}data: {json.dumps(event.data)}\n\n".encode())
        if step.kind == "drop" and not step.clean:
            self._reset()
            return
        if sentinel and step.kind != "drop":
            self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _reset(self) -> None:
        """What is sent so far arrives; then the connection breaks, as when a network goes."""
        self.close_connection = True
        self.stub.closing.wait(0.2)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _not_here(self) -> None:
        self._send(404, {"error": {"type": "not_found_error", "message": "not here"}})

    def _send(
        self, status: int, document: Mapping[str, Any], headers: Mapping[str, str] | None = None, *, cut: bool = False
    ) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut


def _protocol(path: str) -> ModuleType | None:
    """The module that speaks what is asked for at `path`."""
    ends = {
        "/messages": messages,
        "/responses": responses,
        "/chat/completions": chat,
        ":generateContent": gemini,
        ":streamGenerateContent": gemini,
    }
    return next((module for end, module in ends.items() if path.endswith(end)), None)


def _refusal(protocol: ModuleType, step: Step) -> dict[str, Any]:
    if protocol is gemini:
        return {"error": {"code": step.status, "message": step.text, "status": step.error}}
    return {"type": "error", "error": {"type": step.error, "code": step.error, "message": step.text}}
