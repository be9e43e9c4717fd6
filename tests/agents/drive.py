"""Real agent CLIs, driven exactly as the engine drives them: the same command, environment, limits, rules and ends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agents.machine import CACHE, Machine
from agents.stub.server import StubModel
from agents.stub.steps import Step, write
from kit.processes import marked
from kit.repos import make_repo
from pydantic import BaseModel

from agents import recording
from smithers_git.core.events import Usage
from smithers_git.core.nodes import Task
from smithers_git.core.profile import Profile, load_profile
from smithers_git.core.reply import AgentEvent, Reply
from smithers_git.core.settings import AgentSettings
from smithers_git.names import TaskKey
from smithers_git.service.job import Job, Result
from smithers_git.service.live import Live, Watch
from smithers_git.service.project import Project
from smithers_git.service.talk.cli import Cli
from smithers_git.service.talk.seat import Seat

PROFILES = Path(__file__).parents[2] / "agents"


class Answer(BaseModel):
    """What the tasks ask for; nobody reads it."""

    text: str


@dataclass
class Done:
    """One turn, as the engine sees it."""

    reply: Reply
    seconds: float
    events: list[AgentEvent] = field(default_factory=list)
    said: str = ""
    """Everything that the CLI said, as it is kept in a frame."""

    @property
    def kind(self) -> str:
        """The kind of failure; "" is a success."""
        return self.reply.error.kind if self.reply.error else ""


class Bench:
    """One CLI on its machine, with the model that it talks to. It serves many turns: a fresh home is dear to some."""

    def __init__(self, machine: Machine, folder: Path, profile: Profile) -> None:
        self.machine, self.folder, self.profile = machine, folder, profile
        self.stub = StubModel(tools=machine.tools)
        self.environ = machine.settle(folder, self.stub, profile.program[0])
        self.repos = 0

    def driver(self, test: str = "") -> Driver:
        """The CLI in a fresh repository; its last turn may be recorded under the name `test`."""
        self.repos += 1
        return Driver(self, make_repo(self.folder / f"space{self.repos}"), test)


class Driver:
    """One CLI in one repository."""

    def __init__(self, bench: Bench, folder: Path, test: str) -> None:
        self.bench, self.folder = bench, folder
        self.test = test
        self.machine, self.stub, self.profile = bench.machine, bench.stub, bench.profile
        self.project = Project.open(folder, bench.environ)
        self._turns = 0

    def turn(
        self,
        prompt: str = "Fix it.",
        *,
        after: Done | None = None,
        folder: Path | None = None,
        cancel: threading.Event | None = None,
        own: Mapping[str, Any] | None = None,
        missing_tools: bool = False,
        isolated: bool = False,
        **limits: float,
    ) -> Done:
        """One turn.

        Args:
            after: the turn whose conversation goes on.
            folder: where it works, if not in its repository.
            cancel: ends it when set.
            own: what the user changes in the profile, as in `[agents.NAME]` of the configuration.
            isolated: whether it runs under bubblewrap.
            missing_tools: whether the model may find no tool for what it is told to do.
            limits: `timeout` and `idle_timeout`, seconds.
        """
        self._turns += 1
        task = Task("t", agent=self.profile.name, prompt=prompt, output=Answer, **({"timeout": 120} | limits))  # type: ignore[arg-type]
        job = Job("r1", TaskKey("t", 0), self._turns, task, None, prompt=prompt, agent=self.profile.name)
        job = replace(job, isolated=isolated)
        if after is not None:
            job = replace(job, session=after.reply.session, session_total=after.reply.total)
        events: list[AgentEvent] = []
        live = Live(
            self.project.run_dir("r1"),
            job,
            lambda kind, text: events.append(AgentEvent(kind, text)),  # type: ignore[arg-type]
        )
        watch = Watch(cancel or threading.Event(), live)
        settings = AgentSettings(
            **{"model": self.machine.model, "pass_env": ["SMITHERS_TEST_MARK"]} | dict(own or {})  # type: ignore[arg-type]
        )
        begun = time.monotonic()
        seat = Seat(self.project, job, folder or self.folder, watch, self.profile, settings)
        with recording.endings() as ends, closing(Cli(seat, Result(job))) as talk:
            reply = talk.say(prompt)
        done = Done(reply, time.monotonic() - begun, events, live.close().decode("utf-8", "replace"))
        assert self.leftovers() == []
        assert missing_tools or self.stub.complaints == []
        if recording.WANTED and self.test and len(ends) == 1:
            places = {str(self.folder): "/space", str(self.bench.folder): "/machine", str(CACHE): "/agents"}
            recording.keep(f"{self.profile.name}/{self.test}", done.said, ends[0], reply, places)
        return done

    def leftovers(self) -> list[int]:
        """Processes of this CLI that still run."""
        return marked("SMITHERS_TEST_MARK", self.bench.environ["SMITHERS_TEST_MARK"])

    def write(self, name: str, text: str, folder: Path | None = None, **counts: int) -> Step:
        """The step that writes the file `name` of the folder, named as this CLI's model has to name it."""
        return write(name if self.machine.relative else str((folder or self.folder) / name), text, **counts)

    def heard(self, text: str, request: int = 0) -> bool:
        """Whether the model was sent `text`, word for word."""
        return json.dumps(text, ensure_ascii=False)[1:-1] in self.stub.requests[request].words

    def usage(self, *steps: Step) -> Usage:
        """The tokens of `steps` as smithers counts them: cached ones are part of the input."""
        apart = sum(step.cached_tokens for step in steps) if self.machine.speaks == "messages" else 0
        return Usage(
            input=sum(step.input_tokens for step in steps) + apart,
            output=sum(step.output_tokens for step in steps),
            cached=sum(step.cached_tokens for step in steps),
        )


def built_in(name: str) -> Profile:
    """The shipped profile `name`."""
    path = PROFILES / f"{name}.toml"
    return load_profile(path.read_text("utf-8"), str(path))
