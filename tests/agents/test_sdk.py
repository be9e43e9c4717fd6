"""Runs whose agent is a model without a CLI, each with several real turns: kills, failures, proofs, settings."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from agents.stub.server import StubModel
from agents.stub.steps import Step, hang, refuse, run, say, write
from kit.processes import eventually, marked
from kit.repos import git
from kit.runs import Engine, Smithers, make_repo

pytestmark = pytest.mark.agents

AGENT = "sdk:anthropic/claude-sonnet-5-5"
FLOW = f'    return Task("implement", agent="{AGENT}", output=Change, prompt="Make calc.py.", retries=1, %s)\n'
DONE = '{"summary": "made it"}'
KEY = "sk-test-of-nobody"


@pytest.fixture
def smithers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Smithers:
    """`smithers` in a fresh repository, which is also the current folder."""
    repo = make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    return Smithers(repo, capsys)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubModel]:
    with StubModel() as found:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", found.url)
        yield found


def ended(smithers: Smithers, run: str) -> list[dict[str, object]]:
    """The ends of the attempts."""
    events = smithers.json("events", run)["events"]
    return [event for event in events if event["type"] in ("task.finished", "task.failed")]


def test_a_killed_turn_goes_on_in_its_conversation(smithers: Smithers, stub: StubModel):
    stub.play(write("calc.py", "x = 1\n", input_tokens=1000), hang())

    def kill() -> None:
        eventually(lambda: len(stub.requests) == 2, 30)
        found = [pid for pid in marked("SMITHERS_NODE", "implement") if _is_turn(pid)]
        stub.play(say(DONE))
        for pid in found:
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    id = smithers.up(body=FLOW % "")
    killer.join()
    first, second = ended(smithers, id)
    assert (first["type"], first["kind"]) == ("task.failed", "crash")
    assert first["usage"]["input"] == 1000  # what was spent counts, although the turn did not end
    assert first["session"] == second["session"]
    (request,) = stub.requests
    assert all(word in request.words for word in ("Make calc.py.", "made calc.py", "did not succeed"))
    assert marked("SMITHERS_RUN", id) == []


def _is_turn(pid: int) -> bool:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return words[1:4] == [b"-P", b"-m", b"smithers_git.edge.sdk"]


@pytest.mark.parametrize(
    ("step", "options", "kind"),
    [
        (refuse(401, "authentication_error", "invalid x-api-key"), "", "auth"),
        (hang(), "idle_timeout=4", "idle"),
    ],
    ids=lambda value: value.kind if isinstance(value, Step) else "",
)
def test_a_failure_is_told_and_leaves_no_process(
    step: Step, options: str, kind: str, smithers: Smithers, stub: StubModel
):
    stub.play(step)
    body = FLOW.replace("retries=1", "retries=0") % options
    id = smithers.up(body=body, code=1)
    (end,) = ended(smithers, id)
    assert end["kind"] == kind
    assert marked("SMITHERS_RUN", id) == []


def test_an_agent_test_proves_a_model(smithers: Smithers, stub: StubModel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("secrets.token_hex", lambda _size: "c0de")
    stub.play(write("proof.txt", "smithers-was-here\n"), say('{"word": "smithers-was-here"}'), say('{"word": "c0de"}'))
    document = smithers.json("agents", "test", AGENT)
    steps = {step["name"]: step["standing"] for step in document["steps"]}
    assert steps == dict.fromkeys(
        ("found", "version", "login", "answer", "edit", "json", "session", "usage", "limit"), "ok"
    ) | {"stop": "warning"}  # fmt: skip
    assert "It is the code" in stub.requests[2].words or "c0de" in stub.requests[2].words


def test_a_table_of_the_provider_holds_for_its_models(
    smithers: Smithers, stub: StubModel, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.delenv("ANTHROPIC_BASE_URL")
    monkeypatch.setenv("MY_KEY", KEY)
    (smithers.repo / ".smithers").mkdir()
    (smithers.repo / ".smithers" / "config.toml").write_text(
        f'''
        [agents."sdk:anthropic"]
        permission = "read"
        env = {{ ANTHROPIC_API_KEY = {{ env = "MY_KEY" }}, ANTHROPIC_BASE_URL = "{stub.url}" }}
        [agents."{AGENT}"]
        max_requests = 1
        tools = ["read"]
        '''
    )
    stub.play(say(DONE))
    smithers.up(body=FLOW % "")
    assert KEY in stub.requests[0].headers["authorization"]
    assert [tool["name"] for tool in stub.requests[0].body["tools"]] == ["read"]


def isolate(smithers: Smithers, mode: str) -> None:
    (smithers.repo / ".smithers").mkdir()
    (smithers.repo / ".smithers" / "config.toml").write_text(f'[isolate]\nmode = "{mode}"\n')


def test_commands_of_a_model_that_edits_are_isolated(smithers: Smithers, stub: StubModel, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    isolate(smithers, "auto")
    command = f"echo in > inside; echo out > {outside}/x; env | grep -c {KEY}; cat /proc/*/environ | grep -c {KEY}; pwd"
    stub.play(run(command), say(DONE))
    id = smithers.up(body=FLOW % "")
    assert git(smithers.repo, "show", f"smithers/{id}/main:inside") == "in"
    assert list(outside.iterdir()) == []
    said = stub.requests[1].words
    assert f"{outside}/x: No such file" in said
    assert "\\n0\\n0\\n" in said  # the key is neither in its environment nor in that of another process


def test_where_nothing_can_be_isolated_a_model_that_edits_has_no_commands(smithers: Smithers, stub: StubModel):
    isolate(smithers, "never")
    stub.play(say(DONE))
    smithers.up(body=FLOW % "")
    assert [tool["name"] for tool in stub.requests[0].body["tools"]] == ["read", "grep", "write", "edit"]


def test_a_killed_engine_goes_on_in_the_conversation(smithers: Smithers, stub: StubModel):
    stub.play(write("calc.py", "x = 1\n"), hang())
    smithers.write(FLOW % "")
    with Engine(smithers.repo, "flow.py", "--run-id", "r1") as engine:
        assert eventually(lambda: len(stub.requests) == 2, 60)
        engine.kill()
    stub.play(say(DONE))
    smithers("up", "--resume", "r1")
    (request,) = stub.requests
    assert all(word in request.words for word in ("Make calc.py.", "made calc.py", "interrupted"))
    (end,) = ended(smithers, "r1")
    assert end["type"] == "task.finished"
