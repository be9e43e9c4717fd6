"""What an agent profile (`agents/<name>.toml`) may say, and how it is read.

Every key is honoured: argv, environment and prompt by `command_line`, the output by `stream`, the rest by the code
that finds, starts, watches and ends the program. A key that nothing honours does not exist.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from smithers_git.core.profile_rules import Acp, EventRule, FailureRule, Output, Part, State, Success, Wait
from smithers_git.errors import ConfigError

MAX_ARGUMENT = 120_000
"""Bytes. Linux takes 131,071 in one argument whatever the total; of 14 CLIs all took 100 kB, none 140 kB."""

ALWAYS = frozenset(("cwd", "scratch", "python", "player"))
OPTIONAL = frozenset(("model", "session", "new_session"))
"""Values that may be missing: only a group or an environment entry may name them, and it vanishes with them."""

_BRACES = re.compile(r"\{([a-z_]+)\}")


class Version(Part):
    argv: tuple[str, ...]
    regex: re.Pattern[str]
    """Its first group is the version."""
    tested: Annotated[str, Field(pattern=r"^>=[\d.]+,<[\d.]+$")]
    """The range that this profile is known to fit; outside it the user is warned."""


class Login(Part):
    """How to see that the CLI is logged in: this command exits with 0, or one of the variables is set. Neither is given
    where it cannot be seen.
    """

    argv: tuple[str, ...] = ()
    regex: re.Pattern[str] | None = None
    """What that command prints then, where its exit code does not tell."""
    env: tuple[str, ...] = ()
    how: str = ""
    """What to type to log in."""


class Env(Part):
    values: dict[str, str] = Field(default_factory=dict, alias="set")
    """Values are filled in as in argv; an entry whose value is missing vanishes."""
    passed: Annotated[tuple[str, ...], Field(alias="pass")] = ()
    """Names let through from the user's environment."""


class Delivery(Part):
    """One way to hand over the prompt. The first whose `max_bytes` (of UTF-8, not characters) suffices is used."""

    via: Literal["argv", "stdin", "file"]
    argv: tuple[str, ...] = ()
    max_bytes: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _names_the_prompt(self) -> Delivery:
        needed = {"argv": "{prompt}", "file": "{prompt_file}"}.get(self.via)
        if needed and not any(needed in word for word in self.argv):
            raise ValueError(f"argv: one word must contain {needed} for via = {self.via!r}")
        return self


class Level(Part):
    argv: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)


class Permission(Part):
    """What the CLI lets its model do unasked. A level that is not given does not exist for this CLI."""

    default: Literal["read", "edit", "full"]
    read: Level | None = None
    edit: Level | None = None
    full: Level | None = None

    @model_validator(mode="after")
    def _has_default(self) -> Permission:
        if getattr(self, self.default) is None:
            raise ValueError(f"{self.default}: field required, it is the default")
        return self


class Session(Part):
    scope: Literal["none", "folder", "moves"] = "none"
    """`folder`: resumed only where it began (three CLIs would silently edit the old folder); `moves`: anywhere."""


class Interactive(Part):
    """The agent's own interface for people, going on with the conversation {session}: for `smithers hijack`."""

    argv: tuple[str, ...]

    @model_validator(mode="after")
    def _goes_on(self) -> Interactive:
        if not any("{session}" in word for word in self.argv):
            raise ValueError("argv: one word must contain {session}")
        return self


class Terminal(Part):
    """The program needs a terminal. Pipes are the rule: on a terminal most CLIs cut, echo or hang."""

    rows: int = 50
    columns: int = 300
    dialogs: tuple[tuple[str, str], ...] = ()
    """Pairs of a regular expression and the keys to type each time it shows."""


class Watchdog(Part):
    """Seconds of silence after which the program is ended, where the task says nothing else."""

    first_output: float | None = None
    idle: float | None = None


class Stop(Part):
    """A signal to the program, and the seconds it then has; after the last one its whole tree is killed."""

    signal: Literal["INT", "TERM", "HUP"]
    wait: float = 5.0


class Profile(Part):
    name: str
    """The file's own name, not a key."""
    program: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names or paths to look for, in this order."""
    transport: Literal["exec", "acp"] = "exec"
    """`exec`: a process a turn, whose output is read by the rules below; `acp`: the Agent Client Protocol."""
    acp: Acp | None = None
    """Where the CLI speaks it, also as the second transport of a profile."""
    argv: tuple[str, ...] = ()
    """The words after the program. A word that is just `{group}` stands for the words of that group."""
    output: Output = Output(mode="text")
    """Neither is needed where the transport is `acp`."""
    success: Success = Success()
    install: str = ""
    """What to type to get the program."""
    proven: str = ""
    """The version and day with which this profile was driven for real. Profiles that come with smithers say this or:"""
    unproven: str = ""
    """Why it was not; `smithers agents` says so."""
    version: Version | None = None
    login: Login | None = None
    env: Env = Env()
    files: dict[Annotated[str, Field(pattern=r"^[^/]+$")], str] = Field(default_factory=dict)
    """Texts by name, laid into {scratch} before the program starts: settings that no argument or variable can say."""
    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Words that vanish together when a value in one of them is missing."""
    prompt: Annotated[tuple[Delivery, ...], Field(min_length=1)] = (
        Delivery(via="argv", argv=("{prompt}",), max_bytes=MAX_ARGUMENT),
    )
    permission: Permission | None = None
    state: State | None = None
    session: Session = Session()
    interactive: Interactive | None = None
    """Left out where a person cannot go on with a conversation."""
    writes_git: bool = False
    """It fails where the repository's own folder is read-only: isolated, it may write there all the same."""
    leaves: tuple[str, ...] = ()
    """Globs of what it leaves in the folder besides its work, relative to the top: removed after each turn."""
    terminal: Terminal | None = None
    watchdog: Watchdog = Watchdog()
    stop: tuple[Stop, ...] = (Stop(signal="TERM"),)
    failure: tuple[FailureRule, ...] = ()
    events: tuple[EventRule, ...] = ()

    @property
    def is_protocol_only(self) -> bool:
        """Whether it does not say how to run a process a turn: the agent is talked with over its [acp] alone."""
        return self.transport == "acp" and not self.model_fields_set & {"argv", "output"}

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Profile:
        if not self.is_protocol_only:
            _check_turns(self)
            _check_success(self)
        _check_words(self)
        if not self.is_protocol_only:
            _check_argv(self)
        if self.state is None and any(source.startswith("state:") for source in self.sources()):
            raise ValueError("state.folder: field required, a rule reads from it")
        if self.proven and self.unproven:
            raise ValueError("unproven: it cannot be proven as well")
        if self.terminal and any(way.via == "stdin" for way in self.prompt):
            # A terminal cuts an input line at 4096 bytes, and most CLIs open their full screen instead of reading.
            raise ValueError('prompt: via = "stdin" does not work on a terminal; use argv or file')
        return self

    def sources(self) -> list[str]:
        """What the rules read besides the streams: `file:NAME` and `state:GLOB`."""
        named = {rule.source for rule in self.output.rules()} | {self.success.source}
        return sorted(named - {"stdout", "stderr"})


def _check_turns(profile: Profile) -> None:
    for key in ("argv", "output"):
        if key not in profile.model_fields_set:
            only = ', or say transport = "acp" for an agent that is talked with by its [acp] alone'
            raise ValueError(f"{key}: field required{only if profile.acp else ''}")


def _check_success(profile: Profile) -> None:
    mode, success = profile.output.mode, profile.success
    if mode == "jsonl" and not success.event:
        raise ValueError("success.event: field required in jsonl mode; an exit code alone proves nothing")
    if mode == "text" and success.exit is None:
        raise ValueError("success.exit: field required in text mode")
    if mode == "text" and success.event and success.source == "stdout":
        raise ValueError("success.event: text has no events")


def _check_words(profile: Profile) -> None:
    named = {"extra", *profile.groups, *(["permission"] if profile.permission else [])}
    _refuse("argv", [word for word in profile.argv if _group(word) not in {"prompt", *named}], ALWAYS)
    if profile.acp is not None:
        _refuse("acp.argv", [word for word in profile.acp.argv if _group(word) not in named], ALWAYS)
        _refuse("acp.env", profile.acp.env.values(), ALWAYS | OPTIONAL)
    if profile.interactive is not None:
        own = [word for word in profile.interactive.argv if _group(word) not in profile.groups]
        _refuse("interactive.argv", own, ALWAYS | {"session"})
    for name, words in profile.groups.items():
        _refuse(f"groups.{name}", words, ALWAYS | OPTIONAL)
    for way in profile.prompt:
        _refuse("prompt.argv", way.argv, ALWAYS | {"prompt" if way.via == "argv" else "prompt_file"})
    _refuse("env.set", profile.env.values.values(), ALWAYS | OPTIONAL)


def _check_argv(profile: Profile) -> None:
    if "{prompt}" not in profile.argv and any(way.argv for way in profile.prompt):
        raise ValueError("argv: the word {prompt} is missing")
    if profile.permission and "{permission}" not in profile.argv:
        raise ValueError("argv: the word {permission} is missing")
    resumes = any("{session}" in word for words in profile.groups.values() for word in words)
    if resumes != (profile.session.scope != "none"):
        raise ValueError("session.scope: must be folder or moves exactly when a group names {session}")


def _refuse(key: str, words: Iterable[str], known: Iterable[str]) -> None:
    for name in (name for word in words for name in _BRACES.findall(word)):
        if name not in known:
            raise ValueError(f"{key}: {{{name}}} is not known here; there are {', '.join(sorted(known))}")


def _group(word: str) -> str:
    return word[1:-1] if word.startswith("{") and word.endswith("}") else ""


def load_profile(text: str, origin: str) -> Profile:
    """The profile that the TOML `text` holds; `origin` is its path, whose stem is the agent's name.

    Raises ConfigError that names the file and the key.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin}: this is not TOML: {error}", hint="correct that line") from None
    if "name" in data:
        raise ConfigError(f"{origin}: name: not a key", hint="an agent is called after its file; remove the key")
    try:
        return Profile.model_validate({**data, "name": PurePosixPath(origin).stem})
    except ValidationError as error:
        raise _explain(error, data, origin) from None


def _explain(error: ValidationError, data: dict[str, Any], origin: str) -> ConfigError:
    first = error.errors()[0]
    keys = _spelled(first["loc"], data)
    message = first["msg"].removeprefix("Value error, ")
    ours = re.match(r"([a-z_.]+): ", message)
    if ours:  # a check of our own names the key inside that table
        keys = ".".join(filter(None, (keys, ours[1])))
        message = message[ours.end() :]
    kind, last = first["type"], str(first["loc"][-1]) if first["loc"] else ""
    hint = "the profiles that come with smithers, agents/*.toml, show every key"
    if kind == "missing":
        hint = f"add `{last} = …` there"
    elif kind == "extra_forbidden":
        message = "unknown key"
        near = difflib.get_close_matches(last, _keys(), 1)
        hint = f"did you mean `{near[0]}`?" if near else "remove it"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return ConfigError(f"{origin}: {keys}: {message[:1].lower()}{message[1:]}{more}", hint=hint)


def _spelled(location: tuple[int | str, ...], data: Any) -> str:
    """`output.answer.path`, as the file spells it: a single table where a list is allowed has no number."""
    words = ""
    for part in location:
        if isinstance(part, int) and not isinstance(data, list):
            continue
        words += f"[{part}]" if isinstance(part, int) else f".{part}"
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            data = {}
    return words.lstrip(".")


def _keys() -> list[str]:
    """Every key that some table of a profile has."""
    tables: list[type[Part]] = [*Part.__subclasses__(), Wait]
    return sorted({field.alias or name for table in tables for name, field in table.model_fields.items()})
