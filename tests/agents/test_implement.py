"""The real claude and codex, driven through `smithers up implement` on a real repository, against a scripted model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from agents.machine import every
from agents.stub.server import StubModel
from agents.stub.steps import Step, drop, hang, refuse, say, write
from kit.processes import marked
from kit.repos import git, make_repo

pytestmark = pytest.mark.agents

ROOT = Path(__file__).parents[2]
CALC = "def add(a, b):\n    return a + b\n"
CHANGE = json.dumps({"summary": "Wrote add().", "files_changed": ["calc.py"]})
VERDICT = json.dumps({"approved": True, "summary": "Right and tested.", "blocking": []})
TEST = """import unittest
from calc import add

class Adds(unittest.TestCase):
    def test_add(self):
        self.assertEqual(add(2, 3), 5)
"""


class Bench:
    """A repository with a red test, one real CLI in every pool, and the machine that both run on."""

    def __init__(self, cli: str, machine: dict[str, str], folder: Path, stub: StubModel) -> None:
        self.cli, self.stub = cli, stub
        self.repo = folder / "repo"
        profile = (ROOT / "agents" / f"{cli}.toml").read_text()
        quick = "".join(
            {"first_output": "first_output = 30\n", "idle": "idle = 5\n"}.get(line.partition(" =")[0], line)
            for line in profile.splitlines(keepends=True)
        )
        pools = "".join(f'{name} = ["{cli}"]\n' for name in ("implement", "review", "smart"))
        model = '[agents.claude]\nmodel = "claude-sonnet-4-5"\n' if cli == "claude" else ""
        make_repo(
            self.repo,
            {
                "test_calc.py": TEST,
                ".smithers/config.toml": f'check = "python3 -m unittest -q"\n[pools]\n{pools}{model}',
                f".smithers/agents/{cli}.toml": quick,
            },
        )
        self.environ = machine | {"XDG_STATE_HOME": str(folder / "state"), "GIT_CONFIG_NOSYSTEM": "1"}
        for who in ("AUTHOR", "COMMITTER"):
            self.environ |= {f"GIT_{who}_NAME": "T", f"GIT_{who}_EMAIL": "t@localhost"}

    def begin(self, *steps: Step, code: int) -> dict[str, object]:
        """Play `steps` while `implement` runs, which ends with that exit code; returns what `up --json` printed."""
        self.stub.play(*steps)
        done = self._smithers("up", "implement", "-p", "write add()", "--run-id", "r1", "--json")
        assert marked("SMITHERS_TEST_MARK", self.environ["SMITHERS_TEST_MARK"]) == []
        assert done.returncode == code, done.stderr
        document: dict[str, object] = json.loads(done.stdout)
        return document

    def up(self, *steps: Step, run: str = "r1", resume: bool = False) -> dict[str, object]:
        """Play `steps` while `implement` runs or is resumed; returns what `up --json` printed."""
        self.stub.play(*steps)
        new = ("implement", "-p", "write add()", "--run-id", run)
        done = self._smithers("up", *(("--resume", run) if resume else new), "--json")
        assert marked("SMITHERS_TEST_MARK", self.environ["SMITHERS_TEST_MARK"]) == []
        assert done.returncode == 0, done.stderr
        document: dict[str, object] = json.loads(done.stdout)
        assert document["status"] == "finished"
        assert git(self.repo, "show", f"smithers/{run}/main:calc.py") == CALC.strip()
        assert not (self.repo / "calc.py").exists()
        return document

    def attempts(self, run: str = "r1") -> list[dict[str, object]]:
        """The ends of all attempts at `implement`, as `smithers events --json` tells them."""
        done = self._smithers("events", run, "--node", "implement", "--json")
        events = json.loads(done.stdout)["events"]
        return [event for event in events if event["type"] in ("task.finished", "task.failed")]

    def mend(self) -> Step:
        """The tool call that makes calc.py: claude names files by their absolute path, and overwrites none unread."""
        if self.cli != "claude":
            return write("calc.py", CALC)
        folders = sorted((Path(self.environ["XDG_STATE_HOME"]) / "smithers" / "worktrees").glob("*/r1/main"))
        path = folders[0] if folders else self._workspace()
        return write(str(path / "calc.py"), CALC)

    def _workspace(self) -> Path:
        script = (
            "import sys; from pathlib import Path; from smithers_git.edge.git.repository import discover;"
            "from smithers_git.core.settings import WorktreeSettings;"
            "from smithers_git.service.workspaces import Making, Workspaces;"
            "print(Workspaces(discover(Path('.')), 'r1', Making(WorktreeSettings())).path('main'))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=self.repo, env=self.environ, capture_output=True, text=True, check=True
        )
        return Path(done.stdout.strip())

    def _smithers(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "smithers_git", *args],
            cwd=self.repo,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=150,
        )


@pytest.fixture(params=["claude", "codex"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    machine = every()[request.param]
    if machine.missing:
        pytest.skip(machine.missing)
    with StubModel() as stub:
        yield Bench(machine.name, machine.settle(tmp_path / "machine", stub, machine.name), tmp_path, stub)


def test_a_turn_edits_a_file_and_the_run_ends_green(bench: Bench):
    document = bench.up(bench.mend(), say(CHANGE), say(VERDICT))
    assert document["tokens"]
    assert [one["type"] for one in bench.attempts()] == ["task.finished"]
    assert "write add()" in bench.stub.requests[0].words


def test_an_answer_that_does_not_fit_goes_back_to_the_same_conversation(bench: Bench):
    bench.up(bench.mend(), say("All done!"), say(CHANGE), say(VERDICT))
    (attempt,) = bench.attempts()
    assert attempt["type"] == "task.finished"
    correction = bench.stub.requests[2].words
    assert "write add()" in correction  # the conversation so far …
    assert "holds no JSON" in correction  # … and what was wrong


def test_at_a_rate_limit_the_run_waits_and_goes_on_when_somebody_says_so(bench: Bench):
    inner = 3 if bench.cli == "claude" else 1  # requests until the CLI itself gives up
    limit = refuse(429, "rate_limit_error", "Too many requests")
    document = bench.begin(*[limit] * inner, code=3)
    assert [one["title"] for one in document["waiting"]] == [f"limit of {bench.cli}"]  # type: ignore[attr-defined]
    bench.up(bench.mend(), say(CHANGE), say(VERDICT), resume=True)
    assert [one.get("kind") for one in bench.attempts()] == ["limit", None]


def test_a_silent_model_is_ended_and_tried_again_in_its_conversation(bench: Bench):
    bench.up(hang(), bench.mend(), say(CHANGE), say(VERDICT))
    first, second = bench.attempts()
    assert first["kind"] == "idle"
    assert second["session"] == first["session"]


def test_a_dropped_stream_never_passes_for_an_answer(bench: Bench):
    drops = 3 if bench.cli == "claude" else 2
    bench.up(*[drop("half an ans")] * drops, bench.mend(), say(CHANGE), say(VERDICT))
    assert bench.attempts()[-1]["type"] == "task.finished"
