"""Runs to look at: a workflow file in a real repository, and `smithers` as a person or a program starts it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kit import repos
from kit.starter import Forked

from smithers_git import cli

HEAD = """\
from pydantic import BaseModel
from smithers_git import Approval, Backoff, CommandResult, Context, Loop, Parallel, Sequence, Task, Worktree, workflow


class Request(BaseModel):
    prompt: str = "add things"


class Change(BaseModel):
    summary: str


@workflow(input=Request)
def flow(ctx: Context[Request]):
"""
"""What every workflow file here begins with; a test adds the body of the function."""

SHIP = """\
    test = ctx.latest(CommandResult, "test")
    return Sequence(
        Loop(
            Task("implement", agent="script", output=Change, prompt="fix it"),
            Task("test", run="grep -q right calc.txt", check=False),
            until=bool(test and test.passed),
            max_iterations=3,
        ),
        Parallel(Worktree("side", Task("extra", run="echo side > side.txt")), Task("number", value={"a": 1})),
        Approval("ship", title="Ship it?", summary=lambda test: f"The check passed: {test.passed}"),
        Task("last", run="echo done > done.txt"),
    )
"""
"""A loop that is green in its second pass, a second workspace, a question, and a step behind it."""

SCRIPT = """\
[[turn]]
node = "implement"
iteration = 0
say = "Trying something."
write = [{ path = "calc.txt", text = "wrong\\n" }]
usage = { input = 1000, output = 200 }
cost = 0.25
answer = { summary = "tried" }

[[turn]]
node = "implement"
iteration = 1
say = ["Now I see it.", "Fixing."]
edit = [{ path = "calc.txt", find = "wrong", replace = "right" }]
answer = { summary = "fixed" }
"""


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


class Smithers:
    """The program in this process, in the repository `repo`."""

    def __init__(self, repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.repo = repo
        self._capsys = capsys

    def __call__(self, *argv: str, code: int | None = 0) -> Said:
        """Run one command; `code` is the exit code that is expected, None for any."""
        self._capsys.readouterr()
        got = cli.run(list(argv))
        printed = self._capsys.readouterr()
        assert code in (None, got), f"exit {got}, not {code}\n{printed.out}\n{printed.err}"
        return Said(got, printed.out, printed.err)

    def json(self, *argv: str, code: int | None = 0) -> Any:
        return self(*argv, "--json", code=code).json

    def write(self, body: str, name: str = "flow.py") -> Path:
        """A workflow file: `body` is the body of its function."""
        path = self.repo / name
        path.write_text(HEAD + body, encoding="utf-8")
        return path

    def up(self, *argv: str, body: str | None = None, code: int | None = 0) -> str:
        """Start a run of `flow.py`, with `body` written into it first; returns its id."""
        if body is not None:
            self.write(body)
        document = self.json("up", "flow.py", *argv, code=code)
        assert isinstance(document, dict)
        return str(document["run"])

    def ship(self, *argv: str) -> str:
        """A run of SHIP, which waits for its approval; the script agent plays SCRIPT."""
        play(self.repo)
        return self.up(*argv, body=SHIP, code=3)


@dataclass(frozen=True)
class Shipped:
    """A run of SHIP that waits for its approval, shared by tests that only look."""

    smithers: Smithers
    run: str


def play(repo: Path, script: str = SCRIPT) -> None:
    """Have the script agent play `script`. The sealed environment of the test forgets it again."""
    path = repo.parent / "script.toml"
    path.write_text(script, encoding="utf-8")
    os.environ["SMITHERS_SCRIPT"] = str(path)


def program(repo: Path, *argv: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`smithers` as a process of its own, without a terminal."""
    with tempfile.TemporaryDirectory(prefix="said-") as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        code = Forked(argv, repo, str(out), str(err), env).wait(60)
        return subprocess.CompletedProcess(argv, code, out.read_text("utf-8"), err.read_text("utf-8"))


def make_repo(path: Path) -> Path:
    """A repository whose checkout the workflow files of these tests are kept out of."""
    repo = repos.make_repo(path)
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "exclude").write_text("/flow.py\n", encoding="utf-8")
    return repo


class Engine:
    """A real `smithers up` process, ended with the `with` block. `hold` makes commands that keep it busy."""

    def __init__(self, repo: Path, *argv: str) -> None:
        self.repo = repo
        self.process = Forked(("up", *argv), repo)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)

    def kill(self) -> None:
        """kill -9, as a machine that dies."""
        self.process.kill()
        self.process.wait(30)

    def end(self) -> int:
        """Wait for its own end; returns its exit code."""
        return self.process.wait(60)


def hold(gate: Path, then: str = "true") -> str:
    """A shell command that says `holding`, waits until the file `gate` exists (a minute at most), then runs `then`."""
    return f"echo holding; for i in $(seq 1200); do [ -e '{gate}' ] && break; sleep 0.05; done; {then}"
