"""The real claude, handed to a person at a real terminal and taken back, against a scripted model."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from agents.machine import every
from agents.stub.server import StubModel
from agents.stub.steps import say
from kit.repos import make_repo

pytestmark = pytest.mark.agents

FLOW = """\
from pydantic import BaseModel
from smithers_git import Context, Task, workflow


class Word(BaseModel):
    word: str


@workflow
def flow(ctx: Context):
    return Task("work", agent="claude", output=Word, retries=0, prompt="The word is XYZZY.")
"""
MACHINE = every()["claude"]


class Bench:
    def __init__(self, folder: Path, stub: StubModel) -> None:
        self.stub, self.repo = stub, folder / "repo"
        config = '[agents.claude]\nmodel = "claude-sonnet-4-5"\n'
        make_repo(self.repo, {".smithers/config.toml": config, "flow.py": FLOW})
        self.environ = MACHINE.settle(folder, stub, "claude") | {
            "XDG_STATE_HOME": str(folder / "state"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "TERM": "xterm-256color",
        }
        for who in ("AUTHOR", "COMMITTER"):
            self.environ |= {f"GIT_{who}_NAME": "T", f"GIT_{who}_EMAIL": "t@localhost"}

    def smithers(self, *argv: str, code: int) -> Any:
        command = [sys.executable, "-P", "-m", "smithers_git", *argv, "--json"]
        done = subprocess.run(
            command, cwd=self.repo, env=self.environ, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def answer_dialogs(self) -> None:
        """What a person has told claude once, long ago."""
        (folder,) = (Path(self.environ["XDG_STATE_HOME"]) / "smithers" / "worktrees").glob("*/r1/main")
        path = Path(self.environ["HOME"], ".claude.json")
        known = json.loads(path.read_text())
        known |= {"hasCompletedOnboarding": True, "theme": "dark"}
        known["customApiKeyResponses"] = {"approved": [self.environ["ANTHROPIC_API_KEY"][-20:]], "rejected": []}
        known.setdefault("projects", {}).setdefault(str(folder), {})["hasTrustDialogAccepted"] = True
        known["projects"].setdefault(str(self.repo), {})["hasTrustDialogAccepted"] = True
        path.write_text(json.dumps(known))


@pytest.fixture
def bench() -> Iterator[Bench]:
    if MACHINE.missing:
        pytest.skip(MACHINE.missing)
    folder = tempfile.TemporaryDirectory(dir="/var/tmp", prefix="smithers-", ignore_cleanup_errors=True)
    with folder as name, StubModel() as stub:
        yield Bench(Path(name), stub)


def test_claude_is_handed_over_and_taken_back(bench: Bench):
    bench.stub.play(*[say("I shall remember the word aubergine.")] * 4)
    bench.smithers("up", "flow.py", "--run-id", "r1", code=1)
    bench.answer_dialogs()

    bench.stub.play(say("A quince, then."))
    person = pexpect.spawn(
        sys.executable,
        ["-P", "-m", "smithers_git", "hijack", "r1", "work", "--no-resume"],
        cwd=str(bench.repo),
        env=bench.environ,
        dimensions=(40, 120),
        encoding="utf-8",
        timeout=60,
    )
    person.expect("aubergine")  # it shows what was said before
    person.send("Take a quince too.")
    person.expect("quince")
    person.send("\r")
    person.expect("A quince, then")
    person.send("\x1d")
    person.expect("was handed back")
    person.expect(pexpect.EOF)
    person.close()
    assert person.exitstatus == 3
    words = " ".join(request.words for request in bench.stub.requests)
    assert "XYZZY" in words
    assert "Take a quince too." in words

    bench.stub.play(say('{"word": "quince"}'))
    assert bench.smithers("up", "--resume", "r1", code=0)["status"] == "finished"
    heard = bench.stub.requests[0].words
    assert all(word in heard for word in ("XYZZY", "aubergine", "Take a quince too.", "A person worked with you"))
    first, second = bench.smithers("node", "r1", "work", code=0)["tries"]
    assert first["session"] == second["session"]
