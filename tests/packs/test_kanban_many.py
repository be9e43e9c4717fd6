"""A board of very many tickets: what of it is in the plan, without running any of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import repos

from smithers_git import Survey, Ticket
from smithers_git.core import events as ev
from smithers_git.service import launch, source
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project
from smithers_git.service.render import Renderer


def done(chain: Chain, node: str, value: object) -> None:
    chain.put_output(f"outputs/{node}", value)
    chain.add(ev.TaskStarted(node=node, iteration=0, attempt=1), 1.0)
    chain.add(ev.TaskFinished(node=node, iteration=0, attempt=1, seconds=0.0, output=f"outputs/{node}"), 1.0)


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chain:
    repo = repos.make_repo(tmp_path / "repo", {".smithers/config.toml": 'check = "true"\n'})
    monkeypatch.chdir(repo)
    made = launch.draft(Project.open(repo), launch.Request("kanban", {}, cwd=repo)).chain
    tickets = [Ticket(id=f"t{number}", title="One of many") for number in range(1000)]
    tickets.append(Ticket(id="later", title="Another", depends_on=["t0"]))
    files = {one.id: f"{one.id}.md" for one in tickets}
    done(made, "survey", Survey(onto="main", tickets=tickets, files=files, landed={}).model_dump(mode="json"))
    return made


def tickets(chain: Chain) -> list[str]:
    """The tickets in the plan."""
    here = Path.cwd()
    plan = Renderer(source.load(source.locate("kanban", here, here)), chain).plan()
    return list(plan.spaces)


def test_the_plan_has_what_was_begun_and_the_next_hundred(chain: Chain) -> None:
    assert tickets(chain) == [f"t{number}" for number in range(100)]
    for number in (0, 1, 700):
        done(chain, f"t{number}.ticket", Ticket(id=f"t{number}", title="One of many").model_dump(mode="json"))
    assert tickets(chain) == [f"t{number}" for number in (*range(102), 700)]
