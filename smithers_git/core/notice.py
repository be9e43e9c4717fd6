"""What of a run or a queue a person wants to be told of, why, and what they would type next. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from smithers_git.core import events as ev
from smithers_git.core.describe import node_of

Occasion = Literal["needs_approval", "question", "parked", "budget", "failed", "finished", "landed"]
OCCASIONS: tuple[Occasion, ...] = get_args(Occasion)

_WORDS: Mapping[Occasion, str] = {
    "needs_approval": "waits for a decision",
    "question": "asks",
    "parked": "is parked",
    "budget": "has spent its budget",
    "failed": "failed",
    "finished": "is finished",
    "landed": "landed",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell."""

    id: str
    """`COMMIT:N`: the frame, and the number of the event in it."""
    event: Occasion
    run: str | None
    """None for a branch that was landed by hand."""
    node: str | None
    frame: int
    at: float
    """Unix seconds."""
    reason: str
    command: tuple[str, ...]
    """What to type next, as words behind `smithers`."""

    def line(self, repository: str) -> str:
        """All of it in one sentence, for the repository at that path."""
        name = repository.rstrip("/").rpartition("/")[2]
        who = f"run {self.run}" if self.run else "a branch"
        return f"{name}: {who} {_WORDS[self.event]}: {self.reason}"

    def typed(self, repository: str) -> str:
        """The command, as it can be typed in any folder."""
        return shlex.join(["smithers", "-C", repository, *self.command])


def of_run(run: str, event: ev.Event) -> tuple[Occasion, str, tuple[str, ...]] | None:
    """What there is to tell of an event: occasion, reason, command; None for most events.

    The end of a run that goes on as another one is none.
    """
    node = node_of(event)
    if isinstance(event, ev.ApprovalRequested):
        return "needs_approval", _line(event.title), ("approve", run, "--node", str(node))
    if isinstance(event, ev.WaitStarted) and event.kind == "question":
        return "question", _line(event.title), ("answer", run, "--node", str(node))
    if isinstance(event, ev.RunParked):
        return ("parked" if event.kind == "disk" else "budget"), _line(event.reason), ("why", run)
    if isinstance(event, ev.RunFailed):
        return "failed", _line(event.error), ("why", run)
    if isinstance(event, ev.RunFinished) and event.successor is None:
        failed = f"; failed on the way: {', '.join(event.failed_children)}" if event.failed_children else ""
        return "finished", f"nothing is left to do{failed}", ("inspect", run)
    return None


def notices(frame: tuple[str, int, float], run: str, events: Sequence[ev.Event]) -> list[Notice]:
    """What one frame of a run has to tell. `frame` is its commit, number and time."""
    commit, number, at = frame
    found = []
    for place, event in enumerate(events):
        told = of_run(run, event)
        if told is not None:
            found.append(Notice(f"{commit}:{place}", told[0], run, node_of(event), number, at, *told[1:]))
    return found


def _line(text: str) -> str:
    """The first line of a text, in printable characters, and not longer than a notification may be."""
    line = text.strip().partition("\n")[0]
    return "".join(c if c.isprintable() else " " for c in line)[:300]
