"""Turns with a model behind an API: as with a CLI, except that the program gets a job, its conversation included.

The conversation is nothing but the messages that the program wrote into its transcript. So it is in the frames, goes on
in any folder and on any machine, and goes back with a rewind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from smithers_git.core import sdk_agent
from smithers_git.core.command_line import Invocation, Turn
from smithers_git.core.lines import Lines
from smithers_git.core.reply import Reply
from smithers_git.core.sdk_agent import McpServer, SdkJob
from smithers_git.core.secret import Secret
from smithers_git.edge import process
from smithers_git.errors import AgentError
from smithers_git.names import file_name
from smithers_git.service import isolation
from smithers_git.service.job import Result
from smithers_git.service.project import Project
from smithers_git.service.sdk import MOST_REQUESTS
from smithers_git.service.talk.cli import Cli
from smithers_git.service.talk.seat import Seat
from smithers_git.service.transcripts import stored

_SHELL: Final = "/bin/sh"
_ATTEMPT: Final = re.compile(r"@(\d+)\.(\d+)$")

Message = dict[str, Any]


class Sdk(Cli):
    """Turns with one model in one folder."""

    def __init__(self, seat: Seat, result: Result) -> None:
        super().__init__(seat, result)
        self._lines = Lines()
        self._messages: list[Message] = []
        """The conversation, as far as it is known here."""

    def say(self, prompt: str) -> Reply:
        """One turn; a conversation whose messages are gone begins anew."""
        job = self._seat.job
        if self._session is not None and not self._messages:
            self._messages = messages(self._seat.project, job.run, job.key.node, self._session)
            if not self._messages:
                self._seat.watch.live.report("other", "the conversation is gone; a new one begins")
                self._session = None
                prompt = self._memory.anew(prompt)
        return super().say(prompt)

    def close(self) -> None:
        """Leave the conversation beside the run where no frame will hold it: an agent is tried out without a run."""
        super().close()
        job, project = self._seat.job, self._seat.project
        if self._session is not None and project.tip(job.run) is None:
            path = _beside(project, job.run, self._session)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self._messages), "utf-8")

    def invocation(self, turn: Turn) -> Invocation:
        """The command, with the job on its standard input."""
        self._lines = Lines()  # a turn that was killed leaves half a line
        return replace(super().invocation(turn), stdin=self._job(turn).model_dump_json().encode())

    def heard(self, clean: bytes) -> None:
        """Keep the messages among what the program says."""
        for line in self._lines.feed(clean):
            take(self._messages, line)

    def _job(self, turn: Turn) -> SdkJob:
        seat, own = self._seat, self._seat.own
        output = seat.job.task.output
        assert output is not None
        if turn.session is None:
            self._messages.clear()
        return SdkJob(
            prompt=turn.prompt,
            session=turn.session or turn.new_session or "",
            history=self._messages,
            output=output.model_json_schema(),
            tools=own.tools,
            shell=self._shell(),
            hidden=list(sdk_agent.parse(seat.profile.name).passed),
            servers={name: server(seat.project, name) for name in own.mcp},
            max_requests=own.max_requests or MOST_REQUESTS,
        )

    def _shell(self) -> list[str] | None:
        """What commands of the model are run through; None when it may run none."""
        seat, project = self._seat, self._seat.project
        standing = isolation.standing(project, seat.profile, seat.own)
        if standing.permission == "read":
            return None
        if standing.permission == "full" or seat.job.isolated:
            return []
        if (seat.own.isolate or project.settings.isolate.mode) == "never" or isolation.impossible(project):
            return None
        # The program itself keeps to the workspace; what a command does, only the kernel can confine.
        env = process.agent_env(project.environ, seat.own.pass_env)
        place = isolation.Seated(seat.folder, seat.folder)
        return isolation.command(project, seat.profile, place, (_SHELL,), env)[:-1]


def server(project: Project, name: str) -> McpServer:
    """The server `[mcp.NAME]`, references to secrets fetched.

    Raises AgentError: there is none; ConfigError: a reference cannot be fetched.
    """
    known = project.settings.mcp
    found = known.get(name)
    if found is None:
        there = f"there are: {', '.join(known)}" if known else "there is none yet"
        raise AgentError(f"there is no MCP server {name!r} in the configuration", hint=f"add [mcp.{name}]; {there}")

    def fetched(part: str, values: Mapping[str, Secret]) -> dict[str, str]:
        return {key: project.secrets.resolve(value, f"[mcp.{name}.{part}] {key}") for key, value in values.items()}

    return found.model_copy(update={"env": fetched("env", found.env), "headers": fetched("headers", found.headers)})


def messages(project: Project, run: str, node: str, session: str) -> list[Message]:
    """The messages of a conversation, from the transcripts in the run's newest frame.

    Empty when there is none, or when one is missing: of a very long attempt the middle is not kept.
    """
    tip = project.tip(run)
    if tip is None:
        path = _beside(project, run, session)
        return list(json.loads(path.read_text("utf-8"))) if path.is_file() else []
    found: list[Message] = []
    for blobs in _of(node, stored(project, project.objects.read_commit(tip).tree)):
        data = b"".join(project.objects.read_blob(blob) for blob in blobs)
        mine = False
        for line in data.decode("utf-8", "replace").split("\n"):
            if line.startswith('{"type": "session"'):
                mine = f'"{session}"' in line
            elif mine and not take(found, line):
                return []
    return found


def _beside(project: Project, run: str, session: str) -> Path:
    return project.run_dir(run) / "conversations" / f"{session}.json"


def _of(node: str, attempts: dict[str, list[str]]) -> Iterator[list[str]]:
    """The transcripts of a node, oldest first."""
    numbers = {}
    for name in attempts:
        match = _ATTEMPT.search(name)
        if match and name[: match.start()] == file_name(node):
            numbers[name] = (int(match[1]), int(match[2]))
    yield from (attempts[name] for name in sorted(numbers, key=lambda name: numbers[name]))


def take(found: list[Message], line: str) -> bool:
    """Put a message where its number says. False when one before it is missing; other lines are passed over."""
    if not line.startswith('{"type": "message"'):
        return True
    try:
        told = json.loads(line)
        number, message = int(told["n"]), told["message"]
    except (ValueError, KeyError, TypeError):  # cut off by a kill
        return True
    if number > len(found):
        return False
    del found[number:]
    found.append(message)
    return True
