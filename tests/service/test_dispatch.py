"""Which conversation an attempt goes on with: never one that would work in another folder than the attempt's."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import engines, repos, runs
from kit.runs import Smithers

from smithers_git.core import events as ev
from smithers_git.edge import content

pytestmark = pytest.mark.usefixtures("warm_reapers")

FLOW = """\
    number = ctx.iteration("again")
    work = Task("work", agent="{agent}", output=Change, prompt="go on", same_conversation=True)
    return Loop(Worktree(f"space-{{number if {moves} else 0}}", work), until=number >= 1, max_iterations=2, id="again")
"""


@pytest.fixture
def smithers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Smithers:
    """A repository with the agent `stays`: the script agent, but for that it resumes only in its folder."""
    repo = runs.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    monkeypatch.setenv("SMITHERS_SCRIPT", "")
    runs.play(repo, '[[turn]]\nanswer = { summary = "done" }\n')
    text = content.list_agents(None)["script"].read_text("utf-8")
    assert 'session = { scope = "moves" }' in text
    stays = text.replace('session = { scope = "moves" }', 'session = { scope = "folder" }')
    repos.write(repo, {".smithers/agents/stays.toml": stays})
    return Smithers(repo, capsys)


@pytest.mark.parametrize(
    ("agent", "moves", "goes_on"), [("script", True, True), ("stays", True, False), ("stays", False, True)]
)
def test_a_conversation_goes_on_elsewhere_only_where_its_agent_moves_along(
    smithers: Smithers, agent: str, moves: bool, goes_on: bool
) -> None:
    run = smithers.up(body=FLOW.format(agent=agent, moves=moves))
    first, second = [
        one for one in engines.events(smithers.repo, run) if isinstance(one, ev.TaskStarted) and one.node == "work"
    ]
    assert first.session is None
    assert (second.session is not None) == goes_on
