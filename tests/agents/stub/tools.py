"""Which of the tools that a CLI offers writes a file or runs a command, and the arguments that its schema wants."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agents.stub.steps import Step

# Names without their punctuation, best first.
_WRITERS = (
    "write", "writefile", "writetofile", "create", "createfile", "fswrite", "editor", "strreplaceeditor",
    "strreplacebasededittool",
)  # fmt: skip
_SHELLS = (
    "bash", "shell", "runshellcommand", "execcommand", "executecommand", "runcommand", "runcommands", "terminal",
    "runterminalcmd", "execute",
)  # fmt: skip
_PATHS = {"path", "filepath", "absolutepath", "filename", "targetfile"}
_CONTENTS = {"content", "contents", "text", "filetext", "newtext", "newstr"}
_COMMANDS = {"command", "cmd", "commands", "script"}
# Taken where a tool knows them although it does not want them: without a login shell, and not put in the background.
_OPTIONAL: dict[str, object] = {"login": False, "yieldtimems": 10_000}


@dataclass(frozen=True)
class Tool:
    name: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class Call:
    name: str
    arguments: dict[str, Any]


class NoSuchTool(Exception):
    """The CLI offers nothing for the step; the message names what it does offer."""


def offered(body: dict[str, Any]) -> list[Tool]:
    """The functions that a request offers to the model, in any of the four protocols."""
    return [Tool(name, schema) for entry in body.get("tools") or () for name, schema in _functions(entry)]


def call_for(step: Step, body: dict[str, Any]) -> Call | None:
    """The tool call of a `write`, `run` or `call` step, None for any other; raises NoSuchTool."""
    if step.kind not in ("write", "run", "call"):
        return None
    if step.kind == "call" and step.tool in [tool.name for tool in offered(body)]:
        return Call(step.tool, dict(step.arguments))
    tools = {_plain(tool.name): tool for tool in offered(body)}
    if step.kind == "write":
        for name in _WRITERS:
            if name in tools:
                return _call(tools[name], path=step.path, content=step.text, command="create")
    for name in _SHELLS if step.kind != "call" else ():
        if name in tools:
            return _call(tools[name], command=_command(step))
    there = ", ".join(tool.name for tool in tools.values()) or "none"
    raise NoSuchTool(f"no tool to {step.kind}{' ' + step.tool if step.tool else ''} among {there}")


def edit_block(step: Step) -> str:
    """A `write` step as text, for a model without tools: a block that makes a new file, and what is said behind it."""
    return f"{step.path}\n```\n<<<<<<< SEARCH\n=======\n{step.text}>>>>>>> REPLACE\n```\n{step.then}"


def _functions(entry: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if "functionDeclarations" in entry:  # Gemini
        for one in entry["functionDeclarations"]:
            yield one["name"], _parameters(one)
    elif "function" in entry:  # Chat Completions
        yield entry["function"]["name"], entry["function"].get("parameters") or {}
    elif "name" in entry:  # Anthropic Messages, Responses
        yield entry["name"], entry.get("input_schema") or entry.get("parameters") or {}


def _parameters(one: dict[str, Any]) -> dict[str, Any]:
    # Google takes several spellings.
    for key in ("parametersJsonSchema", "parameters_json_schema", "parameters"):
        if one.get(key):
            return dict(one[key])
    return {}


def _command(step: Step) -> str:
    if step.kind == "run":
        return step.text
    encoded = base64.b64encode(step.text.encode()).decode()
    path = shlex.quote(step.path)
    # No `$(…)`: some CLIs refuse a command that holds one.
    folder = shlex.quote(step.path.rpartition("/")[0] or ".")
    return f"mkdir -p {folder} && echo {encoded} | base64 -d > {path}"


def _call(tool: Tool, *, path: str = "", content: str = "", command: str = "") -> Call:
    properties: dict[str, Any] = tool.schema.get("properties") or {}
    required = tool.schema.get("required") or ()
    arguments: dict[str, Any] = {}
    for name, schema in properties.items():
        plain = _plain(name)
        if path and plain in _PATHS:
            arguments[name] = path
        elif path and plain in _CONTENTS:
            arguments[name] = content
        elif plain in _COMMANDS:
            arguments[name] = [command] if _kind(schema) == "array" else command
        elif plain in _OPTIONAL:
            arguments[name] = _OPTIONAL[plain]
        elif name in required:
            arguments[name] = _something(schema)
    return Call(tool.name, arguments)


def _something(schema: dict[str, Any]) -> object:
    """Any value that fits."""
    if schema.get("enum"):
        return schema["enum"][0]
    return {"boolean": False, "integer": 1, "number": 1, "array": [], "object": {}}.get(_kind(schema), "Do it")


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "string")
    return str(kind[0] if isinstance(kind, list) else kind).lower()  # Gemini's own are in capitals


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
