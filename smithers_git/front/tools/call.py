"""From a name and arguments to a tool, and from what happens to an answer. A bug in a tool ends only its call."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from smithers_git import __version__
from smithers_git.core.redact import Redactor, secrets_of
from smithers_git.edge import mcp, mishap, output
from smithers_git.errors import ConfigError, RepositoryError, SmithersError, UsageError
from smithers_git.front import listing
from smithers_git.front.tools import board, decisions, landing, look, start, travelling, waiting
from smithers_git.front.tools.base import Scene, Tool
from smithers_git.service.project import Project

INSTRUCTIONS: Final = """\
smithers runs coding-agent work as durable workflows inside this git repository: each run works in worktrees of its \
own, every step is saved, and nothing reaches the user's branches before it is landed.
The usual way: list_workflows, run_workflow (returns a run id at once), wait (until it is over or asks), then look \
with inspect_run, diff or transcript, and land. When a run does not go on: why.
Approvals and questions (list_pending) are for the user: show them what is asked, and only pass on what they said.
Tools that take something away want confirm: true; without it they say what would happen.
Answers are short: limit, cursor and next_cursor get more. Commands in them are for a shell; tools do the same."""
_LARGEST: Final = 60_000
"""Characters of an answer's JSON, whatever was asked for: clients cut longer ones, or refuse them."""
_TEMPLATE: Final = "smithers://runs/"

TOOLS: Final[dict[str, Tool]] = {
    tool.name: tool for module in (start, look, waiting, decisions, travelling, landing, board) for tool in module.TOOLS
}


@dataclass(frozen=True, slots=True)
class Desk:
    """Answers calls about the repository around the folder `place`, opened anew for each: a server lives for long.

    Agents start a server that was registered for the user, and not for a project, in any folder. Where that is no
    repository, and none was `named`, the folders that the agent itself works in are tried.
    """

    place: Path
    reads_only: bool = False
    named: bool = False

    @property
    def tools(self) -> dict[str, Tool]:
        """The tools that are offered, by name."""
        return {name: tool for name, tool in TOOLS.items() if tool.effect == "reads" or not self.reads_only}

    def offer(self) -> mcp.Offer:
        """What a server can serve."""
        return mcp.Offer(
            name="smithers",
            version=__version__,
            instructions=INSTRUCTIONS,
            tools=[_described(tool) for tool in self.tools.values()],
            call=self.call,
            resources=self.resources,
            read=self.read,
            template=mcp.Resource(_TEMPLATE + "{run}", "run", "A run of this repository, as inspect_run shows it."),
            asks_folders=not self.named and self._guarded("list_runs", lambda _project: {}).failed,
        )

    def call(self, call: mcp.Call) -> mcp.Answer:
        """Call a tool; what goes wrong is in the answer."""
        return self._guarded(call.name, lambda project: self._do(call, project), call.folders)

    def read(self, uri: str) -> mcp.Answer:
        """A run, by its address."""

        def look_at(project: Project) -> dict[str, Any]:
            name = uri.removeprefix(_TEMPLATE)
            if not uri.startswith(_TEMPLATE) or not name:
                raise UsageError(f"{uri!r} is no address of a run", hint=f"say {_TEMPLATE}RUN")
            return look.inspect_run(Scene(project), look.InspectRun(run=name))

        return self._guarded("inspect_run", look_at)

    def resources(self) -> list[mcp.Resource]:
        """The newest runs; none where there is no repository."""
        found = self._guarded("list_runs", lambda project: listing.document(project, ()))
        rows = [] if found.failed else found.document["runs"]
        return [
            mcp.Resource(_TEMPLATE + row["run"], row["run"], f"{row['workflow']}, {row['status']}: {row['title']}")
            for row in rows
        ]

    def _do(self, call: mcp.Call, project: Project) -> dict[str, Any]:
        tool = self.tools.get(call.name)
        if tool is None:
            close = difflib.get_close_matches(call.name, self.tools, 1)
            hint = f"did you mean {close[0]}?" if close else f"tools: {', '.join(self.tools)}"
            raise UsageError(f"there is no tool {call.name!r}", hint=hint)
        try:
            args = tool.args.model_validate(call.arguments)
        except ValidationError as error:
            fields = ", ".join(tool.args.model_fields) or "none"
            raise UsageError(f"{tool.name}: {_issues(error)}", hint=f"its arguments: {fields}") from error
        return tool.do(Scene(project, call.client, call.stop), args)

    def _open(self, folders: Sequence[Path]) -> Project:
        """The repository that is meant; raises RepositoryError."""
        troubles: list[RepositoryError] = []
        for place in (self.place, *folders):
            try:
                return Project.open(place)
            except RepositoryError as error:
                troubles.append(error)
        hint = f"{troubles[0].hint}; or name one: smithers mcp serve --repository PATH"
        raise RepositoryError("; ".join(dict.fromkeys(one.message for one in troubles)), hint=hint)

    def _guarded(
        self, name: str, work: Callable[[Project], dict[str, Any]], folders: Sequence[Path] = ()
    ) -> mcp.Answer:
        failed, project = True, None
        try:
            project = self._open(folders)
            document, failed = work(project), False
        except SmithersError as error:
            document = _error(error.code, error.message, error.hint)
        except Exception as error:  # noqa: BLE001 - the last resort: the other calls, and the runs, must not suffer from a bug
            log = mishap.write_log(error, f"tool: {name}")
            output.note(f"error: {type(error).__name__} in {name}, see {log}")
            hint = f"this is a bug of smithers; {log} is ready to attach to a report"
            document = _error("internal", f"{type(error).__name__}: {error}", hint)
        finally:
            if project is not None:
                project.index.close()
        return mcp.Answer(_small(_redacted(document, project)), failed)


def _described(tool: Tool) -> mcp.Tool:
    return mcp.Tool(
        name=tool.name,
        title=tool.name.replace("_", " ").capitalize(),
        description=tool.description,
        schema=_schema(tool),
        reads=tool.effect == "reads",
        destroys=tool.effect == "destroys",
        repeats=tool.repeats,
        waits=tool.waits,
    )


def _schema(tool: Tool) -> dict[str, Any]:
    """The schema of a tool's arguments, brief: a model reads all of them before it does anything."""
    schema = tool.args.model_json_schema()
    fields = {name: _brief(part) for name, part in schema.get("properties", {}).items()}
    return {
        "type": "object",
        "properties": fields,
        "required": schema.get("required", []),
        "additionalProperties": False,
    }


def _brief(field: dict[str, Any]) -> dict[str, Any]:
    """A field without the title that only repeats its name, and without saying that null means leaving it out."""
    field = {key: value for key, value in field.items() if key != "title"}
    kinds = [one for one in field.get("anyOf", []) if one != {"type": "null"}]
    if len(kinds) == 1 and field.get("default", "") is None:
        return {**kinds[0], **{key: value for key, value in field.items() if key not in ("anyOf", "default")}}
    return field


def _error(code: str, message: str, hint: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **({"hint": hint} if hint else {})}}


def _issues(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in found)


def _redacted(document: dict[str, Any], project: Project | None) -> dict[str, Any]:
    """As plain JSON, secrets taken out.

    Those that the configuration only refers to are not fetched for it: that may ask a person to touch a key, and no
    frame holds them.
    """
    known = secrets_of(os.environ)
    with suppress(ConfigError):  # then the answer is that it is broken
        for own in project.settings.agents.values() if project is not None else ():
            known += secrets_of({name: value for name, value in own.env.items() if isinstance(value, str)})
    plain = json.loads(json.dumps(document, ensure_ascii=False, default=str))
    found: dict[str, Any] = Redactor(known).value(plain)
    return found


def _small(document: dict[str, Any]) -> dict[str, Any]:
    """An answer of a bearable size: when the pages were not small enough, long texts and lists are cut further."""
    for most in (4000, 1000, 200, 50):
        if len(json.dumps(document, ensure_ascii=False)) <= _LARGEST:
            return document
        document = {**{key: _cut(value, most) for key, value in document.items()}, "cut": "ask for less: limit, cursor"}
    return document


def _cut(value: Any, most: int) -> Any:
    if isinstance(value, dict):
        return {key: _cut(one, most) for key, one in _first(value.items(), most)}
    if isinstance(value, list):
        return [_cut(one, most) for one in _first(value, most)]
    return f"{value[:most]}…" if isinstance(value, str) and len(value) > most else value


def _first(items: Iterable[Any], most: int) -> list[Any]:
    return list(items)[:most]
