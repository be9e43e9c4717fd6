"""The sole home of `.smithers/config.toml`: read with pydantic, edited with tomlkit so that comments stay."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from smithers_git.core.secret import is_reference
from smithers_git.core.settings import Settings
from smithers_git.errors import ConfigError

NAME: Final = ".smithers/config.toml"


def load(worktree: Path, environ: Mapping[str, str]) -> Settings:
    """Settings of the repository whose checkout is `worktree`, on top of the user's own.

    The user's own file is `$XDG_CONFIG_HOME/smithers/config.toml`. Raises ConfigError naming file and key.
    """
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".config")
    merged: dict[str, Any] = {}
    own = Path(home) / "smithers" / "config.toml"
    for path in (own, worktree / NAME):
        values = _read(path)
        if path != own and "admission" in values:
            raise ConfigError(
                f"{path}: admission: it is about the machine, and a repository has no say in that",
                hint=f"move it to {own}",
            )
        if path != own and values.get("isolate", {}).get("machine"):
            raise ConfigError(
                f"{path}: isolate.machine: whether a machine is a sandbox is not for a repository to say",
                hint=f"move it to {own}",
            )
        merged = _merge(merged, values)
    return Settings.model_validate(merged)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="make it a readable UTF-8 file") from error
    return _check(path, text)


def _check(path: Path, text: str) -> dict[str, Any]:
    try:
        values = tomllib.loads(text)
        Settings.model_validate(values)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", hint="mend that line") from error
    except ValidationError as error:
        issue = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in issue["loc"])
        hint = _known(issue["loc"]) if issue["type"] == "extra_forbidden" else "mend that key"
        raise ConfigError(f"{path}: {key}: {issue['msg']}", hint=hint) from error
    return values


def _known(place: tuple[int | str, ...]) -> str:
    """What may stand where an unknown key stands."""
    kind: Any = Settings
    for part in place[:-1]:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(part)].annotation
        else:
            kind = get_args(kind)[-1]  # dict[str, AgentSettings]
    names = [field.alias or name for name, field in kind.model_fields.items()]
    close = difflib.get_close_matches(str(place[-1]), names, 1)
    return (f"did you mean {close[0]!r}? " if close else "") + f"known there: {', '.join(names)}"


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        whole = is_reference(old) or is_reference(value)  # one that names a file does not become part of another
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) and not whole else value
    return merged


def set_value(path: Path, section: str, key: str, value: Any) -> None:
    """Write one value into the file, keeping every comment and the order of the rest.

    Raises ConfigError: the file is broken, it would be with this value, or it cannot be written. It is then unchanged.
    """
    import tomlkit

    document = _document(path)
    table: Any = document.setdefault(section, tomlkit.table()) if section else document
    table[key] = value
    _write(path, tomlkit.dumps(document))


def add_table(path: Path, section: str, values: Mapping[str, Any]) -> None:
    """Append one table to the array of tables `section` (`[[section]]`), keeping the rest as it is.

    Raises ConfigError, as `set_value`.
    """
    import tomlkit

    document = _document(path)
    table = tomlkit.table()
    for key, value in values.items():
        if isinstance(value, dict):
            inline = tomlkit.inline_table()
            inline.update(value)
            table.add(key, inline)
        else:
            table.add(key, value)
    array: Any = document.setdefault(section, tomlkit.aot())
    array.append(table)
    _write(path, tomlkit.dumps(document))


def remove_table(path: Path, section: str, name: str) -> bool:
    """Remove the table of the array `section` whose `name` is this; returns whether there was one.

    Raises ConfigError, as `set_value`.
    """
    import tomlkit

    document = _document(path)
    array: Any = document.get(section, [])
    places = [number for number, table in enumerate(array) if table.get("name") == name]
    for place in reversed(places):
        del array[place]
    if not places:
        return False
    if not array:
        del document[section]
    _write(path, tomlkit.dumps(document))
    return True


def _document(path: Path) -> Any:
    import tomlkit

    _read(path)
    return tomlkit.parse(path.read_text("utf-8") if path.exists() else "")


def _write(path: Path, text: str) -> None:
    _check(path, text)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # it is a person's file: a power loss must not leave it empty
        fresh.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error}", hint="make its folder writable") from error
