"""The transcript of a conversation: the agent's lines, with the pieces of a message put together again.

Messages come in pieces of a few characters, each with a hundred bytes around it. Together they are smaller, and a
secret that lies across two pieces is seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from smithers_git.core.acp.rpc import decode, encode, table, word
from smithers_git.core.redact import Redactor

_LONG: Final = 2000
"""Bytes of a message without a line end after which it is written up to the last blank."""

_CHUNKS: Final = ("agent_message_chunk", "agent_thought_chunk", "user_message_chunk")


class Minutes:
    """Feed it line by line; `redactor` makes what takes secrets out of one message."""

    def __init__(self, redactor: Callable[[], Redactor]) -> None:
        self._fresh = redactor
        self._redactor = redactor()
        self._about: dict[str, Any] = {}
        """The piece before, without its text."""
        self._text = b""

    def take(self, line: str) -> list[str]:
        """The lines, without their ends, that are complete with this one."""
        messages = decode(line)
        piece = _piece(messages[0]) if len(messages) == 1 else None
        if piece is None:
            return [*self.end(), line]
        about, text = piece
        out = [] if about == self._about else self.end()
        self._about = about
        self._text += self._redactor.feed(text.encode("utf-8", "replace"))
        cut = self._text.rfind(b"\n") + 1
        if not cut and len(self._text) > _LONG:
            cut = self._text.rfind(b" ") + 1
        return out + self._write(cut)

    def end(self) -> list[str]:
        """The message that was begun, as far as it came."""
        self._text += self._redactor.finish()
        out = self._write(len(self._text))
        self._redactor, self._about = self._fresh(), {}
        return out

    def _write(self, size: int) -> list[str]:
        text, self._text = self._text[:size], self._text[size:]
        if not text:
            return []
        params = json.loads(json.dumps(self._about))
        params["update"]["content"] = {"type": "text", "text": text.decode("utf-8", "replace")}
        return [encode(method="session/update", params=params).decode().rstrip("\n")]


def _piece(message: dict[str, Any]) -> tuple[dict[str, Any], str] | None:
    """A piece of a message that is nothing but text: what it is, and the text."""
    params = table(message.get("params"))
    update = table(params.get("update"))
    content = table(update.get("content"))
    plain = update.keys() <= {"sessionUpdate", "content", "messageId"} and content.keys() == {"type", "text"}
    if message.get("method") != "session/update" or update.get("sessionUpdate") not in _CHUNKS or not plain:
        return None
    about = {key: value for key, value in update.items() if key != "content"}
    return {"sessionId": params.get("sessionId"), "update": about}, word(content.get("text"))
