"""A fake agent that speaks the Agent Client Protocol: `python acp_agent.py SCRIPT`, a program of its own.

The script is JSON: {"turns": [[DEED...]...], ...}; each prompt plays the next turn, the last one repeats. Deeds:

    {"say": "text"} or {"say": ["pie", "ces"]}    {"think": "text"}    {"raw": "a line"}    {"update": {...}}
    {"edit": "path", "text": "...", "ask": true}  a tool call that writes a file, asking first where `ask` is there;
                                                  `kind` and `locations` replace what it says of itself
    {"run": "command"}                            the same for a command, always asking
    {"hang": true}  {"exit": 3}  {"deaf": n}: writes n bytes and reads nothing
    {"stop": "max_tokens"}                        the turn ends with another reason
    {"result": {...}}                             more in the result of the turn

Further keys: "initialize", "new" (what their results have besides), "refuse": {"METHOD": {error}}, "log": a file that
gets every message that comes in, "sessions": a file that keeps the ids of conversations, so that they can be loaded,
"leave": it ends after each turn.
On session/cancel the turn ends with `cancelled`, unless "stubborn" is there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any


class Cancelled(Exception):
    pass


class Agent:
    def __init__(self, script: dict[str, Any]) -> None:
        self.script = script
        self.session = ""
        self.turn = 0
        self.asked = 0

    def send(self, **message: Any) -> None:
        self.raw(json.dumps({"jsonrpc": "2.0", **message}))

    def raw(self, line: str) -> None:
        sys.stdout.buffer.write(line.encode("utf-8", "surrogateescape") + b"\n")
        sys.stdout.buffer.flush()

    def receive(self) -> dict[str, Any]:
        line = sys.stdin.readline()
        if not line:
            sys.exit(0)
        if "log" in self.script:
            with Path(self.script["log"]).open("a") as file:
                file.write(line)
        message: dict[str, Any] = json.loads(line)
        if message.get("method") == "session/cancel" and not self.script.get("stubborn"):
            raise Cancelled
        return message

    def update(self, what: str, **more: Any) -> None:
        params = {"sessionId": self.session, "update": {"sessionUpdate": what, **more}}
        self.send(method="session/update", params=params)

    def live(self) -> None:
        while True:
            message = self.receive()
            method = message.get("method", "")
            if method in self.script.get("refuse", {}):
                self.send(id=message["id"], error=self.script["refuse"][method])
            elif "id" in message and method:
                self.send(id=message["id"], result=self.answer(method, message["params"]))
                if method == "session/prompt" and "leave" in self.script:
                    sys.exit(0)

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        if method == "initialize":
            mine = {"protocolVersion": 1, "agentCapabilities": {"loadSession": "sessions" in self.script}}
            return mine | self.script.get("initialize", {})
        if method == "session/new":
            self.session = str(uuid.uuid4())
            if "sessions" in self.script:
                with Path(self.script["sessions"]).open("a") as file:
                    file.write(f"{self.session}\n")
            return {"sessionId": self.session} | self.script.get("new", {})
        if method == "session/load":
            self.session = params["sessionId"]
            self.update("user_message_chunk", content={"type": "text", "text": "what was asked before"})
            self.update("agent_message_chunk", content={"type": "text", "text": '{"word": "old"}'})
        return self.prompt() if method == "session/prompt" else None

    def prompt(self) -> dict[str, Any]:
        turns = self.script["turns"]
        deeds = turns[min(self.turn, len(turns) - 1)]
        self.turn += 1
        result: dict[str, Any] = {"stopReason": "end_turn"}
        try:
            for deed in deeds:
                result |= self.play(deed) or {}
        except Cancelled:
            return {"stopReason": "cancelled"}
        return result

    def play(self, deed: dict[str, Any]) -> dict[str, Any] | None:
        for name in ("say", "think"):
            kind = "agent_message_chunk" if name == "say" else "agent_thought_chunk"
            pieces = deed.get(name, [])
            for piece in [pieces] if isinstance(pieces, str) else pieces:
                self.update(kind, content={"type": "text", "text": piece})
        if "raw" in deed:
            self.raw(deed["raw"])
        if "update" in deed:
            self.send(method="session/update", params={"sessionId": self.session, "update": deed["update"]})
        if "edit" in deed or "run" in deed:
            self.tool(deed)
        if "hang" in deed:
            while True:
                self.receive()
        if "deaf" in deed:
            for _ in range(deed["deaf"]):
                self.send(id=1, method="fs/read_text_file", params={"path": "x" * 100})
            time.sleep(60)
        if "exit" in deed:
            print("the agent fell over", file=sys.stderr, flush=True)
            os._exit(deed["exit"])
        if "stop" in deed:
            return {"stopReason": deed["stop"]}
        return deed.get("result")

    def tool(self, deed: dict[str, Any]) -> None:
        editing = "edit" in deed
        title = f"Write {deed['edit']}" if editing else deed["run"]
        call: dict[str, Any] = {"toolCallId": f"call-{self.turn}-{self.asked}", "title": title}
        call["kind"] = deed.get("kind", "edit" if editing else "execute")
        if editing:
            call["locations"] = [{"path": path} for path in deed.get("locations", [deed["edit"]])]
        self.update("tool_call", **call, status="pending")
        if (deed.get("ask") or not editing) and not self.may(call):
            self.update("tool_call_update", toolCallId=call["toolCallId"], status="failed")
            return
        if editing:
            Path(deed["edit"]).write_text(deed["text"])
        else:
            subprocess.run(deed["run"], shell=True, check=False)
        self.update("tool_call_update", toolCallId=call["toolCallId"], status="completed")

    def may(self, call: dict[str, Any]) -> bool:
        self.asked += 1
        kinds = ("allow_always", "allow_once", "reject_once")
        options = [{"optionId": f"id-{kind}", "name": kind.replace("_", " "), "kind": kind} for kind in kinds]
        params = {"sessionId": self.session, "toolCall": call, "options": options}
        self.send(id=f"ask-{self.asked}", method="session/request_permission", params=params)
        while True:
            message = self.receive()
            if message.get("id") == f"ask-{self.asked}":
                return str(message["result"]["outcome"].get("optionId", "")).startswith("id-allow")


if __name__ == "__main__":
    Agent(json.loads(Path(sys.argv[1]).read_text())).live()
