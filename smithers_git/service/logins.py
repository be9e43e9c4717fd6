"""Is somebody logged in to an agent's CLI? Asked at most once per process."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from smithers_git.core import command_line
from smithers_git.core.profile import Profile
from smithers_git.core.settings import AgentSettings
from smithers_git.edge import process
from smithers_git.service.project import Project

QUICK: Final = 20.0
"""Seconds for a CLI to tell its version or whether somebody is logged in; a Node CLI needs about one."""
_MOST: Final = 256 << 10
"""Bytes that are kept of what a CLI answers; a help text of 100 kB has been seen."""
_answers: dict[tuple[str, str, str], bool] = {}
"""By agent, program and home: whether somebody may be logged in, as it said in this process."""


def environ(project: Project, profile: Profile, own: AgentSettings) -> dict[str, str]:
    """The environment in which a CLI is asked something: as for its turns, without what only a turn has."""
    seen = process.agent_env(project.environ, [*profile.env.passed, *own.pass_env])
    return {**seen, **command_line.constants(profile), **project.secrets.environ(profile.name)}


def ask(program: str, words: Sequence[str], env: Mapping[str, str], limit: float = QUICK) -> tuple[int, str]:
    """Exit code and output of a quick question to a CLI, in an empty folder: some write where they stand.

    -1 when it did not end within `limit` seconds or cannot be started; nothing that it started is left.
    """
    said = bytearray()

    def take(chunk: bytes) -> None:
        said.extend(chunk)
        del said[_MOST:]

    with tempfile.TemporaryDirectory(prefix="smithers-ask-", ignore_cleanup_errors=True) as folder:
        stop = (process.StopStep("TERM", 1),)
        launch = process.Launch([program, *words], Path(folder), env, merge_stderr=True, timeout=limit, stop=stop)
        ended = process.run(launch, on_output=take, cancel=threading.Event())
    if ended.reason != "exited" or ended.code is None:
        return -1, ended.message
    return ended.code, said.decode("utf-8", "replace")


def logged_in(project: Project, profile: Profile, own: AgentSettings, program: str) -> bool | None:
    """Whether somebody is; None when the profile knows no way to tell."""
    login = profile.login
    if login is None or not (login.argv or login.env):
        return None
    env = environ(project, profile, own)
    if any(env.get(name) for name in login.env):
        return True
    if not login.argv:
        return False
    code, said = ask(program, login.argv, env)
    return code == 0 and (login.regex is None or login.regex.search(said) is not None)


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
