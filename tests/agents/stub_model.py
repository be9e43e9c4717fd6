"""A scripted model on 127.0.0.1 that real agent CLIs talk to: Anthropic Messages and OpenAI Responses, streamed.

A test plays a list of steps; every model request consumes one and the last one repeats. Requests are recorded, so a
test can tell what really reached the model. Nothing here calls out.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Literal


@dataclass(frozen=True)
class Step:
    """What the model does with one request. Token counts are what the CLI must report back."""

    kind: Literal["text", "write", "run", "refuse", "decline", "hang", "drop"]
    text: str = ""
    path: str = ""
    status: int = 200
    error: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    input_tokens: int = 100
    output_tokens: int = 10
    cached_tokens: int = 0


def say(text: str, **counts: int) -> Step:
    """A final answer."""
    return Step("text", text=text, **counts)


def write(path: str, text: str, **counts: int) -> Step:
    """A tool call that writes a file, with the tool that the CLI offers for it."""
    return Step("write", path=path, text=text, **counts)


def run(command: str) -> Step:
    """A tool call that runs a shell command."""
    return Step("run", text=command)


def refuse(status: int, kind: str, message: str, **headers: str) -> Step:
    """An HTTP refusal, with the error kind that the vendor uses."""
    return Step("refuse", status=status, error=kind, text=message, headers=headers)


def decline(text: str) -> Step:
    """The model itself declines: stop reason `refusal`, or a failed response with a policy code."""
    return Step("decline", text=text)


def hang() -> Step:
    """No byte ever comes."""
    return Step("hang")


def drop(text: str) -> Step:
    """Half an answer, then the connection is gone."""
    return Step("drop", text=text)


@dataclass(frozen=True)
class Request:
    """One request for a turn of the model, as it came in."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def words(self) -> str:
        """Everything that was sent to the model as conversation, tools left out."""
        kept = {key: self.body.get(key) for key in ("system", "instructions", "messages", "input")}
        return json.dumps(kept, ensure_ascii=False)


class StubModel:
    """The server. `url` is its address; use it as a context manager."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.others: list[str] = []
        self._steps: list[Step] = [say("Nothing was scripted.")]
        self._next = 0
        self._lock = threading.Lock()
        self.closing = threading.Event()
        handler = type("Handler", (_Handler,), {"stub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def play(self, *steps: Step) -> None:
        """Answer the following requests with `steps`; the last one repeats. Forgets what was recorded."""
        with self._lock:
            self._steps, self._next = list(steps), 0
            self.requests.clear()
            self.others.clear()

    def take(self, request: Request) -> Step:
        with self._lock:
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


class _Handler(BaseHTTPRequestHandler):
    stub: ClassVar[StubModel]
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.stub.others.append(f"HEAD {self.path}")
        self._send(200, b"")

    def do_GET(self) -> None:
        self.stub.others.append(f"GET {self.path}")
        self._send(404, b'{"error": {"type": "not_found_error", "message": "not here"}}')

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        if not path.endswith(("/messages", "/responses")):
            self.stub.others.append(f"POST {path}")
            self._send(404, b'{"error": {"type": "not_found_error", "message": "not here"}}')
            return
        body = json.loads(raw)
        step = self.stub.take(Request(path, body, {k.lower(): v for k, v in self.headers.items()}))
        try:
            self._answer(step, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(self, step: Step, body: dict[str, Any]) -> None:
        if step.kind == "refuse":
            error = {"type": step.error, "code": step.error, "message": step.text}
            self._send(step.status, json.dumps({"type": "error", "error": error}).encode(), step.headers)
        elif step.kind == "hang":
            self.stub.closing.wait(120)
        elif not body.get("stream"):  # claude asks again like this when a stream breaks
            whole = json.dumps(_anthropic_message(step, body)).encode()
            self._send(200, whole, cut=step.kind == "drop")
        else:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            for name, data in (_anthropic if "messages" in body else _openai)(step, body):
                self.wfile.write(f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode())
                self.wfile.flush()
        self.close_connection = step.kind in ("hang", "drop") or bool(body.get("stream"))

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None, *, cut: bool = False) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)


_STOPS = {"write": "tool_use", "run": "tool_use", "decline": "refusal"}


def _anthropic_message(step: Step, body: dict[str, Any]) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": step.text}
    if step.kind in ("write", "run"):
        name, arguments = "Write", {"file_path": step.path, "content": step.text}
        if step.kind == "run":
            name, arguments = "Bash", {"command": step.text, "description": "Run a command"}
        block = {"type": "tool_use", "id": f"toolu_{len(json.dumps(body))}", "name": name, "input": arguments}
    usage = {
        "input_tokens": step.input_tokens,
        "cache_read_input_tokens": step.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": step.output_tokens,
    }
    return {
        "id": f"msg_{len(json.dumps(body))}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", "stub"),
        "content": [block],
        "stop_reason": _STOPS.get(step.kind, "end_turn"),
        "stop_sequence": None,
        "usage": usage,
    }


def _anthropic(step: Step, body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    message = _anthropic_message(step, body)
    block = message["content"][0]
    end = {"stop_reason": message.pop("stop_reason"), "stop_sequence": None}
    yield "message_start", {"message": {**message, "content": [], "stop_reason": None}}
    if block["type"] == "text":
        yield "content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}
        yield "content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": step.text}}
        if step.kind == "drop":
            return
    else:
        arguments = json.dumps(block["input"])
        yield "content_block_start", {"index": 0, "content_block": {**block, "input": {}}}
        yield "content_block_delta", {"index": 0, "delta": {"type": "input_json_delta", "partial_json": arguments}}
    yield "content_block_stop", {"index": 0}
    yield "message_delta", {"delta": end, "usage": {"output_tokens": step.output_tokens}}
    yield "message_stop", {}


def _openai(step: Step, body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    reply = f"resp_{len(json.dumps(body))}"
    yield "response.created", {"response": {"id": reply}}
    if step.kind == "decline":
        error = {"code": "content_policy_violation", "message": step.text}
        yield "response.failed", {"response": {"id": reply, "status": "failed", "error": error}}
        return
    if step.kind in ("text", "drop"):
        yield "response.output_item.added", {"output_index": 0, "item": _openai_text("")}
        yield "response.output_text.delta", {"output_index": 0, "content_index": 0, "delta": step.text}
        if step.kind == "drop":
            return
        item = _openai_text(step.text)
    else:
        item = _openai_call(step, body)
    yield "response.output_item.done", {"output_index": 0, "item": item}
    usage = {
        "input_tokens": step.input_tokens,
        "input_tokens_details": {"cached_tokens": step.cached_tokens},
        "output_tokens": step.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": step.input_tokens + step.output_tokens,
    }
    yield "response.completed", {"response": {"id": reply, "status": "completed", "usage": usage}}


def _openai_text(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text}] if text else []
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": content}


def _openai_call(step: Step, body: dict[str, Any]) -> dict[str, Any]:
    command = step.text
    if step.kind == "write":
        encoded = base64.b64encode(step.text.encode()).decode()
        command = f"mkdir -p $(dirname {step.path}) && echo {encoded} | base64 -d > {step.path}"
    return {
        "type": "function_call",
        "id": "fc_1",
        "call_id": f"call_{len(json.dumps(body))}",
        "name": "exec_command",
        "arguments": json.dumps({"cmd": command, "login": False, "yield_time_ms": 10_000}),
    }
