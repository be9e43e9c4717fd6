"""Every CLI that speaks the Agent Client Protocol, driven for real with no line of its own: a program and its argv.

The model is scripted, on loopback. A CLI that is not in the cache is skipped by name.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from agents.drive import built_in
from agents.machine import CACHE, every
from agents.stub.server import StubModel
from agents.stub.steps import Step, hang, refuse, run, say, write
from kit import repos
from kit.processes import marked
from pydantic import BaseModel

from smithers_git.core.events import Usage
from smithers_git.core.nodes import Task
from smithers_git.names import TaskKey
from smithers_git.service.job import Job, Result
from smithers_git.service.live import Live, Watch
from smithers_git.service.project import Project
from smithers_git.service.talk.converse import converse

MACHINES = every()


class Word(BaseModel):
    word: str


@dataclass(frozen=True)
class Speaker:
    """What a user would write about one CLI, and how it differs from the others in what it says."""

    argv: tuple[str, ...]
    program: str = ""
    lines: str = ""
    """Further lines of its [acp]."""
    model: bool = True
    """Whether it takes the model from us, over the protocol, where its machine has one to choose."""
    usage: bool = True
    loads: bool = True
    asks: bool = True
    """Whether it asks us before it runs a command; else it judges itself, and by the level `full`."""
    faults: dict[str, str] = field(default_factory=dict)


SPEAKERS = {
    "gemini": Speaker(("--acp",), loads=False, faults={"empty": "empty"}),
    "qwen": Speaker(("--acp", "--auth-type", "openai", "--model", "qwen3-coder-plus"), model=False),
    "kimi-code": Speaker(("acp",), usage=False),
    "opencode": Speaker(("acp",), lines='counts = "turn"'),
    "copilot": Speaker(("--acp", "--model", "stub-model"), model=False, lines="error = '^(Info: .*)?Error: '"),
    "vibe": Speaker((), program="vibe-acp"),
}
ANSWER = say('{"word": "done"}', input_tokens=1150, output_tokens=40)


class Bench:
    """One CLI on its machine."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder, self.speaker = name, folder, SPEAKERS[name]
        self.machine = MACHINES[name]
        self.stub = StubModel()
        program = self.speaker.program or name
        self.environ = self.machine.settle(folder, self.stub, program)
        link = folder / "bin" / program
        link.unlink()
        link.symlink_to(CACHE / "bin" / (self.speaker.program or self.machine.executable.name))
        self.events: list[tuple[str, str]] = []
        self.said = ""
        self.tries = 0
        self.repo = folder
        self.begin()

    def begin(self) -> None:
        """A fresh repository."""
        self.tries += 1
        self.repo = repos.make_repo(self.folder / f"space{self.tries}")
        profile = f"""
            program = ["{self.speaker.program or self.name}"]
            transport = "acp"
            session.scope = "folder"
            [acp]
            argv = {json.dumps(self.speaker.argv)}
            {self.speaker.lines}
            """
        repos.write(self.repo, {f".smithers/agents/{self.name}.toml": profile})
        self.configure()

    def ship(self) -> None:
        """Take the profile that comes with smithers, with this transport."""
        (self.repo / ".smithers" / "agents" / f"{self.name}.toml").unlink()
        self.configure(transport="acp", model=self.machine.model)
        link = self.folder / "bin" / built_in(self.name).program[0]
        if not link.is_symlink():
            link.symlink_to(self.machine.executable)

    def configure(self, **own: Any) -> None:
        model = self.machine.model if self.speaker.model else None
        settings = {"pass_env": [*self.machine.env, "SMITHERS_TEST_MARK"], "model": model} | own
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items() if value is not None]
        text = "\n".join([f"[agents.{self.name}]", *lines, ""])
        (self.repo / ".smithers" / "config.toml").write_text(text)

    def attempt(
        self, *steps: Step, session: str | None = None, cancel: threading.Event | None = None, **limits: float
    ) -> Result:
        """One attempt, as the engine makes it, with what the model does."""
        self.tries += 1
        self.stub.play(*steps)
        self.events.clear()
        project = Project.open(self.repo, self.environ)
        task = Task("t", agent=self.name, prompt="The word is XYZZY.", output=Word, **({"timeout": 90} | limits))  # type: ignore[arg-type]
        job = Job("r1", TaskKey("t", 0), self.tries, task, None, prompt=task.prompt, agent=self.name, session=session)  # type: ignore[arg-type]
        result = Result(job, agent=self.name)
        live = Live(project.run_dir("r1"), job, lambda kind, text: self.events.append((kind, text)))
        try:
            converse(project, job, result, self.repo, Watch(cancel or threading.Event(), live))
        finally:
            self.said = live.close().decode()
        assert marked("SMITHERS_TEST_MARK", self.environ["SMITHERS_TEST_MARK"]) == []
        assert self.stub.complaints == []
        return result


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    name = request.param
    if name not in MACHINES:
        pytest.skip(f"no machine has been set up for {name}")
    if MACHINES[name].missing:
        pytest.skip(MACHINES[name].missing)
    if not (CACHE / "bin" / (SPEAKERS[name].program or MACHINES[name].executable.name)).exists():
        pytest.skip(f"{SPEAKERS[name].program} is not installed in {CACHE}: run `make test-agents`")
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="smithers-", ignore_cleanup_errors=True) as folder:
        found = Bench(name, Path(folder))
        with found.stub:
            yield found


@pytest.fixture
def cli(bench: Bench) -> Bench:
    """The CLI in a fresh repository."""
    bench.begin()
    return bench


pytestmark = [pytest.mark.agents, pytest.mark.parametrize("bench", SPEAKERS, indirect=True)]


def test_an_attempt_edits_a_file_and_corrects_its_answer_in_one_process(cli: Bench):
    target = cli.repo / "calc.py"
    edit = write(str(target), "x = 'ümläut'\n", input_tokens=1120, output_tokens=30)
    result = cli.attempt(edit, say("No JSON.", input_tokens=1130, output_tokens=5), ANSWER)
    assert (result.kind, result.value) == (None, {"word": "done"}), result.message
    assert target.read_text() == "x = 'ümläut'\n"
    assert result.session
    kinds = [kind for kind, _ in cli.events]
    assert kinds.count("tool") == kinds.count("tool_done") == 1
    assert any("calc.py" in text for kind, text in cli.events if kind == "tool"), cli.events
    assert ("text", '{"word": "done"}') in cli.events
    assert len(cli.stub.requests) == 3 or cli.name == "qwen"  # that one also asks for its own memory
    if cli.name == "opencode":  # it tells the last call of the model in each turn
        assert result.usage == Usage(input=1130 + 1150, output=45)
    elif cli.speaker.usage:
        assert result.usage == Usage(input=1120 + 1130 + 1150, output=75)
    else:
        assert result.usage is None


def test_a_conversation_goes_on_in_the_next_attempt(cli: Bench):
    first = cli.attempt(say('{"word": "aubergine"}'))
    assert first.value == {"word": "aubergine"}, first.message
    second = cli.attempt(ANSWER, session=first.session)
    assert second.value == {"word": "done"}, second.message
    words = cli.stub.requests[0].words
    assert "XYZZY" in words
    if cli.speaker.loads:
        assert second.session == first.session
        assert "aubergine" in words
        assert "aubergine" not in cli.said
    else:  # gemini finds it once in a while; that it is a new one is said whenever it is one
        gone = ("other", "the conversation is gone; a new one begins") in cli.events
        assert gone == (second.session != first.session)


def test_a_conversation_that_is_gone_begins_anew(cli: Bench):
    gone = cli.machine.lost or "11111111-2222-4333-8444-555555555555"
    result = cli.attempt(ANSWER, session=gone)
    assert (result.value, result.session == gone) == ({"word": "done"}, False), result.message
    assert ("other", "the conversation is gone; a new one begins") in cli.events


def test_what_the_level_does_not_allow_is_refused(cli: Bench):
    outside = cli.folder / f"outside{cli.tries}.txt"
    result = cli.attempt(write(str(outside), "x"), run("echo x > ran.txt"), ANSWER)
    assert not outside.exists()
    if cli.speaker.asks and result.value is None:  # a refusal ends the turn of some
        assert result.kind in ("cancelled", "empty", "crash"), (result.kind, result.message)
    assert (cli.repo / "ran.txt").exists() == (not cli.speaker.asks)
    cli.configure(permission="full")
    assert cli.attempt(run("echo x > ran.txt"), ANSWER).value == {"word": "done"}
    assert (cli.repo / "ran.txt").exists()


def test_the_profile_that_comes_with_smithers_speaks_it_too(cli: Bench):
    if built_in(cli.name).acp is None:
        pytest.skip(f"the profile of {cli.name} has no [acp]")
    cli.ship()
    outside = cli.folder / f"shipped{cli.tries}.txt"
    target = cli.repo / "calc.py"
    result = cli.attempt(write(str(outside), "x"), write(str(target), "y = 1\n"), ANSWER)
    assert not outside.exists()
    if result.value is None:  # one refusal ends the turn of some
        result = cli.attempt(write(str(target), "y = 1\n"), ANSWER)
    assert result.value == {"word": "done"}, result.message
    assert target.read_text() == "y = 1\n"


def test_the_profile_that_comes_with_smithers_finds_the_conversations_of_both_transports(cli: Bench):
    if built_in(cli.name).acp is None or not cli.speaker.loads:
        pytest.skip(f"the profile of {cli.name} has no [acp], or it loads no conversations")
    cli.ship()
    first = cli.attempt(say('{"word": "aubergine"}'))
    assert first.value == {"word": "aubergine"}, first.message
    second = cli.attempt(ANSWER, session=first.session)
    assert second.conversation == "continued", cli.events
    assert "aubergine" in cli.stub.requests[0].words


FAULTS: dict[str, tuple[Step, str]] = {
    "429": (refuse(429, "rate_limit_error", "Rate limit reached: too many requests."), "limit"),
    "401": (refuse(401, "authentication_error", "Incorrect API key provided."), "auth"),
    "hang": (hang(), "idle"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_model_is_a_failure_of_its_kind_or_of_silence(cli: Bench, fault: str):
    step, kind = FAULTS[fault]
    silence = max(12.0, cli.machine.hang) if fault in ("429", "hang") else 60.0
    result = cli.attempt(step, idle_timeout=silence, timeout=60)
    assert result.value is None
    # Most try again for minutes without a word: that is ended as what it looks like from outside.
    assert result.kind in (cli.speaker.faults.get(fault, kind), *(("idle", "timeout") if fault == "429" else ()))


def test_a_cancel_ends_a_running_command_with_everything_below_it(cli: Bench):
    cli.configure(permission="full")
    flag, cancel = cli.repo / "started", threading.Event()

    def watch() -> None:
        while not flag.exists() and not cancel.wait(0.02):
            pass
        cancel.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = cli.attempt(run(f"touch {flag}; sleep 300"), ANSWER, cancel=cancel)
    finally:
        cancel.set()
        watcher.join()
    assert flag.exists()
    assert result.kind == "cancelled"
