"""What all tools share: their arguments, the asking back before something is taken away, pages, and brevity."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from smithers_git.errors import UsageError
from smithers_git.service import runs
from smithers_git.service.project import Project

Effect = Literal["reads", "writes", "destroys"]

MOST_TEXT: Final = 1500
"""Characters of one text in an answer, unless more is asked for."""


class Args(BaseModel):
    """The arguments of a tool."""

    model_config = ConfigDict(extra="forbid")


class NoArgs(Args):
    """A tool that takes none."""


class RunArgs(Args):
    """A tool about one run."""

    run: str = Field(description="Id of the run, or how it begins.")


class NewestArgs(Args):
    """A tool about one run, the newest when none is named."""

    run: str | None = Field(default=None, description="Id of the run, or how it begins; default: the newest run.")


class Paged(Args):
    """A tool with long answers."""

    limit: int = Field(default=20, ge=1, le=200, description="Rows in one answer.")
    cursor: int = Field(default=0, ge=0, description="`next_cursor` of the answer before this one.")


class Confirmed(Args):
    """A tool that takes something away or stops something."""

    confirm: bool = Field(
        default=False, description="Without true nothing is done: you are told what would happen. Ask the user first."
    )


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a tool works, and for whom."""

    project: Project
    client: str = ""
    """The program that asks."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when nobody waits for the answer any more."""

    def run(self, name: str | None) -> str:
        """The run that is meant; raises RunNotFound."""
        return runs.named(self.project, name)

    @property
    def through(self) -> str:
        """What a note adds, so that a history tells who typed a decision."""
        return f"(through smithers mcp: {self.client or 'an unnamed program'})"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: its name is that of its function, its description the function's docstring."""

    do: Callable[[Scene, Any], dict[str, Any]]
    args: type[Args]
    effect: Effect
    repeats: bool = False
    """A second call with the same arguments changes nothing more."""
    waits: bool = False
    """It does nothing for long, by nature."""

    @property
    def name(self) -> str:
        return self.do.__name__

    @property
    def description(self) -> str:
        return " ".join(line.strip() for line in (self.do.__doc__ or "").strip().splitlines())


def proposal(tool: str, would: str, **more: Any) -> dict[str, Any]:
    """The answer to a call without `confirm`: nothing was done, and this is what would be."""
    return {"done": False, "would": would, "to_do_it": f"{tool} with the same arguments and confirm: true", **more}


def page(rows: Sequence[Any], asked: Paged) -> tuple[list[Any], dict[str, Any]]:
    """The rows that are asked for, and what a client needs to go on."""
    shown = list(rows[asked.cursor : asked.cursor + asked.limit])
    after = asked.cursor + len(shown)
    return shown, {"total": len(rows), "next_cursor": after if after < len(rows) else None}


def cut(text: str, most: int = MOST_TEXT, *, more: str = "") -> str:
    """`text` with at most `most` characters; what is missing is counted, and `more` says how to get it."""
    if len(text) <= most:
        return text
    return f"{text[:most]}… [{len(text) - most} characters more{'; ' + more if more else ''}]"


def lean(row: Mapping[str, Any]) -> dict[str, Any]:
    """`row` without the fields that say nothing: None, and what is empty; long texts are cut."""
    thin = {key: _lean(one) for key, one in row.items()}
    return {key: one for key, one in thin.items() if one is not None and one not in ("", [], {})}


def _lean(value: Any) -> Any:
    if isinstance(value, dict):
        return lean(value)
    if isinstance(value, list | tuple):
        return [_lean(one) for one in value]
    return cut(value) if isinstance(value, str) else value


def text_page(text: str, cursor: int, most: int) -> dict[str, Any]:
    """A piece of a long text, and what a client needs to go on."""
    if cursor > len(text):
        raise UsageError(f"the text has only {len(text)} characters", hint="leave cursor out to begin at its start")
    end = min(cursor + most, len(text))
    if end < len(text) and (line := text.rfind("\n", cursor, end)) > cursor:
        end = line + 1  # whole lines, where there are any
    return {"text": text[cursor:end], "characters": len(text), "next_cursor": end if end < len(text) else None}


def value_page(value: Any, cursor: int, most: int) -> dict[str, Any]:
    """A JSON value, whole when it is small, else a piece of its text."""
    text = json.dumps(value, ensure_ascii=False)
    if cursor == 0 and len(text) <= most:
        return {"value": value}
    return {"value_as_text": text_page(text, cursor, most)}
