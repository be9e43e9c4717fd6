"""A repository whose agents are the animals of `kit/animals.py`, driven by a real engine."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kit import engines, proofs, repos, runs
from kit.runs import Smithers

from smithers_git.core import events as ev
from smithers_git.core.state import State
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
first_output = 1.0
idle = 1.0
repeats = 10
repeating = 0.5
retrying = 0.5
"""
FLOW = """\
    return Sequence(
        Task("before", run="echo before > before.txt"),
        Task("wild", agent={chain!r}, output=Change, prompt="Write wild.txt.", backoff=Backoff(first=0.0), {options}),
        Task("after", run="cat before.txt wild.txt"),
    )
"""


class Zoo:
    """A repository with animals for agents."""

    def __init__(self, smithers: Smithers) -> None:
        self.smithers, self.repo = smithers, smithers.repo
        exclude = self.repo / ".git" / "info" / "exclude"
        exclude.write_text("/flow.py\n/.smithers/\n", "utf-8")
        repos.write(self.repo, {".smithers/config.toml": CONFIG})
        self.house("tame")

    def house(self, species: str, *words: str) -> None:
        """Let an animal be an agent of that name."""
        more = "".join(f", {json.dumps(word)}" for word in words)
        text = PROFILE.format(
            python=sys.executable, animal=json.dumps(str(ANIMALS)), species=json.dumps(species), words=more
        )
        repos.write(self.repo, {f".smithers/agents/{species}.toml": text})

    def up(self, *chain: str, options: str = "", code: int | None = 0) -> State:
        """A run whose middle task those agents may do; returns the state that it ends or waits in."""
        self.smithers.write(FLOW.format(chain=list(chain), options=options))
        before = proofs.users_own(self.repo)
        run = self.smithers.up(code=code)
        proofs.nothing_runs(run)
        assert proofs.users_own(self.repo) == before
        return Project.open(self.repo).chain(run).state

    def attempts(self, state: State) -> list[tuple[str | None, str | None]]:
        """(agent, kind of failure) of each attempt of the middle task, in order."""
        found = engines.events(self.repo, state.run)
        ended = [one for one in found if isinstance(one, ev.TaskFinished | ev.TaskFailed) and one.node == "wild"]
        return [(one.agent, one.kind if isinstance(one, ev.TaskFailed) else None) for one in ended]

    def after(self, state: State) -> list[str]:
        """What the last task found in the files."""
        path = state.nodes[TaskKey("after")].output
        assert path is not None
        return str(Project.open(self.repo).chain(state.run).load(path)["tail"]).split("\n")[:-1]
