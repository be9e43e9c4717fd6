"""What a workflow function returns: a tree of plan nodes. Plain values; nothing here runs anything.

Each node remembers the file and line that made it, so that an error about the plan can point there.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from collections.abc import Sequence as AbstractSequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from pydantic import BaseModel

from smithers_git.names import TaskKey

Seconds = float | int | timedelta
Prompt = str | Callable[..., str]
Command = str | AbstractSequence[str]


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


def _where(depth: int) -> str:
    frame = sys._getframe(depth)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def seconds(value: Seconds | None) -> float | None:
    """A duration in seconds, from a number of seconds or a timedelta."""
    return value.total_seconds() if isinstance(value, timedelta) else value


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pause before attempt n+1: `first * factor ** (n - 1)` seconds, at most `most`, plus up to `jitter` of itself."""

    first: float = 1.0
    factor: float = 2.0
    most: float = 300.0
    jitter: float = 0.25

    def pause(self, failures: int, chance: float) -> float:
        """Seconds to wait after `failures` failures (1 or more); `chance` is in [0, 1)."""
        base = min(self.most, self.first * self.factor ** min(failures - 1, 60))
        return base * (1 + self.jitter * chance)


@dataclass(frozen=True, slots=True)
class Budget:
    """What one node may spend over all its attempts before no further attempt is started."""

    usd: float | None = None
    tokens: int | None = None


TaskKind = Literal["agent", "run", "call", "value", "land", "question", "signal", "timer", "child"]


OnDeny = Literal["fail", "continue", "skip"]
OnExpiry = Literal["deny", "fail", "approve"]
Mode = Literal["approve", "select", "rank"]


@dataclass(frozen=True, slots=True)
class NeedsApproval:
    """What a person is asked before a task starts, and on which terms."""

    title: str = ""
    """The question; default: whether to start the task."""
    allowed: str | Iterable[str] = ()
    """Who may decide: names or mail addresses as git has them; empty: everybody."""
    expires: Seconds | None = None
    """Seconds (or a timedelta) after which nobody is asked any more."""
    on_expiry: OnExpiry = "deny"
    """What becomes of it then: `deny` (and so what `on_deny` says), `fail` or `approve`."""
    auto_after: int | None = None
    """After so many approvals by people in a row, of this node in this workflow, the next one is automatic."""
    on_deny: OnDeny = "fail"
    """`fail` the run, `skip` the node, or `continue` (an Approval only) with `approved=False`."""

    def __post_init__(self) -> None:
        allowed = (self.allowed,) if isinstance(self.allowed, str) else tuple(self.allowed)
        object.__setattr__(self, "allowed", allowed)
        object.__setattr__(self, "expires", seconds(self.expires))


class Task:
    """One position of work: exactly one of `agent` (with `prompt`), `run`, `call` or `value`.

    Args:
        id: unique in the plan, stable between renders, made from data.
        agent: profile or pool name, or a chain of them: attempt n uses entry n, the last one repeats.
        prompt: text, or a function whose parameters name the nodes that it needs.
        run: a command, as a list of words or one line for the shell; fails on a non-zero exit or at its time limit
            unless `check=False`.
        call: a Python function; its parameters name the nodes that it needs (`workspace`: the folder to work in;
            `checkout`: the top folder of the user's own checkout).
        value: a constant.
        output: pydantic model of the output; required for agents.
        needs: nodes that must be done before this one starts, besides those that prompt or call name.
        retries: further attempts after the first failed (default 2).
        timeout: seconds one attempt may take; `idle_timeout`: seconds it may stay silent.
        gates: commands that must be green in the workspace after an attempt of this task.
        cache: reuse the result of an earlier run with the same definition on the same files.
        changes: an agent's answer only counts when a file differs from what was there before its first attempt.
        same_conversation: in a loop, an agent goes on in the conversation of its last pass instead of a new one.
    """

    __slots__ = (
        "agent", "backoff", "budget", "cache", "call", "changes", "check", "continue_on_fail", "gates", "id",
        "idle_timeout", "key", "label", "needs", "needs_approval", "output", "prompt", "retries", "run",
        "same_conversation", "skip_if", "timeout", "value", "where",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - the options of design section 3, all of them keywords
        self,
        id: str,
        *,
        agent: str | AbstractSequence[str] | None = None,
        prompt: Prompt | None = None,
        run: Command | None = None,
        call: Callable[..., Any] | None = None,
        value: Any = MISSING,
        output: type[BaseModel] | None = None,
        check: bool = True,
        needs: str | Iterable[str] = (),
        retries: int = 2,
        backoff: Backoff | None = None,
        timeout: Seconds | None = None,
        idle_timeout: Seconds | None = None,
        skip_if: bool = False,
        continue_on_fail: bool = False,
        needs_approval: bool | str | NeedsApproval = False,
        gates: Iterable[Command] = (),
        cache: bool = False,
        budget: Budget | None = None,
        label: str | None = None,
        changes: bool = False,
        same_conversation: bool = False,
        depth: int = 2,
    ) -> None:
        self.id = id
        self.key = TaskKey(id, 0)
        self.agent: tuple[str, ...] = (agent,) if isinstance(agent, str) else tuple(agent or ())
        self.prompt = prompt
        self.run: Command | None = run if run is None or isinstance(run, str) else tuple(run)
        self.call = call
        self.value = value
        self.output = output or _implied_model(value, call)
        self.check = check
        self.needs: tuple[str, ...] = (needs,) if isinstance(needs, str) else tuple(needs)
        self.retries = retries
        self.backoff = backoff or DEFAULT_BACKOFF
        self.timeout = seconds(timeout)
        self.idle_timeout = seconds(idle_timeout)
        self.skip_if = bool(skip_if)
        self.continue_on_fail = continue_on_fail
        self.needs_approval = needs_approval
        self.gates: tuple[Command, ...] = tuple(g if isinstance(g, str) else tuple(g) for g in gates)
        self.cache = cache
        self.budget = budget
        self.label = label or id
        self.changes = changes
        self.same_conversation = same_conversation
        self.where = _where(depth)

    @property
    def kind(self) -> TaskKind:
        if self.agent:
            return "agent"
        if self.run is not None:
            return "run"
        return "call" if self.call is not None else "value"

    def __repr__(self) -> str:
        return f"Task({self.id!r})"


DEFAULT_BACKOFF: Final = Backoff()


def _implied_model(value: Any, call: Callable[..., Any] | None) -> type[BaseModel] | None:
    """The model that a value is of, or that a function's return annotation names."""
    if isinstance(value, BaseModel):
        return type(value)
    found = getattr(call, "__annotations__", {}).get("return")
    if isinstance(found, str):  # postponed annotations
        found = getattr(call, "__globals__", {}).get(found)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def wants_workspace(task: Task) -> bool:
    """Whether a `call=` function asks for the folder to work in."""
    return task.call is not None and takes(task.call, "workspace")


def takes(function: Callable[..., Any], parameter: str) -> bool:
    """Whether the function has a parameter of that name."""
    if inspect.isfunction(function) and not function.__dict__:  # a plain one tells by itself: 25 us less a step
        code = function.__code__
        return parameter in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return parameter in inspect.signature(function).parameters


class Approval:
    """A question to a person: the plan goes on when it was decided. Its output is a `Decision`.

    Args:
        id: unique in the plan, stable between renders, made from data.
        title: the question in one line.
        summary: what the person reads, or a function whose parameters name the nodes that it needs.
        mode: `approve` it, `select` one of `options`, or `rank` them all.
        on_deny: `fail` the run, `continue` with `approved=False`, or `skip` the node.
        allowed, expires, on_expiry, auto_after: see NeedsApproval.
    """

    __slots__ = ("id", "key", "label", "mode", "needs", "needs_approval", "options", "summary", "title", "where")

    def __init__(  # noqa: PLR0913 - all of them keywords, as for Task
        self,
        id: str,
        *,
        title: str | None = None,
        summary: Prompt = "",
        mode: Mode = "approve",
        options: Iterable[str] = (),
        on_deny: OnDeny = "fail",
        allowed: str | Iterable[str] = (),
        expires: Seconds | None = None,
        on_expiry: OnExpiry = "deny",
        auto_after: int | None = None,
        needs: str | Iterable[str] = (),
    ) -> None:
        self.id = id
        self.key = TaskKey(id, 0)
        self.title = title or id
        self.label = self.title
        self.summary = summary
        self.mode: Mode = mode
        self.options = tuple(options)
        self.needs_approval = NeedsApproval(self.title, allowed, expires, on_expiry, auto_after, on_deny)
        self.needs: tuple[str, ...] = (needs,) if isinstance(needs, str) else tuple(needs)
        self.where = _where(2)

    @property
    def on_deny(self) -> OnDeny:
        return self.needs_approval.on_deny

    def __repr__(self) -> str:
        return f"Approval({self.id!r})"


class _Group:
    __slots__ = ("children", "where")

    def __init__(self, children: Iterable[Child], depth: int = 3) -> None:
        self.children: tuple[Node, ...] = tuple(_flat(children))
        self.where = _where(depth)

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.children!r}"


class Sequence(_Group):
    """Children one after another."""

    __slots__ = ()

    def __init__(self, *children: Child) -> None:
        super().__init__(children)


class Parallel(_Group):
    """Children side by side, at most `max_concurrency` tasks of the group in flight (None: no limit of its own)."""

    __slots__ = ("max_concurrency",)

    def __init__(self, *children: Child, max_concurrency: int | None = None) -> None:
        super().__init__(children)
        self.max_concurrency = max_concurrency


class Branch(_Group):
    """`then` when the condition holds, else `otherwise`; decided again at each render."""

    __slots__ = ("chosen",)

    def __init__(self, condition: object, then: Child = None, otherwise: Child = None) -> None:
        self.chosen = bool(condition)
        super().__init__([then if self.chosen else otherwise])


class Loop(_Group):
    """Its children again and again until `until` holds or the ceiling is reached.

    `until` is looked at when every child of the pass is done. `on_max="fail"` fails the run at the ceiling,
    `"return-last"` goes on with the last pass; either way the user is told.
    """

    __slots__ = ("id", "max_iterations", "on_max", "until")

    def __init__(
        self,
        *children: Child,
        until: object,
        max_iterations: int = 5,
        on_max: Literal["fail", "return-last"] = "fail",
        id: str | None = None,
    ) -> None:
        super().__init__(children)
        self.until = bool(until)
        self.max_iterations = max_iterations
        self.on_max: Literal["fail", "return-last"] = on_max
        self.id = id or f"{_first_id(self) or 'empty'}.loop"


Ralph = Loop


class Worktree(_Group):
    """Its children work in a git worktree of their own, branched from the enclosing workspace.

    `branch` names the code branch; without it, it is `smithers/<run>/<id>`. `base` names a branch whose tip, at the
    moment when the worktree is made, it begins at instead; the commit that the run started from while there is none.
    """

    __slots__ = ("base", "branch", "id")

    def __init__(self, id: str, *children: Child, branch: str | None = None, base: str | None = None) -> None:
        super().__init__(children)
        self.id = id
        self.branch = branch
        self.base = base


Node = Task | Approval | Sequence | Parallel | Branch | Loop | Worktree
Child = Node | None | Iterable["Child"]


def _flat(children: Iterable[Child]) -> Iterable[Node]:
    """Children with None left out and lists opened, so that `[Task(...) for ...]` can stand among them."""
    for child in children:
        if child is None:
            continue
        if isinstance(child, Task | Approval | _Group):
            yield child
        elif isinstance(child, Iterable) and not isinstance(child, str | bytes | dict):
            yield from _flat(child)
        else:
            raise TypeError(f"{child!r} cannot stand in a plan: use Task, Sequence, Parallel, … or None")


def _first_id(node: Any) -> str | None:
    if isinstance(node, Task | Approval):
        return node.id
    return next((found for child in node.children if (found := _first_id(child))), None)
