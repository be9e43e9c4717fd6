"""A repository's own agent profiles: a first one for a CLI that nobody has described, or a built-in one to change."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from smithers_git.core.draft import draft
from smithers_git.edge import content, overlay, process
from smithers_git.errors import AgentError, UsageError
from smithers_git.service import logins, pools
from smithers_git.service.initialize import overlay_alone
from smithers_git.service.project import Project

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PATIENCE: Final = 10.0
"""Seconds for a CLI that nobody knows to print its help. One that opens a screen of its own is ended then."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """A profile that was written."""

    agent: str
    path: Path
    builtin: bool
    """Whether it is a copy of one that comes with smithers."""
    program: str | None = None
    version: str = ""
    seen: tuple[str, ...] = ()
    """Flags seen in its help, which the profile suggests in comments."""


def adopt(project: Project, name: str, program: str | None) -> Adopted:
    """Write `.smithers/agents/NAME.toml`; what exists is never changed.

    Args:
        project: the repository.
        name: of the agent, and of the profile's file.
        program: name or path of the CLI; `name` when None.

    Raises:
        UsageError: the name cannot be one, or is taken.
        AgentError: the program is not there.
        StorageError: the file cannot be written.
    """
    target = project.worktree / ".smithers" / "agents" / f"{name}.toml"
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of an agent", hint="use letters, digits, dashes and dots")
    if target.exists():
        raise UsageError(f"there is {target} already", hint=f"change it, then: smithers agents test {name}")
    builtin = content.find_agent(name, None)
    if builtin is not None:
        if program is not None:
            hint = f"say so in .smithers/config.toml: [agents.{name}] program = …"
            raise UsageError(f"{name} comes with smithers, its program can be set without a profile", hint=hint)
        with overlay_alone(project, [target]):
            overlay.copy_new(builtin, target)
        return Adopted(name, target, builtin=True)
    if name in pools.ROLES or name in project.settings.pools:
        raise UsageError(f"{name!r} is a pool of agents", hint="give the agent another name, and put it into the pool")
    path = shutil.which(program or name, path=project.environ.get("PATH"))
    if path is None:
        hint = f"install it, or say where it is: smithers agents add {name} --program PATH"
        raise AgentError(f"there is no program {program or name!r} on PATH", hint=hint)
    found = draft(name, program or name, _said(project, path, "--version"), _said(project, path, "--help"))
    with overlay_alone(project, [target]):
        overlay.write_new(target, found.text)
    return Adopted(name, target, builtin=False, program=path, version=found.version, seen=found.seen)


def _said(project: Project, program: str, flag: str) -> str:
    """What the program prints for `flag`, in a home that is thrown away; empty when it does not take it."""
    with tempfile.TemporaryDirectory(prefix="smithers-home-") as home:
        env = {**process.agent_env(project.environ, []), "HOME": home, "TERM": "dumb", "NO_COLOR": "1"}
        env = {name: value for name, value in env.items() if not name.startswith("XDG_")}
        code, text = logins.ask(program, (flag,), env, _PATIENCE)
    return text if code == 0 else ""
