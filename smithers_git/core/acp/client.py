"""A conversation over the Agent Client Protocol: what to send, and what the agent's lines mean. Pure.

No capability of the client is offered. An agent without them uses its own tools on the files themselves, in the folder
where it was started, as it does headless; our own reading and writing of files for it would be one more way to the disk
to be confined, and gives an agent that has a shell nothing that it does not have already.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from smithers_git.core.acp import policy, rpc, usage
from smithers_git.core.acp.read import DECISION, Calls, error_text, text_of
from smithers_git.core.acp.rpc import table, tables, word
from smithers_git.core.events import Usage

VERSION: Final = 1
"""Of the protocol."""
ASKING: Final = "default"
"""The mode in which agents ask before they do something. One (qwen) begins in another, where its model decides."""

_MOST_TEXT: Final = 4 << 20
"""Characters of one message that are kept: its end, where the answer stands."""
_NOISE: Final = 8 << 10

Phase = Literal["opening", "ready", "turn", "failed"]


@dataclass(frozen=True, slots=True)
class Opening:
    """How the conversation begins."""

    cwd: str
    client: str
    """Our own version."""
    session: str | None = None
    """The conversation to go on with."""
    mode: str | None = None
    """The mode to work in; None: ASKING where there is that."""
    model: str | None = None
    """The model to work with; None: the agent's own choice."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the conversation cannot go on: the agent's error, or our own words."""

    error: Any = None
    text: str = ""
    lost_session: bool = False


@dataclass
class Turn:
    """What the agent said and did since the last prompt."""

    stop: str | None = None
    """The agent's reason to end it; None until it has."""
    usage: Usage | None = None
    _said: str = ""
    _message: str = ""
    _parts: list[str] = field(default_factory=list)
    _length: int = 0

    @property
    def answer(self) -> str:
        """The last message that was not empty: those before a tool call are remarks on the way."""
        return "".join(self._parts) if "".join(self._parts).strip() else self._said

    def say(self, text: str, message: str) -> None:
        """Take a piece of a message."""
        if message and self._message and message != self._message:
            self.part()
        self._message = message or self._message
        self._parts.append(text)
        self._length += len(text)
        if self._length > 2 * _MOST_TEXT:
            self._parts = ["".join(self._parts)[-_MOST_TEXT:]]
            self._length = _MOST_TEXT

    def part(self) -> None:
        """A message has ended."""
        self._said = self.answer
        self._parts, self._length, self._message = [], 0, ""


class Client:
    """Our end. `take` each line of the agent, and send what `unsent` gives.

    Lines that are no messages, messages that nobody waits for, unknown methods: nothing of it stops the conversation.
    """

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self.phase: Phase = "opening"
        self.trouble: Trouble | None = None
        """Set when the phase is `failed`."""
        self.session: str | None = None
        """The conversation's id, as soon as it is known."""
        self.model: str | None = None
        self.turn = Turn()
        self.cost: float | None = None
        """US dollars of the whole conversation; None when the agent has not told."""
        self.cost_before = 0.0
        """Those of them that a conversation had cost when it was loaded."""
        self.noise = ""
        """The end of what it said that is no message."""
        self.asked: deque[policy.Request] = deque()
        """Permissions that it waits for, to be answered by `answer`."""
        self._calls = Calls()
        self._pending: dict[int, str] = {}
        self._next = 1
        self._settings: list[tuple[str, dict[str, Any]]] = []
        self._out: list[bytes] = []
        self._request("initialize", protocolVersion=VERSION, clientCapabilities=_CAPABILITIES, clientInfo=self._info)

    @property
    def _info(self) -> dict[str, str]:
        return {"name": "smithers", "title": "smithers", "version": self._opening.client}

    def unsent(self) -> bytes:
        """What is to be sent now; a second call gives nothing."""
        out, self._out = b"".join(self._out), []
        return out

    def prompt(self, text: str) -> None:
        """Begin a turn. Only in the phase `ready`."""
        self.turn = Turn()
        self.phase = "turn"
        block = {"type": "text", "text": text}
        self._request("session/prompt", sessionId=self.session, prompt=[block])

    def cancel(self) -> bytes:
        """What ends the turn early: to be sent as the last words."""
        waiting = [rpc.encode(id=one.id, result={"outcome": {"outcome": "cancelled"}}) for one in self.asked]
        if self.session is not None:
            waiting.append(rpc.encode(method="session/cancel", params={"sessionId": self.session}))
        return b"".join(waiting)

    def answer(self, request: policy.Request, option: policy.Option | None, by: str) -> str:
        """Answer a permission request, with none of its options when None; returns the line for the transcript."""
        outcome = {"outcome": "cancelled"} if option is None else {"outcome": "selected", "optionId": option.id}
        self._out.append(rpc.encode(id=request.id, result={"outcome": outcome}))
        told = "allowed" if option and option.kind.startswith("allow") else "refused"
        told = option.name if option and not option.kind.startswith(("allow", "reject")) else told
        line = rpc.encode(method=DECISION, params={"title": request.call.text, "outcome": told, "by": by})
        return line.decode()

    def take(self, line: str) -> None:
        """Take one line of the agent."""
        messages = rpc.decode(line)
        if not messages:
            self.noise = f"{self.noise}{line[-_NOISE:]}\n"[-_NOISE:]
        for message in messages:
            self._message(message)

    def is_news(self, line: str) -> bool:
        """Whether a line, not yet taken, belongs in the transcript.

        Not what an agent tells again of a conversation that it loads: earlier transcripts have it. Nor the list of its
        own commands, 10 KB each time.
        """
        loading = self.phase == "opening" and "session/load" in self._pending.values()
        for message in rpc.decode(line):
            if message.get("method") == "session/update":
                return not loading and table(message, "params", "update").get("sessionUpdate") not in _LISTS
        return True

    def _message(self, message: dict[str, Any]) -> None:
        method = message.get("method")
        if method == "session/update":
            update = table(message, "params", "update")
            if self.phase == "turn" and self._is_ours(message):
                self._update(update)
            elif self.phase == "opening" and update.get("sessionUpdate") == "usage_update":
                self.cost_before = usage.cost_of(update) or self.cost_before
        elif method == "session/request_permission" and "id" in message:
            call = self._calls.learn(table(message, "params", "toolCall"))
            self.asked.append(policy.request(message, call))
        elif method is not None:
            if "id" in message:  # files and terminals are not offered, and what an agent has of its own we have not
                error = {"code": rpc.MISSING, "message": f"{str(method)[:100]} is not offered"}
                self._out.append(rpc.encode(id=message["id"], error=error))
        elif isinstance(message["id"], int) and message["id"] in self._pending:
            self._response(self._pending.pop(message["id"]), message)

    def _is_ours(self, message: dict[str, Any]) -> bool:
        """Not an agent's below this one, whose words are not the answer."""
        return table(message.get("params")).get("sessionId") in (None, self.session)

    def _update(self, update: dict[str, Any]) -> None:
        kind = update.get("sessionUpdate")
        if kind == "agent_message_chunk":
            self.turn.say(text_of(update.get("content")), word(update.get("messageId")))
            part = usage.of_chunk(update)
            if part is not None:
                self.turn.usage = (self.turn.usage or Usage()) + part
        elif kind in ("tool_call", "tool_call_update"):
            call = self._calls.learn(update)
            if kind == "tool_call" or call.over:
                self.turn.part()
        elif kind == "usage_update":
            cost = usage.cost_of(update)
            self.cost = self.cost if cost is None else cost

    def _response(self, method: str, message: dict[str, Any]) -> None:
        if "error" in message:
            self._refused(method, message["error"])
        elif method == "initialize":
            self._initialized(table(message.get("result")))
        elif method in ("session/new", "session/load"):
            self._opened(method, table(message.get("result")))
        elif method == "session/prompt":
            result = table(message.get("result"))
            self.turn.stop = word(result.get("stopReason"))
            self.turn.usage = usage.of_result(result) or self.turn.usage
            self.phase = "ready"
        else:
            self._set_up()

    def _refused(self, method: str, error: Any) -> None:
        if method == "session/load":
            return self._fail(error=error, lost_session=True)
        if method == "session/set_mode" and self._opening.mode is None:
            return self._set_up()  # it was our own idea; the policy judges what it asks in any mode
        return self._fail(error=error)

    def _initialized(self, result: dict[str, Any]) -> None:
        version = result.get("protocolVersion")
        if version != VERSION:
            return self._fail(text=f"speaks version {version} of the Agent Client Protocol; smithers speaks {VERSION}")
        where = {"cwd": self._opening.cwd, "mcpServers": []}
        if self._opening.session is None:
            return self._request("session/new", **where)
        if table(result, "agentCapabilities").get("loadSession") is not True:
            return self._fail(text="cannot go on with a conversation", lost_session=True)
        return self._request("session/load", sessionId=self._opening.session, **where)

    def _opened(self, method: str, result: dict[str, Any]) -> None:
        self.session = self._opening.session if method == "session/load" else word(result.get("sessionId")) or None
        if self.session is None:
            return self._fail(text="gave the conversation no id")
        self.model = usage.model_of(result)
        self._choose_mode(result)
        if self.phase != "failed" and self._opening.model:
            self._choose_model(result, self._opening.model)
        return None if self.phase == "failed" else self._set_up()

    def _choose_mode(self, result: dict[str, Any]) -> None:
        offered = [word(one.get("id")) for one in tables(table(result, "modes").get("availableModes"))]
        wanted = self._opening.mode or (ASKING if ASKING in offered else None)
        if wanted is not None and wanted not in offered:
            self._fail(text=f"offers no mode {wanted!r}; it has {', '.join(offered) or 'none'}")
        elif wanted is not None and wanted != table(result, "modes").get("currentModeId"):
            self._settings.append(("session/set_mode", {"modeId": wanted}))

    def _choose_model(self, result: dict[str, Any], wanted: str) -> None:
        offered = {word(one.get("modelId")): one for one in tables(table(result, "models").get("availableModels"))}
        chosen = next((id for id, one in offered.items() if wanted in (id, one.get("name"))), None)
        if chosen:
            self._settings.append(("session/set_model", {"modelId": chosen}))
            self.model = wanted
            return
        for option in tables(result.get("configOptions")):
            values = [one for one in _values(option) if wanted in (one.get("value"), one.get("name"))]
            if option.get("category") == "model" and values:
                told = {"configId": option.get("id"), "value": values[0].get("value")}
                self._settings.append(("session/set_config_option", told))
                self.model = wanted
                return
        self._fail(text=f"offers no model {wanted!r}")

    def _set_up(self) -> None:
        if self._settings:
            method, params = self._settings.pop(0)
            self._request(method, sessionId=self.session, **params)
        else:
            self.phase = "ready"

    def _fail(self, error: Any = None, text: str = "", lost_session: bool = False) -> None:
        self.phase = "failed"
        self.trouble = Trouble(error, text or error_text(error), lost_session)

    def _request(self, method: str, **params: Any) -> None:
        self._out.append(rpc.encode(id=self._next, method=method, params=params))
        self._pending[self._next] = method
        self._next += 1


_LISTS: Final = ("available_commands_update", "config_option_update")
_CAPABILITIES: Final = {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}


def _values(option: dict[str, Any]) -> list[dict[str, Any]]:
    """The values of a configuration option; some agents put them into groups."""
    found = tables(option.get("options"))
    return found + [value for group in found for value in tables(group.get("options"))]
