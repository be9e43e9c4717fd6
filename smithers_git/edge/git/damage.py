"""Damage to a repository's own settings that makes git, and so everything else, refuse it.

A git that inherits GIT_DIR from a hook and runs `git init` somewhere writes `core.bare` or `core.worktree` into the
wrong repository: the most frequent way in which tools for agents have broken the repositories of their users.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from smithers_git.edge.git.command import git, try_git


@dataclass(frozen=True, slots=True)
class Damage:
    """A wrong setting, and the command that mends it."""

    text: str
    argv: tuple[str, ...]
    """Arguments of git; they hold whole paths, so the folder does not matter."""


def look(start: Path) -> list[Damage]:
    """What is wrong with the settings of the repository around `start`; nothing when there is none."""
    git_dir = _git_dir(start)
    if git_dir is None or not (git_dir / "index").exists():
        return []  # without an index there was never a checkout: it may well be bare on purpose
    config = str(git_dir / "config")
    found = []
    if _value(config, "--type=bool", "core.bare") == "true":
        text = f"core.bare is true in {git_dir}, although it has a checkout"
        found.append(Damage(text, ("config", "--file", config, "core.bare", "false")))
    place = _value(config, "core.worktree")
    if place and _is_wrong(git_dir, (git_dir / place)):
        text = f"core.worktree leads git from {git_dir.parent} to {git_dir / place}"
        found.append(Damage(text, ("config", "--file", config, "--unset-all", "core.worktree")))
    return found


def mend(damage: Damage) -> None:
    """Run the command that mends it. Raises GitError or StorageError."""
    git(Path("/"), *damage.argv)


def _git_dir(start: Path) -> Path | None:
    """The `.git` folder of the checkout around `start`. Git itself would refuse to tell."""
    for folder in (start.resolve(), *start.resolve().parents):
        found = folder / ".git"
        if found.is_file():  # a linked worktree: its own settings are elsewhere
            text = os.fsdecode(found.read_bytes()).removeprefix("gitdir: ").rstrip("\n")
            common = (folder / text).parent.parent
            return common if common.name == ".git" else None
        if (found / "HEAD").is_file():
            return found
    return None


def _value(config: str, *words: str) -> str:
    # From the root folder: inside the repository git would stumble over the very setting.
    return os.fsdecode(try_git(Path("/"), "config", "--file", config, *words).stdout).strip()


def _is_wrong(git_dir: Path, place: Path) -> bool:
    """Whether the files of HEAD lie beside `git_dir` and not in `place`."""
    if not place.is_dir():
        return True
    if place.resolve() == git_dir.parent.resolve():
        return False
    places = (f"--git-dir={git_dir}", f"--work-tree={git_dir.parent}")
    listed = try_git(Path("/"), *places, "ls-tree", "-z", "--name-only", "HEAD")
    names = os.fsdecode(listed.stdout).split("\0")[:-1]
    return sum((git_dir.parent / name).exists() for name in names) > sum((place / name).exists() for name in names)
