"""A room in which one agent is tried: an empty repository, and turns as the engine would make them."""

from __future__ import annotations

import shutil
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from smithers_git.core.nodes import Task
from smithers_git.edge import process
from smithers_git.errors import AgentError
from smithers_git.names import TaskKey
from smithers_git.service import isolation, pools
from smithers_git.service.job import Job, Result
from smithers_git.service.live import MARK, Live, Watch
from smithers_git.service.project import Project
from smithers_git.service.talk.converse import converse

_BEGUN: Final = 60.0
"""Seconds after which a turn is stopped although its command has not begun."""


class Answer(BaseModel):
    """What the agent is asked to answer."""

    word: str


class Room:
    """Turns of one agent in a folder that goes with `close`.

    Args:
        project: the repository whose configuration counts; nothing in it is touched.
        agent: its name.
        limit: seconds that a turn may take.
        cancel: setting it ends the agent.
        script: what the embedded agent plays, which goes by a script and not by the prompt.
    """

    def __init__(self, project: Project, agent: str, limit: float, cancel: threading.Event, script: str) -> None:
        from smithers_git.edge.git.command import git

        self._agent, self._limit, self._cancel = agent, limit, cancel
        self._folder = Path(tempfile.mkdtemp(prefix="smithers-agent-test-"))
        self.work = self._folder / "work"
        """Where the agent works."""
        self.seconds = self.cost = 0.0
        self.tokens = 0
        self.work.mkdir()
        git(self.work, "init", "--quiet")
        environ = dict(project.environ)
        if agent == "script":
            (self._folder / "script.toml").write_text(script, "utf-8")
            environ["SMITHERS_SCRIPT"] = str(self._folder / "script.toml")
        self._project = replace(project, environ=environ)
        self._project.state_dir = self._folder / "state"  # what an attempt leaves beside the runs goes with the folder

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def turn(self, node: str, prompt: str, before: Result | None = None) -> Result:
        """One turn, in the conversation of `before`."""
        return self._attempt(node, prompt, before, self._cancel)[0]

    def stopped(self, node: str, prompt: str, sign: Path) -> tuple[Result, list[int]]:
        """A turn that is ended once the file `sign` is there; returns it with the pids of what it left running."""
        stop, over = threading.Event(), threading.Event()
        clock = self._project.clock
        until = clock.monotonic() + _BEGUN

        def watch() -> None:
            while not (self._cancel.is_set() or sign.exists() or clock.monotonic() > until or over.wait(0.05)):
                pass
            stop.set()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            result, live = self._attempt(node, prompt, None, stop)
        finally:
            over.set()
            watcher.join()
        return result, process.find_tree(0, "", (MARK, live.environ[MARK]))

    def _attempt(
        self,
        node: str,
        prompt: str,
        before: Result | None,
        cancel: threading.Event,
    ) -> tuple[Result, Live]:
        here = self._project
        task = Task(node, agent=self._agent, prompt=prompt, output=Answer, timeout=self._limit)
        job = Job("agent-test", TaskKey(node), 1, task, None, prompt=prompt, agent=self._agent)
        if before is not None:
            job = replace(job, session=before.session, session_total=before.session_total, new_pass=True)
        result = Result(job, agent=self._agent)
        live = Live(self._folder / "live", job, lambda _kind, _text: None)
        try:
            profile, own = pools.profile(here, self._agent), pools.settings_of(here, self._agent)
            standing = isolation.require(here, profile, own)
        except AgentError as error:
            result.kind, result.message, result.hint = "bad_request", error.message, error.hint
            live.close()
            return result, live
        result.job = job = replace(job, permission=standing.permission, isolated=standing.isolated)
        began = here.clock.monotonic()
        try:
            converse(here, job, result, self.work, Watch(cancel, live))
        finally:
            live.close()
        result.seconds = here.clock.monotonic() - began
        self.seconds += result.seconds
        self.cost += result.cost or 0.0
        self.tokens += result.usage.tokens if result.usage else 0
        return result, live
