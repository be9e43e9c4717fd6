"""Tell coding agents of the server of `smithers mcp`, and take that back so that their files are as they were.

An edit is one insertion. What was inserted is kept in the user's own state folder, so that taking it out again gives
the same bytes even where the file has changed elsewhere meanwhile; without that record the entry alone is taken out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

from smithers_git.core.clients import SERVER, Client, ServerFile, entry
from smithers_git.core.config_edit import json_text, toml_text, whole_file, yaml_text
from smithers_git.core.config_edit.insertion import CannotEdit, cut
from smithers_git.edge import foreign
from smithers_git.edge.lock import holding
from smithers_git.errors import ConfigError, SmithersError
from smithers_git.service.clients.machine import Machine

Outcome = Literal["added", "there", "changed", "removed", "absent", "unsupported", "failed"]

_EDITORS: Final[Mapping[str, ModuleType]] = {
    "json": json_text,
    "toml": toml_text,
    "yaml": yaml_text,
    "file": whole_file,
}
_RECORD: Final = "mcp-servers.json"


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one agent."""

    client: str
    outcome: Outcome
    path: Path | None = None
    text: str = ""
    """Why, when it failed or cannot be."""


@dataclass(frozen=True, slots=True)
class _Record:
    """What was put into a file."""

    inserted: str
    existed: bool
    folders: list[str]
    """Made for it."""


def add(machine: Machine, clients: Sequence[Client], command: Sequence[str]) -> list[Change]:
    """Put the server that `command` starts into the configuration of each client; a second time changes nothing."""
    return [_each(machine, client, lambda file, path: _add(machine, file, path, command)) for client in clients]


def remove(machine: Machine, clients: Sequence[Client]) -> list[Change]:
    """Take the server out of the configuration of each client."""
    return [_each(machine, client, lambda file, path: _remove(machine, file, path)) for client in clients]


def state(machine: Machine, client: Client) -> Change:
    """Whether the client is told of the server."""
    return _each(machine, client, lambda file, path: "there" if _known(file, path) else "absent")


def _each(machine: Machine, client: Client, act: Any) -> Change:
    found = machine.servers(client)
    if found is None:
        kind = "project" if machine.project else "user"
        return Change(client.name, "unsupported", text=f"{client.title} has no {kind} file for servers that we know of")
    file, path = found
    try:
        return Change(client.name, act(file, path), path)
    except CannotEdit as error:
        return Change(client.name, "failed", path, f"{path} {error}; {_by_hand(file)}")
    except SmithersError as error:
        return Change(client.name, "failed", path, f"{error.message}; {error.hint}")


def _by_hand(file: ServerFile) -> str:
    return f"edit it by hand: {'.'.join((*file.keys, SERVER))} = {json.dumps(entry(file.shape, ['smithers', 'mcp']))}"


def _known(file: ServerFile, path: Path) -> bool:
    return _EDITORS[file.format].find(foreign.read(path) or "", (*file.keys, SERVER)) is not None


def _add(machine: Machine, file: ServerFile, path: Path, command: Sequence[str]) -> Outcome:
    editor, keys, wanted = _EDITORS[file.format], (*file.keys, SERVER), entry(file.shape, command)
    text = foreign.read(path)
    outcome: Outcome = "added"
    if text is not None and _known(file, path):
        if editor.holds(text, keys, wanted):
            return "there"
        if not _is_ours(machine, file, path, text):
            raise ConfigError(
                f"{path} has another server called {SERVER!r}", hint="rename or remove that one, then run this again"
            )
        _remove(machine, file, path)
        text, outcome = foreign.read(path), "changed"
    insertion = editor.insert(text or "", keys, wanted)
    whole = insertion.apply(text or "")
    if not editor.holds(whole, keys, wanted):
        raise CannotEdit("cannot be edited safely")
    # The record first: an insertion that nobody remembers could not be taken out to the byte.
    missing = [str(each) for each in path.parents if not each.exists()]
    _remember(machine, path, _Record(insertion.text, text is not None, missing))
    foreign.write(path, whole)
    return outcome


def _is_ours(machine: Machine, file: ServerFile, path: Path, text: str) -> bool:
    """Whether the entry is one that we wrote: the record says so, or what it starts."""
    record = _records(machine).get(_key(path))
    found = json.dumps(_EDITORS[file.format].find(text, (*file.keys, SERVER)))
    return (record is not None and record.inserted in text) or ("smithers" in found and "mcp" in found)


def _remove(machine: Machine, file: ServerFile, path: Path) -> Outcome:
    editor, keys = _EDITORS[file.format], (*file.keys, SERVER)
    text, record = foreign.read(path), _records(machine).get(_key(path))
    if text is None or not _known(file, path):
        _remember(machine, path, None)
        return "absent"
    left = cut(text, record.inserted) if record else None
    if left is None or editor.find(left, keys) is not None:
        left = editor.remove(text, keys)
    if not left and (file.format == "file" or (record and not record.existed)):
        foreign.delete(path, [Path(each) for each in record.folders] if record else [])
    else:
        foreign.write(path, left)
    _remember(machine, path, None)
    return "removed"


def _key(path: Path) -> str:
    return str(path.resolve())


def _records(machine: Machine) -> dict[str, _Record]:
    text = foreign.read(machine.state / _RECORD)
    try:
        return {path: _Record(**values) for path, values in json.loads(text or "{}").items()}
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{machine.state / _RECORD} cannot be read: {error}",
            hint="remove it; entries are then cut out by name",
        ) from error


def _remember(machine: Machine, path: Path, record: _Record | None) -> None:
    with holding(machine.state / f"{_RECORD}.lock", 10.0):
        known = _records(machine)
        if known.pop(_key(path), None) is None and record is None:
            return
        if record is not None:
            known[_key(path)] = record
        foreign.write(
            machine.state / _RECORD, json.dumps({name: asdict(each) for name, each in known.items()}, indent=1) + "\n"
        )
