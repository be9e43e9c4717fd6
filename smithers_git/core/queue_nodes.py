"""The plan nodes of the merge queue: a task that lands its workspace, and the group that lands its worktrees."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from smithers_git.core.nodes import Child, Command, NeedsApproval, Node, Parallel, Prompt, Task, TaskKind, Worktree
from smithers_git.core.records import Landing

Style = Literal["merge", "rebase", "squash"]


class Land(Task):
    """Enter the files of the workspace around it into a merge queue, and wait until they landed or were refused.

    Its output is a `Landing`. The queue tests the very commit that it then puts on the target; a conflict, a red gate
    or a hook that says no comes back as `landed=False` with the evidence.

    Args:
        id: unique in the plan, stable between renders, made from data.
        onto: branch to land on; default: that of the MergeQueue around it, else `[landing] branch` of the config.
        gates: commands that must be green on exactly the tree that lands; default as for `onto`, else the check.
        style: `merge`, `rebase` or `squash`; default as for `onto`.
        name: what `depends_on` of others names; default: the ticket, else `RUN/WORKSPACE`.
        depends_on: names of entries that must have landed before.
        priority: higher goes first among those that may go.
        title: first line of the commit message; `body`: the rest, or a function as for a prompt.
        ticket: id for the trailer `Smithers-Ticket`.
        check: False makes a refusal data, for a loop whose next pass mends it; else it fails the task.
    """

    __slots__ = ("depends_on", "entry_gates", "name", "onto", "priority", "style", "ticket", "title")

    def __init__(  # noqa: PLR0913 - all of them keywords, as for Task
        self,
        id: str,
        *,
        onto: str | None = None,
        gates: Iterable[Command] = (),
        style: Style | None = None,
        name: str | None = None,
        depends_on: str | Iterable[str] = (),
        priority: int = 0,
        title: str | None = None,
        body: Prompt = "",
        ticket: str | None = None,
        check: bool = True,
        needs: str | Iterable[str] = (),
        skip_if: bool = False,
        continue_on_fail: bool = False,
        needs_approval: bool | str | NeedsApproval = False,
        label: str | None = None,
    ) -> None:
        super().__init__(
            id,
            output=Landing,
            check=check,
            needs=needs,
            retries=0,
            skip_if=skip_if,
            continue_on_fail=continue_on_fail,
            needs_approval=needs_approval,
            label=label,
            depth=3,
        )
        self.prompt = body
        self.onto = onto
        self.entry_gates: tuple[Command, ...] = tuple(g if isinstance(g, str) else tuple(g) for g in gates)
        self.style: Style | None = style
        self.name = name
        self.depends_on: tuple[str, ...] = (depends_on,) if isinstance(depends_on, str) else tuple(depends_on)
        self.priority = priority
        self.title = title
        self.ticket = ticket

    @property
    def kind(self) -> TaskKind:
        return "land"

    def __repr__(self) -> str:
        return f"Land({self.id!r})"


class MergeQueue(Parallel):
    """Children side by side whose results land one after another, each tested on top of those before it.

    Gives the `Land` tasks inside it their defaults. A child that is a Worktree without one gets one at its end, with
    the id `WORKTREE.land`.

    Args:
        onto: branch to land on; default: `[landing] branch` of the config, never the user's own.
        gates, style: as for `Land`.
        max_concurrency: tasks of the group in flight; landing does not count.
    """

    __slots__ = ("gates", "onto", "style")

    def __init__(
        self,
        *children: Child,
        onto: str | None = None,
        gates: Iterable[Command] = (),
        style: Style | None = None,
        max_concurrency: int | None = None,
    ) -> None:
        super().__init__(*children, max_concurrency=max_concurrency)
        self.onto = onto
        self.gates: tuple[Command, ...] = tuple(g if isinstance(g, str) else tuple(g) for g in gates)
        self.style: Style | None = style
        for child in self.children:
            if isinstance(child, Worktree) and not any(True for _ in _landings(child)):
                land = Land(f"{child.id}.land")
                land.where = child.where
                child.children = (*child.children, land)
        for land in _landings(self):
            land.onto = land.onto or onto
            land.entry_gates = land.entry_gates or self.gates
            land.style = land.style or style


def _landings(node: Node | Any) -> Iterable[Land]:
    if isinstance(node, Land):
        yield node
    for child in getattr(node, "children", ()):
        yield from _landings(child)
