"""Does an agent get anywhere? Told what it says and when, this tells when it only goes round in circles. Pure.

Silence is the runner's to watch. This is for the agent that talks: the same tool with the same words again and again, a
cycle of a few of them, retry notices and nothing else, or bytes in which nothing new is said. Whether its files change
meanwhile, whoever asks has to look: an agent that edits one file forty times says the same forty times.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Literal

from smithers_git.core.limits import is_limit
from smithers_git.core.reply import AgentEvent

_FEW: Final = 8
"""Different things that a cycle may hold: four calls of a tool, each with its outcome."""
_SHORT: Final = 16
"""Characters. Shorter text is a piece of a stream, of which a table has the same one fifty times."""
_TELLING: Final = frozenset({"text", "tool", "tool_done"})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an agent may go on without getting anywhere. Seconds; None is for ever."""

    repeats: int = 60
    """Things in a row that it has said or done just before; and for as long as:"""
    repeating: float | None = 120.0
    nothing_new: float | None = 3600.0
    """It prints, and nothing of that is new."""
    retrying: float | None = 900.0
    """It only tells that it tries to reach its service again."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Why an agent is ended."""

    kind: Literal["loop", "limit", "overload"]
    message: str


class Pulse:
    """What one turn of an agent has said. Times are seconds of a clock that never goes back.

    Args:
        patience: when it is enough.
        now: when the turn began.
    """

    def __init__(self, patience: Patience, now: float) -> None:
        self._patience = patience
        self._recent: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._again = 0
        """Things in a row that are among the recent ones."""
        self._new_at = now
        self._other_at = now
        """When it last said anything but that it retries."""
        self._retries = 0
        self._last = ""

    def feed(self, event: AgentEvent, now: float) -> None:
        """Take what it says or does at `now`."""
        if event.kind == "retrying":
            self._retries += 1
            self._last = event.text
            return
        if event.kind in ("usage", "other"):
            return
        self._other_at, self._retries = now, 0
        if event.kind not in _TELLING:
            self._fresh(now)
            return
        said = (event.kind, " ".join(event.text.split()))
        if event.kind == "text" and len(said[1]) < _SHORT:
            return
        if said in self._recent:
            self._again += 1
            self._recent.move_to_end(said)
            return
        self._recent[said] = None
        if len(self._recent) > _FEW:
            self._recent.popitem(last=False)
        self._fresh(now)

    def forgive(self, now: float) -> None:
        """Its files have changed: it gets somewhere."""
        self._fresh(now)

    def suspicious(self, now: float) -> bool:
        """Whether it is half-way to being ended for a loop: time to look at its files."""
        return self._loop(now, 0.5) is not None

    def stall(self, now: float) -> Stall | None:
        """Why it is to be ended now. A loop only counts when its files have not changed since it was suspicious."""
        limit, silent = self._patience.retrying, now - self._other_at
        if limit is not None and self._retries and silent >= limit:
            kind: Literal["limit", "overload"] = "limit" if is_limit(self._last) else "overload"
            return Stall(
                kind, f"for {_minutes(silent)} it has only told that it tries again: {self._last}".rstrip(": ")
            )
        message = self._loop(now, 1.0)
        return None if message is None else Stall("loop", message)

    def _loop(self, now: float, part: float) -> str | None:
        patience, since = self._patience, now - self._new_at
        often = self._again >= patience.repeats * part
        if often and patience.repeating is not None and since >= patience.repeating * part:
            said = " ".join(next(reversed(self._recent)))[:200]
            return f"it has gone round in circles for {_minutes(since)}, {self._again} steps, no file changed: {said}"
        if patience.nothing_new is not None and since >= patience.nothing_new * part:
            return f"it has said nothing new for {_minutes(since)}, and no file changed"
        return None

    def _fresh(self, now: float) -> None:
        self._new_at, self._again = now, 0


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
