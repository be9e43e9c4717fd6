"""A repository whose agents are the animals of `kit/animals.py`, driven by a real engine."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kit import engines, proofs, repos, runs
from kit.runs import Smithers

from smithers_git.core import events as ev
from smithers_git.core.state import NodeState, State
from smithers_git.names import TaskKey
from smithers_git.service.project import Project

ANIMALS = Path(runs.__file__).with_name("animals.py")
PROFILE = """\
program = ["{python}"]
argv = ["-I", "-S", {animal}, {species}{words}, "{{permission}}", "{{prompt}}"]
prompt = [{{ via = "stdin" }}]
stop = [{{ signal = "TERM", wait = 0.2 }}]
permission = {{ default = "edit", edit = {{}} }}

[output]
mode = "jsonl"
answer = {{ where = {{ type = "result" }}, path = "answer" }}
error = {{ where = {{ type = "error" }}, path = "message" }}

[success]
event = {{ type = "result" }}

[[failure]]
kind = "limit"
regex = '(?i)limit|quota|429'

[[failure]]
kind = "auth"
regex = '401'

[[failure]]
kind = "refusal"
regex = "can't help"

[[events]]
kind = "text"
where = {{ type = "text" }}
text = ["text"]

[[events]]
kind = "tool"
where = {{ type = "tool" }}
text = ["name", "detail"]

[[events]]
kind = "tool_done"
where = {{ type = "tool_done" }}
text = ["name", "output"]

[[events]]
kind = "retrying"
where = {{ type = "retry" }}
text = ["text"]
"""
CONFIG = """\
[liveness]
first_output = 3.0
idle = 3.0
repeats = 10
repeating = 0.5
retrying = 0.5
"""
MACHINE = """\
[admission]
max_agents = 64
min_free_memory = 0
gap = 0
"""
"""The user's own: no animal takes memory worth the name."""

FLOW = """\
    NONE = Backoff(first=0.0)
    return Parallel(
        Worktree(
            name,
            Task(f"{name}.before", run="echo before > before.txt"),
            Task(f"{name}.wild", agent=chain, output=Change, prompt="Write wild.txt.", backoff=NONE, OPTIONS),
            Task(f"{name}.after", run="cat before.txt wild.txt"),
        )
        for name, chain in CAGES.items()
    )
"""
Attempts = list[tuple[str | None, str | None]]
"""(agent, kind of failure or None) of each attempt of a task, in order."""


def body(cages: Mapping[str, Sequence[str]], options: str = "") -> str:
    """A workflow with a worktree for each of `cages`."""
    return f"    CAGES = {dict(cages)!r}\n" + FLOW.replace("OPTIONS", options)


class Zoo:
    """A repository with animals for agents."""

    def __init__(self, smithers: Smithers) -> None:
        self.smithers, self.repo = smithers, smithers.repo
        exclude = self.repo / ".git" / "info" / "exclude"
        exclude.write_text("/flow.py\n/.smithers/\n", "utf-8")
        repos.write(self.repo, {".smithers/config.toml": CONFIG})
        own = Path(os.environ["XDG_CONFIG_HOME"]) / "smithers" / "config.toml"
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(MACHINE, "utf-8")
        self.house("tame")

    def house(self, species: str, *words: str, name: str = "") -> None:
        """Let an animal be the agent of that name, or of its own."""
        more = "".join(f", {json.dumps(word)}" for word in words)
        text = PROFILE.format(
            python=sys.executable, animal=json.dumps(str(ANIMALS)), species=json.dumps(species), words=more
        )
        repos.write(self.repo, {f".smithers/agents/{name or species}.toml": text})

    def up(self, cages: Mapping[str, Sequence[str]], options: str = "", code: int | None = 0) -> State:
        """A run with a worktree for each of `cages`, in which one task is done by those agents.

        Before it stands a task whose file the next ones need. Returns the state that the run ends or waits in, with
        nothing left running and nothing of the user's changed.
        """
        self.smithers.write(body(cages, options))
        before = proofs.users_own(self.repo)
        run = self.smithers.up("--max-concurrency", "64", code=code)
        proofs.nothing_runs(run)
        assert proofs.users_own(self.repo) == before
        return Project.open(self.repo).chain(run).state

    def attempts(self, state: State) -> dict[str, Attempts]:
        """What became of the agents of each cage."""
        found: dict[str, Attempts] = {}
        for one in engines.events(self.repo, state.run):
            if isinstance(one, ev.TaskFinished | ev.TaskFailed) and one.node.endswith(".wild"):
                kind = one.kind if isinstance(one, ev.TaskFailed) else None
                found.setdefault(one.node.removesuffix(".wild"), []).append((one.agent, kind))
        return found

    def after(self, state: State, cage: str) -> list[str]:
        """What the last task found in the files."""
        path = state.nodes[TaskKey(f"{cage}.after")].output
        assert path is not None
        return str(Project.open(self.repo).chain(state.run).load(path)["tail"]).split("\n")[:-1]

    def file(self, state: State, cage: str, name: str) -> str:
        """A file of a cage as the run's newest frame has it."""
        return repos.git(self.repo, "show", f"refs/smithers/runs/{state.run}:code/{cage}/{name}")


def wild(state: State, cage: str) -> NodeState:
    """What is known of the task that the animals of a cage were to do."""
    return state.nodes[TaskKey(f"{cage}.wild")]
