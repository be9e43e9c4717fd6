"""What waits for a person, and the decision as a frame with who, when and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smithers_git.core import asking, codec
from smithers_git.core import events as ev
from smithers_git.core.approval_rules import may_decide
from smithers_git.core.parts import ApprovalState
from smithers_git.core.records import Decision
from smithers_git.errors import RunRefused, UsageError
from smithers_git.names import TaskKey, parse_key
from smithers_git.service import requests, runs
from smithers_git.service.append import append
from smithers_git.service.frames import Chain
from smithers_git.service.person import require_person
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
    asked: ApprovalState
    digest: str
    """Of the request and the files that it is about, as they are now."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person decided."""

    approved: bool
    by: str
    note: str = ""
    selected: str | None = None
    ranking: tuple[str, ...] = ()
    digest: str = ""
    """Of the request that the person was shown, or how it begins; empty: they do not say."""


def pending(project: Project, run: str | None = None) -> list[Pending]:
    """Every undecided approval, oldest first; of one run, or of all. What has expired is not asked any more."""
    names = [run] if run else [view.row.run for view in runs.views(project) if _asks(view)]
    now = project.clock.now()
    found: list[Pending] = []
    for name in names:
        state = project.chain(name).state
        for key in state.waiting() if state.end is None else ():
            asked = state.approvals[key]
            if asking.expired(asked, now):
                continue
            digest = requests.digest(project.objects, key, asked)
            found.append(
                Pending(
                    name,
                    key,
                    asked.title,
                    asked.summary,
                    asked.requested,
                    state.base,
                    dict(asked.commits),
                    asked,
                    digest,
                )
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
    state = project.chain(run).state
    known = state.approvals.get(key)
    if known is not None and known.approved is not None:
        return f"{key} of run {run} was already {'approved' if known.approved else 'denied'} by {known.by}"
    if known is not None and key in state.done:
        return f"{key} of run {run} was skipped: its workflow does not ask any more"
    if known is not None and asking.expired(known, project.clock.now()):
        return f"{key} of run {run} has expired: nobody decided in time"
    return f"{key} of run {run} does not wait for a decision"


def decide(project: Project, question: Pending, answer: Answer) -> Chain:
    """Record the decision, signed where the user signs commits.

    Exactly one of several that race is recorded.

    Raises:
        RunRefused: nothing waits any more, `answer.by` may not decide it, or this is an attempt of a run.
        Stale: the request or its files are not what the person was shown.
        UsageError: the answer does not fit the mode of the request.
        GitError: git could not sign.
    """
    key = question.key
    require_person(project, f"a decision on {key} of run {question.run}")

    def events(chain: Chain) -> Sequence[ev.Event]:
        known = chain.state.approvals.get(key)
        asks = chain.state.end is None and key in chain.state.waiting()
        if known is None or not asks or asking.expired(known, project.clock.now()):
            raise RunRefused(
                _not_waiting(project, question.run, key) if chain.state.end is None else f"run {chain.run} has ended",
                hint=f"smithers inspect {question.run} shows how it stands",
            )
        if not may_decide(known.allowed, answer.by):
            raise RunRefused(
                f"{answer.by} may not decide {key} of run {question.run}: only {', '.join(known.allowed)} may",
                hint="ask one of them; --by NAME says who decides",
            )
        refuse_unfit(question, known, answer)
        requests.refuse_stale(project, chain, key, answer.digest)
        decided = ev.ApprovalDecided(
            node=key.node,
            iteration=key.iteration,
            approved=answer.approved,
            by=answer.by,
            note=answer.note,
            selected=answer.selected,
            ranking=list(answer.ranking),
            digest=requests.digest(project.objects, key, known),
        )
        return [with_output(chain, decided)]

    return append(project, question.run, events, signed=True)


def refuse_unfit(question: Pending, asked: ApprovalState, answer: Answer) -> None:
    """Raise UsageError when an approval does not choose what its mode asks for, or chooses where nothing is."""
    what, options = f"{question.key} of run {question.run}", ", ".join(asked.options)
    if not answer.approved or asked.mode != "select":
        if answer.selected is not None:
            raise UsageError(f"{what} does not ask to select one", hint="leave --select out")
    elif answer.selected not in asked.options:
        said = "asks which one" if answer.selected is None else f"has no option {answer.selected!r}"
        raise UsageError(f"{what} {said}: {options}", hint="name one: --select OPTION")
    if not answer.approved or asked.mode != "rank":
        if answer.ranking:
            raise UsageError(f"{what} does not ask for an order", hint="leave --rank out")
    elif sorted(answer.ranking) != sorted(asked.options):
        raise UsageError(
            f"{what} asks for an order of all of them: {options}",
            hint=f"the best first: --rank {','.join(asked.options)}",
        )


def with_output(chain: Chain, event: ev.ApprovalDecided) -> ev.ApprovalDecided:
    """The decision with its output put into the next frame, where its node has one."""
    key = TaskKey(event.node, event.iteration)
    asked = chain.state.approvals[key]
    stops = event.how == "expired" and asked.on_expiry == "fail"
    if asked.gate or stops or not (event.approved or asked.on_deny == "continue"):
        return event
    path = codec.output_path(chain.state.outputs, key)
    decision = Decision(
        approved=event.approved,
        by=event.by,
        note=event.note,
        selected=event.selected,
        ranking=event.ranking or None,
    )
    chain.put_output(path, decision.model_dump(mode="json", exclude_none=True))
    return event.model_copy(update={"output": path})
