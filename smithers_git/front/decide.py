"""Decisions of a person: approve and deny, cancel and pause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from smithers_git.edge import output
from smithers_git.errors import ExitCode, RunRefused, UsageError
from smithers_git.front.pick import pick
from smithers_git.front.words import plural
from smithers_git.service import approvals, control, detach, runs
from smithers_git.service.approvals import Answer, Pending
from smithers_git.service.detach import GoesOn
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project


def decide(project: Project, run: str | None, options: Mapping[str, Any], *, approved: bool) -> int:
    """Approve or deny what waits; asks which one on a terminal when RUN does not say. Returns the exit code."""
    answer = _given(project, options, approved=approved)
    resolved = None if run is None else runs.resolve(project, run)
    if options["every"]:
        return _every(project, resolved, options, answer)
    if resolved is not None:
        question = approvals.choose(project, resolved, options["node"])
        left = 0
    else:
        waiting = _waiting(project, None)
        verb: Literal["approve", "deny"] = "approve" if approved else "deny"
        if options["as_json"] or not output.is_terminal():
            raise _unnamed(waiting, verb)
        picked = pick(project, waiting, verb, answer)
        if picked is None:
            output.note("nothing was decided")
            return int(ExitCode.INTERRUPTED)
        if picked.answer is None:
            output.note(f"postponed: {picked.question.key} of run {picked.question.run} waits on")
            return int(ExitCode.WAITING)
        question, answer, left = picked.question, picked.answer, len(waiting) - 1
    chain, goes = settle(project, question, answer, leave=options["no_resume"])
    if options["as_json"]:
        output.document(document(question, answer, chain, goes))
        return int(ExitCode.DONE)
    _say(question, answer)
    _say_how(question.run, goes)
    if left:
        output.note(f"{plural(left, 'more decision')} wait{'s' * (left == 1)}: smithers approve")
    return int(ExitCode.DONE)


def settle(project: Project, question: Pending, answer: Answer, *, leave: bool) -> tuple[Chain, GoesOn]:
    """Record a decision and let the run go on, unless it is to be left alone; raises as `approvals.decide` does."""
    chain = approvals.decide(project, question, answer)
    return chain, detach.go_on(project, chain, leave=leave)


def _given(project: Project, options: Mapping[str, Any], *, approved: bool) -> Answer:
    """What the arguments say of the answer."""
    order = tuple(word.strip() for word in (options.get("rank") or "").split(",") if word.strip())
    by, note = options["by"] or project.who(), options["note"] or ""
    return Answer(approved, by, note, options.get("select"), order, options["digest"] or "")


def _waiting(project: Project, run: str | None) -> list[Pending]:
    found = approvals.pending(project, run)
    if not found:
        where = f"run {run}" if run else "this repository"
        raise RunRefused(f"nothing waits for a decision in {where}", hint="smithers ps shows the runs")
    return found


def _unnamed(waiting: list[Pending], verb: str) -> UsageError:
    commands = "; ".join(f"smithers {verb} {one.run} --node {one.key}" for one in waiting)
    many = f"{len(waiting)} decisions wait" if len(waiting) > 1 else "one decision waits"
    return UsageError(f"{many}, and without a terminal RUN says which one is meant", hint=commands)


def _every(project: Project, run: str | None, options: Mapping[str, Any], answer: Answer) -> int:
    """Decide everything that waits in the same way; what cannot be decided so is named, and stays open."""
    if options["node"] or answer.digest or answer.selected or answer.ranking:
        raise UsageError("--all decides more than one", hint="leave out --node, --digest, --select and --rank")
    decided: list[tuple[Pending, Answer, Chain]] = []
    refused: list[tuple[Pending, RunRefused | UsageError]] = []
    for question in _waiting(project, run):
        seen = Answer(answer.approved, answer.by, answer.note, digest=question.digest)
        try:
            decided.append((question, seen, approvals.decide(project, question, seen)))
        except (RunRefused, UsageError) as error:
            refused.append((question, error))
    # Once for each run, after all its decisions: an engine that starts in between would be asked to read each of them.
    newest = {question.run: chain for question, _, chain in decided}
    goes = {name: detach.go_on(project, chain, leave=options["no_resume"]) for name, chain in newest.items()}
    if options["as_json"]:
        output.document(
            {
                "decided": [document(question, said, chain, goes[question.run]) for question, said, chain in decided],
                "refused": [
                    {"run": one.run, "node": str(one.key), "error": why.message, "hint": why.hint}
                    for one, why in refused
                ],
            }
        )
    else:
        for question, said, _ in decided:
            _say(question, said)
        for name, how in goes.items():
            _say_how(name, how)
        for _, why in refused:
            output.note(f"not decided: {why.message}; {why.hint}")
    return int(ExitCode.FAILED if refused else ExitCode.DONE)


def document(question: Pending, answer: Answer, chain: Chain, goes: GoesOn) -> dict[str, Any]:
    """A decision and what follows from it, for a program."""
    return {
        "run": question.run,
        "node": question.key.node,
        "iteration": question.key.iteration,
        "decision": "approved" if answer.approved else "denied",
        "by": answer.by,
        "note": answer.note,
        "selected": answer.selected,
        "ranking": list(answer.ranking),
        "digest": question.digest,
        "frame": chain.state.number,
        "resumed": not goes.why,
        "why": goes.why or None,
        "pid": goes.began.pid if goes.began else None,
        "log": str(goes.began.log) if goes.began else None,
    }


def _say(question: Pending, answer: Answer) -> None:
    verdict = "approved" if answer.approved else "denied"
    chosen = answer.selected or ", ".join(answer.ranking)
    output.emit(f"{question.key} of run {question.run} {verdict} by {answer.by}" + (f": {chosen}" if chosen else ""))


def _say_how(run: str, goes: GoesOn) -> None:
    output.note(goes.why or f"the run goes on in the background; watch it with: smithers logs -f {run}")


def cancelled(project: Project, run: str, by: str | None) -> dict[str, Any]:
    """Cancel a run; what became of that, for a program."""
    state = control.cancel(project, run, by or project.who())
    return {"run": run, "cancelled": state.end == "cancelled", "requested": True, "frame": state.number}


def cancel(project: Project, run: str, by: str | None, *, as_json: bool) -> None:
    """Cancel a run, and say whether that is done or under way."""
    document = cancelled(project, run, by)
    if as_json:
        output.document(document)
    elif document["cancelled"]:
        output.emit(f"run {run} is cancelled")
    else:
        output.emit(f"run {run} is being cancelled: its engine ends what runs and keeps the files")
        output.note(f"watch it with: smithers logs -f {run}")


def paused(project: Project, run: str, by: str | None) -> dict[str, Any]:
    """Pause a run; what is still in flight, for a program."""
    state = control.pause(project, run, by or project.who())
    flying = [str(key) for key in state.running] if project.is_owned(run) else []
    return {"run": run, "paused": True, "in_flight": flying, "frame": state.number}


def pause(project: Project, run: str, by: str | None, *, as_json: bool) -> None:
    """Pause a run, and say what is still in flight."""
    document = paused(project, run, by)
    if as_json:
        output.document(document)
        return
    flying = document["in_flight"]
    output.emit(f"run {run} is paused" + (f"; still in flight: {', '.join(flying)}" if flying else ""))
    output.note(f"go on with: smithers up --resume {run}")
