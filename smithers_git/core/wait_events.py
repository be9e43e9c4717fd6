"""What can happen to something that a run waits for: a question, a signal, a timer."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import PrivateAttr

from smithers_git.core.event_base import NodeEvent, Record

WaitKind = Literal["question", "signal", "timer", "child"]
"""`child`: a run that this one uses."""
GiveUp = Literal["fail", "skip"]
"""What becomes of the node when nothing came in time, or a person withdrew it: it fails, or it is skipped."""


class WaitStarted(NodeEvent):
    type: Literal["wait.started"] = "wait.started"
    kind: WaitKind
    title: str
    """In one line. Of a signal: its name, and its correlation as `smithers signal` takes them."""
    prompt: str = ""
    """The whole question, for a person."""
    answer: dict[str, Any] | None = None
    """JSON schema of what may come."""
    choices: list[str] = []
    """The answers to choose from, of a question that a running agent asks."""
    asker: str | None = None
    """`NODE` or `NODE@ITERATION` of the running task that asks; None for a node of the plan."""
    attempt: int = 0
    """The attempt of that task."""
    name: str | None = None
    """Name of the signal."""
    correlation: str | None = None
    allowed: list[str] = []
    """Who may answer: names or mail addresses as git has them; empty for everybody."""
    until: float | None = None
    """Unix seconds: when the timer is due, or when the wait ends without an answer."""
    on_expiry: GiveUp = "fail"
    on_cancel: GiveUp = "fail"
    continued: bool = False
    """True when `continue_on_fail` lets the plan go on after it failed."""


class WaitResolved(NodeEvent):
    type: Literal["wait.resolved"] = "wait.resolved"
    by: str
    """Who answered or sent the signal; `clock` for a timer."""
    output: str | None = None
    """Path of the output in the frame's tree."""
    signal: str | None = None
    """Id of the signal that was taken."""
    reply: str | None = None
    """The answer to a question that a running agent asked."""
    _value: Any = PrivateAttr(default=None)

    @property
    def value(self) -> Any:
        """What the output file is to hold, on its way there; no frame has it."""
        return self._value

    def holding(self, value: Any) -> Self:
        """This event, with what the output file is to hold."""
        self._value = value
        return self


class WaitEnded(NodeEvent):
    """A wait, or a question whether something may go on, is over without what was waited for.

    `withdrawn`: the plan has gone on without it. Should it come to it again, that is a new wait.
    """

    type: Literal["wait.ended"] = "wait.ended"
    reason: Literal["expired", "cancelled", "withdrawn"]
    by: str = ""
    note: str = ""


class SignalArrived(Record):
    """A signal was sent. It stays until a wait takes it."""

    type: Literal["signal.arrived"] = "signal.arrived"
    id: str
    name: str
    correlation: str | None = None
    data: Any = None
    by: str = ""
    answers: str | None = None
    """`NODE` or `NODE@ITERATION` of a question, when it is an answer that was given where no workflow may be run: the
    engine checks it."""


class SignalRefused(Record):
    """A signal came before its wait, and does not fit the model that the wait has."""

    type: Literal["signal.refused"] = "signal.refused"
    id: str
    name: str
    issue: str
