"""Which agents a task may use: names, pools, chains, and whether the program is there."""

from __future__ import annotations

import difflib
import shutil
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from smithers_git.core import command_line
from smithers_git.core.profile import Profile, load_profile
from smithers_git.core.settings import AgentSettings
from smithers_git.edge import content
from smithers_git.errors import AgentError
from smithers_git.service.project import Project

ROLES: Final = ("smart", "fast", "implement", "review", "plan", "research")
"""Pools that every repository has. Where the configuration does not fill one, it is what `installed` gives."""
PREFERRED: Final = ("claude", "codex")


@cache
def _load(path: Path) -> Profile:
    return load_profile(path.read_text("utf-8"), str(path))


def profile_file(project: Project, name: str) -> Path:
    """The file of the agent profile `name`; raises AgentError when there is none."""
    path = content.find_agent(name, project.worktree)
    if path is None:
        known = [*content.list_agents(project.worktree), *project.settings.pools, *ROLES]
        close = difflib.get_close_matches(name, known, 1)
        raise AgentError(
            f"there is no agent or pool {name!r}",
            hint=f"did you mean {close[0]!r}?" if close else f"known: {', '.join(dict.fromkeys(known))}",
        )
    return path


def profile(project: Project, name: str) -> Profile:
    """The profile of one agent; raises AgentError or ConfigError."""
    return _load(profile_file(project, name))


def program(project: Project, found: Profile) -> str | None:
    """The program that the profile names, as a path; None when it is not installed."""
    path = project.environ.get("PATH")
    own = settings_of(project, found.name).program
    for name in [own] if own else command_line.programs(found, sys.executable):
        there = shutil.which(name, path=path)
        if there is not None:
            return there
    return None


def installed(project: Project, role: str) -> list[str]:
    """The agents of PREFERRED that are installed, best first for `role`: a review starts with another one's eyes."""
    found = [name for name in PREFERRED if program(project, profile(project, name))]
    return found[::-1] if role == "review" else found


def settings_of(project: Project, name: str) -> AgentSettings:
    return project.settings.agents.get(name) or AgentSettings()


def expand(project: Project, names: Sequence[str], where: str) -> list[str]:
    """Agent names and pools as a flat chain of agent names; raises AgentError, naming `where`, for an unknown one."""
    chain: list[str] = []
    for name in names:
        if name in project.settings.pools:
            chain += project.settings.pools[name]
        elif name in ROLES and content.find_agent(name, project.worktree) is None:
            chain += installed(project, name) or [PREFERRED[0]]
        else:
            chain.append(name)
    for name in chain:
        try:
            profile(project, name)
        except AgentError as error:
            raise AgentError(f"{where}: {error.message}", hint=error.hint) from error
    return list(dict.fromkeys(chain))


def choose(project: Project, names: Sequence[str], failures: int) -> str:
    """The agent of the next attempt: entry n of the chain after n failures, the last one again and again."""
    chain = expand(project, names, "agents")
    if not chain:
        raise AgentError(f"the pool {names[0]!r} is empty", hint="fill it in .smithers/config.toml: [pools]")
    return chain[min(failures, len(chain) - 1)]
