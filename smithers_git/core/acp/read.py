"""What an agent's messages say, in words for the live view and for `smithers chat`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from smithers_git.core.acp.rpc import decode, table, tables, word
from smithers_git.core.reply import AgentEvent, EventKind

DECISION = "smithers/permission"
"""The method of the line that we add to a transcript: what became of a permission request."""

_SHORT = 300
_MOST = 1000
"""Tool calls that are remembered: an agent that ends none must not fill the memory."""
_PATHS = ("path", "file_path", "filePath", "abs_path", "absolute_path", "fileName", "file")
_DETAILS = (*_PATHS, "command", "cmd", "pattern", "query", "url", "description")


@dataclass
class ToolCall:
    """What is known of a tool call by now: agents tell it in several messages, and each tells a part."""

    id: str
    title: str = ""
    kind: str = ""
    status: str = ""
    told: bool = False
    """Whether the live view has it."""
    parts: dict[str, Any] = field(default_factory=dict)

    def learn(self, message: dict[str, Any]) -> None:
        """Take what one more message says of it."""
        self.title = word(message.get("title")) or self.title
        self.kind = word(message.get("kind")) or self.kind
        self.status = word(message.get("status")) or self.status
        for name in ("locations", "content", "rawInput"):
            if message.get(name):
                self.parts[name] = message[name]

    @property
    def over(self) -> bool:
        return self.status in ("completed", "failed")

    @property
    def paths(self) -> list[str]:
        """Every file that it names, as the agent spells it."""
        said = [one.get("path") for one in tables(self.parts.get("locations"))]
        said += [one.get("path") for one in tables(self.parts.get("content")) if one.get("type") == "diff"]
        given = table(self.parts.get("rawInput"))
        said += [given.get(name) for name in _PATHS]
        return list(dict.fromkeys(path for path in said if isinstance(path, str) and path))

    @property
    def text(self) -> str:
        """One line: its title, and what it works on where the title does not say that."""
        given = table(self.parts.get("rawInput"))
        details = [word(given.get(name)) for name in _DETAILS] + self.paths
        words = [self.title or self.kind or "tool"]
        for detail in dict.fromkeys(" ".join(detail.split()) for detail in details):
            if detail and not any(detail in known or detail.rpartition("/")[2] in known for known in words):
                words.append(detail)
        return " ".join(" ".join(words).split())[:_SHORT]

    @property
    def outcome(self) -> str:
        """One line: what came of it."""
        blocks = tables(self.parts.get("content"))
        words = [text_of(block.get("content")) for block in blocks if block.get("type") == "content"]
        words += [f"changed {word(block.get('path'))}" for block in blocks if block.get("type") == "diff"]
        text = " ".join(" ".join(words).split())[:_SHORT]
        return f"failed: {text}" if self.status == "failed" else text


class Calls:
    """The tool calls of one conversation that have not ended."""

    def __init__(self) -> None:
        self._known: dict[str, ToolCall] = {}

    def learn(self, message: dict[str, Any]) -> ToolCall:
        """The tool call that a message is about, with what it says of it."""
        name = word(message.get("toolCallId"))
        call = self._known.pop(name, None) or ToolCall(name)
        call.learn(message)
        if not call.over:
            self._known[name] = call  # the newest is last
            while len(self._known) > _MOST:
                del self._known[next(iter(self._known))]
        return call


class Scribe:
    """Turns the messages of one conversation into events, in order."""

    def __init__(self) -> None:
        self._calls = Calls()

    def line(self, line: str) -> list[AgentEvent]:
        """What one line of a transcript says."""
        return [event for message in decode(line) for event in self.message(message)]

    def message(self, message: dict[str, Any]) -> Iterator[AgentEvent]:
        """What one message says."""
        method, params = message.get("method"), table(message.get("params"))
        if method == "session/update":
            yield from self._update(table(params, "update"))
        elif method == "session/request_permission":
            yield from self._tell(self._calls.learn(table(params, "toolCall")))
        elif word(method).endswith("/retrying"):  # vibe's own; the protocol has none
            yield AgentEvent("retrying", _short(f"{word(params.get('category'))} {word(params.get('detail'))}"))
        elif method == DECISION:
            by = word(params.get("by"))
            yield AgentEvent("other", f"{word(params.get('outcome'))} by {by}: {word(params.get('title'))}"[:_SHORT])
        elif "error" in message:
            yield AgentEvent("other", _short(error_text(message["error"])))
        elif word(table(message, "result").get("stopReason")) not in ("", "end_turn"):
            yield AgentEvent("other", f"stopped: {message['result']['stopReason']}"[:_SHORT])

    def _update(self, update: dict[str, Any]) -> Iterator[AgentEvent]:
        kind = update.get("sessionUpdate")
        if kind in ("agent_message_chunk", "agent_thought_chunk"):
            text = text_of(update.get("content"))
            name: EventKind = "text" if kind == "agent_message_chunk" else "other"
            yield from [AgentEvent(name, text)] if text.strip() else []
        elif kind in ("tool_call", "tool_call_update"):
            call = self._calls.learn(update)
            # The first message often has no more than the tool's name; what it works on comes with the second.
            if call.parts.keys() & {"locations", "rawInput"} or call.status not in ("", "pending"):
                yield from self._tell(call)
            if call.over:
                yield AgentEvent("tool_done", call.outcome)
        elif kind == "plan":
            entries = tables(update.get("entries"))
            done = sum(entry.get("status") == "completed" for entry in entries)
            now = next((word(e.get("content")) for e in entries if e.get("status") == "in_progress"), "")
            yield AgentEvent("other", _short(f"plan: {done} of {len(entries)} done{f', now: {now}' if now else ''}"))
        elif kind == "current_mode_update":
            yield AgentEvent("other", f"mode: {word(update.get('currentModeId'))}"[:_SHORT])

    @staticmethod
    def _tell(call: ToolCall) -> Iterator[AgentEvent]:
        if not call.told:
            call.told = True
            yield AgentEvent("tool", call.text)


def text_of(content: Any) -> str:
    """The text of a content block."""
    return word(table(content).get("text"))


def error_text(error: Any) -> str:
    """A JSON-RPC error as text: its message, and what else it says."""
    known = table(error)
    data = known.get("data")
    more = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)[:2000] if data else ""
    said = word(known.get("message")) or "an error without words"
    return f"{said}: {more}" if more and more not in said else said


def _short(text: str) -> str:
    return " ".join(text.split())[:_SHORT]
