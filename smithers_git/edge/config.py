"""The sole home of `.smithers/config.toml`: read with pydantic, edited with tomlkit so that comments stay."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from smithers_git.core.settings import Settings
from smithers_git.errors import ConfigError

NAME: Final = ".smithers/config.toml"


def load(worktree: Path, environ: Mapping[str, str]) -> Settings:
    """Settings of the repository whose checkout is `worktree`, on top of the user's own.

    The user's own file is `$XDG_CONFIG_HOME/smithers/config.toml`. Raises ConfigError naming file and key.
    """
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".config")
    merged: dict[str, Any] = {}
    for path in (Path(home) / "smithers" / "config.toml", worktree / NAME):
        merged = _merge(merged, _read(path))
    return Settings.model_validate(merged)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="make it a readable UTF-8 file") from error
    try:
        values = tomllib.loads(text)
        Settings.model_validate(values)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", hint="mend that line") from error
    except ValidationError as error:
        issue = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in issue["loc"])
        known = ", ".join(Settings.model_fields)
        hint = f"known sections and keys: {known}" if issue["type"] == "extra_forbidden" else "mend that key"
        raise ConfigError(f"{path}: {key}: {issue['msg']}", hint=hint) from error
    return values


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def set_value(path: Path, section: str, key: str, value: Any) -> None:
    """Write one value into the file, keeping every comment and the order of the rest."""
    import tomlkit

    document = tomlkit.parse(path.read_text("utf-8")) if path.exists() else tomlkit.document()
    table = document.setdefault(section, tomlkit.table()) if section else document
    table[key] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tomlkit.dumps(document), "utf-8")
