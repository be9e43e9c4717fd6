"""A Land task: hand the workspace's commit in at the desk, wait, and say what became of it as the task's result."""

from __future__ import annotations

from typing import Final

from smithers_git.core import events as run_events
from smithers_git.core.records import Landing
from smithers_git.service.job import Job, Result
from smithers_git.service.landing.desk import Desk, Ticket
from smithers_git.service.landing.entries import Wish
from smithers_git.service.landing.line import evidence
from smithers_git.service.live import Watch

_KINDS: Final[dict[str, run_events.FailureKind]] = {"conflict": "conflict", "red": "gate", "hook": "gate"}


def land(desk: Desk, wish: Wish, job: Job, result: Result, watch: Watch) -> None:
    """Fill in `result`: a Landing, or why the task failed."""
    ticket = desk.land(wish, f"run {job.run}", watch.cancel)
    found = _landing(desk, wish, ticket)
    if found is None:
        result.kind, result.message = "cancelled", "it was still in the queue, and was taken out"
        return
    watch.live.report("text", found.evidence.partition("\n")[0] or f"landed as {(found.commit or '')[:12]}")
    if found.landed or not job.task.check:
        result.value = found.model_dump(mode="json")
        return
    result.kind = _KINDS.get(found.reason or "", "error")
    result.message = f"{wish.entry.name} did not land on {found.onto} ({found.reason}): {found.evidence}"


def _landing(desk: Desk, wish: Wish, ticket: Ticket) -> Landing | None:
    """What a settled entry is to the workflow; None while it is not settled."""
    state, branch = ticket.state, wish.target.removeprefix("refs/heads/")
    if state is None or state.status == "waiting":
        return None
    if state.status == "landed":
        return Landing(landed=True, entry=wish.entry.id, onto=branch, commit=state.commit)
    said = state.message or ""
    text = evidence(desk.project.apart(), wish.target, state)  # git is not shared between threads
    return Landing(
        landed=False,
        entry=wish.entry.id,
        onto=branch,
        reason="ejected" if state.status in ("ejected", "replaced") else state.reason,
        evidence=f"{said}\n{text}".strip(),
    )
