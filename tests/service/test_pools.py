"""Which agents a role gets when nobody has said: those that are installed; those that lack a login come last."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from smithers_git.core import events as ev
from smithers_git.core.state import State, apply
from smithers_git.edge import content
from smithers_git.errors import AgentError
from smithers_git.names import TaskKey
from smithers_git.service import logins, pools
from smithers_git.service.project import Project


@pytest.fixture
def machine(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine without any agent."""
    monkeypatch.setattr(logins, "_answers", {})
    return Machine(repo, tmp_path / "bin")


class Machine:
    """A machine with these CLIs on PATH, and nothing else but git."""

    def __init__(self, repo: Path, folder: Path) -> None:
        self.repo, self.folder = repo, folder
        folder.mkdir()
        (folder / "git").symlink_to(str(shutil.which("git")))

    def install(self, name: str, *, logged_in: bool = True) -> None:
        """A CLI that counts how often it is asked."""
        path = self.folder / name
        code = 0 if logged_in else 1
        path.write_text(
            f"#!{sys.executable} -IS\nopen({str(path) + '.asked'!r}, 'a').write('x')\nraise SystemExit({code})\n"
        )
        path.chmod(0o755)

    def asked(self, name: str) -> int:
        path = self.folder / f"{name}.asked"
        return len(path.read_text()) if path.exists() else 0

    def project(self, **variables: str) -> Project:
        return Project.open(self.repo, {**os.environ, "PATH": str(self.folder), **variables})


def test_a_role_gets_what_is_installed_and_a_review_begins_with_other_eyes(machine: Machine) -> None:
    for name in ("claude", "codex"):
        machine.install(name)
    project = machine.project()
    assert pools.expand(project, ["implement"], "here") == ["claude", "codex"]
    assert pools.expand(project, ["review"], "here") == ["codex", "claude"]
    assert set(pools.ROLES) == {role for role in pools.ROLES if len(pools.expand(project, [role], "here")) == 2}


def test_every_built_in_agent_has_a_place_and_the_scripted_one_has_none(machine: Machine) -> None:
    machine.install("python")  # `script` runs in this very interpreter, so it is always there
    known = content.list_agents(None)
    assert "script" in known
    assert {*known} - {"script"} <= {*pools.PREFERRED}
    for role in pools.ROLES:
        assert "script" not in pools.expand(machine.project(), [role], "here")


def test_who_is_not_logged_in_comes_last_and_is_asked_once(machine: Machine) -> None:
    machine.install("claude", logged_in=False)
    machine.install("codex")
    project = machine.project()
    for _ in range(3):
        assert pools.expand(project, ["smart"], "here") == ["codex", "claude"]
    assert machine.asked("claude") == 1


def test_nobody_is_asked_while_git_waits_for_a_hook_or_where_there_is_no_choice(machine: Machine) -> None:
    machine.install("claude", logged_in=False)
    assert pools.expand(machine.project(), ["smart"], "here") == ["claude"]
    machine.install("codex")
    hook = machine.project(SMITHERS_NO_TRIGGERS="1")
    assert pools.expand(hook, ["smart"], "here") == ["claude", "codex"]
    assert machine.asked("claude") == machine.asked("codex") == 0


def test_pools_of_pools_and_names_make_one_chain_without_repeats(machine: Machine) -> None:
    (machine.repo / ".smithers").mkdir()
    (machine.repo / ".smithers" / "config.toml").write_text('[pools]\nmine = ["codex", "script"]\nnone = []\n')
    project = machine.project()
    assert pools.chain(project, ["mine", "claude", "codex"]) == ["codex", "script", "claude"]
    with pytest.raises(AgentError, match="empty"):
        pools.chain(project, ["none"])


def test_an_agent_whose_key_was_refused_is_out_for_every_task_until_a_person_lets_it_in(machine: Machine) -> None:
    project = machine.project()
    state, key, other = State(), TaskKey("a"), TaskKey("b")
    refused = ev.TaskFailed(node="a", attempt=1, agent="claude", kind="auth", message="401", final=False, free=True)
    apply(state, ev.TaskStarted(node="a", attempt=1, agent="claude"), 1.0)
    apply(state, refused, 2.0)
    assert state.nodes[key].failures == 0
    assert [pools.choose(project, ["claude", "codex"], state, one).agent for one in (key, other)] == ["codex", "codex"]
    apply(state, ev.RunResumed(), 3.0)
    assert pools.choose(project, ["claude", "codex"], state, other).agent == "codex", "a new engine knows no more"
    apply(state, ev.RunResumed(agents=["claude"]), 4.0)
    assert pools.choose(project, ["claude", "codex"], state, other).agent == "claude"


def test_a_model_without_a_cli_is_only_taken_when_there_is_nothing_else_and_somebody_named_it(machine: Machine) -> None:
    (machine.repo / ".smithers").mkdir()
    (machine.repo / ".smithers" / "config.toml").write_text('[agents."sdk:openai/gpt-5"]\n')
    key = {"OPENAI_API_KEY": "canary"}
    assert pools.expand(machine.project(**key), ["smart"], "here") == ["sdk:openai/gpt-5"]
    assert pools.expand(machine.project(), ["smart"], "here") == ["claude"], "to be told how to get it"
    machine.install("codex")
    assert pools.expand(machine.project(**key), ["smart"], "here") == ["codex"]
