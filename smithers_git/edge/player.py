"""The `script` agent: plays turns written in TOML, so that workflows run for real without any model.

Run as `python -I -S player.py [--resume SESSION]` in the folder to work in, with the prompt on standard input. The
script is the file that SMITHERS_SCRIPT names, else `.smithers/script.toml`:

    [[turn]]
    node = "implement"            # which task; `*` and `?` match; left out: any
    iteration = 0                 # also attempt (from 1) and correction; left out: any
    say = "Fixing the sign."
    edit = [{ path = "calc.py", find = "a - b", replace = "a + b" }]
    run = [["python", "-m", "unittest"]]
    answer = { summary = "fixed", files_changed = ["calc.py"] }

The first turn that matches is played, its deeds in the order in which they are written:

    say      a line of text, or a list        expect   text that the prompt must hold, or a list
    write    [{ path, text, mode }]           edit     [{ path, find, replace }], found exactly once
    delete   ["path"]                         symlink  [{ path, target }]
    run      ["shell line", ["program", "argument"]]; a red command is told, as a model would be, and changes nothing
    sleep    seconds                          hang     true: waits for ever
    exit     code: ends at once without a result, as a crash does
    fail     { kind, message, retry_after }: the turn ends with this error
    answer   a table, told as JSON            text     the same in plain words
    usage    { input, output, cached }        cost     US dollars

It imports only the standard library: it is a program, not a part of the engine.
"""

from __future__ import annotations

import json
import os
import subprocess  # noqa: TID251 - it is an agent's process itself
import sys
import time
import tomllib
import uuid
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NoReturn

SCRIPT = ".smithers/script.toml"
_OUTPUT = 4000


class _TurnError(Exception):
    """The turn ends with an error in its result."""

    def __init__(self, message: str, kind: str = "bad_request", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.error = {"kind": kind, "message": message, "retry_after": retry_after}


class _Turn:
    """One turn while it is played."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt
        self.result: dict[str, Any] = {"answer": "", "usage": None, "cost": None}

    def play(self, deeds: dict[str, Any]) -> None:
        for name, value in deeds.items():
            _DEEDS[name](self, value)

    def say(self, value: Any) -> None:
        for line in _list(value):
            _tell("text", text=str(line))

    def expect(self, value: Any) -> None:
        for words in _list(value):
            if str(words) not in self.prompt:
                raise _TurnError(f"the prompt does not hold {words!r}")

    def write(self, value: Any) -> None:
        for deed in _list(value):
            path = _inside(deed["path"])
            _tell("tool", name="write", detail=deed["path"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(deed["text"], encoding="utf-8", newline="")
            if "mode" in deed:
                path.chmod(deed["mode"])

    def edit(self, value: Any) -> None:
        for deed in _list(value):
            path = _inside(deed["path"])
            _tell("tool", name="edit", detail=deed["path"])
            text = path.read_bytes().decode("utf-8")
            if (times := text.count(deed["find"])) != 1:
                raise _TurnError(f"edit of {deed['path']}: {deed['find']!r} is there {times} times, not once")
            path.write_text(text.replace(deed["find"], deed["replace"]), encoding="utf-8", newline="")

    def delete(self, value: Any) -> None:
        for name in _list(value):
            _tell("tool", name="delete", detail=name)
            _inside(name).unlink()

    def symlink(self, value: Any) -> None:
        for deed in _list(value):
            _tell("tool", name="symlink", detail=deed["path"])
            path = _inside(deed["path"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(deed["target"])

    def run(self, value: Any) -> None:
        for command in _list(value):
            words = ["sh", "-c", command] if isinstance(command, str) else [str(word) for word in command]
            _tell("tool", name="run", detail=command if isinstance(command, str) else " ".join(words))
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
            )
            _tell("tool_done", name="run", exit=done.returncode, output=done.stdout.decode(errors="replace")[-_OUTPUT:])

    def sleep(self, value: Any) -> None:
        time.sleep(value)

    def hang(self, value: Any) -> None:
        while value:
            time.sleep(3600)

    def exit(self, value: Any) -> NoReturn:
        sys.exit(int(value))

    def fail(self, value: Any) -> NoReturn:
        raise _TurnError(
            value.get("message", "the script says so"), value.get("kind", "crash"), value.get("retry_after")
        )

    def answer(self, value: Any) -> None:
        self.result["answer"] = json.dumps(value, ensure_ascii=False, default=str)

    def text(self, value: Any) -> None:
        self.result["answer"] = str(value)

    def usage(self, value: Any) -> None:
        self.result["usage"] = {name: int(value.get(name, 0)) for name in ("input", "output", "cached")}

    def cost(self, value: Any) -> None:
        self.result["cost"] = float(value)


_DEEDS: dict[str, Callable[[_Turn, Any], None]] = {
    name: deed for name, deed in vars(_Turn).items() if not name.startswith("_") and name != "play"
}
_KEYS = {"node": "", "iteration": "0", "attempt": "1", "correction": "0"}
"""What a turn is matched by, with the value when the environment does not say."""


def main(argv: list[str]) -> int:
    """Play one turn; returns the exit code."""
    session = argv[argv.index("--resume") + 1] if "--resume" in argv[:-1] else str(uuid.uuid4())
    _tell("session", session=session)
    turn = _Turn(sys.stdin.buffer.read().decode("utf-8", "replace"))
    error = None
    try:
        turn.play(_find(Path(os.environ.get("SMITHERS_SCRIPT") or SCRIPT)))
    except _TurnError as failed:
        error = failed.error
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError) as problem:
        # A deed that cannot be done as it is written: the author reads this in the task's error.
        error = _TurnError(f"the script cannot be played: {type(problem).__name__}: {problem}").error
    _tell("result", **turn.result, error=error)
    return 1 if error else 0


def _find(script: Path) -> dict[str, Any]:
    """The deeds of the first turn that matches where we are."""
    try:
        turns = tomllib.loads(script.read_text(encoding="utf-8")).get("turn", [])
    except FileNotFoundError:
        raise _TurnError(f"there is no script {script.absolute()}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise _TurnError(f"{script}: this is not TOML: {problem}") from None
    here = {key: os.environ.get(f"SMITHERS_{key.upper()}") or default for key, default in _KEYS.items()}
    for number, turn in enumerate(turns, 1):
        unknown = set(turn) - set(_KEYS) - set(_DEEDS)
        if unknown:
            raise _TurnError(f"{script}: turn {number}: unknown key {', '.join(sorted(unknown))}")
        if all(fnmatchcase(here[key], str(turn[key])) for key in _KEYS if key in turn):
            return {name: value for name, value in turn.items() if name in _DEEDS}
    where = ", ".join(f"{key} {value}" for key, value in here.items() if key != "node")
    raise _TurnError(f"{script} has no turn for node {here['node']!r} ({where})")


def _inside(name: str) -> Path:
    """`name` as a path that stays in the working folder: a script must not be able to touch anything else."""
    path = Path(name)
    folder = Path.cwd().resolve()
    if path.is_absolute() or not (folder / path).parent.resolve().is_relative_to(folder):
        raise _TurnError(f"{name} is outside the working folder")
    return folder / path


def _list(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


def _tell(kind: str, **fields: Any) -> None:
    sys.stdout.buffer.write(json.dumps({"type": kind, **fields}, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
