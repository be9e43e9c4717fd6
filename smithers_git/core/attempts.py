"""The attempts of a run, one by one, as its frames tell them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from smithers_git.core import events as ev
from smithers_git.core.codec import FrameData
from smithers_git.names import TaskKey, file_name

Ending = Literal["running", "finished", "failed", "interrupted"]


@dataclass(slots=True)
class Attempt:
    """One try of a node."""

    key: TaskKey
    number: int
    frame: int
    """The frame that announced it; the one that ended it for an attempt that needs no announcement (`value=`)."""
    started: float
    """Unix seconds."""
    agent: str | None = None
    model: str | None = None
    space: str = "main"
    base: str | None = None
    """The code commit that it started from."""
    commit: str | None = None
    """The code commit that holds what it left."""
    status: Ending = "running"
    ended: float | None = None
    ended_in: int | None = None
    """The frame that ended it."""
    seconds: float = 0.0
    kind: str | None = None
    message: str = ""
    retry_at: float | None = None
    session: str | None = None
    conversation: ev.Conversation | None = None
    usage: ev.Usage | None = None
    cost: float | None = None
    output: str | None = None
    """Path of its output in the frame's tree."""
    gates: list[str] = field(default_factory=list)
    permission: str | None = None
    isolated: bool | None = None
    bypass: ev.Bypass = ""
    cached: bool = False

    @property
    def transcript(self) -> str:
        """The name under which what it said is kept, live and in frames."""
        return f"{file_name(self.key.node)}@{self.key.iteration}.{self.number}"


class Attempts:
    """What is known after some frames; feed it frame by frame, oldest first."""

    def __init__(self, frames: Iterable[FrameData] = ()) -> None:
        self._found: dict[tuple[TaskKey, int], Attempt] = {}
        for frame in frames:
            self.take(frame)

    @property
    def all(self) -> list[Attempt]:
        """Every attempt, in the order in which they started."""
        return list(self._found.values())

    def take(self, frame: FrameData) -> None:
        """Learn what one more frame tells."""
        for event in frame.events:
            if isinstance(event, ev.TaskStarted | ev.TaskFinished | ev.TaskFailed | ev.TaskInterrupted):
                key = TaskKey(event.node, event.iteration)
                fresh = Attempt(key, event.attempt, frame.number, frame.time)
                _apply(self._found.setdefault((key, event.attempt), fresh), frame, event)


def _apply(
    attempt: Attempt,
    frame: FrameData,
    event: ev.TaskStarted | ev.TaskFinished | ev.TaskFailed | ev.TaskInterrupted,
) -> None:
    if isinstance(event, ev.TaskStarted):
        attempt.agent, attempt.space, attempt.base = event.agent, event.space, event.commit
        attempt.session, attempt.bypass = event.session, event.bypass
        attempt.permission, attempt.isolated = event.permission, event.isolated
        return
    attempt.ended, attempt.ended_in = frame.time, frame.number
    if isinstance(event, ev.TaskInterrupted):
        attempt.session, attempt.conversation = event.session or attempt.session, event.conversation
        attempt.status, attempt.message = "interrupted", f"{event.reason}; it {event.next}"
        return
    attempt.agent, attempt.model = event.agent or attempt.agent, event.model
    attempt.seconds, attempt.space, attempt.commit = event.seconds, event.space, event.commit
    attempt.session, attempt.conversation = event.session or attempt.session, event.conversation
    attempt.usage, attempt.cost = event.usage, event.cost
    if isinstance(event, ev.TaskFinished):
        attempt.status, attempt.output, attempt.gates = "finished", event.output, event.gates
        attempt.cached = event.cached
        return
    attempt.status, attempt.kind, attempt.message = "failed", event.kind, event.message
    attempt.retry_at = event.retry_at
