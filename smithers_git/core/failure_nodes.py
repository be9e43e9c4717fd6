"""The plan nodes that say what happens after a failure: `Saga` and `TryCatchFinally`.

Both are regions. A failure inside one stays there until its tasks in flight have ended, and what is to be undone,
caught or tidied up has run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from smithers_git.core.events import FailureKind
from smithers_git.core.nodes import Approval, Child, Node, Sequence, Task

OnFailure = Literal["compensate-and-fail", "compensate", "fail"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a Saga: what it does, and what undoes that once it is done (None: there is nothing to undo).

    `id` names the step in frames; default: the id of the first node of its action.
    """

    action: Child
    compensation: Child
    id: str | None = None


class Region(Sequence):
    """What `Saga` and `TryCatchFinally` share. `body` is the part whose failure they handle."""

    __slots__ = ("body", "id")

    def __init__(self, body: tuple[Node, ...], rest: Iterable[Node], id: str | None, kind: str) -> None:
        super(Sequence, self).__init__((body, rest), 4)  # the line that made the Saga, and not the one in it
        self.body = body
        self.id = id or f"{_first_id(body) or 'empty'}.{kind}"


class Saga(Region):
    """Steps one after another; when one fails, what undoes the finished ones runs in reverse.

    Args:
        steps: the steps, each with its compensation.
        on_failure: after the compensations, `compensate-and-fail` fails with the step's error (default), `compensate`
            goes on behind the saga; `fail` fails without undoing anything.
        id: names the saga in frames and for `ctx.error`; default: that of its first step with `.saga` behind it.
    """

    __slots__ = ("actions", "compensations", "on_failure")

    def __init__(self, *steps: Step, on_failure: OnFailure = "compensate-and-fail", id: str | None = None) -> None:
        self.on_failure: OnFailure = on_failure
        self.actions: dict[str, tuple[Node, ...]] = {}
        self.compensations: dict[str, tuple[Node, ...]] = {}
        for number, step in enumerate(steps):
            action = Sequence(step.action).children
            name = step.id or _first_id(action) or f"step-{number}"
            if name in self.actions:
                raise ValueError(f"two steps of a Saga have the id {name!r}: give each an id of its own")
            self.actions[name], self.compensations[name] = action, Sequence(step.compensation).children
        body = tuple(node for action in self.actions.values() for node in action)
        undo = [node for nodes in reversed(self.compensations.values()) for node in nodes]
        super().__init__(body, undo, id, "saga")


class TryCatchFinally(Region):
    """`body`; `catch` when it failed; `last` in either case.

    A failure that is not caught goes on outwards when `last` is over, as does one of `catch` or `last` themselves.

    Args:
        body: what may fail.
        catch: what runs when it did; without it, every failure goes on.
        kinds: which kinds of failure are caught (`exit`, `timeout`, `gate`, `denied` …); empty: all.
        last: what always runs behind them.
        id: names it in frames and for `ctx.error`; default: that of the first node of the body with `.try` behind it.
    """

    __slots__ = ("catch", "kinds", "last")

    def __init__(
        self,
        body: Child,
        *,
        catch: Child = None,
        last: Child = None,
        kinds: FailureKind | Iterable[FailureKind] = (),
        id: str | None = None,
    ) -> None:
        self.catch = Sequence(catch).children
        self.last = Sequence(last).children
        self.kinds: frozenset[str] = frozenset((kinds,) if isinstance(kinds, str) else kinds)
        super().__init__(Sequence(body).children, [*self.catch, *self.last], id, "try")


def _first_id(nodes: Iterable[Node]) -> str | None:
    for node in nodes:
        found = node.id if isinstance(node, Task | Approval) else _first_id(node.children)
        if found is not None:
            return found
    return None
