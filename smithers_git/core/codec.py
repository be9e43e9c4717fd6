"""The on-disk format: a frame as the files of one tree and the message of its commit. Pure, and readable by people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from smithers_git.core import events as ev
from smithers_git.core.describe import describe, node_of
from smithers_git.errors import FormatError
from smithers_git.names import TaskKey, file_name

FORMAT: Final = 1
"""Raised when a program that knows only the former number would misread a frame."""

FOLDER: Final = 64
"""Files in one folder of outputs. Two levels keep a frame's new trees small at any length of a run: one flat folder
costs 24 KB a frame at 2,000 steps and grows with it, folders of 64 cost 1.5 KB and do not."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that wrote a frame."""

    pid: int
    host: str


@dataclass(frozen=True, slots=True)
class FrameData:
    """The content of `frame.json`."""

    run: str
    number: int
    time: float
    owner: Owner
    events: tuple[Any, ...]
    """Of a run, or of a merge queue (`core.landing`), whose frames have the same form."""


def dumps(value: Any) -> bytes:
    """Canonical JSON: UTF-8, keys sorted, one space of indent, a line feed at the end; no NaN or Infinity.

    Line by line, so that `git diff` of two outputs says something. Raises ValueError for what JSON cannot hold.
    """
    try:
        text = _indented(value, "\n")
    except RecursionError:
        raise ValueError("a value that is in itself, or too deep") from None
    # A lone surrogate is valid in JSON text ("\ud800") but has no UTF-8 form.
    return text.encode("utf-8", "replace") + b"\n"


_line = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False).encode


def _indented(value: Any, start: str) -> str:
    """As json.dumps has it with an indent of one, which it does in Python: 30 us for two keys, against 6."""
    inner = start + " "
    if isinstance(value, dict) and value and all(type(key) is str for key in value):
        rows = [f"{_line(key)}: {_indented(value[key], inner)}" for key in sorted(value)]
        return "{" + inner + f",{inner}".join(rows) + start + "}"
    if isinstance(value, list | tuple) and value:
        return "[" + inner + f",{inner}".join([_indented(one, inner) for one in value]) + start + "]"
    if isinstance(value, dict | list | tuple) and value:
        return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False).replace("\n", start)
    return _line(value)


def encode(frame: FrameData) -> bytes:
    """`frame.json` of a frame: canonical too, with one line for each event and one for the rest.

    json's C encoder, which knows no indent, is four times as quick, and every step pays for this.
    """
    rest = {
        "format": FORMAT,
        "number": frame.number,
        "owner": {"host": frame.owner.host, "pid": frame.owner.pid},
        "run": frame.run,
        "time": frame.time,
    }
    events = [_line({"type": e.type, **e.model_dump(mode="json", exclude_defaults=True)}) for e in frame.events]
    text = '{"events": [\n' + ",\n".join(events) + "\n],\n" + _line(rest)[1:] + "\n"
    return text.encode("utf-8", "replace")


class FrameFile(BaseModel):
    """`frame.json` as it is read: strict, so that a damaged frame is refused here and not misread later."""

    model_config = ConfigDict(strict=True, extra="ignore")
    format: int = Field(ge=1, le=FORMAT)
    run: str
    number: int = Field(ge=0)
    time: float
    owner: Owner
    events: list[Any]


class _RunFile(FrameFile):
    events: list[ev.Event]


def decode(data: bytes, where: str, kind: type[FrameFile] = _RunFile) -> FrameData:
    """The frame in `data`; raises FormatError, naming `where`, when it is damaged or newer than this program.

    `kind` says which events it may hold: by default those of a run.
    """
    try:
        found = kind.model_validate_json(data)
    except ValidationError as error:
        issues = error.errors(include_url=False)
        newer = next((i for i in issues if i["loc"] == ("format",) and i["type"] == "less_than_equal"), None)
        if newer is not None:
            raise FormatError(
                f"{where} was written in format {newer['input']}; this smithers knows up to {FORMAT}",
                hint="update smithers-git",
            ) from None
        place = ".".join(map(str, issues[0]["loc"]))
        raise FormatError(
            f"{where} is damaged: {place and place + ': '}{issues[0]['msg']}",
            hint="git fsck tells whether the object is whole",
        ) from error
    return FrameData(found.run, found.number, found.time, found.owner, tuple(found.events))


def output_path(sequence: int, key: TaskKey) -> str:
    """Where the `sequence`-th output (from 0) of a run is kept."""
    return f"outputs/{sequence // FOLDER:03d}/{file_name(key.node)}@{key.iteration}.json"


def transcript_path(number: int, key: TaskKey, attempt: int, chunk: int) -> str:
    """Where a chunk of what an attempt said is kept; `number` is that of the frame."""
    name = f"{file_name(key.node)}@{key.iteration}.{attempt}"
    return f"transcripts/{number // FOLDER:03d}/{name}/{chunk:04d}.jsonl"


def message(frame: FrameData) -> str:
    """The commit message: what happened in one line, then trailers."""
    lines = [f"frame {frame.number}: {subject(frame.events)}", "", f"Smithers-Run: {frame.run}"]
    lines.append(f"Smithers-Frame: {frame.number}")
    nodes = dict.fromkeys(name for e in frame.events if (name := node_of(e)))
    lines.extend(f"Smithers-Node: {node}" for node in nodes)
    return "\n".join(lines) + "\n"


def subject(events: Sequence[ev.Event]) -> str:
    """What the events of one frame say, in at most 100 characters."""
    said = [text for text in map(describe, events) if text]
    line = "; ".join(said) or "nothing"
    return line if len(line) <= 100 else line[:99] + "…"
