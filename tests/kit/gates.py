"""Engines that are held in the middle of a task until the test opens a gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit import engines as kit
from kit import runs
from kit.engines import Engine, Engines

from smithers_git.core import events as ev
from smithers_git.edge.lock import is_held
from smithers_git.service import approvals
from smithers_git.service.approvals import Answer
from smithers_git.service.project import Project

GATE = 'touch "$GATE.reached"; n=0; while [ ! -e "$GATE" ] && [ $n -lt 3000 ]; do n=$((n+1)); sleep 0.02; done'
"""A command that works until the test opens the gate; a minute at the most."""

WORKING = f"""\
    return Sequence(
        Task("before", run="echo before >> before.txt"),
        Task("long", run='''echo part > part.txt; {GATE}; echo whole > part.txt'''),
        Task("after", run="echo after >> after.txt"),
    )
"""

ASKING = f"""\
    return Parallel(
        Task("long", run='''{GATE}'''),
        Sequence(Approval("ship"), Task("after", run="echo after >> after.txt")),
    )
"""

WAITING = """\
    return Sequence(Approval("ship"), Task("after", run="echo after >> after.txt"))
"""


class Stage:
    """A repository, engines in it, and a gate that holds a task until the test opens it."""

    def __init__(self, engines: Engines, smithers: runs.Smithers, gate: Path) -> None:
        self.repo = engines.repo
        self.engines = engines
        self.smithers = smithers
        """For what needs no process of its own: it starts in no time."""
        self.gate = gate

    def write(self, body: str) -> None:
        (self.repo / "flow.py").write_text(runs.HEAD + body, "utf-8")

    def working(self, run: str = "run", body: str = WORKING) -> Engine:
        """An engine whose task `long` is in flight."""
        self.write(body)
        engine = self.engines.start("up", "flow.py", "--run-id", run)
        self.reached(engine)
        return engine

    def reached(self, engine: Engine) -> None:
        """Until the task behind the gate works."""
        kit.until(lambda: self._reached.exists() or not engine.alive, "the task begins")
        assert engine.alive, engine.err
        self._reached.unlink()

    @property
    def _reached(self) -> Path:
        return self.gate.with_name(self.gate.name + ".reached")

    def waiting(self, run: str = "run", body: str = WAITING) -> str:
        """A run that waits for its approval; nobody owns it."""
        self.write(body)
        self.smithers("up", "flow.py", "--run-id", run, code=3)
        return run

    def open(self) -> None:
        self.gate.touch()

    def events(self, kind: type, run: str = "run") -> list[Any]:
        return [event for event in kit.events(self.repo, run) if isinstance(event, kind)]

    def until_finished(self, run: str = "run") -> None:
        """Until the run is over and its engine has let go of it: nobody did anything for that."""
        kit.until(lambda: kit.state_of(self.repo, run).end == "finished", f"{run} goes on by itself", 30)
        lock = Project.open(self.repo).lock_path(run)
        kit.until(lambda: not is_held(lock), "its engine lets go")

    def approve(self, run: str = "run") -> None:
        """Decide, and nothing else."""
        project = Project.open(self.repo)
        approvals.decide(project, approvals.choose(project, run, None), Answer(approved=True, by="Ada"))

    def once(self, run: str, *nodes: str) -> None:
        """Each of these steps was started and finished exactly once."""
        started = [event.node for event in self.events(ev.TaskStarted, run)]
        finished = [event.node for event in self.events(ev.TaskFinished, run)]
        assert sorted(started) == sorted(finished) == sorted(nodes)


def make_stage(
    engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Stage:
    gate = tmp_path / "gate"
    monkeypatch.setenv("GATE", str(gate))
    monkeypatch.chdir(engines.repo)
    return Stage(engines, runs.Smithers(engines.repo, capsys), gate)
