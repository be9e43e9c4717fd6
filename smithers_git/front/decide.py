"""Decisions of a person: approve and deny, cancel and pause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smithers_git.clock import ago
from smithers_git.edge import ask, output
from smithers_git.edge.git.diff import diff_stat
from smithers_git.edge.lock import is_held
from smithers_git.errors import ExitCode, RunRefused, UsageError
from smithers_git.service import approvals, control, detach, runs
from smithers_git.service.approvals import Answer, Pending
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project


def decide(project: Project, run: str | None, options: Mapping[str, Any], *, approved: bool) -> int:
    """Approve or deny what waits; asks which one on a terminal when RUN does not say. Returns the exit code."""
    by, note = options["by"] or project.who(), options["note"]
    if run is not None:
        question = approvals.choose(project, runs.resolve(project, run), options["node"])
    else:
        picked = _ask(project, note, approved=approved, interactive=output.is_terminal() and not options["as_json"])
        if picked is None:
            output.note("nothing was decided")
            return int(ExitCode.INTERRUPTED)
        question, note = picked
    chain = approvals.decide(project, question, Answer(approved, by, note or ""))
    _conclude(project, question, chain, {**options, "by": by, "note": note or "", "approved": approved})
    return int(ExitCode.DONE)


def _verb(*, approved: bool) -> str:
    return "approve" if approved else "deny"


def _ask(project: Project, note: str | None, *, approved: bool, interactive: bool) -> tuple[Pending, str] | None:
    """The question that the person chooses and the note; None when they gave up."""
    verb = _verb(approved=approved)
    waiting = approvals.pending(project)
    if not waiting:
        raise RunRefused("nothing waits for a decision in this repository", hint="smithers ps shows the runs")
    if not interactive:
        commands = "; ".join(f"smithers {verb} {one.run} --node {one.key}" for one in waiting)
        many = f"{len(waiting)} decisions wait" if len(waiting) > 1 else "one decision waits"
        raise UsageError(f"{many}, and without a terminal RUN says which one is meant", hint=commands)
    now = project.clock.now()
    labels = [f"{one.run} {one.key}: {one.title} ({ago(now - one.since)})" for one in waiting]
    question = ask.select(f"What do you want to {verb}?", list(zip(labels, waiting, strict=True)))
    if question is None:
        return None
    _show(project, question)
    if note is None:
        note = ask.text("A note for the run and its history (may be empty):")
    if note is None or not ask.confirm(f"{verb.capitalize()} {question.key} of run {question.run}?"):
        return None
    return question, note


def _show(project: Project, question: Pending) -> None:
    """The request, and what was changed for it."""
    output.emit()
    output.emit(output.paint(question.title, "bold"))
    for line in question.summary.strip().splitlines():
        output.emit(f"  {line}")
    for space, commit in question.commits.items():
        stat = diff_stat(project.repository, question.base, commit, color=output.colored()).rstrip()
        output.emit()
        output.emit(output.paint(f"changed in {space} since the start:", "dim"))
        output.emit(stat or "  nothing")
    output.emit(output.paint(f"the whole of it: smithers diff {question.run}", "dim"))
    output.emit()


def _conclude(project: Project, question: Pending, chain: Chain, said: Mapping[str, Any]) -> None:
    """Let the run go on, and say what happened."""
    run, state = question.run, chain.state
    verdict = "approved" if said["approved"] else "denied"
    goes = detach.go_on(project, chain, leave=said["no_resume"])
    if said["as_json"]:
        output.document(
            {
                "run": run,
                "node": question.key.node,
                "iteration": question.key.iteration,
                "decision": verdict,
                "by": said["by"],
                "note": said["note"],
                "frame": state.number,
                "resumed": not goes.why,
                "why": goes.why or None,
                "pid": goes.began.pid if goes.began else None,
                "log": str(goes.began.log) if goes.began else None,
            }
        )
        return
    output.emit(f"{question.key} of run {run} {verdict} by {said['by']}")
    if goes.why:
        output.note(goes.why)
    else:
        output.note(f"the run goes on in the background; watch it with: smithers logs -f {run}")


def cancel(project: Project, run: str, by: str | None, *, as_json: bool) -> None:
    """Cancel a run, and say whether that is done or under way."""
    state = control.cancel(project, run, by or project.who())
    done = state.end == "cancelled"
    if as_json:
        output.document({"run": run, "cancelled": done, "requested": True, "frame": state.number})
    elif done:
        output.emit(f"run {run} is cancelled")
    else:
        output.emit(f"run {run} is being cancelled: its engine ends what runs and keeps the files")
        output.note(f"watch it with: smithers logs -f {run}")


def pause(project: Project, run: str, by: str | None, *, as_json: bool) -> None:
    """Pause a run, and say what is still in flight."""
    state = control.pause(project, run, by or project.who())
    alive = is_held(project.lock_path(run))
    flying = [str(key) for key in state.running] if alive else []
    if as_json:
        output.document({"run": run, "paused": True, "in_flight": flying, "frame": state.number})
        return
    output.emit(f"run {run} is paused" + (f"; still in flight: {', '.join(flying)}" if flying else ""))
    output.note(f"go on with: smithers up --resume {run}")
