"""What waits for a person, and the decision as a frame with who, when and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smithers_git.core import codec
from smithers_git.core import events as ev
from smithers_git.core.records import Decision
from smithers_git.errors import RunRefused, UsageError
from smithers_git.names import TaskKey, parse_key
from smithers_git.service import runs
from smithers_git.service.append import append
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project


@dataclass(frozen=True, slots=True)
class Pending:
    """One question to a person."""

    run: str
    key: TaskKey
    title: str
    summary: str
    since: float
    base: str
    """Commit that the run started from."""
    commits: dict[str, str]
    """Workspace to code commit: what is to be approved."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person decided."""

    approved: bool
    by: str
    note: str = ""


def pending(project: Project, run: str | None = None) -> list[Pending]:
    """Every undecided approval, oldest first; of one run, or of all."""
    names = [run] if run else [view.row.run for view in runs.views(project) if _asks(view)]
    found: list[Pending] = []
    for name in names:
        state = project.chain(name).state
        for key in state.waiting() if state.end is None else ():
            asked = state.approvals[key]
            found.append(
                Pending(name, key, asked.title, asked.summary, asked.requested, state.base, dict(asked.commits))
            )
    return sorted(found, key=lambda one: one.since)


def _asks(view: runs.RunView) -> bool:
    return view.row.end is None and any(one.kind == "approval" for one in view.waiting)


def choose(project: Project, run: str, node: str | None) -> Pending:
    """The question that is meant; raises RunRefused when none waits, UsageError when several do."""
    waiting = pending(project, run)
    if node is not None:
        key = parse_key(node)
        exact = [one for one in waiting if one.key == key or (one.key.node == node and "@" not in node)]
        if exact:
            return exact[-1]
        raise RunRefused(_not_waiting(project, run, key), hint=f"smithers why {run} tells what it waits for")
    if not waiting:
        raise RunRefused(f"nothing in run {run} waits for a decision", hint=f"smithers why {run} tells how it stands")
    if len(waiting) > 1:
        names = ", ".join(str(one.key) for one in waiting)
        raise UsageError(f"{len(waiting)} approvals wait in run {run}: {names}", hint="name one: --node NODE")
    return waiting[0]


def _not_waiting(project: Project, run: str, key: TaskKey) -> str:
    known = project.chain(run).state.approvals.get(key)
    if known is not None and known.approved is not None:
        return f"{key} of run {run} was already {'approved' if known.approved else 'denied'} by {known.by}"
    return f"{key} of run {run} does not wait for a decision"


def decide(project: Project, question: Pending, answer: Answer) -> Chain:
    """Record the decision; exactly one of several that race is recorded, the others raise RunRefused."""
    key = question.key

    def events(chain: Chain) -> Sequence[ev.Event]:
        known = chain.state.approvals.get(key)
        if chain.state.end is not None or known is None or known.approved is not None:
            raise RunRefused(
                _not_waiting(project, question.run, key) if chain.state.end is None else f"run {chain.run} has ended",
                hint=f"smithers inspect {question.run} shows how it stands",
            )
        path = None
        if not known.gate and (answer.approved or known.on_deny == "continue"):
            path = codec.output_path(chain.state.outputs, key)
            decision = Decision(approved=answer.approved, by=answer.by, note=answer.note)
            chain.put_output(path, decision.model_dump(mode="json"))
        return [
            ev.ApprovalDecided(
                node=key.node,
                iteration=key.iteration,
                approved=answer.approved,
                by=answer.by,
                note=answer.note,
                output=path,
            )
        ]

    return append(project, question.run, events)
