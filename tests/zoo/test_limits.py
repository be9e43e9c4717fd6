"""Accounts at their limit and keys that are refused: nothing is spent on them, and everybody is told."""

from __future__ import annotations

import json
import os
import shlex
import time
from pathlib import Path

import pytest
from kit import engines, repos
from kit.zoo import Zoo, wild

from smithers_git.core import events as ev
from smithers_git.edge import content
from smithers_git.service import pools, supervise
from smithers_git.service.accounts import FIRST
from smithers_git.service.project import Project

pytestmark = pytest.mark.usefixtures("warm_reapers")

RECORDED = Path(__file__).parents[1] / "agents" / "recorded"

SAID = {
    "claude": "You've hit your limit · resets in 2 hours",
    "codex": "You've hit your usage limit. Try again in 1 day 3 hours.",
    "gemini": "429: Your quota will reset after 14h52m33s.",
    "openai": "Rate limit reached for gpt-5 on tokens per min. Please try again in 6m0s.",
    "http": "429 Too Many Requests. Retry-After: 300",
}


RECORDINGS = ["claude-429", "claude-subscription-limit", "codex-429", "codex-usage-limit"]


def test_a_limit_costs_no_retry_and_the_next_agent_begins_at_once(zoo: Zoo, tmp_path: Path) -> None:
    for vendor, words in SAID.items():
        zoo.house("limit", words, name=vendor)
    for name in RECORDINGS:  # what the real CLIs said, read as the profiles that come with smithers say
        cli = name.partition("-")[0]
        fake = tmp_path / name
        fake.write_text(f"#!/bin/sh\ncat >/dev/null\ncat {shlex.quote(str(RECORDED / name))}.jsonl\nexit 1\n", "utf-8")
        fake.chmod(0o755)
        text = (content.builtin_root() / "agents" / f"{cli}.toml").read_text("utf-8")
        program = f"program = [{json.dumps(str(fake))}]"
        repos.write(zoo.repo, {f".smithers/agents/{name}.toml": text.replace(f'program = ["{cli}"]', program)})
    cages = {name: [name, "tame"] for name in (*SAID, *RECORDINGS)}
    state = zoo.up(cages, "retries=0")
    assert zoo.attempts(state) == {name: [(name, "limit"), ("tame", None)] for name in cages}
    assert {wild(state, name).failures for name in cages} == {0}


def _limited(zoo: Zoo, *chain: str) -> str:
    """A run that waits, since all its agents are at a limit; its id."""
    for name in chain:
        zoo.house(name, SAID["claude"])
    return zoo.up({"cage": chain}, "retries=0", code=3).run


def test_when_all_are_at_their_limit_the_run_waits_without_a_process_until_the_first_is_free(zoo: Zoo) -> None:
    began = time.time()
    run = _limited(zoo, "limit")
    project = Project.open(zoo.repo)
    state = project.chain(run).state
    assert state.end is None
    assert state.wake_at == pytest.approx(began + 7200, abs=30)
    assert wild(state, "cage").failures == 0
    (row,) = zoo.smithers.json("ps")["runs"]
    until = time.strftime("%H:%M", time.localtime(state.wake_at))
    assert row["status"] == "waiting"
    assert row["step"].startswith("limit of limit until ")
    assert row["step"].endswith(until)
    blocker = next(one for one in zoo.smithers.json("why", run)["blockers"] if one["kind"] == "limit")
    assert "limit of limit" in blocker["text"]
    assert blocker["until"]
    listed = next(row for row in zoo.smithers.json("agents", "list")["agents"] if row["name"] == "limit")
    assert not listed["usable"]
    assert until in listed["why"]
    assert supervise.supervise(project, 4).started == [], "nobody is woken before the time"
    zoo.smithers.json("up", "flow.py", code=3)
    assert len(_noted(project)) == 1, "another run of that account did not even ask"
    asked = [one for view in project.tips() for one in _failed(project, view)]
    assert len(asked) == 1


def _noted(project: Project) -> list[str]:
    """The accounts that are known to be at a limit."""
    return [path.name for path in (project.user_state / "limits").glob("*.json")]


def _failed(project: Project, run: str) -> list[ev.TaskFailed]:
    return [one for one in engines.events(project.worktree, run) if isinstance(one, ev.TaskFailed)]


def test_when_the_time_has_come_the_run_goes_on(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo.house("limit", "usage limit, try again in 40s")
    run = zoo.up({"cage": ["limit"]}, "retries=0", code=3).run
    zoo.house("limit")  # it still refuses, and says nothing of a time any more
    later = time.time() + 60
    project = Project.open(zoo.repo)

    class Later:
        def __getattr__(self, name: str) -> object:
            return getattr(type(project.clock)(), name)

        def now(self) -> float:
            return later

    project.clock = Later()  # type: ignore[assignment]
    found = supervise.supervise(project, 4, dry_run=True)
    assert [(one.run, one.why) for one in found.started] == [(run, "cage.wild can start")]


def test_a_person_who_resumes_has_it_tried_at_once(zoo: Zoo) -> None:
    run = _limited(zoo, "limit")
    text = (zoo.repo / ".smithers/agents/tame.toml").read_text("utf-8")
    repos.write(zoo.repo, {".smithers/agents/limit.toml": text})  # the limit is gone before its time
    assert zoo.smithers.json("up", "--resume", run)["status"] == "finished"
    assert _noted(Project.open(zoo.repo)) == []


def test_who_says_no_time_is_asked_again_after_ever_longer_pauses(zoo: Zoo) -> None:
    zoo.house("limit", "usage limit reached")
    state = zoo.up({"cage": ["limit"]}, "retries=0", code=3)
    assert state.wake_at is not None
    assert state.wake_at - state.updated == pytest.approx(FIRST, abs=10)
    project = Project.open(zoo.repo)
    account, now = pools.account(project, "limit"), state.wake_at
    waits = []
    for _ in range(6):
        until = account.hit(None, "again", now)
        waits.append(until - now)
        now = until
    assert waits == [600, 1200, 2400, 3600, 3600, 3600]
    assert account.hit(now + 0.02, "try again in 20 ms", now) - now >= 60, "nobody is asked fifty times a second"


def test_a_success_clears_the_limit_and_another_key_is_another_account(zoo: Zoo) -> None:
    path = zoo.repo / ".smithers/agents/tame.toml"
    path.write_text(path.read_text("utf-8").replace("[output]", '[env]\npass = ["TAME_KEY"]\n\n[output]', 1), "utf-8")
    one = Project.open(zoo.repo, {**os.environ, "TAME_KEY": "canary-one"})
    two = Project.open(zoo.repo, {**os.environ, "TAME_KEY": "canary-two"})
    pools.account(one, "tame").hit(None, "limit", time.time())
    assert pools.account(two, "tame").limit() is None
    (file,) = pools.account(one, "tame").path.parent.glob("*.json")
    assert "canary" not in file.name + file.read_text("utf-8")
    account = pools.account(Project.open(zoo.repo), "tame")
    account.hit(time.time() - 5, "limit", time.time() - 400)
    zoo.up({"cage": ["tame"]})
    assert account.limit() is None


def test_a_refused_key_takes_the_agent_out_and_all_out_end_the_run_with_what_to_type(zoo: Zoo) -> None:
    zoo.house("bad-key")
    path = zoo.repo / ".smithers/agents/bad-key.toml"
    path.write_text(path.read_text("utf-8") + '\n[login]\nhow = "bad-key login"\nargv = ["x"]\n', "utf-8")
    state = zoo.up({"cage": ["bad-key"]}, "retries=3", code=1)
    assert "401" in str(state.error)
    assert "bad-key login" in state.error_hint
    assert f"smithers up --resume {state.run}" in state.error_hint
    assert wild(state, "cage").attempt == 1, "nothing is gained by asking it again"
    text = (zoo.repo / ".smithers/agents/tame.toml").read_text("utf-8")
    repos.write(zoo.repo, {".smithers/agents/bad-key.toml": text})  # somebody has logged in
    assert zoo.smithers.json("up", "--resume", state.run)["status"] == "finished"
