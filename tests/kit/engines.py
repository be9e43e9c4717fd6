"""`smithers` as processes of their own, that a test can leave running, kill and wait for."""

from __future__ import annotations

import gc
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from kit import processes
from kit.starter import Forked

from smithers_git.core import events as ev
from smithers_git.core.state import State
from smithers_git.service.frames import Frame, walk
from smithers_git.service.project import Project

PATIENCE = 60.0
"""Seconds after which a test calls something hung; a loaded machine with one core stays far below."""


class Engine:
    """A `smithers` process in the repository `repo`, which the test ends itself; `cold` has it import all it needs."""

    def __init__(self, repo: Path, *argv: str, log: Path, cold: bool = False) -> None:
        self.repo = repo
        self._out, self._err = log.with_suffix(".out"), log.with_suffix(".err")
        self.process: subprocess.Popen[bytes] | Forked
        if not cold:
            self._out.touch()  # a test may look before the process has opened it
            self._err.touch()
            self.process = Forked(argv, repo, str(self._out), str(self._err))
            return
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "smithers_git", *argv],
                cwd=repo,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def out(self) -> str:
        return self._out.read_text("utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text("utf-8")

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    def wait(self, code: int | None = None) -> int:
        """Until it has ended; its exit code, which must be `code` if that is given."""
        got = self.process.wait(PATIENCE)
        assert code in (None, got), f"exit {got}, not {code}\n{self.out}\n{self.err}"
        return got

    def kill(self) -> None:
        """End it as power loss would, in the middle of whatever it does."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it ended by itself just now
            self.process.send_signal(number)


class Engines:
    """Starts processes in one repository; none of them outlives the test."""

    def __init__(self, repo: Path, logs: Path) -> None:
        self.repo = repo
        self._logs = logs
        self._started: list[Engine] = []

    def start(self, *argv: str, repo: Path | None = None, cold: bool = False) -> Engine:
        """A process that goes on while the test looks."""
        log = self._logs / f"{len(self._started):03d}"
        engine = Engine(repo or self.repo, *argv, log=log, cold=cold)
        self._started.append(engine)
        return engine

    def run(self, *argv: str, code: int | None = 0, repo: Path | None = None) -> Engine:
        """A process that has ended, with the exit code `code` (None: any)."""
        engine = self.start(*argv, repo=repo)
        engine.wait(code)
        return engine

    def json(self, *argv: str, code: int | None = 0, repo: Path | None = None) -> Any:
        """The JSON document that a command prints."""
        return self.run(*argv, "--json", code=code, repo=repo).json

    def end(self) -> None:
        for engine in self._started:
            if engine.alive:
                engine.kill()


@contextmanager
def engines(repo: Path, logs: Path) -> Iterator[Engines]:
    logs.mkdir(parents=True, exist_ok=True)
    found = Engines(repo, logs)
    try:
        yield found
    finally:
        found.end()


def until(condition: Any, what: str, seconds: float = PATIENCE) -> None:
    """Wait for `condition()`; the test fails, naming `what`, when that takes too long."""
    assert processes.eventually(condition, seconds), f"still not so after {seconds:g} s: {what}"


def until_moved(engine: Engine, run: str, before: str | None) -> None:
    """Until the engine has written a frame behind the frame `before`, or has ended."""
    until(lambda: tip(engine.repo, run) != before or not engine.alive, f"a frame of {run} behind {before}")


def chance(name: str) -> random.Random:
    """Random moments that SMITHERS_TEST_SEED replays; a failing test shows the seed in its output."""
    seed = os.environ.get("SMITHERS_TEST_SEED") or secrets.token_hex(4)
    print(f"moments come from SMITHERS_TEST_SEED={seed}")
    return random.Random(f"{seed} {name}")


def pause(seconds: float) -> None:
    """Let a process get somewhere: for kills at random moments, never for waiting."""
    time.sleep(seconds)


# -- what a run is, read from its refs: no index is read or written


@cache
def _project(repo: Path) -> Project:
    """One for each repository: polling must not cost a git process each time."""
    return Project.open(repo)


def forget() -> None:
    """Let go of all that was read: packs that were deleted meanwhile take room on a disk while they are mapped."""
    _project.cache_clear()
    gc.collect()


def state_of(repo: Path, run: str) -> State:
    """The state that a run's frames fold to."""
    return _project(repo).chain(run).state


def has(repo: Path, run: str, kind: type, node: str | None = None) -> bool:
    """Whether the run's history holds such an event."""
    return any(isinstance(event, kind) and node in (None, getattr(event, "node", None)) for event in events(repo, run))


def tip(repo: Path, run: str) -> str | None:
    """The newest frame of a run; None when there is no such run."""
    return _project(repo).objects.ref(f"refs/smithers/runs/{run}")


def frames(repo: Path, run: str) -> list[Frame]:
    """The frames of a run, oldest first."""
    newest = tip(repo, run)
    return list(walk(_project(repo).objects, newest))[::-1] if newest else []


def events(repo: Path, run: str) -> list[ev.Event]:
    """What happened in a run, oldest first."""
    return [event for frame in frames(repo, run) for event in frame.data.events]


def running(repo: Path, run: str, node: str) -> bool:
    """Whether an attempt of `node` is in flight."""
    return any(key.node == node for key in state_of(repo, run).running)
