"""A stage for the built-in packs: a real repository with a real check, and the script agent in every role."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from kit import repos

from smithers_git import cli
from smithers_git.core.state import NodeState, State
from smithers_git.names import TaskKey
from smithers_git.service.project import Project

ROLES = ("smart", "fast", "implement", "review", "plan", "research")

FILES = {
    "calc.py": "def add(a, b):\n    return a - b\n",
    "check.sh": 'test "$(cat answer 2>/dev/null)" = right || { echo "answer is $(cat answer 2>&1)"; exit 1; }\n',
}
"""A project whose check is green when the file `answer` says `right`."""


def turn(node: str, iteration: int | None = None, **deeds: Any) -> dict[str, Any]:
    """One turn of a script; `deeds` in the order in which they are to be done."""
    where: dict[str, Any] = {"node": node} | ({} if iteration is None else {"iteration": iteration})
    return where | deeds


def writer(node: str, path: str, ledger: Path) -> str:
    """A script in which the task `node` writes the file `path`, and then notes its name in the file `ledger`."""
    told = turn(
        node,
        say="writing",
        write=[{"path": path, "text": "written"}],
        run=[f"echo {node} >> '{ledger}'"],
        answer={"summary": "written"},
    )
    return tomlkit.dumps({"turn": [told]})


class Stage:
    """`smithers up PACK` in this process, and what came of it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.repo = repos.make_repo(folder / "repo", FILES)
        self._script = folder / "script.toml"
        self._capsys = capsys
        self.err = ""
        patch.chdir(self.repo)
        patch.setenv("SMITHERS_SCRIPT", str(self._script))
        self.configure(check="sh check.sh")
        (self.repo / ".git" / "info").mkdir(exist_ok=True)
        (self.repo / ".git" / "info" / "exclude").write_text("/.smithers/\n")

    def configure(self, **settings: Any) -> None:
        """Write `.smithers/config.toml`: every pool is the script agent."""
        pools = {role: ["script"] for role in ROLES}
        repos.write(self.repo, {".smithers/config.toml": tomlkit.dumps({**settings, "pools": pools})})

    def play(self, *turns: Mapping[str, Any]) -> None:
        """What the agents will do."""
        self._script.write_text(tomlkit.dumps({"turn": [dict(one) for one in turns]}), encoding="utf-8")

    def smithers(self, *argv: str, code: int = 0) -> Any:
        """One command; returns its JSON document. `code` is the exit code that is expected."""
        self._capsys.readouterr()
        got = cli.run([*argv, "--json"])
        out, self.err = self._capsys.readouterr()
        assert got == code, f"exit {got}, not {code}\n{out}\n{self.err}"
        return json.loads(out)

    def up(self, pack: str, *options: str, code: int = 0, **request: Any) -> State:
        """Start a run of `pack` with the input `request`; returns the state that it ends or waits in."""
        document = self.smithers("up", pack, "--input", json.dumps(request), *options, code=code)
        return self.state(str(document["run"])) if "run" in document else State(error=document["error"]["message"])

    def state(self, run: str) -> State:
        return Project.open(self.repo).chain(run).state

    def output(self, state: State, node: str, iteration: int | None = None) -> Any:
        """What `node` brought, in its newest iteration if none is given."""
        key = TaskKey(node, state.latest[node] if iteration is None else iteration)
        path = state.nodes[key].output
        assert path is not None
        return Project.open(self.repo).chain(state.run).load(path)

    def file(self, state: State, path: str) -> str:
        """A file as the run has it on its branch."""
        return repos.git(self.repo, "show", f"smithers/{state.run}/main:{path}")


def statuses(state: State, node: str) -> list[str]:
    """How `node` stands in each iteration, oldest first."""
    found: list[tuple[TaskKey, NodeState]] = [pair for pair in state.nodes.items() if pair[0].node == node]
    return [known.status for _, known in sorted(found)]
