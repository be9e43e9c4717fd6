"""Tools for what waits for a person: approvals, questions and signals."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from smithers_git.clock import iso
from smithers_git.core.parts import ApprovalState
from smithers_git.edge.git.diff import changed_files
from smithers_git.front import answer as answers
from smithers_git.front import decide
from smithers_git.front.tools.base import Confirmed, Paged, RunArgs, Scene, Tool, lean, page, proposal
from smithers_git.service import approvals, detach, requests, runs, waits
from smithers_git.service.approvals import Answer, Pending
from smithers_git.service.waits import Question, Sent

_FILES: Final = 50


class ListPending(Paged):
    run: str | None = Field(default=None, description="Only of this run; default: of all.")


def list_pending(scene: Scene, args: ListPending) -> dict[str, Any]:
    """List what waits for a person, oldest first: approvals (with the request, the changed files, green gates, cost and
    a digest that names exactly what was seen) and questions (with what an answer looks like). Show these to the user:
    they decide, and approve, deny or answer carry out what they said."""
    project = scene.project
    run = None if args.run is None else scene.run(args.run)
    found = [(one.since, _approval(scene, one)) for one in approvals.pending(project, run)]
    found += [(one.wait.since, _question(one)) for one in waits.questions(project, run)]
    rows, more = page([row for _, row in sorted(found, key=lambda pair: pair[0])], args)
    unreadable = runs.survey(project)[1]
    return {"pending": rows, **more, **lean({"unreadable": unreadable})}


def _approval(scene: Scene, one: Pending) -> dict[str, Any]:
    asked: ApprovalState = one.asked
    seen = requests.evidence(scene.project, one.run, asked)
    files = {
        space: changed_files(scene.project.repository, one.base, commit)[:_FILES]
        for space, commit in one.commits.items()
    }
    facts = {
        "kind": "approval",
        "run": one.run,
        "node": str(one.key),
        "title": one.title,
        "summary": one.summary,
        "mode": asked.mode if asked.mode != "approve" else None,
        "options": list(asked.options),
        "allowed": list(asked.allowed),
        "changed_files": files,
        "green_gates": seen.gates,
        "cost": round(seen.cost, 4) or None,
        "since": iso(one.since),
        "until": iso(asked.until) if asked.until is not None else None,
    }
    return {**lean(facts), "digest": one.digest}


def _question(one: Question) -> dict[str, Any]:
    wait = one.wait
    facts = {
        "kind": "question",
        "run": one.run,
        "node": str(one.key),
        "title": wait.title if wait.prompt not in (None, wait.title) else None,
        "prompt": wait.prompt or wait.title,
        "choices": list(wait.choices),
        "asked_by": str(wait.asker) if wait.asker else None,
        "allowed": list(wait.allowed),
        "since": iso(wait.since),
        "until": iso(wait.until) if wait.until is not None else None,
    }
    wanted: Any = "text" if wait.asker is not None else wait.answer
    return {**lean(facts), "answer": wanted}


class Approve(RunArgs):
    node: str | None = Field(default=None, description="Which approval, when several wait in the run.")
    note: str = Field(default="", description="What the run and its history shall know of it.")
    select: str | None = Field(default=None, description="The option, where one is to be selected.")
    rank: list[str] = Field(default=[], description="All options, the best first, where they are to be ranked.")
    digest: str = Field(
        default="", description="Of the request that the user saw (list_pending); another one is refused."
    )


def approve(scene: Scene, args: Approve) -> dict[str, Any]:
    """Approve what waits, when the user said so; the run then goes on by itself. Never decide on your own. Refused when
    the request or its files are not what was shown any more."""
    note = f"{args.note} {scene.through}".strip()
    said = Answer(True, scene.project.who(), note, args.select, tuple(args.rank), args.digest)
    return _decide(scene, approvals.choose(scene.project, scene.run(args.run), args.node), said)


class Deny(RunArgs, Confirmed):
    node: str | None = Field(default=None, description="Which approval, when several wait in the run.")
    note: str = Field(default="", description="Why; the run and its history shall know.")
    digest: str = Field(default="", description="Of the request that the user saw; another one is refused.")


def deny(scene: Scene, args: Deny) -> dict[str, Any]:
    """Deny what waits, when the user said so; the workflow then fails or takes its other way. Needs confirm."""
    question = approvals.choose(scene.project, scene.run(args.run), args.node)
    if not args.confirm:
        would = f"deny {question.key} of run {question.run}: {question.title}"
        return proposal("deny", would, run=question.run, digest=question.digest)
    note = f"{args.note} {scene.through}".strip()
    said = Answer(False, scene.project.who(), note, digest=args.digest)
    return {"done": True, **_decide(scene, question, said)}


def _decide(scene: Scene, question: Pending, said: Answer) -> dict[str, Any]:
    chain, goes = decide.settle(scene.project, question, said, leave=False)
    return dict(lean(decide.document(question, said, chain, goes)))


class AnswerArgs(RunArgs):
    node: str | None = Field(default=None, description="Which question, when several wait in the run.")
    value: Any = Field(description="The answer: an object with the fields that list_pending names, or a plain text.")


def answer(scene: Scene, args: AnswerArgs) -> dict[str, Any]:
    """Answer a question of a run with what the user said; the run then goes on by itself. An answer that does not fit
    is refused with the reasons, and the question stays open."""
    project = scene.project
    question = waits.choose(project, scene.run(args.run), args.node)
    said = {"by": project.who(), "no_resume": False, "done": "answered"}
    chain = answers.settle(project, question, args.value, said)
    goes = detach.go_on(project, chain)
    return dict(lean(answers.document(question, chain, goes, said)))


class Signal(RunArgs):
    name: str = Field(description="Name of the signal.")
    data: Any = Field(default=None, description="What comes with it; must fit what the workflow says.")
    correlation: str | None = Field(default=None, description="What it is about, where the wait asks for it.")


def signal(scene: Scene, args: Signal) -> dict[str, Any]:
    """Send a signal to a run that waits for it, or will wait for it; one signal ends one wait."""
    sent = Sent(args.name, args.correlation, args.data, scene.project.who())
    return dict(lean(answers.sending(scene.project, scene.run(args.run), sent, leave=False)))


TOOLS: Final = (
    Tool(list_pending, ListPending, "reads"),
    Tool(approve, Approve, "writes"),
    Tool(deny, Deny, "destroys"),
    Tool(answer, AnswerArgs, "writes"),
    Tool(signal, Signal, "writes"),
)
