"""Runs whose agent is a model without a CLI: its program, its conversation, its failures, and what is shown of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from agents.stub.server import StubModel
from agents.stub.steps import say, write
from kit.repos import git
from kit.runs import Smithers

from smithers_git.errors import AgentError
from smithers_git.service.project import Project
from smithers_git.service.talk.sdk import messages, server, take

AGENT = "sdk:anthropic/claude-sonnet-5-5"
FLOW = f'    return Task("implement", agent="{AGENT}", output=Change, prompt="Make calc.py.", retries=1, %s)\n'
DONE = '{"summary": "made it"}'
KEY = "sk-test-of-nobody"


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


def test_a_task_is_done_and_the_frame_says_what_it_took(smithers: Smithers, stub: StubModel):
    stub.play(
        write("calc.py", "x = 1\n", input_tokens=1000, output_tokens=100),
        say('{"summary": 5}'),  # it does not fit: corrected in the same conversation
        say(DONE, cached_tokens=500),
    )
    run = smithers.up(body=FLOW % "")
    assert git(smithers.repo, "show", f"smithers/{run}/main:calc.py") == "x = 1"
    (end,) = ended(smithers, run)
    assert end["agent"] == AGENT
    assert end["model"] == "anthropic/claude-sonnet-5-5"
    assert end["usage"] == {"input": 1700, "output": 120, "cached": 500}
    assert end["cost"] > 0
    assert "Make calc.py." in stub.requests[2].words
    assert "does not fit" in stub.requests[2].words
    shown = smithers("chat", run).out
    assert "write calc.py" in shown
    assert "made it" in shown
    kept = messages(Project.open(smithers.repo), run, "implement", str(end["session"]))
    assert [message["kind"] for message in kept] == ["request", "response"] * 3
    assert messages(Project.open(smithers.repo), run, "implement", "another") == []
    stored = git(smithers.repo, "grep", "-h", "made calc.py", f"refs/smithers/runs/{run}", "--", "transcripts")
    assert stored
    assert not git(smithers.repo, "grep", "-h", KEY, f"refs/smithers/runs/{run}", check=False)
    smithers("rewind", run, "--frame", "0", "--yes")  # and the conversation with it
    assert messages(Project.open(smithers.repo), run, "implement", str(end["session"])) == []


def test_secrets_of_servers_are_known(smithers: Smithers, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ODD", "a value that is fetched")
    (smithers.repo / ".smithers").mkdir()
    (smithers.repo / ".smithers" / "config.toml").write_text(
        """
        [mcp.one]
        url = "http://localhost/mcp"
        headers = { X = { env = "ODD" } }
        """
    )
    project = Project.open(smithers.repo)
    assert "a value that is fetched" in project.secrets.known()
    assert server(project, "one").headers == {"X": "a value that is fetched"}
    with pytest.raises(AgentError, match="there is no MCP server 'two'"):
        server(project, "two")


def test_models_are_listed_with_why_they_can_be_used(smithers: Smithers, stub: StubModel):
    (smithers.repo / ".smithers").mkdir()
    config = smithers.repo / ".smithers" / "config.toml"
    config.write_text(
        '[agents."sdk:openai".env]\nOPENAI_API_KEY = { env = "MY_KEY" }\n[pools]\nodd = ["sdk:deepseek/chat"]\n'
    )
    rows = {row["provider"]: row for row in smithers.json("agents", "list")["models"]}
    assert {name: row["usable"] for name, row in rows.items()} == {
        "sdk:anthropic": True, "sdk:openai": True, "sdk:google": False, "sdk:deepseek": False,
    }  # fmt: skip
    assert rows["sdk:google"]["how"] == "set GOOGLE_API_KEY or GEMINI_API_KEY"
    assert "sdk:anthropic/MODEL" in smithers("agents", "list").out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[agents."sdk:openai/gpt-5"]\nargs = ["-v"]\n', "args mean nothing to a model without a CLI"),
        ("[agents.claude]\nmax_requests = 5\n", "max_requests mean nothing to a CLI"),
        ('[agents."sdk:"]\npermission = "read"\n', "neither"),
        ('[mcp.one]\nargs = ["x"]\n', "give either command or url"),
        ('[mcp.one]\nurl = "http://localhost/mcp"\nenv = { A = "b" }\n', "belong to a command"),
    ],
)
def test_settings_that_mean_nothing_are_refused(text: str, said: str, smithers: Smithers):
    (smithers.repo / ".smithers").mkdir()
    (smithers.repo / ".smithers" / "config.toml").write_text(text)
    assert said in smithers("agents", "list", code=1).err


@pytest.mark.parametrize(
    "name", ["sdk:", "sdk:openai", "sdk:openai/", "sdk:OpenAI/gpt", "sdk:openai/../x", "sdk:a/{b}"]
)
def test_a_name_of_another_form_is_refused_with_the_right_one(name: str, smithers: Smithers):
    smithers.write(FLOW.replace(AGENT, name) % "")
    said = smithers("up", "flow.py", code=1).err
    assert "does not name a provider and a model" in said
    assert "sdk:PROVIDER/MODEL" in said


def test_without_the_extra_the_way_to_get_it_is_told(smithers: Smithers, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("smithers_git.edge.sdk.installed", lambda: None)
    run = smithers.up(body=FLOW.replace("retries=1", "retries=0") % "", code=1)
    (end,) = ended(smithers, run)
    assert end["kind"] == "unstartable"
    assert 'pip install "smithers-git[sdk]"' in end["message"]
    assert smithers.json("agents", "list")["models"][0]["how"] == 'pip install "smithers-git[sdk]"'


def test_a_conversation_with_a_gap_is_none():
    def line(number: int, text: str) -> str:
        return f'{{"type": "message", "n": {number}, "message": {{"text": "{text}"}}}}'

    found: list[dict[str, object]] = []
    assert all(
        take(found, one) for one in (line(0, "a"), '{"type": "alive"}', line(1, "b"), line(1, "c"), line(2, "d")[:-9])
    )
    assert [message["text"] for message in found] == ["a", "c"]  # told again: the later one; half a line is none
    assert not take(found, line(3, "e"))
