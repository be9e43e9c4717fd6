"""Put into a new worktree what git does not: files and links from the user's main checkout."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from smithers_git.core.settings import WorktreeSettings
from smithers_git.edge.git.checkout import Checkout
from smithers_git.edge.git.ignore import ignored, ignored_matches
from smithers_git.errors import ConfigError, StorageError

INCLUDE = ".worktreeinclude"
"""File at the top of the main checkout, written like a .gitignore: ignored files that belong into every worktree."""


@dataclass(frozen=True)
class Item:
    """One thing to place: `name` is its place in the worktree, `rule` the line that asked for it."""

    name: str
    source: Path
    link: bool
    rule: str


def furnish(main: Checkout, made: Checkout, settings: WorktreeSettings) -> None:
    """Copy and link into the worktree `made` what the settings and `.worktreeinclude` name.

    Sources are looked up in the user's main checkout; a rule that matches nothing is fine. What exists is never
    overwritten. Everything placed must be ignored by git: else it would become part of every snapshot, and a copied
    `.env` part of the history.

    Raises:
        ConfigError: a rule leads out of the checkout or the worktree, or names something that git does not ignore.
        StorageError: something cannot be read or written.
    """
    try:
        missing = [
            item
            for item in items(main, settings)
            if not os.path.lexists(made.path / item.name) and _stays_inside(made.path, item)
        ]
        _refuse_visible(made, missing)
        for item in missing:
            _place(made.path / item.name, item)
    except OSError as error:
        raise StorageError(
            f"{error.filename or made.path}: {error.strerror}", hint="check [worktree] in .smithers/config.toml"
        ) from error


def items(main: Checkout, settings: WorktreeSettings) -> Iterator[Item]:
    """What the settings and `.worktreeinclude` name, as it is now. Raises ConfigError."""
    for pattern in settings.symlink:
        for path in _matches(main.path, pattern, "symlink"):
            yield Item(str(path.relative_to(main.path)), path, link=True, rule=f"symlink = {pattern!r}")
    for pattern in settings.copy_:
        for path in _matches(main.path, pattern, "copy"):
            yield from _files(main.path, path, f"copy = {pattern!r}")
    include = main.path / INCLUDE
    if include.is_file():
        for name in ignored_matches(main, str(include)):
            _inside(main.path, main.path / name, INCLUDE)
            yield from _files(main.path, main.path / name, INCLUDE)


def _matches(root: Path, pattern: str, key: str) -> list[Path]:
    """What `pattern` names below `root`; `.git` is never among it."""
    parts = PurePosixPath(pattern).parts
    if not parts or ".." in parts or pattern.startswith(("/", "~")):
        raise ConfigError(
            f"[worktree] {key} = {pattern!r} does not name something in the checkout",
            hint="write a path or glob relative to the top of the repository",
        )
    found = [path for path in sorted(root.glob(pattern)) if ".git" not in path.relative_to(root).parts]
    for path in found:
        _inside(root, path, f"[worktree] {key} = {pattern!r}")
    return [path for path in found if path != root]


def _inside(root: Path, path: Path, rule: str) -> None:
    if not path.resolve().is_relative_to(root.resolve()):
        raise ConfigError(
            f"{rule}: {path.relative_to(root)} is a link that leads out of {root}",
            hint="name a file of the checkout itself, or use [worktree] setup to fetch it",
        )


def _files(root: Path, path: Path, rule: str) -> Iterator[Item]:
    """`path` itself, or all files and links below it when it is a folder."""
    if not path.is_dir():
        yield Item(str(path.relative_to(root)), path.resolve(), link=False, rule=rule)
        return
    for folder, folders, names in os.walk(path):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in sorted([*names, *links]):
            below = Path(folder, name)
            if below.is_symlink() or below.is_file():  # neither sockets nor devices
                yield Item(str(below.relative_to(root)), below, link=False, rule=rule)


def _stays_inside(worktree: Path, item: Item) -> bool:
    """True, or ConfigError when a link in the worktree would have it written somewhere else."""
    if not (worktree / item.name).parent.resolve().is_relative_to(worktree.resolve()):
        raise ConfigError(
            f"{item.rule}: {item.name} would be written outside of the worktree, through a link that is in the commit",
            hint="leave it out of [worktree] and .worktreeinclude",
        )
    return True


def _refuse_visible(made: Checkout, items: list[Item]) -> None:
    hidden = ignored(made, [item.name for item in items])
    for item in items:
        if item.name not in hidden:
            kind = "link" if item.link else "file"
            note = " (a pattern that ends in a slash matches no link)" if item.link else ""
            raise ConfigError(
                f"{item.rule}: git does not ignore the {kind} {item.name}, so it would become part of every snapshot",
                hint=f"add the line /{item.name} to .gitignore or .git/info/exclude{note}",
            )


def _place(target: Path, item: Item) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if item.link:
        target.symlink_to(item.source)
    elif item.source.is_symlink():
        target.symlink_to(item.source.readlink())
    else:
        shutil.copy2(item.source, target)
