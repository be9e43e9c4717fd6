"""Render: the workflow function over the state, again only when something that it read has changed."""

from __future__ import annotations

from typing import Any, Final

from smithers_git.core import events as ev
from smithers_git.core.plan import Plan, build
from smithers_git.core.workflow import Context
from smithers_git.errors import WorkflowError
from smithers_git.service.frames import Chain
from smithers_git.service.source import Source, guard

_UNREAD: Final = (ev.TaskStarted, ev.ApprovalRequested, ev.WaitStarted, ev.LoopEntered, ev.LoopFinished)
"""Events about a node or loop that change nothing that a Context can read of it."""


def _touched(event: ev.Event) -> set[str]:
    if isinstance(event, ev.LoopAdvanced):
        return {event.loop, *event.inner}
    node = getattr(event, "node", None)
    return {node} if node is not None else set()


class Renderer:
    """The newest plan of a run, and what it was made from."""

    def __init__(self, source: Source, chain: Chain) -> None:
        self.source = source
        self.chain = chain
        self.count = 0
        """How often the workflow was rendered."""
        self._request: Any = None
        self._input: dict[str, Any] | None = None
        self._plan: Plan | None = None
        self._reads: set[str] = set()

    def plan(self) -> Plan:
        """The plan for the state as it is; raises WorkflowError naming file, line and node."""
        if self._plan is None:
            self._plan = self._render()
        return self._plan

    def note(self, event: ev.Event) -> None:
        """Hear of an event: the next `plan` renders again when the workflow had read what it changes."""
        if isinstance(event, ev.TaskReset | ev.RunResumed | ev.RunForked):
            self._plan = None  # they take back much at once
        elif not isinstance(event, _UNREAD) and _touched(event) & self._reads:
            self._plan = None

    def forget(self) -> None:
        """The state was read anew: render again."""
        self._plan = None

    def check_pure(self) -> None:
        """Render once more; raises WorkflowError when the same state gives another plan."""
        first, again = self.plan().shape(), self._render().shape()
        if first != again:
            names = sorted({str(row) for row in set(first) ^ set(again)})[:2]
            raise WorkflowError(
                f"{self.source.workflow.where}: two renders of the same state differ: {', '.join(names)}",
                hint="make ids and conditions from ctx alone: no clock, chance, counter or file",
            )

    @property
    def unknown_reads(self) -> list[str]:
        """What the workflow read although the plan has no such node (yet): a branch not taken, or a typing error."""
        plan = self.plan()
        return sorted(self._reads - plan.items.keys() - plan.loops.keys() - self.chain.state.latest.keys())

    def _render(self) -> Plan:
        source, state = self.source, self.chain.state
        if self._input != state.input:
            self._request, self._input = source.workflow.parse(state.input), state.input
        context = Context(self._request, state, self.chain, source)
        self.count += 1
        root = guard(lambda: source.workflow.render(context), source.location.folder, "the workflow raised")
        self._reads = context.reads
        return build(root, source.workflow.where, frozenset(state.latest))
