"""Where one attempt of an agent works: its folder, its environment, its limits, and where what it says goes.

Every transport that starts a program starts it from here, so that what holds for one (what it may see of the user's
environment, what is taken out of its output, how it is watched and ended) holds for all.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from smithers_git.core.command_line import Invocation, constants
from smithers_git.core.profile import Profile
from smithers_git.core.redact import Redactor
from smithers_git.core.reply import Failure, Reply
from smithers_git.core.sdk_agent import is_sdk
from smithers_git.core.settings import AgentSettings
from smithers_git.edge import isolate, process
from smithers_git.service import isolation, pools
from smithers_git.service.job import Job
from smithers_git.service.live import MARK, Watch
from smithers_git.service.project import Project
from smithers_git.service.talk.vigil import Vigil

_SILENT: Final = 3600.0
"""Seconds of silence after which an agent is ended when nobody says anything else: a CLI that prints one document at
its end is silent for a whole turn."""


@dataclass(frozen=True, slots=True)
class Seat:
    """What every turn of one attempt shares."""

    project: Project
    job: Job
    folder: Path
    """Where the agent works."""
    watch: Watch
    profile: Profile
    own: AgentSettings
    """What the repository changes in the profile."""

    def program(self) -> str | None:
        """The agent's program as a path; None when it is not installed."""
        return pools.program(self.project, self.profile)

    def changed(self) -> list[str]:
        """The files that differ from what was there before the first attempt at the task."""
        space, start = self.job.space, self.job.start
        return self.project.workspaces(self.job.run).changed(space.name, start) if space and start else []

    def missing(self) -> Reply:
        """The reply of an agent whose program is not there."""
        install = f"; {self.profile.install}" if self.profile.install else ""
        wanted = "pydantic-ai" if is_sdk(self.profile.name) else ", ".join(self.profile.program)
        why = f"{self.profile.name} is not installed (looked for {wanted}{install})"
        return Reply("", None, None, None, Failure("unstartable", why))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for a `with` block, for the prompt file and for result files; the profile's own files are in it."""
        # Below the run's own folder, so that what a killed engine leaves there is cleared away with the rest.
        place = self.project.run_dir(self.job.run) / "scratch"
        place.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=place))
        try:
            for name, text in self.profile.files.items():
                (folder / name).write_text(text, "utf-8")
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def environ(self, call: Invocation, correction: int) -> dict[str, str]:
        """The complete environment of the agent's program."""
        env = process.agent_env(self.project.environ, [*call.env_pass, *self.own.pass_env])
        env |= {**call.env_set, **self.project.secrets.environ(self.profile.name), **self.watch.live.environ}
        env["SMITHERS_CORRECTION"] = str(correction)
        return env

    def standing(self) -> dict[str, str]:
        """The environment as far as it is the same in every turn: enough to find where the CLI keeps its state."""
        profile, own = self.profile, self.own
        env = process.agent_env(self.project.environ, [*profile.env.passed, *own.pass_env])
        return {**env, **constants(profile), **self.project.secrets.environ(profile.name)}

    def redactor(self, env: Mapping[str, str]) -> Redactor:
        """Takes what must not be stored out of what the agent says."""
        return self.project.secrets.redactor(env)

    def vigil(self) -> Vigil:
        """The watch over one turn: feed it what the agent says, and have the agent ended when it raises."""
        return Vigil(self.folder, self.project.settings.liveness.patience, self.project.clock)

    def launch(self, call: Invocation, env: Mapping[str, str]) -> process.Launch:
        """The program with its limits: the task's own, else those of the profile."""
        task, watchdog, screen = self.job.task, self.profile.watchdog, self.profile.terminal
        limits = self.project.settings.liveness
        idle = _first(task.idle_timeout, limits.idle, watchdog.idle, _SILENT)
        first = _first(task.idle_timeout, limits.first_output, watchdog.first_output, idle)
        argv = call.argv
        if self.job.isolated:
            place = self.project.run_dir(self.job.run) / "scratch"
            seated = isolation.Seated(self.folder, place, terminal=screen is not None)
            argv = tuple(isolation.command(self.project, self.profile, seated, argv, env))
        return process.Launch(
            argv,
            self.folder,
            env,
            stdin=call.stdin,
            terminal=process.Terminal(columns=screen.columns, rows=screen.rows) if screen else None,
            timeout=_first(task.timeout, limits.total) or None,
            idle_timeout=idle or None,
            first_output=first or None,
            stop=tuple(process.StopStep(step.signal, step.wait) for step in self.profile.stop),
            below=isolate.BELOW if self.job.isolated else 0,
            mark=MARK,
        )


def _first(*limits: float | None) -> float | None:
    """The first of `limits` that somebody has given."""
    return next((limit for limit in limits if limit is not None), None)
