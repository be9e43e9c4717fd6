"""What a model can do in the workspace: functions whose descriptions it reads. What goes wrong in them it is told."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import wraps
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import Any, Final

from pydantic_ai.exceptions import ToolFailed

from smithers_git.core.sdk_agent import SdkJob
from smithers_git.edge.git.command import git_bytes
from smithers_git.edge.process import Launch, clean_env, run
from smithers_git.edge.sdk.folder import Folder, Refused
from smithers_git.errors import SmithersError

_LINES: Final = 2000
"""Lines of a file that are read at once."""
_TEXT: Final = 50_000
"""Characters that one call gives back, at most."""
_LINE: Final = 400
_MATCHES: Final = 200
_SEARCH: Final = 20
"""Seconds for one search: an expression can take for ever."""
_COMMAND: Final = 120
_LONGEST: Final = 1800

Alive = Callable[[], None]
"""Told that something goes on."""
Function = Callable[..., Awaitable[str]]


@dataclass(frozen=True)
class Tools:
    """The tools of one turn.

    Args:
        top: the workspace.
        job: what is allowed, and how commands are run.
        permission: `read`, `edit` or `full`.
        alive: is told of the output of commands.
    """

    top: Path
    job: SdkJob
    permission: str
    alive: Alive

    def functions(self) -> list[Function]:
        """Those that this turn gets."""
        files = Folder(self.top)
        found = {"read": _reader(files), "grep": _searcher(files)}
        if self.permission != "read":
            found |= {"write": _writer(files), "edit": _editor(files)}
            if self.job.shell is not None:
                found["bash"] = self._shell([*self.job.shell, _program(), "-c"])
        return [tool for name, tool in found.items() if self.job.tools is None or name in self.job.tools]

    def _shell(self, words: list[str]) -> Function:
        env = _environment(self.job.hidden)

        async def bash(command: str, timeout: int = _COMMAND) -> str:
            """Run a shell command in the workspace. Each call is a new shell, without a terminal and without input.

            Args:
                command: what to run.
                timeout: seconds that it may take.
            """
            launch = Launch(
                [*words, command],
                self.top,
                env,
                merge_stderr=True,
                timeout=float(min(max(timeout, 1), _LONGEST)),
                stop=(),
            )
            return await asyncio.to_thread(_run, launch, self.alive)

        return _told(bash)


def _told(tool: Function) -> Function:
    """A tool whose refusals the model reads."""

    @wraps(tool)
    async def safe(*args: Any, **kwargs: Any) -> str:
        try:
            return await tool(*args, **kwargs)
        except Refused as error:
            raise ToolFailed(str(error)) from error
        except SmithersError as error:
            raise ToolFailed(error.message) from error

    return safe


def _reader(files: Folder) -> Function:
    async def read(path: str, start: int = 1, lines: int = _LINES) -> str:
        """Read a text file of the workspace, or list the names in one of its folders.

        Args:
            path: relative to the workspace; "." is the workspace itself.
            start: number of the first line, from 1.
            lines: how many lines.
        """
        found = files.read(path)
        if isinstance(found, list):
            return "\n".join(found) or "(empty)"
        if b"\0" in found[:8192]:
            raise Refused(f"{path} is no text; it has {len(found):,} bytes")
        rows = found.decode("utf-8", "replace").split("\n")
        wanted = rows[max(start, 1) - 1 : max(start, 1) - 1 + max(lines, 1)]
        text = "\n".join(wanted)
        cut = len(text) > _TEXT
        left = len(rows) - (max(start, 1) - 1) - len(wanted)
        more = "\n[cut: this part is too long]" if cut else f"\n[{left} more lines]" if left > 0 else ""
        return text[:_TEXT] + more

    return _told(read)


def _writer(files: Folder) -> Function:
    async def write(path: str, content: str) -> str:
        """Write a whole file of the workspace; its folders are made.

        Args:
            path: relative to the workspace.
            content: all that the file is to hold.
        """
        new = files.write(path, content.encode("utf-8", "replace"))
        return f"{'made' if new else 'replaced'} {path}"

    return _told(write)


def _editor(files: Folder) -> Function:
    async def edit(path: str, old: str, new: str, everywhere: bool = False) -> str:
        """Replace text in a file of the workspace.

        Args:
            path: relative to the workspace.
            old: the text as it stands there, with its line breaks and blanks. It must stand there exactly once.
            new: what comes in its place.
            everywhere: replace it wherever it stands, however often.
        """
        found = files.read(path)
        if isinstance(found, list):
            raise Refused(f"{path} is a folder")
        before, after = old.encode("utf-8", "replace"), new.encode("utf-8", "replace")
        times = found.count(before) if before else 0
        if times == 0:
            raise Refused(f"{path} does not hold that text; read it again" if before else "old is empty; use write")
        if times > 1 and not everywhere:
            raise Refused(f"that text stands in {path} {times} times; give more of what is around it")
        files.write(path, found.replace(before, after))
        return f"replaced {times} in {path}"

    return _told(edit)


def _searcher(files: Folder) -> Function:
    async def grep(pattern: str, path: str = ".", glob: str = "*", ignore_case: bool = False) -> str:
        """Search the files of the workspace, those that git ignores left out. Gives `file:line: text`.

        Args:
            pattern: a regular expression of Python.
            path: a file or folder to search in.
            glob: names or paths of the files to search, say "*.py".
            ignore_case: take capital and small letters for the same.
        """
        try:
            expression = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
        except re.error as error:
            raise Refused(f"{pattern!r} is not a regular expression: {error}") from error
        with _within(_SEARCH):
            found = []
            for row in _matches(files, expression, path, glob):
                found.append(row)
                if len(found) == _MATCHES:
                    found.append(f"[stopped after {_MATCHES} matches]")
                    break
        return "\n".join(found)[:_TEXT] or "no match"

    return _told(grep)


def _matches(files: Folder, expression: re.Pattern[str], path: str, glob: str) -> Iterator[str]:
    for name in _tracked(files, path):
        if not (fnmatchcase(name, glob) or fnmatchcase(PurePosixPath(name).name, glob)):
            continue
        try:
            data = files.read(name)
        except Refused:  # gone meanwhile, too large, or a link that leads out
            continue
        if isinstance(data, list) or b"\0" in data[:8192]:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            if expression.search(line):
                yield f"{name}:{number}: {line.strip()[:_LINE]}"


def _tracked(files: Folder, path: str) -> list[str]:
    """Names of files below `path`, as git sees them: its own and new ones, ignored ones not."""
    files.read(path)  # refuses what leads out, and what is not there
    below = os.path.relpath(os.path.normpath(files.top / path), files.top)
    words = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--"]
    listed = git_bytes(files.top, "--literal-pathspecs", *words, below)
    return sorted(os.fsdecode(name) for name in listed.split(b"\0") if name)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Refuse what takes longer. In the main thread only: `re` looks for signals while it searches."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise Refused(f"the search took over {seconds:g} s; use a simpler expression, or search in less")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _program() -> str:
    return shutil.which("bash") or "/bin/sh"


def _environment(hidden: list[str]) -> dict[str, str]:
    """That of commands: ours without what the model's client needs, its key above all."""
    env = clean_env(os.environ)
    return {name: value for name, value in env.items() if not any(fnmatchcase(name, one) for one in hidden)}


class _Output:
    """What a command says: its first third and its last two thirds, of what a model is given."""

    def __init__(self, alive: Alive) -> None:
        self._alive = alive
        self._head, self._tail, self._dropped = bytearray(), bytearray(), 0

    def take(self, chunk: bytes) -> None:
        self._alive()
        room = max(0, _TEXT // 3 - len(self._head))
        self._head += chunk[:room]
        self._tail += chunk[room:]
        if len(self._tail) > 2 * _TEXT:
            self._shorten()

    def text(self) -> str:
        self._shorten()
        gap = f"\n[{self._dropped:,} bytes left out]\n".encode() if self._dropped else b""
        return bytes(self._head + gap + self._tail).decode("utf-8", "replace").rstrip()

    def _shorten(self) -> None:
        over = max(0, len(self._tail) - _TEXT * 2 // 3)
        self._dropped += over
        del self._tail[:over]


def _run(launch: Launch, alive: Alive) -> str:
    """Run a command to its end; what it said, and how it ended."""
    said = _Output(alive)
    ended = run(launch, on_output=said.take, cancel=threading.Event())
    how = "" if ended.reason == "exited" and ended.code == 0 else f"[{ended.message}]"
    return "\n".join(filter(None, (said.text(), how))) or "[no output]"
