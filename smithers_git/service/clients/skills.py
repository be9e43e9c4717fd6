"""Put our skill where coding agents look for skills, and take it away again.

A skill is a folder. Beside its files lies a list of what was written, so that a newer version replaces the old one and
a removal takes away what we wrote and nothing else: a file that the user has changed is never overwritten or removed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from smithers_git.core.clients import CLIENTS, Client
from smithers_git.edge import content, foreign
from smithers_git.errors import ConfigError, ContentError, SmithersError
from smithers_git.service.clients.machine import Machine

LIST: Final = ".smithers-skill.json"
"""Name of the list in the folder of the skill."""

Outcome = Literal["added", "there", "changed", "removed", "absent", "failed"]


@dataclass(frozen=True, slots=True)
class _Listed:
    """What was written into a folder."""

    files: dict[str, str]
    """Digest of each file, by path."""
    folders: list[str]
    """Made for it."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one folder."""

    clients: tuple[str, ...]
    """The agents that look there."""
    outcome: Outcome
    path: Path
    text: str = ""
    kept: list[str] = field(default_factory=list)
    """Files that the user has changed, and that were left."""


def shipped() -> dict[str, str]:
    """The files of the skill that comes with this version, by path in its folder. Raises ContentError."""
    root = content.builtin_root() / "skills" / "smithers"
    files = {str(path.relative_to(root)): path.read_text("utf-8") for path in sorted(root.rglob("*.md"))}
    if not files:
        raise ContentError(f"the installation lacks {root}", hint="install smithers-git again from its wheel")
    return files


def add(machine: Machine, clients: Sequence[Client]) -> list[Change]:
    """Put the skill into the folder of each client; several agents share one folder."""
    return [_each(names, path, _add) for path, names in _folders(machine, clients).items()]


def remove(machine: Machine, clients: Sequence[Client]) -> list[Change]:
    """Take the skill out of the folder of each client."""
    return [_each(names, path, _remove) for path, names in _folders(machine, clients).items()]


def state(machine: Machine, clients: Sequence[Client]) -> list[Change]:
    """How the skill stands in the folder of each client: `changed` is another version."""
    return [_each(names, path, _state) for path, names in _folders(machine, clients).items()]


def sharing(machine: Machine, path: Path, named: Sequence[str]) -> list[str]:
    """Agents of the user that look into `path` too, besides those that are `named`."""
    others = (client for client in CLIENTS if client.name not in named and machine.skills(client) == path.parent)
    return [client.title for client in others if machine.is_there(client)]


def _folders(machine: Machine, clients: Sequence[Client]) -> dict[Path, tuple[str, ...]]:
    found: dict[Path, tuple[str, ...]] = {}
    for client in clients:
        path = machine.skills(client) / "smithers"
        found[path] = (*found.get(path, ()), client.name)
    return found


def _each(names: tuple[str, ...], path: Path, act: Callable[[Path], tuple[Outcome, list[str]]]) -> Change:
    try:
        outcome, kept = act(path)
    except SmithersError as error:
        return Change(names, "failed", path, f"{error.message}; {error.hint}")
    return Change(names, outcome, path, kept=kept)


def _state(path: Path) -> tuple[Outcome, list[str]]:
    listed = _listed(path)
    if listed is None:
        return "absent", []
    current = {name: foreign.read(path / name) for name in listed.files} == shipped()
    return "there" if current else "changed", _edited(path, listed.files)


def _add(path: Path) -> tuple[Outcome, list[str]]:
    listed, files = _listed(path), shipped()
    if listed is None and path.is_dir() and any(path.iterdir()):
        raise ConfigError(f"{path} is there, and we did not write it", hint="move it away, then run this again")
    if listed is not None:
        if _state(path)[0] == "there":
            return "there", []
        edited = _edited(path, listed.files)
        if edited:
            raise ConfigError(
                f"{path / edited[0]} was changed since it was installed", hint="move it away, then run this again"
            )
        for name in listed.files.keys() - files.keys():
            foreign.delete(path / name, [])
    # The list first: what it does not name could not be taken away again.
    made = [str(each) for each in (path, *path.parents) if not each.exists()]
    sums = {name: _digest(text) for name, text in files.items()}
    folders = made if listed is None else listed.folders
    foreign.write(path / LIST, json.dumps({"files": sums, "folders": folders}, indent=1) + "\n")
    for name, text in files.items():
        foreign.write(path / name, text)
    return "added" if listed is None else "changed", []


def _remove(path: Path) -> tuple[Outcome, list[str]]:
    listed = _listed(path)
    if listed is None:
        return "absent", []
    kept = _edited(path, listed.files)
    inner = [path / name for name in listed.files if name not in kept]
    for file in inner:
        foreign.delete(file, [file.parent] if file.parent != path else [])
    folders = [Path(each) for each in listed.folders]
    foreign.delete(path / LIST, [path, *folders])
    return "removed", kept


def _edited(path: Path, sums: dict[str, str]) -> list[str]:
    texts = {name: foreign.read(path / name) for name in sums}
    return [name for name, text in texts.items() if text is not None and _digest(text) != sums[name]]


def _listed(path: Path) -> _Listed | None:
    text = foreign.read(path / LIST)
    if text is None:
        return None
    try:
        found = json.loads(text)
        return _Listed(dict(found["files"]), list(found["folders"]))
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path / LIST} cannot be read: {error}", hint=f"remove {path} by hand") from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
