"""Requests in plain English: what a person may say to their coding agent, and the command that does it."""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Json, ValidationError

from smithers_git.edge import content
from smithers_git.errors import ConfigError

FILE = "starters.toml"


@dataclass(frozen=True, slots=True)
class Starter:
    """One request."""

    workflow: str
    title: str
    say: str
    """To a coding agent that has the skill."""
    command: str
    """For a terminal."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str
    say: str
    prompt: str
    input: Json[dict[str, object]] | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    starter: list[_Entry]


def starters(worktree: Path | None) -> list[Starter]:
    """Those of every pack, the repository's own packs included. Raises ConfigError for a broken file."""
    return [found for name, folder in content.list_packs(worktree).items() for found in _of(name, folder / FILE)]


def _of(name: str, path: Path) -> list[Starter]:
    if not path.is_file():
        return []
    try:
        values = tomllib.loads(path.read_text("utf-8"))
        entries = _File.model_validate(values).starter
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise ConfigError(
            f"{path}: {error}", hint="each [[starter]] has title, say, prompt, and input if need be"
        ) from None
    return [
        Starter(
            name, entry.title, entry.say, _command(name, entry.prompt, str(raw["input"]) if "input" in raw else None)
        )
        for entry, raw in zip(entries, values["starter"], strict=True)
    ]


def _command(name: str, prompt: str, given: str | None) -> str:
    return shlex.join(["smithers", "up", name, "-p", prompt, *(["-i", given] if given else [])])
