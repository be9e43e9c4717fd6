"""Growth: what every command that looks costs when there is much of everything, and what plain git does with our refs.

The everyday form counts work, not time: calls of functions and processes that were started, in the same repository at
one, two and three sizes. What grows in a straight line has no second difference; a loop inside a loop has one, on the
slowest machine as on the fastest. The long form takes seconds, at a tenth and at the whole of the issue's numbers.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reliability.growth_world import World

from smithers_git import cli

LOOKS = (
    "ps", "ps --all", "inspect LONG", "inspect LONG --json", "why LONG", "logs LONG", "events LONG", "timeline LONG",
    "output LONG", "output LONG step-1", "node LONG step-1", "diff LONG 1..2", "graph --run LONG",
    "chat TALK all", "inbox", "board", "queue", "queue --all", "gc --dry-run", "doctor", "reindex",
)  # fmt: skip
"""Every command that looks, over all runs or at the longest."""
FOLD = "gc --fold-after 0s"
AFTER = ("ps --all", "inspect LONG", "inbox", "gc --dry-run", "reindex")
"""Again when all runs that are over are folded."""
GIT = (
    "git gc -q", "git status --short", "git for-each-ref", "git log --all --oneline", "git fetch -q --all",
    "git clone -q --no-local . ../NEW", "git clone -q --no-local --mirror . ../NEW", "git push -q --mirror ../BARE",
)  # fmt: skip
"""What a user does in such a repository."""


@dataclass(frozen=True)
class Cost:
    """What one command took."""

    seconds: float
    """Of CPU, with the processes that it started."""
    bytes: int
    """That it printed."""
    work: int
    """Calls of functions in this process, and CALLS_A_PROCESS for each process; 0 where they were not counted."""


CALLS_A_PROCESS = 500
"""A process takes some 3 ms; a call of a function some microseconds."""


def cpu() -> float:
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system


class Meter:
    """Runs commands of ours in this process, and git beside it."""

    def __init__(self, world: World, *, count: bool) -> None:
        self.world = world
        self.count = count
        self._new = 0

    def __call__(self, command: str) -> Cost:
        words = [self._word(word) for word in command.split()]
        return self._git(words) if words[0] == "git" else self._ours(words)

    def _word(self, word: str) -> str:
        self._new += word.endswith("NEW")
        names = {"LONG": self.world.long, "TALK": self.world.talk}
        new = str(self.world.repo.parent / f"copy-{self._new}")
        return names.get(word, word).replace("../NEW", new).replace("../BARE", str(self.world.bare))

    def _git(self, words: list[str]) -> Cost:
        before = cpu()
        done = subprocess.run(words, cwd=self.world.repo, capture_output=True, text=True)
        assert not done.returncode, f"{' '.join(words)}: {done.stderr}"
        return Cost(cpu() - before, len(done.stdout), 0)

    def _ours(self, words: list[str]) -> Cost:
        out, err = io.StringIO(), io.StringIO()
        before = cpu()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), self._counted() as calls:
            code = cli.run(words)
        assert not code, f"smithers {' '.join(words)} exited with {code}: {err.getvalue()}"
        return Cost(cpu() - before, len(out.getvalue()), calls[0])

    def start_kanban(self) -> Cost:
        """From `smithers up kanban` to the first agent that works on a ticket, in a process of its own."""
        self._new += 1
        run, script = f"kanban-{self._new}", self.world.repo.parent / "hang.toml"
        script.write_text('[[turn]]\nnode = "*.implement"\nhang = true\n')
        before = cpu()
        process = subprocess.Popen(
            [sys.executable, "-m", "smithers_git", "up", "kanban", "--run-id", run],
            cwd=self.world.repo,
            env=os.environ | {"SMITHERS_SCRIPT": str(script)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        heard = b""
        for line in process.stderr:
            heard += line
            if b".implement started" in line:
                break
        process.send_signal(signal.SIGINT)
        heard += process.stderr.read()
        process.wait()
        process.stderr.close()
        assert b".implement started" in heard, heard.decode()
        found = Cost(cpu() - before, len(heard), 0)
        self._ours(["cancel", run])
        return found

    @contextlib.contextmanager
    def _counted(self) -> Iterator[list[int]]:
        calls = [0]
        if not self.count:
            yield calls
            return

        def note(_frame: Any, event: str, what: Any) -> None:
            if event in ("call", "c_call"):
                calls[0] += CALLS_A_PROCESS if getattr(what, "__name__", "") == "fork_exec" else 1

        threading.setprofile(note)
        sys.setprofile(note)
        try:
            yield calls
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]  # None is how it is turned off


def bend(small: int, middle: int, large: int) -> float:
    """How much more than a straight line the work at one, two and three sizes grows, in parts of one step's growth.

    For work of a + b*n + c*n*n at n, 2n and 3n it is 2cn / (b + 3cn): 0 for a straight line, up to 2/3 for a square.
    """
    step = middle - small
    return (large - 2 * middle + small) / max(step, 1)


def measure(meter: Meter, commands: tuple[str, ...], told: Callable[[str], None] = lambda _: None) -> dict[str, Cost]:
    found = {}
    for command in commands:
        began = time.monotonic()
        found[command] = meter(command)
        told(
            f"{command}: {found[command].seconds:.2f} s CPU, {time.monotonic() - began:.1f} s, {found[command].bytes} B"
        )
    return found


def disk(repo: Path) -> int:
    """Bytes of everything in the git directory."""
    return sum(path.lstat().st_size for path in (repo / ".git").rglob("*") if path.is_file())
