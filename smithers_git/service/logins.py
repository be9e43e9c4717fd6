"""Is somebody logged in to an agent's CLI? Asked at most once per process."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from smithers_git.core.profile import Profile
from smithers_git.core.settings import AgentSettings
from smithers_git.edge import process
from smithers_git.errors import SmithersError
from smithers_git.service.project import Project

QUICK: Final = 20.0
"""Seconds for a CLI to tell its version or whether somebody is logged in; a Node CLI needs about one."""
_answers: dict[tuple[str, str, str], bool] = {}
"""By agent, program and home: whether somebody may be logged in, as it said in this process."""


def ask(
    project: Project, profile: Profile, own: AgentSettings, words: tuple[str, ...], limit: float = QUICK
) -> tuple[int, str]:
    """Exit code and output of a quick question to a CLI, in an empty folder: some write where they stand.

    Args:
        words: the program and its arguments.
        limit: seconds.
    """
    env = {**process.agent_env(project.environ, [*profile.env.passed, *own.pass_env]), **own.env}
    with tempfile.TemporaryDirectory(prefix="smithers-ask-") as folder:
        try:
            done = process.capture(list(words), cwd=Path(folder), env=env, timeout=limit)
        except SmithersError as error:  # it hangs, or is no program at all: that is the answer
            return -1, error.message
    return done.code, (done.stdout + done.stderr).decode("utf-8", "replace")


def logged_in(project: Project, profile: Profile, own: AgentSettings, program: str) -> bool | None:
    """Whether somebody is; None when the profile knows no way to tell."""
    login = profile.login
    if login is None:
        return None
    if any(project.environ.get(name) for name in login.env):
        return True
    return ask(project, profile, own, (program, *login.argv))[0] == 0 if login.argv else False


def logged_out(project: Project, agents: Mapping[str, tuple[Profile, str]]) -> set[str]:
    """Those of `agents` (name to profile and program) that say that nobody is logged in.

    What was asked before is not asked again, and nothing is asked where somebody waits for a hook of git.
    """
    if "SMITHERS_NO_TRIGGERS" in project.environ:
        return set()

    def out(name: str) -> bool:
        profile, program = agents[name]
        own = project.settings.agents.get(name) or AgentSettings()
        key = (name, program, project.environ.get("HOME", ""))
        if key not in _answers:
            _answers[key] = logged_in(project, profile, own, program) is not False
        return not _answers[key]

    with ThreadPoolExecutor(max_workers=8) as pool:  # each is a process of up to a second
        return {name for name, is_out in zip(agents, pool.map(out, agents), strict=True) if is_out}
