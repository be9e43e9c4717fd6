"""Whether an attempt of an agent is isolated, and from what: decided before it begins, and recorded with it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from smithers_git.core.profile import Profile
from smithers_git.core.settings import AgentSettings
from smithers_git.edge import content, isolate, process
from smithers_git.edge.git import worktree
from smithers_git.errors import AgentError, SmithersError
from smithers_git.service.project import Project
from smithers_git.service.talk import state

_QUICK: Final = 10.0
"""Seconds for the trial; it takes 0.02."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How attempts of one agent are made here."""

    isolated: bool
    why: str
    """In a few words."""
    permission: str | None
    """The permission level in use; None for an agent that knows none."""
    refused: str = ""
    """Why no attempt may be made at all."""
    hint: str = ""


def standing(project: Project, profile: Profile, own: AgentSettings) -> Standing:
    """How attempts of the agent are made here."""
    settings = project.settings.isolate
    level = own.permission or (profile.permission.default if profile.permission else None)
    mode = own.isolate or settings.mode
    told = "its permission is full" if level == "full" else "it has no permission system"
    trouble = "" if mode == "never" else impossible(project)
    if mode == "always":
        if trouble:
            hint = 'see `smithers agents`, or set [isolate] mode = "auto"'
            return Standing(False, trouble, level, f"{profile.name} is to be isolated, and {trouble}", hint)
        return Standing(True, 'isolate = "always"', level)
    if level not in (None, "full"):
        return Standing(False, f"its permission is {level}", level)
    if mode == "auto" and not trouble:
        return Standing(True, told, level)
    why = trouble or 'isolate = "never"'
    if level == "full" and not settings.machine and _by_flag(profile):
        return Standing(False, why, level, *_bypass(profile, why))
    return Standing(False, f"{told}, but {why}", level)


def _by_flag(profile: Profile) -> bool:
    """Whether `full` switches something off; a CLI without such a thing has no permission system."""
    level = profile.permission.full if profile.permission else None
    return level is not None and bool(level.argv or level.env)


def _bypass(profile: Profile, why: str) -> tuple[str, str]:
    there = profile.permission
    less = next((name for name in ("edit", "read") if there is not None and getattr(there, name) is not None), None)
    ways = [] if why.startswith("isolate") else ["install bubblewrap"]
    ways += ['set [isolate] mode = "auto"'] if not ways else []
    ways += [f'or permission = "{less}" in [agents.{profile.name}]'] if less else []
    ways += ["or [isolate] machine = true when this whole machine is a sandbox"]
    return f"{profile.name} with permission = full asks nobody, and is not isolated: {why}", ", ".join(ways)


def require(project: Project, profile: Profile, own: AgentSettings) -> Standing:
    """As `standing`; raises AgentError when no attempt may be made."""
    found = standing(project, profile, own)
    if found.refused:
        raise AgentError(found.refused, hint=found.hint)
    return found


def impossible(project: Project) -> str:
    """Why nothing can be isolated here, by a real try, made once per process; empty when it can."""
    bwrap = isolate.find(project.environ)
    return _try(bwrap) if bwrap else "bubblewrap (bwrap) is not installed"


@cache
def _try(bwrap: str) -> str:
    try:
        done = process.capture(isolate.trial(bwrap), cwd=Path("/"), env={}, timeout=_QUICK)
    except SmithersError as error:
        return f"bubblewrap cannot be used here: {error.message}"
    if done.code == 0:
        return ""
    said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2] or f"it exited with {done.code}"
    return f"bubblewrap cannot make namespaces here: {said[:200]}"


@dataclass(frozen=True, slots=True)
class Seated:
    """The folders of one attempt."""

    folder: Path
    """Its workspace."""
    scratch: Path
    """What the run's attempts have for prompt and result files."""
    terminal: bool = False


def command(
    project: Project, profile: Profile, seated: Seated, argv: tuple[str, ...], environ: Mapping[str, str]
) -> list[str]:
    """The command that runs `argv` isolated; makes the agent's private home. Raises AgentError: a path is missing."""
    settings = project.settings.isolate
    bwrap = isolate.find(project.environ)
    if bwrap is None:  # it was there when the attempt was decided
        raise AgentError("bubblewrap (bwrap) is gone", hint='install it again, or set [isolate] mode = "never"')
    homes = project.state_dir / "homes"
    home = homes / profile.name.replace("/", "_")
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    common = project.repository.common_dir.resolve()
    reads = (*_needed(project), *_paths(project, "read", settings.read))
    writes = (*_kept(profile, environ, home), *_paths(project, "write", settings.write))
    inside = (seated.scratch,) if seated.scratch.is_dir() else ()
    writable = settings.git == "write" or profile.writes_git
    box = isolate.Box(
        folder=seated.folder,
        home=home,
        read=reads if writable else (*reads, common),
        write=(common, *writes, *inside) if writable else (*writes, *inside),
        hidden=() if writable else (homes,),
        network=settings.network == "host",
        terminal=seated.terminal,
    )
    return isolate.command(bwrap, box, argv, environ)


def _needed(project: Project) -> list[Path]:
    """What every agent may read wherever it lies: smithers itself, and what workspaces link to in the main checkout."""
    main = worktree.main_checkout(project.repository).path
    linked = [path.resolve() for glob in project.settings.worktree.symlink for path in main.glob(glob.rstrip("/"))]
    ours = Path(isolate.__file__).parent.parent
    return [path for path in (ours, content.builtin_root(), *linked) if path.exists()]


def _paths(project: Project, key: str, given: list[str]) -> list[Path]:
    found = [(project.worktree / Path(path).expanduser()).resolve() for path in given]
    for path in found:
        if not path.exists():
            raise AgentError(f"[isolate] {key}: {path} does not exist", hint="create it, or leave it out")
    return found


def _kept(profile: Profile, environ: Mapping[str, str], home: Path) -> list[Path]:
    """The folder in which the CLI keeps its login and conversations, as itself; single files as copies in its home."""
    if profile.state is None:
        return []
    user = Path(environ.get("HOME") or "/nowhere")
    for name in profile.state.files:
        # A copy: most CLIs replace such a file by renaming, which cannot be done onto a file that is mounted.
        real, copy = user / name, home / name
        if real.is_file() and (not copy.exists() or real.stat().st_mtime > copy.stat().st_mtime):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(real, copy)
    folder = state.folder(profile, environ)
    if folder is None:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    return [folder]
