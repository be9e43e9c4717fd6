"""The part of an agent profile that says how to read it: by rules, which `stream` evaluates, or over a protocol."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf, model_validator

from smithers_git.core.json_path import JsonPath, Where, compile_path, compile_where


def _compiled_path(value: Any) -> Any:
    return compile_path(value) if isinstance(value, str) else value


def _compiled_where(value: Any) -> Any:
    return compile_where(value) if isinstance(value, dict) else value


def _compiled_paths(value: Any) -> Any:
    return tuple(map(_compiled_path, value if isinstance(value, list) else [value]))


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


Path = Annotated[InstanceOf[JsonPath], BeforeValidator(_compiled_path)]
Tests = Annotated[InstanceOf[Where], BeforeValidator(_compiled_where)]


Source = Annotated[str, Field(alias="from", pattern=r"^(stdout|stderr|file:[^/]+|state:[^/]+(/[^/]+)*)$")]
"""`file:NAME` is a file that the CLI was told to write into {scratch}; `state:GLOB` is what the turn added to files in
the folder of [state], where {session} stands for the id of the conversation.
"""


class Part(BaseModel):
    """A table of a profile: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(Part):
    """Where a value stands. All matches in one line (or document) are one value: text is joined, numbers are added.
    `pick` says which line counts.
    """

    source: Source = "stdout"
    where: Tests = Where()
    path: Annotated[tuple[Path, ...], BeforeValidator(_compiled_paths)] = ()
    """One path, or several whose matches are taken together."""
    regex: re.Pattern[str] | None = None
    """Its first group, else the whole match. Without `path` it searches the text that is not JSON."""
    pick: Literal["first", "last", "join", "sum", "stream"] = "last"
    """`join` puts each on a line of its own; `stream` is for a text that comes in pieces, one a line: the last unbroken
    run of such lines, as it stands.
    """

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        if not self.path and self.regex is None:
            raise ValueError("path: field required (or regex)")
        return self


Rules = Annotated[tuple[Rule, ...], BeforeValidator(_as_list)]


class Wait(Rule):
    """How long to wait after a rate limit: seconds, milliseconds, or the Unix time at which it ends."""

    unit: Literal["s", "ms", "epoch"] = "s"


class UsageRules(Part):
    input: Rules = ()
    output: Rules = ()
    cached: Rules = ()
    input_includes_cached: bool
    counts: Literal["turn", "conversation"] = "turn"
    """`conversation`: the numbers of a resumed turn contain those of the turns before it (codex)."""


class Output(Part):
    mode: Literal["text", "json", "jsonl"]
    answer: Rules = ()
    """In text mode, no rule means the whole of standard output."""
    session: Rules = ()
    error: Rules = ()
    """What these find is an error, unless a closing event follows on a later line."""
    cost: Rules = ()
    """US dollars."""
    usage: UsageRules | None = None
    wait: Annotated[tuple[Wait, ...], BeforeValidator(_as_list)] = ()

    def rules(self) -> list[Rule]:
        """Every one."""
        usage = [*self.usage.input, *self.usage.output, *self.usage.cached] if self.usage else []
        return [*self.answer, *self.session, *self.error, *self.cost, *self.wait, *usage]

    @model_validator(mode="after")
    def _has_answer(self) -> Output:
        if self.mode != "text" and not self.answer:
            raise ValueError(f"answer: field required in {self.mode} mode")
        return self


class Success(Part):
    """What must be true of a turn that succeeded, besides a non-empty answer and no error."""

    event: Tests = Where()
    """The closing event: a line (jsonl) or the document (json) that has these values."""
    source: Source = "stdout"
    """Where that line stands."""
    exit: tuple[int, ...] | None = None
    """Allowed exit codes; None when the code says nothing."""
    unless: Tests = Where()
    """A line that says that the turn was broken off: whatever closing event follows, it did not succeed (copilot)."""


class State(Part):
    """Where the CLI keeps what it must not lose: its login, its settings, its conversations. Paths are relative."""

    env: Annotated[str, Field(pattern=r"^([A-Z][A-Z0-9_]*(/[^/]+)*)?$")] = ""
    """The variable that moves the folder: it names the folder, or one above it (`XDG_DATA_HOME/opencode`)."""
    folder: str
    """Below HOME, where that variable is not set."""
    files: tuple[str, ...] = ()
    """What it keeps besides, below HOME."""
    sessions: tuple[str, ...] = ()
    """Globs in the folder: the files of one conversation, for whose id {session} stands."""
    portable: bool = True
    """Whether these files are all that it needs to go on under another HOME."""

    @model_validator(mode="after")
    def _stays_inside(self) -> State:
        for key, paths in {"folder": [self.folder], "files": self.files, "sessions": self.sessions}.items():
            for path in paths:
                if path.startswith("/") or ".." in path.split("/"):
                    raise ValueError(f"{key}: {path!r} must be a path below it")
        if not all("{session}" in glob for glob in self.sessions):
            raise ValueError("sessions: each must contain {session}")
        return self


class FailureRule(Part):
    """What kind a failure is. Every condition that is given must hold; the first entry whose conditions do, wins."""

    kind: Literal["limit", "overload", "auth", "refusal", "bad_request", "crash", "timeout", "empty"]
    where: Tests = Where()
    regex: re.Pattern[str] | None = None
    """Searched in the error message, the lines of standard output that are not JSON, and standard error's end."""
    exit: tuple[int, ...] | None = None
    lost_session: bool = False
    """The conversation to resume is gone: the next attempt starts a new one."""
    waits: bool = False
    """Who prints a line in which `regex` is found waits for a person, for ever: it is ended at once."""

    @model_validator(mode="after")
    def _has_condition(self) -> FailureRule:
        if self.waits and self.regex is None:
            raise ValueError("regex: field required with waits")
        if not self.where and self.regex is None and self.exit is None:
            raise ValueError("where: field required (or regex, or exit)")
        return self


class EventRule(Part):
    """A line for the live view: `text` lists paths, from each value that `each` finds, joined by spaces."""

    kind: Literal["started", "text", "tool", "tool_done", "retrying", "other"]
    where: Tests = Where()
    each: Path = compile_path("")
    text: tuple[Path, ...] = ()


class Acp(Part):
    """How the program speaks the Agent Client Protocol on its standard input and output."""

    argv: tuple[str, ...] = ()
    """The words after the program, with groups as in the profile's own argv; there is no {prompt}."""
    program: tuple[str, ...] = ()
    """Names or paths to look for, where it is another program."""
    env: dict[str, str] = Field(default_factory=dict)
    """Variables for this transport, before those of the permission level: mostly what makes the CLI ask us."""
    mode: str | None = None
    """The protocol's session mode to work in; None: `default` where there is one, in which agents ask us."""
    counts: Literal["conversation", "turn"] = "conversation"
    """What the tokens that it tells at the end of a turn are of. The protocol says: of the conversation."""
    error: re.Pattern[str] | None = None
    """An answer in which this is found is an error, told in the words of the model and as a success (copilot)."""
