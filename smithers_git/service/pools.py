"""Which agents a task may use: names, pools, chains, and whether the program is there."""

from __future__ import annotations

import difflib
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from smithers_git.core import command_line
from smithers_git.core.chain import Choice
from smithers_git.core.chain import choose as choose_of
from smithers_git.core.profile import Profile, load_profile
from smithers_git.core.sdk_agent import is_sdk, parse
from smithers_git.core.settings import AgentSettings
from smithers_git.core.state import State
from smithers_git.edge import content, sdk
from smithers_git.errors import AgentError
from smithers_git.names import TaskKey
from smithers_git.service import accounts, logins
from smithers_git.service import sdk as models
from smithers_git.service.accounts import Account
from smithers_git.service.project import Project

ROLES: Final = ("smart", "fast", "implement", "review", "plan", "research")
"""Pools that every repository has. Where the configuration does not fill one, it is what `installed` gives."""
PREFERRED: Final = (
    "claude", "codex", "gemini", "opencode", "copilot", "cursor", "amp", "qwen", "kimi-code", "kimi", "vibe", "pi",
    "cline", "antigravity", "goose", "aider", "mini-swe-agent",
)  # fmt: skip
"""Best first: those that read, edit and check by themselves, with a permission system and a conversation to go on with,
before those that have less of it. An agent with scripts for answers is never among them."""
_FIRST: Final[Mapping[str, tuple[str, ...]]] = {
    "review": ("codex", "gemini"),  # other eyes than those that wrote it
    "fast": ("codex", "gemini"),  # they answer within a second, claude in one to two
    "research": ("claude", "gemini"),  # they search the web by themselves
}
"""By role, who comes before the others."""


@cache
def _load(path: Path, _stamp: tuple[int, int]) -> Profile:
    return load_profile(path.read_text("utf-8"), str(path))


def _stamp(path: Path) -> tuple[int, int]:
    """Changes when the file does: a server lives for days, and its user edits a profile meanwhile."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def profile_file(project: Project, name: str) -> Path:
    """The file of the agent profile `name`; raises AgentError when there is none."""
    if is_sdk(name):
        parse(name)
        return sdk.PROFILE
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
    if is_sdk(name):
        return models.profile(name)
    path = profile_file(project, name)
    return _load(path, _stamp(path))


def program(project: Project, found: Profile) -> str | None:
    """The program that the profile names, as a path; None when it is not installed."""
    if is_sdk(found.name) and sdk.installed() is None:
        return None
    path = project.environ.get("PATH")
    own = settings_of(project, found.name).program
    for name in [own] if own else command_line.programs(found, sys.executable):
        there = shutil.which(name, path=path)
        if there is not None:
            return there
    return None


def installed(project: Project, role: str) -> list[str]:
    """The built-in agents that are installed, best first for `role`.

    Those that were never proven come behind the others, and last those that say that nobody is logged in. They are
    asked once, and not when a hook of git waits for us.
    """
    known = content.list_agents(None)
    order = dict.fromkeys((*_FIRST.get(role, ()), *PREFERRED, *sorted(known)))
    names = [name for name in order if name in known and name != "script"]
    found = {name: one for name in names if (one := program(project, profile(project, name)))}
    if len(found) < 2:
        return list(found)
    out = logins.logged_out(project, {name: (profile(project, name), one) for name, one in found.items()})
    return sorted(found, key=lambda name: (name in out, bool(profile(project, name).unproven)))


def settings_of(project: Project, name: str) -> AgentSettings:
    return project.settings.agent(name)


def expand(project: Project, names: Sequence[str], where: str) -> list[str]:
    """Agent names and pools as a flat chain of agent names; raises AgentError, naming `where`, for an unknown one."""
    chain: list[str] = []
    for name in names:
        if name in project.settings.pools:
            chain += project.settings.pools[name]
        elif name in ROLES and content.find_agent(name, project.worktree) is None:
            chain += installed(project, name) or models.usable(project) or [PREFERRED[0]]
        else:
            chain.append(name)
    for name in chain:
        try:
            profile(project, name)
        except AgentError as error:
            raise AgentError(f"{where}: {error.message}", hint=error.hint) from error
    return list(dict.fromkeys(chain))


def chain(project: Project, names: Sequence[str]) -> list[str]:
    """Agent names and pools as the agents that a task may use, best first; raises AgentError when there is none."""
    found = expand(project, names, "agents")
    if not found:
        raise AgentError(f"the pool {names[0]!r} is empty", hint="fill it in .smithers/config.toml: [pools]")
    return found


def choose(project: Project, names: Sequence[str], state: State, key: TaskKey) -> Choice:
    """Who makes the next attempt of the task `key`, as its run and the limits of all accounts stand.

    Raises AgentError: an agent or a pool does not exist, or is empty.
    """
    now, agents = project.clock.now(), chain(project, names)
    limits = {}
    for name in agents:
        limit = account(project, name).limit()
        if limit is not None and limit.until > now:
            limits[name] = limit.until
    return choose_of(agents, state.node(key), state.out, limits, now)


def account(project: Project, name: str) -> Account:
    """The account that the agent `name` uses here; raises AgentError."""
    return accounts.account(project, profile(project, name), settings_of(project, name))


def let_in(project: Project, names: Iterable[str]) -> None:
    """A person says that these agents work again: forget the limits of their accounts."""
    for name in names:
        with suppress(AgentError):  # its profile was removed: then it is not asked either
            account(project, name).clear()


def login_hint(project: Project, name: str, run: str) -> str:
    """What to type when the service of the agent refuses its key or login."""
    login = profile(project, name).login
    way = login.how if login else ""
    way = way or (f"set {' or '.join(login.env)}" if login and login.env else "")
    return f"{way or f'smithers agents test {name} shows what is wrong'}; then: smithers up --resume {run}"
