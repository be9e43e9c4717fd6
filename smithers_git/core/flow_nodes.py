"""The plan nodes that begin another run: the one that this run continues as, and one whose output this run uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from smithers_git.core.nodes import NeedsApproval, Task, TaskKind

Input = BaseModel | Mapping[str, Any] | Callable[..., Any]
"""The input of a run, or a function that makes it; its parameters name the nodes that it needs."""


class ContinueAsNew(Task):
    """End this run when all else in its plan is done, and begin a new one of the same workflow with a new input.

    The new run starts from the files as this one left them, and from an empty history: the way for a workflow that goes
    on for ever. Exactly one is begun, whatever dies in between.

    Args:
        id: unique in the plan, stable between renders, made from data.
        input: the new input in full, or a function that makes it.
        needs: nodes that must be done before, besides those that `input` names.
    """

    __slots__ = ()

    def __init__(self, id: str, input: Input, *, needs: str | Iterable[str] = ()) -> None:
        super().__init__(id, call=_giving(input), needs=needs, retries=0, depth=3)

    def __repr__(self) -> str:
        return f"ContinueAsNew({self.id!r})"


class Subflow(Task):
    """Another run, of a workflow or pack, whose output is this node's.

    It is a run of its own, with its own history, worktree and branch, from the files as the workspace here has them.
    What it waits for, this run waits for; a cancel of this run cancels it; its failure is the node's.

    Args:
        id: unique in the plan, stable between renders, made from data.
        workflow: a pack, or the path of a workflow file, as `smithers up` takes it, below the top of the checkout.
        input: its input, or a function that makes it.
        output: model of the output; without one it is plain JSON.
        of: the node of the other run whose output is taken; default: the output that was written last.
    """

    __slots__ = ("of", "workflow")

    def __init__(  # noqa: PLR0913 - all of them keywords, as for Task
        self,
        id: str,
        workflow: str,
        input: Input | None = None,
        *,
        output: type[BaseModel] | None = None,
        of: str | None = None,
        needs: str | Iterable[str] = (),
        skip_if: bool = False,
        continue_on_fail: bool = False,
        needs_approval: bool | str | NeedsApproval = False,
        label: str | None = None,
    ) -> None:
        super().__init__(
            id,
            call=_giving(input or {}),
            output=output,
            needs=needs,
            retries=0,
            skip_if=skip_if,
            continue_on_fail=continue_on_fail,
            needs_approval=needs_approval,
            label=label,
            depth=3,
        )
        self.output = output  # not what the function that makes the input returns
        self.workflow = workflow
        self.of = of

    @property
    def kind(self) -> TaskKind:
        return "child"

    def __repr__(self) -> str:
        return f"Subflow({self.id!r})"


def _giving(input: Input) -> Callable[..., Any]:
    if callable(input):
        return input
    given = input.model_dump(mode="json") if isinstance(input, BaseModel) else dict(input)
    return lambda: given
