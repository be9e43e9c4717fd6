"""The git command line: one way to start it, and its failures as our errors."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from functools import cache, wraps
from pathlib import Path
from shlex import quote
from typing import ParamSpec, TypeVar

from smithers_git.edge.process.command import Captured, capture
from smithers_git.edge.process.env import clean_env
from smithers_git.errors import DiskFull, GitError, SmithersError, StorageError, is_full

P = ParamSpec("P")
R = TypeVar("R")

# Why 2.38 (October 2022): `merge-tree --write-tree` merges without a checkout from then on. Since 2.36 `core.fsync` can
# flush refs, and before it a ref never was, so a frame could be lost with the power; `worktree list -z` and sparse
# patterns inherited by `worktree add` came with it too. No distribution that ships Python 3.11 ships an older git.
OLDEST = (2, 38)

_CONFIG = (
    "core.hooksPath=/dev/null",  # nobody's hooks run on saved steps, and a planted one must not
    "core.fsync=loose-object,pack,pack-metadata,reference",
    "core.fsyncMethod=fsync",
    "core.fsmonitor=false",  # it may name a program, and a daemon would outlive us
    "core.splitIndex=false",  # a private index must not put shared parts into the user's git directory
    "core.ignoreStat=false",
    "core.safecrlf=false",  # true makes `git add` refuse files that the user's own commit would warn about
    "core.quotePath=false",
    "submodule.recurse=false",
    "advice.addEmbeddedRepo=false",
    "gc.auto=0",
    "maintenance.auto=false",
)
_PREFIX = ("git", "--no-pager", *(part for entry in _CONFIG for part in ("-c", entry)))

# Not in `git rev-parse --local-env-vars`, yet each changes what the same arguments mean.
_MEANING = (
    "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
    "GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS", "GIT_OPTIONAL_LOCKS", "GIT_DEFAULT_HASH", "GIT_INDEX_VERSION",
)  # fmt: skip

_LOCKED = re.compile(r"\.lock': File exists|could not lock config file|failed to read \S*commondir")
_INDEX = re.compile(r"index file corrupt|index file smaller than expected|bad signature 0x|broken index, expect")
_DISK = re.compile(r"read-only file system|permission denied|input/output error", re.IGNORECASE)
_PAUSES = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0)  # seconds; a healthy git holds a lock for milliseconds


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every git process: the user's, bound to no repository, in English, asking nothing."""
    env = clean_env(os.environ)
    for name in _MEANING:
        env.pop(name, None)
    # Not LC_ALL=C: filters (clean, smudge) inherit it, and some then choke on text that is not ASCII.
    ctype = env.pop("LC_ALL", "") or env.get("LC_CTYPE") or env.get("LANG") or "C"
    env |= {
        "LC_CTYPE": ctype,
        "LC_MESSAGES": "C",
        "LANGUAGE": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_PAGER": "cat",
        "GIT_EDITOR": ":",
        "GIT_SEQUENCE_EDITOR": ":",
    }
    return env | dict(extra or {})


def try_git(
    cwd: Path,
    *args: str,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> Captured:
    """Run git in `cwd`; an exit code is a result, not an error. Waits (2.3 s at most) while a lock is held.

    Args:
        cwd: the folder to run in.
        args: subcommand and arguments.
        input: standard input; None is an empty one.
        env: variables to set on top of `environment()`.

    Raises:
        SmithersError: git is not installed, or `cwd` does not exist.
    """
    argv = (*_PREFIX, *args)
    whole = environment(env)
    done = capture(argv, cwd=cwd, env=whole, input=input)
    for pause in _PAUSES:
        if not done.code or not _LOCKED.search(os.fsdecode(done.stderr)):
            break
        time.sleep(pause)
        done = capture(argv, cwd=cwd, env=whole, input=input)
    return done


def git_bytes(
    cwd: Path,
    *args: str,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
) -> bytes:
    """As `git`, but the whole standard output as bytes."""
    done = try_git(cwd, *args, input=input, env=env)
    if check and done.code:
        raise failure(cwd, args, done)
    return done.stdout


def git(
    cwd: Path,
    *args: str,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
) -> str:
    """Run git in `cwd` and return its standard output without the last line end.

    File names that are not UTF-8 come back as Python's own file functions spell them.

    Raises:
        GitError: it failed, unless `check` is False.
        StorageError: it failed because the disk is full, read-only or closed to us.
    """
    return os.fsdecode(git_bytes(cwd, *args, input=input, env=env, check=check)).removesuffix("\n")


def failure(cwd: Path, args: tuple[str, ...], done: Captured) -> SmithersError:
    """The error for a git process that ended with a non-zero exit code."""
    stderr = os.fsdecode(done.stderr)
    reason = complaint(stderr) or f"exit code {done.code}"
    words = list(args)
    while words[:1] == ["-c"]:
        del words[:2]
    message = f"git {' '.join(words[:3])} failed in {cwd}: {reason}"
    if is_full(stderr) or _DISK.search(stderr):
        kind = DiskFull if is_full(stderr) else StorageError
        return kind(message, hint="free disk space or make the folder writable, then run the command again")
    if _LOCKED.search(stderr):
        return GitError(message, hint="if no git process runs in this repository, delete the lock file and try again")
    if _INDEX.search(stderr):
        place = f'rm "$(git -C {quote(str(cwd))} rev-parse --path-format=absolute --git-path index)"'
        return GitError(
            message, hint=f"a new index, in which nothing is staged: {place}; git -C {quote(str(cwd))} reset"
        )
    return GitError(message, hint=f"see `git -C {cwd} status`; `smithers doctor` looks for damage")


def complaint(stderr: str) -> str:
    """The first line of `stderr` that says what went wrong, without its `fatal:` or `error:`."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    blamed = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    useful = blamed or [line for line in lines if not line.startswith(("hint:", "warning:"))] or lines
    return useful[0].removeprefix("fatal: ").removeprefix("error: ") if useful else ""


def storage_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Have an OSError of `function`, which works on files beside git, raised as a StorageError."""

    @wraps(function)
    def translated(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except OSError as error:
            place = error.filename or "the disk"
            kind = DiskFull if is_full(error) else StorageError
            raise kind(f"{place}: {error.strerror}", hint=f"see `ls -ld {place}` and `df`") from error

    return translated


def require_version() -> tuple[int, int]:
    """Version of the installed git as (major, minor).

    Raises:
        GitError: it is older than `OLDEST`.
        SmithersError: git is not installed.
    """
    found = _version(os.environ.get("PATH", os.defpath))
    if found < OLDEST:
        raise GitError(
            f"git {found[0]}.{found[1]} is too old, smithers needs {OLDEST[0]}.{OLDEST[1]} or newer",
            hint="upgrade git; `git --version` tells which one is found first on PATH",
        )
    return found


@cache
def _version(path: str) -> tuple[int, int]:
    text = os.fsdecode(capture(["git", "version"], cwd=Path("/"), env={"PATH": path}).stdout)
    match = re.search(r"(\d+)\.(\d+)", text)
    if not match:
        raise GitError(f"`git version` printed {text.strip()!r}", hint="check the installation of git")
    return int(match[1]), int(match[2])
