"""What git starts for a hook: leaves one small file in the spool, starts one process behind it, and is gone.

    python -I -S hook.py HOOKFILE EVENT [ARGUMENT...]

HOOKFILE is the shim that git started; a hook that stood in its place lies beside it and is run first, with the same
arguments, input and exit code. It runs apart from the package, at every commit of the user: the standard library only,
and of it what costs little (measured in ms, CPython 3.11: 17 its own start, 5 git, 10 the rest, 20 more for tomllib
where a trigger waits; `import json` would be 12, `import subprocess` more).
"""

from __future__ import annotations

import errno
import os
import sys
import time
from _json import encode_basestring_ascii

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing it would double the time that this takes
    from typing import Any

ASKS = ("pre-push", "pre-commit", "commit-msg")  # git heeds what they exit with
KEPT = ".smithers-kept"
SPOOL = os.path.join("smithers", "queue-in")  # noqa: PTH118 - pathlib costs 5 ms
_DATES = ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE", "GIT_REFLOG_ACTION", "GIT_EDITOR")
_MOST = 64 << 10  # bytes of a commit message that a trigger sees
_SIGNALS = (13, 25)  # SIGPIPE and SIGXFSZ, which Python ignores and a hook must not


def main(words: list[str]) -> int:
    """Run what stood there before, then what smithers does at `event`; returns the hook's exit code."""
    place, event, *args = words
    given = _all(0) if event == "pre-push" else None
    kept = os.path.join(os.path.dirname(place) or ".", event + KEPT)  # noqa: PTH118, PTH120
    code = _run(kept, args, given) if os.access(kept, os.X_OK) else 0
    if code and event in ASKS:
        return code
    return enter(event, args, given or b"") or code


def enter(event: str, args: list[str], given: bytes) -> int:
    """As `fire`; what cannot be read or written is said, and is a no where git asks."""
    try:
        return fire(event, args, given)
    except OSError as error:
        _say(f"{event} set nothing off: {error}")
        return 1 if event in ASKS else 0


def fire(event: str, args: list[str], given: bytes) -> int:
    """Note what git does, for the triggers of the repository; returns the hook's exit code.

    Args:
        event: name of the hook.
        args: what git gave it.
        given: what git gave it on standard input.
    """
    if "SMITHERS_RUN" in os.environ or os.environ.get("SMITHERS_NO_TRIGGERS"):
        return 0  # a run's own commits set nothing off
    if event == "post-checkout" and args[2:3] == ["0"]:
        return 0  # single files were checked out
    facts = _facts()
    if facts is None or str(facts["branch"]).startswith("refs/heads/smithers/"):
        return 0
    own = _triggers(str(facts["top"]), event)
    if own is not None and not own:
        return 0
    if own is None and event not in ASKS:
        _say(f"{facts['top']}/.smithers/config.toml cannot be read; no trigger was looked at")
        return 0
    waits = own is None or any(trigger.get("wait") is True for trigger in own)
    foreign = facts.pop("local")
    assert isinstance(foreign, list)
    record = facts | {
        "event": event,
        "args": args,
        "stdin": given.decode("utf-8", "replace"),
    }
    record |= _more(event, args, str(facts["common"]))
    return _hand_over(record, waits=waits, foreign=foreign)


def _facts() -> dict[str, Any] | None:
    """Where we are, as git itself sees it: it may have been told by GIT_DIR. None where there are no files."""
    code, said = _git("rev-parse", "--path-format=absolute", "--git-common-dir", "--show-toplevel",
                      "--local-env-vars", "HEAD", "--symbolic-full-name", "HEAD")  # fmt: skip
    lines = said.split("\n")[:-1]
    if len(lines) < 3 or not os.path.isabs(lines[1]):  # noqa: PTH117
        return None  # bare
    foreign = [line for line in lines[2:] if line.startswith("GIT_")]
    rest = lines[2 + len(foreign) :]
    head, branch = (rest[0], rest[1]) if code == 0 and len(rest) == 2 else ("", "")
    if not branch:  # no commit yet
        branch = _git("symbolic-ref", "-q", "HEAD")[1].strip()
    return {"common": lines[0], "top": lines[1], "local": foreign, "head": head,
            "branch": "" if branch == "HEAD" else branch}  # fmt: skip


def _triggers(top: str, event: str) -> list[dict[str, Any]] | None:
    """What the configuration says of this event, unchecked; None when it cannot be read.

    tomllib is 20 ms, as much as all the rest, and needed only to tell whether somebody waits.
    """
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111
    found: Any = []
    for path in (f"{home}/smithers/config.toml", f"{top}/.smithers/config.toml"):
        try:
            with open(path, "rb") as file:  # noqa: PTH123
                text = file.read()
            if b"trigger" not in text and b"\\" not in text:  # a key may be spelled with escapes
                continue
            if event.encode() not in text and b"\\" not in text:
                found = []
            elif b"wait" not in text and b"\\" not in text:
                found = [{"on": event}]  # or a comment says so; whoever works off the record looks properly
            else:
                import tomllib

                found = tomllib.loads(text.decode()).get("trigger", found)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError, RecursionError):
            return None
    if not isinstance(found, list) or not all(isinstance(trigger, dict) for trigger in found):
        return None
    return [trigger for trigger in found if trigger.get("on") == event]


def _more(event: str, args: list[str], common: str) -> dict[str, Any]:
    """What has to be known at this moment, and cannot be found out later."""
    found: dict[str, Any] = {"given": {k: v for k, v in os.environ.items() if k.startswith("PRE_COMMIT_")}}
    if event == "pre-push" and "PRE_COMMIT_REMOTE_BRANCH" in os.environ:
        found["stdin"] = _pushed()
    if event == "post-merge":
        found["before"] = _git("rev-parse", "-q", "--verify", "ORIG_HEAD")[1].strip()
    if event in ("pre-commit", "commit-msg"):
        found["tree"] = _tree(common)
    if event == "commit-msg" and args:
        with open(args[0], "rb") as file:  # noqa: PTH123
            found["message"] = file.read(_MOST).decode("utf-8", "replace")
    return found


def _pushed() -> str:
    """The line that git would have given on a push: the tool pre-commit reads it, and tells its hooks by variables.

    Of a branch that is new in a repository that is, it names no commits (pre-commit 4.3).
    """
    known = os.environ.get
    commit = known("PRE_COMMIT_TO_REF") or _git("rev-parse", "-q", "--verify", known("PRE_COMMIT_LOCAL_BRANCH", "-"))[1]
    old = known("PRE_COMMIT_FROM_REF", "-")
    return f"{known('PRE_COMMIT_LOCAL_BRANCH', '-')} {commit.strip()} {known('PRE_COMMIT_REMOTE_BRANCH', '-')} {old}\n"


def _tree(common: str) -> str:
    """The tree that is about to be committed, from a copy of the index: git would write into the index itself."""
    index = os.environ.get("GIT_INDEX_FILE") or _git("rev-parse", "--git-path", "index")[1].strip()
    copy = os.path.join(_spool(common), f".index-{os.getpid()}")  # noqa: PTH118
    try:
        with open(index, "rb") as source, open(copy, "wb") as target:  # noqa: PTH123
            target.write(source.read())
        return _git("write-tree", env=os.environ | {"GIT_INDEX_FILE": copy})[1].strip()
    except FileNotFoundError:
        return _git("write-tree", env=os.environ | {"GIT_INDEX_FILE": copy})[1].strip()  # nothing was ever added
    finally:
        if os.path.exists(copy):  # noqa: PTH110
            os.unlink(copy)  # noqa: PTH108


def _hand_over(record: dict[str, Any], *, waits: bool, foreign: list[str]) -> int:
    """Write the record, and start the process that works it off: in our place if git is to wait, else behind us."""
    spool = _spool(record["common"])
    # Waited for: beside the others' reach, since the process that takes our place is the one to read it.
    name = f"{time.time_ns()}-{os.getpid()}" + (".waited" if waits else ".json")
    path = os.path.join(spool, name)  # noqa: PTH118
    with open(f"{path}.new", "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(_json(record))
    os.rename(f"{path}.new", path)  # noqa: PTH104
    argv = [sys.executable, "-P", "-m", "smithers_git", "-C", record["top"], "hooks", "run"]
    env = {name: value for name, value in os.environ.items() if name not in foreign and name not in _DATES}
    env["SMITHERS_NO_TRIGGERS"] = "1"
    sys.stdout.flush()
    sys.stderr.flush()
    if waits:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)  # a run asks nobody, and the input of pre-push is read
        os.execve(sys.executable, [*argv, "--record", path], env)
    log = os.path.join(record["common"], "smithers", "hooks.log")  # noqa: PTH118
    if os.fork() == 0:
        try:
            os.setsid()
            # Whoever reads what git prints waits for the last one that holds the pipe.
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.closerange(3, 64)
            os.execve(sys.executable, [*argv, "--spool", spool], env)
        finally:
            os._exit(127)
    return 0


def _spool(common: str) -> str:
    path = os.path.join(common, SPOOL)  # noqa: PTH118
    os.makedirs(path, exist_ok=True)  # noqa: PTH103
    return path


def _git(*args: str, env: Any = None) -> tuple[int, str]:
    """Exit code and standard output; in git's own environment, which says which repository is meant."""
    read, write = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, write, 1), (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawnp("git", ["git", *args], env or os.environ, file_actions=actions)
    os.close(write)
    said = _all(read)
    os.close(read)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), os.fsdecode(said)


def _run(program: str, args: list[str], given: bytes | None) -> int:
    """Run a hook as git would, and wait for it."""
    actions: list[Any] = []
    writer = 0
    if given is not None:
        read, write = os.pipe()
        writer = os.fork()
        if writer == 0:  # a hook that does not read its input must not hold us up, nor we it
            os.close(read)
            try:
                while given:
                    given = given[os.write(write, given) :]
            finally:
                os._exit(0)
        os.close(write)
        actions = [(os.POSIX_SPAWN_DUP2, read, 0)]
    try:
        pid = os.posix_spawn(program, [program, *args], os.environ, file_actions=actions, setsigdef=_SIGNALS)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            _say(f"{program} cannot be started: {error.strerror}")
            return 1
        # Without a first line `#!`: git has the shell run it then.
        pid = os.posix_spawn("/bin/sh", ["sh", program, *args], os.environ, file_actions=actions, setsigdef=_SIGNALS)
    if given is not None:
        os.close(read)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if writer:
        os.waitpid(writer, 0)
    return status if status >= 0 else 128 - status


def _all(descriptor: int) -> bytes:
    parts = []
    while part := os.read(descriptor, 1 << 16):
        parts.append(part)
    return b"".join(parts)


def _json(value: object) -> str:
    """`import json` brings regular expressions and enums along, 12 ms for nothing."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_json(key)}:{_json(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return str(encode_basestring_ascii(value)) if isinstance(value, str) else repr(value)


def _say(text: str) -> None:
    sys.stderr.write(f"smithers: {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
