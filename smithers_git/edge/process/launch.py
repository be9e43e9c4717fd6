"""What is started, and how it ended: plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Reason = Literal["exited", "timeout", "idle", "cancelled", "unstartable"]


FROM_OUTSIDE: Final = (1, 2, 9, 15)
"""HUP, INT, KILL, TERM. A program that ends by another signal (SEGV, ABRT) crashed by itself."""


@dataclass(frozen=True, slots=True)
class StopStep:
    """One step of a stop: `signal` (a name without SIG) goes to the program, which then has `wait` seconds."""

    signal: str
    wait: float


@dataclass(frozen=True, slots=True)
class Terminal:
    """A pseudo-terminal, for a program that has no headless mode.

    `dialogs` are pairs (regular expression, keys): each time the expression matches the text on the screen,
    escape sequences removed, the keys are typed (`"\\r"` is Enter).
    """

    columns: int = 120
    rows: int = 40
    name: str = "xterm-256color"
    """Value of TERM."""
    dialogs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Launch:
    """One program to run. All times are in seconds; None means no limit."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    """Complete: nothing is inherited (TERM is set in addition when there is a terminal)."""
    stdin: bytes | None = None
    """The whole of standard input, of any size; None is /dev/null. Not with a terminal."""
    merge_stderr: bool = False
    """Send standard error into the output. A terminal always does."""
    terminal: Terminal | None = None
    timeout: float | None = None
    idle_timeout: float | None = None
    """Longest silence, on standard output and standard error together."""
    first_output: float | None = None
    """Longest silence before the first byte; `idle_timeout` when None."""
    stop: tuple[StopStep, ...] = (StopStep("TERM", 5.0),)
    """Before the whole tree is killed. Empty: it is killed at once."""
    below: int = 0
    """How many processes stand between the one that is started and the program that the stop signals are for."""
    mark: str | None = None
    """A variable of `env` whose value nothing but this tree carries: when the process above the program is killed, what
    has no other relation to it any more, a daemon, is found by that (Linux only)."""
    secrets: tuple[str, ...] = ()
    """Values that evidence must not hold, besides those of `env`."""


@dataclass(frozen=True, slots=True)
class Started:
    """A started tree, by the process at its root. Enough to end it later with `end_tree`."""

    pid: int
    start_time: str
    """Only to be compared; tells a recycled pid."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a program ended. `code` and `signal` are None where there is none."""

    code: int | None
    signal: int | None
    reason: Reason
    message: str
    seconds: float
    stderr: bytes
    """The last 64 KiB of standard error, unless it was merged."""

    @property
    def cut_off(self) -> bool:
        """Whether something else than we ended it, or the process above it: then it has no verdict of its own."""
        return self.reason == "exited" and self.code is None and (self.signal is None or self.signal in FROM_OUTSIDE)
