"""What can happen to a region: a Saga or a TryCatchFinally."""

from __future__ import annotations

from typing import Literal

from smithers_git.core.event_base import NodeEvent


class RegionFailed(NodeEvent):
    """The body of a region has failed, and nothing of it is in flight; now it is undone, caught, tidied up."""

    type: Literal["region.failed"] = "region.failed"
    cause: str
    """The task or loop that failed; outside of the region when a failure beside it ends it."""
    kind: str | None = None
    """The kind of the failure; None for a loop at its ceiling."""
    error: str
    hint: str = ""
    caught: bool = False
    """Whether the plan goes on behind the region once it has settled."""
    steps: list[str] = []
    """Finished steps of a saga, in their order; they are undone from the last to the first."""
    inside: list[str] = []
    """What has failed inside, as `NODE` or `NODE@ITERATION`."""
    dropped: list[str] = []
    """What still waited inside, for something outside or for its next attempt, and does not any more."""
    again: list[str] = []
    """What begins afresh when the region is tried again: its handlers, and the steps that were undone."""
    loops: list[str] = []
    """Loops that go on at their next iteration then."""


class RegionSettled(NodeEvent):
    """Everything that a failed region had still to do is done."""

    type: Literal["region.settled"] = "region.settled"
