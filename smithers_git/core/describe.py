"""Events in a few words, as the timeline, the logs and the commit subjects say them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smithers_git.core import events as ev
from smithers_git.core.budget import shown
from smithers_git.core.nodes import Budget
from smithers_git.names import TaskKey


def node_of(event: ev.Event) -> str | None:
    """The node that the event is about, as `NODE` or `NODE@ITERATION`; None for an event of the whole run."""
    iteration = getattr(event, "iteration", None)
    node = getattr(event, "node", None)
    return None if node is None or iteration is None else str(TaskKey(node, iteration))


def describe(event: ev.Event) -> str:
    """What happened, in one line of printable characters: it is the subject of a commit and a line on a terminal."""
    said = _SAY[type(event)](event)
    return " ".join("".join(c if c.isprintable() else " " for c in said).split())


def _failed(event: ev.TaskFailed) -> str:
    line = event.message.partition("\n")[0]
    return f"{node_of(event)} failed ({event.kind}): {line}" + ("" if event.final else "; tries again")


def _run_failed(event: ev.RunFailed) -> str:
    # The error may go on with the tail of a red gate; this line is the subject of a commit.
    line = event.error.partition("\n")[0]
    return f"run failed: {line}"


def _loop_finished(event: ev.LoopFinished) -> str:
    ended = "until holds" if event.reason == "until" else "reached its ceiling"
    return f"{event.loop} {ended} after {event.iterations} iteration{'s' * (event.iterations != 1)}"


def _decided(event: ev.ApprovalDecided) -> str:
    said = f"{node_of(event)} {'approved' if event.approved else 'denied'}"
    return f"{said} by {event.by}" if event.how == "person" else f"{said} by itself: {event.note}"


def _wait_ended(event: ev.WaitEnded) -> str:
    if event.reason == "withdrawn":
        return f"{node_of(event)} is not waited for any more: the plan went on without it"
    return f"{node_of(event)} {event.reason}" + (f" by {event.by}" if event.by else "")


def _resolved(event: ev.WaitResolved) -> str:
    if event.signal is not None:
        return f"{node_of(event)} took a signal" + (f" from {event.by}" if event.by else "")
    return f"{node_of(event)} is due" if event.by == "clock" else f"{node_of(event)} answered by {event.by}"


def _region_failed(event: ev.RegionFailed) -> str:
    ends = [f"undoes {', '.join(reversed(event.steps))}"] if event.steps else []
    line = event.error.partition("\n")[0]
    return "; ".join([f"{node_of(event)} failed: {line}", *ends, "goes on" if event.caught else "fails after that"])


def _arrived(event: ev.SignalArrived) -> str:
    what = f"an answer to {event.answers}" if event.answers else f"signal {event.name}"
    return f"{what} arrived" + (f" from {event.by}" if event.by else "")


_SAY: dict[type, Callable[[Any], str]] = {
    ev.RunCreated: lambda e: f"run of {e.workflow} created",
    ev.RunResumed: lambda e: "run resumed" + (" with a changed workflow" if e.accepted else ""),
    ev.RunForked: lambda e: f"forked from {e.parent} at frame {e.frame}",
    ev.RunFinished: lambda e: (
        "run finished"
        + (f", {len(e.failed_children)} failed on the way" if e.failed_children else "")
        + (f"; goes on as {e.successor}" if e.successor else "")
    ),
    ev.RunFailed: _run_failed,
    ev.CancelRequested: lambda e: "cancel requested" + (f" by {e.by}" if e.by else ""),
    ev.RunCancelled: lambda e: "run cancelled" + (f" by {e.by}" if e.by else ""),
    ev.PauseRequested: lambda e: "pause requested" + (f" by {e.by}" if e.by else ""),
    ev.RunParked: lambda e: f"run parked: {e.reason}",
    ev.RunBudgeted: lambda e: f"budget is {shown(Budget(e.usd, e.tokens))}" + (f", says {e.by}" if e.by else ""),
    ev.TaskStarted: lambda e: f"{node_of(e)} started" + (f" with {e.agent}" if e.agent else ""),
    ev.TaskFinished: lambda e: f"{node_of(e)} finished" + (" from the cache" if e.cached else ""),
    ev.TaskFailed: _failed,
    ev.TaskSkipped: lambda e: f"{node_of(e)} skipped: {e.reason}",
    ev.TaskInterrupted: lambda e: f"{node_of(e)} interrupted: {e.reason}; it {e.next}",
    ev.TaskSuspended: lambda e: f"{node_of(e)} waits for its run {e.child}: {e.title}",
    ev.TaskHijacked: lambda e: f"{node_of(e)} was worked on by {e.by or 'a person'}, in its conversation",
    ev.TaskDelayed: lambda e: f"{node_of(e)} waits for the limit of {' and '.join(e.agents)}",
    ev.TaskWoken: lambda e: f"{node_of(e)} goes on with its run",
    ev.TaskReset: lambda e: f"reset {', '.join(e.nodes)}",
    ev.LoopEntered: lambda e: f"{e.loop} begins" + (f" in {e.outer[-1]}" if e.outer else ""),
    ev.LoopAdvanced: lambda e: f"{e.loop} goes on to iteration {e.iteration}",
    ev.LoopFinished: _loop_finished,
    ev.RegionFailed: _region_failed,
    ev.RegionSettled: lambda e: f"{node_of(e)} settled after its failure",
    ev.ApprovalRequested: lambda e: f"{node_of(e)} asks for approval",
    ev.ApprovalDecided: _decided,
    ev.WaitStarted: lambda e: f"{node_of(e)} waits for a {e.kind}: {e.title}",
    ev.WaitResolved: _resolved,
    ev.WaitEnded: _wait_ended,
    ev.SignalArrived: _arrived,
    ev.SignalRefused: lambda e: f"signal {e.name} was refused: {e.issue}",
    ev.SpaceCreated: lambda e: f"workspace {e.space} created",
    ev.SpaceSaved: lambda e: f"workspace {e.space} saved: {e.reason}",
}
