"""The server for other agents, asked by the official client over standard input and output, and over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kit import mcp_client, runs
from kit.mcp_client import Connection
from kit.processes import eventually
from kit.repos import git

from smithers_git.edge import mcp
from smithers_git.front.tools import call as tools
from smithers_git.front.tools.base import NoArgs, Tool
from smithers_git.service.project import Project

FLOW = """\
    return Sequence(
        Task("implement", agent="script", output=Change, prompt="fix it"),
        Approval("ship", title="Ship it?", summary="It is green."),
        Task("last", run="echo done > done.txt"),
    )
"""
SCRIPT = """\
[[turn]]
say = ["Looking at calc.", "It is wrong.", "Mending it."]
write = [{ path = "calc.txt", text = "right\\n" }]
usage = { input = 100, output = 20 }
answer = { summary = "fixed" }
"""
ASKS = """\
    class Pick(BaseModel):
        colour: str

    return Sequence(HumanTask("ask", prompt="Which colour?", output=Pick), Task("last", run="true"))
"""
QUICK = '    return Task("one", run="echo hello; echo hello > one.txt")\n'


@dataclass(frozen=True)
class Served:
    """A server, and the repository that it serves."""

    call: Connection
    repo: Path


def _prepare(folder: Path) -> tuple[Path, dict[str, str]]:
    repo = runs.make_repo(folder / "repo")
    (repo / ".git" / "info" / "exclude").write_text("/flow.py\n/quick.py\n/asks.py\n", encoding="utf-8")
    (repo / "flow.py").write_text(runs.HEAD + FLOW, encoding="utf-8")
    (repo / "quick.py").write_text(runs.HEAD + QUICK, encoding="utf-8")
    (repo / "asks.py").write_text("from smithers_git import HumanTask\n" + runs.HEAD + ASKS, encoding="utf-8")
    script = folder / "script.toml"
    script.write_text(SCRIPT, encoding="utf-8")
    return repo, {"SMITHERS_SCRIPT": str(script), "SERVICE_TOKEN": "hunter2-hunter2"}


@pytest.fixture(scope="module")
def stdio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    repo, env = _prepare(tmp_path_factory.mktemp("stdio"))
    with mcp_client.over_stdio(repo, env=env) as connection:
        yield Served(connection, repo)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, str]]:
    repo, env = _prepare(tmp_path_factory.mktemp("http"))
    with mcp_client.listening(repo, env=env) as (url, token):
        yield repo, url, token


@pytest.fixture
def http(address: tuple[Path, str, str]) -> Iterator[Served]:
    repo, url, token = address
    with mcp_client.over_http(url, token) as connection:
        yield Served(connection, repo)


@pytest.fixture(params=["stdio", "http"])
def served(request: pytest.FixtureRequest) -> Served:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Served)
    return found


def finish(call: Connection, run: str, after: int | None = None) -> dict[str, Any]:
    """Wait until a run stands still; what `wait` said last. On a busy machine nothing may drive it for a moment."""
    for _ in range(20):
        said = call("wait", run=run, timeout=60, **({} if after is None else {"after": after}))
        if said["status"] != "running":
            break
    assert not said["timed_out"], said
    return said


def test_a_client_starts_a_run_answers_its_approval_rewinds_forks_and_lands(served: Served) -> None:
    call, repo = served.call, served.repo
    started = call("run_workflow", workflow="flow.py", prompt="mend calc", run_id="trip")
    assert started["run"] == "trip"
    said = finish(call, "trip", started["frame"])
    assert said["status"] == "waiting"
    assert [one["node"] for one in said["waiting"]] == ["ship"]
    assert any("implement" in line for line in said["happened"])

    (asked,) = call("list_pending")["pending"]
    assert (asked["run"], asked["node"], asked["title"]) == ("trip", "ship", "Ship it?")
    assert asked["changed_files"] == {"main": ["calc.txt"]}
    assert call.error("approve", run="trip", digest="0" * 16)["code"] == "stale"
    decided = call("approve", run="trip", digest=asked["digest"], note="they said yes")
    assert decided["note"].startswith("they said yes (through smithers mcp: test-client 1.0")
    assert finish(call, "trip", decided["frame"])["status"] == "finished"

    frames = call("timeline", run="trip", limit=100)["frames"]
    before = next(one["frame"] for one in frames if "approv" in one["subject"] and "ship" in one["nodes"]) - 1
    newest = frames[0]["frame"]
    told = call("rewind", run="trip", frame=before)
    assert (told["done"], f"back to frame {before}" in told["would"]) == (False, True)
    assert call("inspect_run", run="trip")["frame"] == newest
    assert call("rewind", run="trip", frame=before, confirm=True)["left"] == newest - before
    assert call("inspect_run", run="trip")["status"] == "waiting"

    forked = call("fork", run="trip", run_id="other", prompt="another way")
    assert (forked["parent"], forked["input"]) == ("trip", {"prompt": "another way"})
    assert call("approve", run="other")["decision"] == "approved"
    assert finish(call, "other")["status"] == "finished"

    plan = call("land", name="other", gates=["test -e done.txt"])
    assert (plan["done"], plan["onto"]) == (False, "main")
    assert "calc.txt" in plan["changes"]
    assert not (repo / "done.txt").exists()
    gates = ["sleep 0.5; test -e done.txt"]
    assert call("land", name="other", gates=gates, confirm=True, timeout=0.1)["under_way"]
    landed = call("land", name="other", gates=gates, confirm=True)
    assert landed["landed"], landed
    assert git(repo, "rev-parse", "main").strip() == landed["commit"]
    assert (repo / "calc.txt").read_text() == "right\n"


def test_what_takes_something_away_asks_first(stdio: Served) -> None:
    call = stdio.call
    offered = {tool.name: tool for tool in call.ask("list_tools").tools}
    for name, tool in offered.items():
        hints = tool.annotations
        assert tool.description
        assert not (hints.read_only_hint and hints.destructive_hint), name
        assert ("confirm" in tool.input_schema["properties"]) == bool(hints.destructive_hint), name
    assert {name for name, tool in offered.items() if tool.annotations.destructive_hint} == {
        "rewind", "land", "cancel", "deny", "change_queue",
    }  # fmt: skip
    assert {name for name, tool in offered.items() if not tool.annotations.read_only_hint} >= {
        "run_workflow", "approve", "answer", "fork", "replay", "retry", "resume", "pause", "signal", "create_ticket",
    }  # fmt: skip


def test_answers_come_in_pages_and_runs_are_resources(stdio: Served) -> None:
    call = stdio.call
    for name in ("page-a", "page-b"):
        call("run_workflow", workflow="quick.py", run_id=name)
        finish(call, name)

    first = call("list_runs", limit=1)
    second = call("list_runs", limit=1, cursor=first["next_cursor"])
    assert [first["runs"][0]["run"], second["runs"][0]["run"]] == ["page-b", "page-a"]
    frames, cursor = [], 0
    while cursor is not None:
        part = call("timeline", run="page-a", limit=2, cursor=cursor)
        frames += [one["frame"] for one in part["frames"]]
        cursor = part["next_cursor"]
    assert frames == list(range(len(frames)))[::-1]
    assert len(frames) == part["total"]

    whole = call("diff", run="page-a", patch=True)
    assert whole["comparisons"][0]["files"] == ["one.txt"]
    assert "+hello" in whole["patch"]["text"]
    piece = call("diff", run="page-a", patch=True, limit=100)["patch"]
    rest = call("diff", run="page-a", patch=True, cursor=piece["next_cursor"])["patch"]
    assert piece["text"] + rest["text"] == whole["patch"]["text"]

    last = call("transcript", run="page-a", node="one")
    assert [one["text"] for one in last["attempts"][0]["said"]] == ["hello"]
    assert call("transcript", run="page-a", node="one", cursor=last["next_cursor"])["attempts"] == []
    node = call("inspect_node", run="page-a", node="one")
    assert (node["status"], node["value"]["exit_code"]) == ("finished", 0)
    assert call("inspect_node", run="page-a", node="one", limit=100)["value_as_text"]["next_cursor"] == 100

    assert "smithers://runs/page-a" in [str(one.uri) for one in call.ask("list_resources").resources]
    (found,) = call.ask("read_resource", "smithers://runs/page-a").contents
    assert json.loads(found.text)["status"] == "finished"


def test_errors_say_what_happened_and_what_to_do(stdio: Served) -> None:
    call = stdio.call

    assert call.error("inspect_run", run="nothing")["code"] == "run-not-found"
    missing = call.error("run_workflow", workflow="implment")
    assert missing["hint"] == "did you mean 'implement'?"
    assert "frame: Field required" in call.error("rewind", run="x")["message"]
    assert call.error("list_runz")["hint"] == "did you mean list_runs?"
    assert "colour" in call.error("list_runs", colour="red")["message"]


def test_workflows_are_listed_without_running_them(stdio: Served) -> None:
    pack = stdio.repo / ".smithers" / "packs" / "mine"
    pack.mkdir(parents=True)
    (pack / "workflow.py").write_text(runs.HEAD + '    """Mine."""\n' + QUICK + 'open("/dev/full", "w").write("x")\n')

    found = {one["workflow"]: one for one in stdio.call("list_workflows")["workflows"]}

    assert found["mine"] == {
        "workflow": "mine", "about": "Mine.", "own": True,
        "input": [{"name": "prompt", "type": "str", "default": "'add things'"}],
    }  # fmt: skip
    assert {"name": "prompt", "type": "str", "required": True, "about": "What is wanted."} in found["implement"][
        "input"
    ]
    assert "own" not in found["implement"]


def test_waiting_ends_with_news_or_with_its_time_and_a_run_decides_nothing(
    stdio: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = stdio.call
    call("run_workflow", workflow="flow.py", run_id="slow")
    frame = finish(call, "slow")["frame"]

    assert "deny ship" in call("deny", run="slow")["would"]
    assert "end run slow" in call("cancel", run="slow")["would"]
    assert call("wait", run="slow", after=frame, timeout=0.3)["timed_out"]
    monkeypatch.setenv("SMITHERS_RUN", "slow")
    monkeypatch.setenv("SMITHERS_ATTEMPT", "1")
    for name, more in (("approve", {}), ("deny", {"confirm": True})):
        refused = tools.Desk(stdio.repo).call(mcp.Call(name, {"run": "slow", **more}, "")).document["error"]
        assert (refused["code"], "is for a person" in refused["message"]) == ("run-refused", True)

    waiting = call.later("wait", run="slow", after=frame, timeout=60)
    many = [call.later("list_runs") for _ in range(20)]  # while one waits, others are served
    assert {len(one.result(30).structured_content["runs"]) > 0 for one in many} == {True}
    call("approve", run="slow")
    assert waiting.result(60).structured_content["frame"] > frame


def test_questions_are_answered_and_runs_paused_retried_and_replayed(stdio: Served) -> None:
    call = stdio.call
    call("run_workflow", workflow="asks.py", run_id="quiz")
    asked = finish(call, "quiz")
    (question,) = call("list_pending", run="quiz")["pending"]
    assert (question["kind"], question["prompt"]) == ("question", "Which colour?")
    assert question["answer"]["properties"]["colour"]["type"] == "string"

    assert call("pause", run="quiz")["paused"]
    assert call("inspect_run", run="quiz")["status"] == "paused"
    assert call("resume", run="quiz")["resumed"]
    assert "colour" in call.error("answer", run="quiz", value={"color": 1})["message"]
    assert call("answer", run="quiz", value={"colour": "red"})["answered"]
    assert finish(call, "quiz", asked["frame"])["status"] == "finished"

    again = call("retry", run="quiz", node="last")
    assert again["reset"] == ["last@0"]
    assert finish(call, "quiz", again["frame"])["status"] == "finished"
    assert len(call("inspect_node", run="quiz", node="last")["tries"]) == 2

    replayed = call("replay", run="quiz", run_id="quiz-2")
    assert (replayed["parent"], replayed["parent_frame"]) == ("quiz", 0)
    assert finish(call, "quiz-2")["waiting"][0]["kind"] == "question"
    assert call("signal", run="quiz-2", name="later", data=1)["why"] == "nothing waits for it yet"
    assert call("cancel", run="quiz-2", confirm=True)["cancelled"]
    assert call("inspect_run", run="quiz-2")["status"] == "cancelled"


def test_tickets_are_written_and_shown(stdio: Served) -> None:
    call = stdio.call

    made = call("create_ticket", title="Pay every cent", body="All of *it*.\n", acceptance=["it adds up"])

    assert made == {"id": "pay-every-cent", "file": ".smithers/tickets/pay-every-cent.md"}
    shown = call("show_ticket", id="pay-every-cent")
    assert (shown["title"], shown["acceptance"]) == ("Pay every cent", ["it adds up"])
    assert shown["body"]["text"].strip() == "All of *it*."
    listed = {one["ticket"]: one["column"] for one in call("list_tickets")["tickets"]}
    assert listed["pay-every-cent"] == "todo"
    assert call.error("create_ticket", title="Pay every cent")["code"] == "ticket"
    assert call.error("create_ticket", title="a\0b")["code"] == "ticket"
    assert call("create_ticket", title="Next", depends_on=["pay-every-cent", "x"])["not_in_the_checkout"] == ["x"]


def test_known_secrets_are_taken_out(stdio: Served) -> None:
    shape = f"sk-ant-{'x' * 30}"
    made = stdio.call("create_ticket", id="leak", title="Say hunter2-hunter2", body=f"hunter2-hunter2 {shape}")

    shown = json.dumps(stdio.call("show_ticket", id=made["id"]))
    assert ("hunter2" in shown, shape in shown, "[redacted]" in shown) == (False, False, True)


# -- a server that has a hard time


def test_nothing_but_the_protocol_reaches_standard_output(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "x.py").write_text("print('noise')\n" + runs.HEAD + QUICK)
    messages = [
        {"method": "initialize", "id": 1, "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}},
        {"method": "notifications/initialized"},
        {"method": "tools/call", "id": 2, "params": {"name": "list_runs", "arguments": {}}},
        {"method": "tools/call", "id": 3, "params": {"name": "run_workflow", "arguments": {"workflow": "x.py"}}},
    ]  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, *mcp_client.ARGV], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None
    assert server.stdout is not None

    def say(message: dict[str, Any]) -> None:
        assert server.stdin is not None
        server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        server.stdin.flush()

    heard = []
    for message in messages:
        say(message)
        if message.get("id") is not None:
            heard.append(json.loads(server.stdout.readline()))
    assert [one["id"] for one in heard] == [1, 2, 3]
    assert heard[1]["result"]["structuredContent"]["error"]["code"] == "repository"  # and it lives on
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", "one")
    (folder / ".smithers").mkdir()
    (folder / ".smithers" / "config.toml").write_text("broken = [\n")
    say({**messages[3], "id": 4})
    assert json.loads(server.stdout.readline())["result"]["structuredContent"]["error"]["code"] == "config"
    (folder / ".smithers" / "config.toml").unlink()
    say({**messages[3], "id": 5})
    answer = json.loads(server.stdout.readline())
    run = answer["result"]["structuredContent"]["run"]
    say({"method": "tools/call", "id": 6, "params": {"name": "wait", "arguments": {"run": run, "timeout": 600}}})
    rest, _ = server.communicate(timeout=60)  # the client goes while it waits
    assert server.returncode == 0
    assert all(line.startswith("{") and json.loads(line)["jsonrpc"] == "2.0" for line in rest.splitlines()), rest
    eventually(lambda: Project.open(folder).chain(run).state.end == "finished")  # and its run goes on


def test_a_server_that_was_started_anywhere_serves_the_folder_that_its_client_works_in(
    repo: Path, tmp_path: Path
) -> None:
    elsewhere, spaced = tmp_path / "home", tmp_path / "my repo"
    elsewhere.mkdir()
    repo.rename(spaced)

    with mcp_client.over_stdio(elsewhere, works_in=spaced) as connection:
        assert connection("list_runs")["total"] == 0
    assert not tools.Desk(spaced).offer().asks_folders
    named = tools.Desk(elsewhere, named=True)
    assert not named.offer().asks_folders
    error = named.call(mcp.Call("list_runs", {}, "")).document["error"]
    assert (error["code"], "--repository PATH" in error["hint"]) == ("repository", True)


def test_a_bug_ends_only_its_call(repo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(_scene: Any, _args: Any) -> dict[str, Any]:
        """Break."""
        raise KeyError("oh")

    monkeypatch.setitem(tools.TOOLS, "broken", Tool(broken, NoArgs, "reads"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    desk = tools.Desk(repo)

    answer = desk.call(mcp.Call("broken", {}, "test"))

    assert answer.failed
    assert answer.document["error"]["code"] == "internal"
    (log,) = tmp_path.glob("smithers-bug-*.log")
    assert "KeyError: 'oh'" in log.read_text()
    assert not desk.call(mcp.Call("list_runs", {}, "test")).failed


def test_an_answer_has_a_bearable_size_whatever_was_asked_for(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def huge(_scene: Any, _args: Any) -> dict[str, Any]:
        """Much."""
        return {"next_cursor": 7, "rows": [{"text": "x" * 5000, "more": list(range(300))} for _ in range(60)]}

    monkeypatch.setitem(tools.TOOLS, "huge", Tool(huge, NoArgs, "reads"))

    found = tools.Desk(repo).call(mcp.Call("huge", {}, "")).document

    assert len(json.dumps(found)) < 60_000
    assert (found["next_cursor"], "cut" in found) == (7, True)


# -- HTTP


def ask(url: str, **headers: str) -> int:
    """The status of a request as a browser or a stranger would make it."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
    plain = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    request = urllib.request.Request(url, body, {**plain, **headers})
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_only_who_has_the_token_is_served_and_no_page_of_another_origin(address: tuple[Path, str, str]) -> None:
    _repo, url, token = address
    good = f"Bearer {token}"

    assert ask(url) == 401
    assert ask(url, authorization="Bearer wrong") == 401
    assert ask(url, authorization=token) == 401
    assert ask(url, authorization=good, origin="http://evil.example") == 403
    assert ask(url, authorization=good, host="evil.example") == 421
    assert ask(url, authorization=good) not in (401, 403, 421)


def test_it_listens_on_this_machine_unless_told_otherwise(
    smithers: runs.Smithers, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--expose" in smithers("mcp", "serve", "--http", "0.0.0.0:0", code=2).err
    assert "is no address" in smithers("mcp", "--http", "here:there", code=2).err
    monkeypatch.setenv("SMITHERS_MCP_TOKEN", "short")
    assert "fewer than 16" in smithers("mcp", "--http", "0", code=2).err


def test_a_server_that_only_reads_offers_nothing_else(repo: Path) -> None:
    desk = tools.Desk(repo, reads_only=True)

    assert all(tool.reads for tool in desk.offer().tools)
    assert desk.call(mcp.Call("run_workflow", {"workflow": "plan"}, "")).document["error"]["code"] == "usage"
    assert "script" in {one["name"] for one in desk.call(mcp.Call("list_agents", {}, "")).document["agents"]}


def test_every_tool_says_what_each_argument_is() -> None:
    for tool in tools.Desk(Path()).offer().tools:
        for name, field in tool.schema["properties"].items():
            assert field.get("description"), f"{tool.name}: {name}"
            assert "anyOf" not in field, f"{tool.name}: {name} has two types, which some clients cannot use"
