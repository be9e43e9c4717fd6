"""The plan nodes that wait for something outside: a person's answer, a signal, a moment."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from smithers_git.core.nodes import Child, Loop, Prompt, Seconds, Task, seconds
from smithers_git.core.records import TimerFired
from smithers_git.core.wait_events import GiveUp, WaitKind

Moment = datetime | float | int


class WaitNode(Task):
    """A position in the plan at which nothing runs: it is done when what it waits for has come."""

    __slots__ = ()

    @property
    def kind(self) -> WaitKind:
        """What is waited for."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"


class HumanTask(WaitNode):
    """A question to a person, whose answer fits a model. The run goes on when it was answered.

    Args:
        id: unique in the plan, stable between renders, made from data.
        output: pydantic model of the answer; a form is made from its fields.
        prompt: what the person reads, or a function whose parameters name the nodes that it needs.
        title: the question in one line; default: the first line of the prompt, else the id.
        allowed: who may answer, by name or mail address as git has them; empty: everybody.
        expires: seconds (or a timedelta) after which nobody is asked any more.
        on_expiry: `fail` the node then, or `skip` it.
        on_cancel: the same, when a person withdraws the question.
    """

    __slots__ = ("allowed", "expires", "on_cancel", "on_expiry", "title")

    def __init__(  # noqa: PLR0913 - all of them keywords, as for Task
        self,
        id: str,
        *,
        output: type[BaseModel],
        prompt: Prompt = "",
        title: str | None = None,
        allowed: str | Iterable[str] = (),
        expires: Seconds | None = None,
        on_expiry: GiveUp = "fail",
        on_cancel: GiveUp = "fail",
        needs: str | Iterable[str] = (),
        skip_if: bool = False,
        continue_on_fail: bool = False,
    ) -> None:
        super().__init__(
            id, output=output, needs=needs, retries=0, skip_if=skip_if, continue_on_fail=continue_on_fail, depth=3
        )
        self.prompt = prompt
        self.title = title
        self.allowed: tuple[str, ...] = (allowed,) if isinstance(allowed, str) else tuple(allowed)
        self.expires = seconds(expires)
        self.on_expiry: GiveUp = on_expiry
        self.on_cancel: GiveUp = on_cancel

    @property
    def kind(self) -> WaitKind:
        return "question"


class Signal(WaitNode):
    """Waits until `smithers signal RUN NAME` was called, before or after the run came here. One signal, one wait.

    Args:
        id: unique in the plan, stable between renders, made from data.
        name: name of the signal; default: the id.
        correlation: take only a signal with this very correlation (say a ticket's number); None: any.
        output: pydantic model of its data; None: any JSON.
        timeout: seconds (or a timedelta) after which it is not waited for any more.
        on_timeout: `fail` the node then, or `skip` it.
    """

    __slots__ = ("correlation", "name", "on_timeout")

    def __init__(  # noqa: PLR0913 - all of them keywords, as for Task
        self,
        id: str,
        *,
        name: str | None = None,
        correlation: str | None = None,
        output: type[BaseModel] | None = None,
        timeout: Seconds | None = None,
        on_timeout: GiveUp = "fail",
        needs: str | Iterable[str] = (),
        skip_if: bool = False,
        continue_on_fail: bool = False,
    ) -> None:
        super().__init__(
            id, output=output, needs=needs, retries=0, skip_if=skip_if, continue_on_fail=continue_on_fail, depth=3
        )
        self.name = name or id
        self.correlation = correlation
        self.timeout = seconds(timeout)
        self.on_timeout: GiveUp = on_timeout

    @property
    def kind(self) -> WaitKind:
        return "signal"


class Timer(WaitNode):
    """Waits for a span, or until a moment. What is due while nothing ran goes on at the next look.

    Its output is a `TimerFired`.

    Args:
        id: unique in the plan, stable between renders, made from data.
        for_: seconds (or a timedelta), from when the run comes here.
        until: a datetime with a time zone, or Unix seconds.
    """

    __slots__ = ("for_", "until")

    def __init__(  # noqa: PLR0913 - all of them keywords, as for Task
        self,
        id: str,
        *,
        for_: Seconds | None = None,
        until: Moment | None = None,
        needs: str | Iterable[str] = (),
        skip_if: bool = False,
        depth: int = 3,
    ) -> None:
        super().__init__(id, output=TimerFired, needs=needs, retries=0, skip_if=skip_if, depth=depth)
        self.for_ = seconds(for_)
        self.until = until

    @property
    def kind(self) -> WaitKind:
        return "timer"

    def due(self, now: float) -> float:
        """Unix seconds at which it fires, when the run comes to it at `now`."""
        if self.for_ is not None:
            return now + self.for_
        assert self.until is not None
        return self.until.timestamp() if isinstance(self.until, datetime) else float(self.until)


def Poller(  # noqa: N802 - reads as the node that it makes
    id: str,
    *children: Child,
    until: object,
    every: Seconds,
    max_iterations: int = 100,
    on_max: Literal["fail", "return-last"] = "fail",
) -> Loop:
    """The children again and again, with a pause between two passes, until `until` holds.

    Args:
        id: of the loop; the pause is the node `ID.pause`.
        children: what looks: a command with `check=False`, an agent.
        until: as for Loop: whether what is looked for has come.
        every: seconds (or a timedelta) of the pause. While it is long, the run has no process.
        max_iterations: passes at most.
        on_max: as for Loop.
    """
    pause = Timer(f"{id}.pause", for_=every, skip_if=bool(until), depth=4)
    loop = Loop(*children, pause, until=until, max_iterations=max_iterations, on_max=on_max, id=id)
    loop.where = pause.where
    return loop
