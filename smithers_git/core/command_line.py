"""From a profile and the values of one turn to the exact command: words, environment, standard input."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from smithers_git.core.profile import Delivery, Level, Profile
from smithers_git.core.profile_rules import Acp
from smithers_git.errors import AgentError

PROMPT_FILE = "prompt.md"
_BRACES = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Turn:
    """The values of one turn. Paths are absolute."""

    program: str
    prompt: str
    cwd: str
    scratch: str
    """An empty folder of this attempt's own, for the prompt file and for result files."""
    python: str = ""
    player: str = ""
    """The script player's file."""
    model: str | None = None
    session: str | None = None
    """The conversation to go on with."""
    new_session: str | None = None
    """A fresh UUID for a new conversation; only CLIs that let it be chosen use it."""
    permission: Literal["read", "edit", "full"] | None = None
    """None: the profile's default."""
    extra: tuple[str, ...] = ()
    """More words, from the user's configuration."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """What to run."""

    argv: tuple[str, ...]
    env_set: Mapping[str, str]
    env_pass: tuple[str, ...]
    stdin: bytes | None
    """None: nothing, closed. Never the caller's own."""
    prompt_file: tuple[str, str] | None
    """(name, text) to write into the scratch folder first."""
    session: str | None = None
    """The id of the conversation, as far as a word of argv names it."""


def build(profile: Profile, turn: Turn) -> Invocation:
    """The command for one turn. Raises AgentError when the profile cannot express what is asked."""
    if turn.session and profile.session.scope == "none":
        raise AgentError(
            f"{profile.name} cannot go on with a conversation", hint="start a new one; its profile has no resume"
        )
    level = _level(profile, turn)
    way = _delivery(profile, turn)
    values = _values(turn)
    inside = {"prompt": _argument(turn.prompt), "prompt_file": f"{turn.scratch}/{PROMPT_FILE}"}
    groups = {
        "prompt": tuple(_fill(word, values | inside) for word in way.argv),
        "permission": tuple(_fill(word, values) for word in level.argv),
        "extra": turn.extra,
        **{name: _group(words, values) for name, words in profile.groups.items()},
    }
    argv = [turn.program]
    for word in profile.argv:
        name = word[1:-1]
        argv += groups[name] if word == f"{{{name}}}" and name in groups else (_fill(word, values),)
    env = {**profile.env.values, **level.env}
    return Invocation(
        argv=tuple(argv),
        env_set={name: _fill(text, values) for name, text in env.items() if not _missing([text], values)},
        env_pass=profile.env.passed,
        stdin=_bytes(turn.prompt) if way.via == "stdin" else None,
        prompt_file=(PROMPT_FILE, turn.prompt) if way.via == "file" else None,
        session=_named(argv, turn),
    )


def build_acp(profile: Profile, turn: Turn) -> Invocation:
    """The command for a conversation over the Agent Client Protocol, which has prompts and sessions of its own.

    Raises AgentError when the profile does not say how the agent speaks it.
    """
    if profile.acp is None and profile.transport != "acp":
        raise AgentError(
            f"the profile of {profile.name} has no [acp]: it does not say how the agent speaks that protocol",
            hint='leave out `transport = "acp"`, or add [acp] with its argv to a copy of the profile',
        )
    # A level that the CLI does not have is kept by our own answers to what it asks.
    level: Level | None = (
        getattr(profile.permission, turn.permission or profile.permission.default) if profile.permission else None
    )
    own = profile.acp or Acp()
    values = _values(replace(turn, session=None, new_session=None))
    groups = {
        "permission": tuple(_fill(word, values) for word in level.argv) if level else (),
        "extra": turn.extra,
        **{name: _group(words, values) for name, words in profile.groups.items()},
    }
    argv = [turn.program]
    for word in own.argv if "{extra}" in own.argv else (*own.argv, "{extra}"):
        name = word[1:-1]
        argv += groups[name] if word == f"{{{name}}}" and name in groups else (_fill(word, values),)
    env = {**profile.env.values, **(level.env if level else {}), **own.env}
    return Invocation(
        argv=tuple(argv),
        env_set={name: _fill(text, values) for name, text in env.items() if not _missing([text], values)},
        env_pass=profile.env.passed,
        stdin=None,
        prompt_file=None,
    )


def build_interactive(profile: Profile, turn: Turn) -> Invocation:
    """The command for the agent's own interface, in which a person goes on with `turn.session`.

    Without permission flags: it asks the person. Raises AgentError when the profile does not say how to start it.
    """
    if profile.interactive is None or turn.session is None:
        raise AgentError(
            f"the profile of {profile.name} has no [interactive]", hint="add [interactive] argv to a copy of it"
        )
    values = _values(turn)
    argv = [turn.program]
    for word in profile.interactive.argv:
        group = profile.groups.get(word[1:-1]) if word.startswith("{") else None
        argv += _group(group, values) if group is not None else (_fill(word, values),)
    env = {name: _fill(text, values) for name, text in profile.env.values.items() if not _missing([text], values)}
    return Invocation(argv=tuple(argv), env_set=env, env_pass=profile.env.passed, stdin=None, prompt_file=None)


def names_model(profile: Profile) -> bool:
    """Whether the command for a conversation over the Agent Client Protocol says which model to use."""
    own = profile.acp or Acp()
    words = [word for name in own.argv for word in profile.groups.get(name[1:-1], ())]
    words += [*profile.env.values.values(), *own.env.values()]
    return any("{model}" in word for word in words)


def constants(profile: Profile) -> dict[str, str]:
    """The variables that the profile sets in any case, for when the CLI is asked something that is no turn."""
    return {name: text for name, text in profile.env.values.items() if not _BRACES.search(text)}


def _named(argv: Sequence[str], turn: Turn) -> str | None:
    ids = (one for one in (turn.session, turn.new_session) if one)
    return next((one for one in ids if any(one in word for word in argv)), None)


def programs(profile: Profile, python: str) -> list[str]:
    """What to look for on PATH, first match wins; `python` is this interpreter."""
    return [_fill(name, {"python": python}) for name in profile.program]


def may_resume(profile: Profile, began: str, now: str) -> bool:
    """Whether a conversation that began in folder `began` may go on in `now`: elsewhere only where it moves along."""
    return profile.session.scope == "moves" or (profile.session.scope == "folder" and began == now)


def version_note(profile: Profile, printed: str) -> str:
    """What is to be said of the version that the CLI printed; empty when it is in the tested range."""
    if profile.version is None:
        return ""
    found = profile.version.regex.search(printed)
    if found is None:
        return f"{profile.name} did not say its version"
    low, high = (_numbers(bound) for bound in profile.version.tested.split(","))
    if low <= _numbers(found[1]) < high:
        return ""
    return f"{profile.name} {found[1]} is outside the tested range {profile.version.tested}"


def _level(profile: Profile, turn: Turn) -> Level:
    if profile.permission is None:
        if turn.permission:
            raise AgentError(
                f"{profile.name} has no permission levels, {turn.permission!r} was asked for",
                hint="leave `permission` out; such an agent does whatever its model wants",
            )
        return Level()
    wanted = turn.permission or profile.permission.default
    level: Level | None = getattr(profile.permission, wanted)
    if level is None:
        there = [name for name in ("read", "edit", "full") if getattr(profile.permission, name) is not None]
        raise AgentError(f"{profile.name} has no permission level {wanted!r}", hint=f"use one of: {', '.join(there)}")
    return level


def _delivery(profile: Profile, turn: Turn) -> Delivery:
    size = len(_bytes(turn.prompt))
    for way in profile.prompt:
        fits = way.max_bytes is None or size <= way.max_bytes
        if fits and not (way.via == "argv" and "\0" in turn.prompt):
            return way
    raise AgentError(
        f"the prompt of {size:,} bytes is too long for {profile.name}",
        hint='give its profile a further [[prompt]] with via = "stdin" or "file"',
    )


def _argument(prompt: str) -> str:
    # Nine of 14 CLIs take an argument that begins with a dash for an option, and exit 1 or 2.
    return f"\n{prompt}" if prompt.startswith("-") else prompt


def _values(turn: Turn) -> dict[str, str]:
    always = {"cwd": turn.cwd, "scratch": turn.scratch, "python": turn.python, "player": turn.player}
    maybe = {
        "model": turn.model,
        "session": turn.session,
        "new_session": None if turn.session else turn.new_session,
    }
    return always | {name: value for name, value in maybe.items() if value}


def _group(words: Iterable[str], values: Mapping[str, str]) -> tuple[str, ...]:
    words = tuple(words)
    return () if _missing(words, values) else tuple(_fill(word, values) for word in words)


def _missing(words: Iterable[str], values: Mapping[str, str]) -> bool:
    return any(name not in values for word in words for name in _BRACES.findall(word))


def _fill(word: str, values: Mapping[str, str]) -> str:
    # One pass: a value that holds braces itself (a prompt about templates) is not filled in again.
    return _BRACES.sub(lambda match: values[match[1]], word)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
