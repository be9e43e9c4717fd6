"""Make a repository ready: a configuration with what was found filled in, and copies of built-in content to change."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from smithers_git.core import starter
from smithers_git.edge import config, content, overlay
from smithers_git.edge.lock import holding
from smithers_git.errors import ContentError
from smithers_git.service import pools
from smithers_git.service.checks import detect, find_check
from smithers_git.service.project import Project

_PATIENCE: Final = 20.0
"""Seconds for another one who writes there; a copy takes milliseconds."""
_SUGGESTED: Final = 2
"""Agents that are named to somebody who has none."""


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent that init looked for."""

    name: str
    program: str | None
    """Path of its CLI; None when it is not installed."""
    install: str


@dataclass(frozen=True, slots=True)
class Initialized:
    """What is there now. Paths are relative to the checkout."""

    written: list[str]
    kept: list[str]
    check: list[str] | None
    check_from: Literal["configured", "detected"] | None
    agents: list[Agent]


def initialize(project: Project, packs: Iterable[str] = (), agents: Iterable[str] = ()) -> Initialized:
    """Write `.smithers/config.toml`, and copy the named built-in packs and agent profiles beside it.

    What exists is kept as it is. Raises ContentError for an unknown name before anything is written, ConfigError when
    the existing configuration is broken.
    """
    own = project.settings.check is not None  # reads the configuration: a broken one is told first
    top = project.worktree
    known = content.list_agents(None)
    looked = [_agent(project, name) for name in pools.PREFERRED if name in known]
    found = [agent for agent in looked if agent.program] or looked[:_SUGGESTED]
    copies = {
        **_copies("pack", packs, content.list_packs(None), top / ".smithers" / "packs"),
        **_copies("agent", agents, content.list_agents(None), top / ".smithers" / "agents"),
    }
    written: list[str] = []
    kept: list[str] = []
    filled = {role: chain for role in pools.ROLES if (chain := pools.installed(project, role))}

    def note(target: Path, new: bool) -> None:
        (written if new else kept).append(target.relative_to(top).as_posix())

    target = top / config.NAME
    with overlay_alone(project, [target, *copies]):
        note(target, overlay.write_new(target, starter.config(detect(top), filled)))
        for target, source in copies.items():
            note(target, overlay.copy_new(source, target))
    check = find_check(project)
    return Initialized(written, kept, check, ("configured" if own else "detected") if check else None, found)


@contextmanager
def overlay_alone(project: Project, targets: Iterable[Path]) -> Iterator[None]:
    """Be the only one who writes to `.smithers/`; what one left who died there is gone then.

    Where all of `targets` are there already nothing is written, not even a lock.
    """
    folders = [project.worktree / ".smithers" / name for name in (".", "packs", "agents")]
    if not any(map(overlay.drafts, folders)) and all(map(os.path.lexists, targets)):
        yield
        return
    with holding(project.state_dir / "locks" / "overlay.lock", _PATIENCE):
        for draft in (draft for folder in folders for draft in overlay.drafts(folder)):
            overlay.remove_draft(draft)
        yield


def _agent(project: Project, name: str) -> Agent:
    profile = pools.profile(project, name)
    return Agent(name, pools.program(project, profile), profile.install)


def _copies(kind: str, names: Iterable[str], known: Mapping[str, Path], folder: Path) -> dict[Path, Path]:
    """Target to source of each name; raises ContentError for one that is not built in."""
    found: dict[Path, Path] = {}
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            raise ContentError(
                f"there is no built-in {kind} {name!r}",
                hint=f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}",
            )
        found[folder / known[name].name] = known[name]
    return found
