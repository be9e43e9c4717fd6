"""P8: no byte of a known secret, and nothing in the shape of one, reaches a ref, the index, a log or an answer.

Secrets are planted in every place where one can come from: the user's environment, an agent's, files and commands that
the configuration refers to, and keys of known shapes that nobody told us of. Everything that can say something says
them all, also cut in two. Then every byte that smithers has left or printed is looked through.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kit.runs import Smithers, play

from smithers_git.core.redact import MASK

pytestmark = pytest.mark.usefixtures("warm_reapers")

# Put together here, so that neither this file nor the workflow (whose source is in a frame) holds one.
USER = "canary-user-" + "Qx7LmZ2pWv"
PLAIN = "canary-plain-" + "Rk4TnB8sYd"
FILED = "canary-filed-" + "Hj3VcX9fGt"
PRINTED = "canary-printed-" + "Mw6PqS1zEa"
BODY = "Ab3dEf6hIj9lMn2pQr5tUv8xYz1bCd4fGh7j"
SHAPES = [
    "sk-" + "ant-api03-" + BODY,
    "gh" + "p_" + BODY,
    "xox" + "b-123456789012-" + BODY,
    "AK" + "IA" + "QWERTYUIOPASDFGH",
]
PLANTED = [USER, PLAIN, FILED, PRINTED, *SHAPES]

FLOW = """\
import os
from pathlib import Path
from pydantic import BaseModel
from smithers_git import Approval, CommandResult, Context, HumanTask, Parallel, Sequence, Signal, Task, workflow

class Request(BaseModel):
    prompt: str

class Word(BaseModel):
    text: str

def everything():
    return Path(os.environ["CANARIES"]).read_text()

def found() -> dict:
    return {"a": [everything()], os.environ["CANARY_TOKEN"]: 1}

def breaks() -> str:
    raise ValueError("it is " + everything())

HALVES = (
    'while read -r one; do cut=${#one}; cut=$((cut / 2)); '
    'half=$(printf "%.${cut}s" "$one"); printf "%s" "$half"; sleep 0.02; printf "%s\\\\n" "${one#"$half"}"; '
    'done < "$CANARIES"'
)

@workflow(input=Request)
def flow(ctx: Context[Request]):
    return Sequence(
        Task("function", call=found),
        Task("broken", call=breaks, retries=0, continue_on_fail=True),
        Task("command", run='cat "$CANARIES"; cat "$CANARIES" >&2'),
        Task("halves", run=HALVES),
        Task("red", run='cat "$CANARIES"; exit 3', retries=0, continue_on_fail=True),
        Task("agent", agent="script", output=Word, prompt=lambda function: f"Say {function} {everything()}"),
        Task("gate", run="true", gates=['cat "$CANARIES"; false'], retries=0, continue_on_fail=True),
        HumanTask("question", output=Word, prompt=lambda agent: everything() + agent.text),
        Signal("signal", name="go", output=Word),
        Approval("approval", title="Go on?", summary=lambda question: everything() + question.text),
        Task("last", run="echo done > done.txt"),
    )
"""
CONFIG = """\
[isolate]
mode = "never"

[agents.script.env]
AGENT_API_KEY = "{plain}"
FILED = {{ file = "{file}" }}
PRINTED = {{ command = "cat {command}" }}

[notify]
command = "cat >> {told}; printenv SMITHERS_TEXT SMITHERS_REASON >> {told}"

[landing]
gates = ['cat "$CANARIES"']

[worktree]
setup = 'cat "$CANARIES"'
"""


class Stage:
    """A repository, and everything that was printed in it."""

    def __init__(self, smithers: Smithers, folder: Path) -> None:
        self.smithers, self.folder, self.printed = smithers, folder, list[tuple[str, str]]()
        self.told = folder / "told.jsonl"

    def __call__(self, *argv: str, code: int | None = 0) -> str:
        said = self.smithers(*argv, code=code)
        self.printed.append((f"smithers {argv[0]}", said.out + said.err))
        return said.out

    def git(self, *argv: str) -> bytes:
        return subprocess.run(["git", *argv], cwd=self.smithers.repo, capture_output=True, check=True).stdout


@pytest.fixture
def stage(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Stage:
    from kit import runs

    repo = runs.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    secrets = tmp_path / "vault"
    secrets.mkdir()
    (secrets / "filed").write_text(FILED + "\n")
    (secrets / "printed").write_text(PRINTED)
    (secrets / "all").write_text("\n".join(PLANTED) + "\n")
    monkeypatch.setenv("CANARIES", str(secrets / "all"))
    monkeypatch.setenv("CANARY_TOKEN", USER)
    monkeypatch.setenv("SMITHERS_SCRIPT", "")
    own = CONFIG.format(plain=PLAIN, file=secrets / "filed", command=secrets / "printed", told=tmp_path / "told.jsonl")
    (home / ".config/smithers/config.toml").write_text(own)
    (repo / "flow.py").write_text(FLOW)
    turn = {
        "say": [f"I see {one}" for one in PLANTED],
        "run": ['cat "$CANARIES"; printenv FILED PRINTED AGENT_API_KEY'],
    }
    said = "\n".join(f"{name} = {json.dumps(value)}" for name, value in turn.items())
    play(repo, f"[[turn]]\n{said}\nanswer = {{ text = {json.dumps(' '.join(PLANTED))} }}\n")
    return Stage(Smithers(repo, capsys), tmp_path)


def objects(stage: Stage) -> Iterator[tuple[str, bytes]]:
    """Every object of the repository, whatever points at it, unpacked."""
    yield "objects", stage.git("cat-file", "--batch-all-objects", "--batch")
    yield "refs", stage.git("for-each-ref", "--format=%(refname) %(contents)")


def files(stage: Stage) -> Iterator[tuple[str, bytes]]:
    """The index, logs, live files, notification state: all that lies beside the objects, here and in the state home."""
    for top in (stage.smithers.repo / ".git", stage.folder.parent / "nowhere", Path.home() / ".local"):
        for path in top.rglob("*"):
            if path.is_file() and "objects" not in path.relative_to(top).parts:
                yield str(path), path.read_bytes()


def answers(stage: Stage) -> Iterator[tuple[str, bytes]]:
    """What commands print, for people and for programs, now and while it happened."""
    looks = [
        ("ps",), ("inspect", "run"), ("node", "run", "broken"), ("node", "run", "agent"), ("events", "run"),
        ("logs", "run"), ("chat", "run", "agent"), ("output", "run"), ("timeline", "run"), ("why", "run"), ("board",),
        ("queue",), ("diff", "run"),
    ]  # fmt: skip
    for argv in looks:
        stage(*argv, code=None)
        stage(*argv, "--json", code=None)
    yield from ((name, text.encode()) for name, text in stage.printed)


def tools(stage: Stage) -> Iterator[tuple[str, bytes]]:
    """What the server for other agents answers."""
    from smithers_git.edge.mcp import Call
    from smithers_git.front.tools.call import TOOLS, Desk

    desk = Desk(stage.smithers.repo)
    asked = 0
    for name, tool in TOOLS.items():
        if tool.effect != "reads" or name == "wait":
            continue
        given: dict[str, Any] = {"run": "run", "node": "agent", "attempt": 1, "frame": 3}
        arguments = {key: value for key, value in given.items() if key in tool.args.model_fields}
        found = desk.call(Call(name, arguments, ""))
        asked += not found.failed
        yield f"tool {name}", json.dumps(found.document, ensure_ascii=False).encode()
    assert asked > 5


SURFACES: list[Callable[[Stage], Iterator[tuple[str, bytes]]]] = [objects, files, answers, tools]


def test_no_planted_secret_is_found_anywhere_afterwards(stage: Stage):
    everything = " ".join(PLANTED)
    given = json.dumps({"prompt": f"Do {everything}"})
    stage("up", "flow.py", "--run-id", "run", "--input", given, code=3)
    stage("answer", "run", "--node", "question", "--value", json.dumps({"text": everything}), "--no-resume")
    stage("up", "--resume", "run", code=3)
    stage("signal", "run", "go", "--data", json.dumps({"text": everything}), "--no-resume")
    stage("up", "--resume", "run", code=3)
    stage("approve", "run", "--note", everything, "--no-resume")
    stage("up", "--resume", "run")
    stage("land", "run", "--title", f"Use {USER}", "--yes")
    stage("notify", code=None)
    stage.git("gc", "--quiet")

    looked = 0
    for surface in SURFACES:
        for name, data in surface(stage):
            looked += len(data)
            for secret in PLANTED:
                for part in (secret[:20], secret[-10:]):
                    assert part.encode() not in data, f"{name} holds {part!r} of a secret: {_around(data, part)}"
    told = stage.told.read_text()
    assert MASK in told
    assert not [secret for secret in PLANTED if secret in told]
    assert looked > 50_000
    assert stage.git("cat-file", "--batch-all-objects", "--batch").count(MASK.encode()) > 50


def _around(data: bytes, part: str) -> str:
    at = data.index(part.encode())
    return repr(data[max(0, at - 200) : at + 60])


def test_a_reference_that_cannot_be_fetched_is_named_and_nothing_of_it_is_told(stage: Stage, home: Path):
    body = '    return Task("agent", agent="script", output=Change, prompt="x", retries=0)\n'
    own = home / ".config/smithers/config.toml"
    for number, (reference, words) in enumerate(
        {
            'env = "NOT_THERE"': "the variable NOT_THERE: it is empty",
            'file = "/nowhere/key"': "the file /nowhere/key: No such file or directory",
            'command = "echo half-of-it; exit 4"': "the command `echo half-of-it; exit 4`: it exited with 4",
        }.items()
    ):
        own.write_text(f"[agents.script.env]\nKEY = {{ {reference} }}\n")
        run = stage.smithers.up("--run-id", f"r{number}", body=body, code=1)
        error = stage.smithers.json("inspect", run)["error"]
        assert f"[agents.script.env] KEY: {words}" in error
