"""The plan nodes that begin another run: the one that this run continues as, and one whose output this run uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from smithers_git.core.nodes import Task

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


def _giving(input: Input) -> Callable[..., Any]:
    if callable(input):
        return input
    given = input.model_dump(mode="json") if isinstance(input, BaseModel) else dict(input)
    return lambda: given
