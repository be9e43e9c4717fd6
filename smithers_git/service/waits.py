"""Questions and signals from outside the engine: answered, withdrawn or sent, each as one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from smithers_git.core import events as ev
from smithers_git.core import fold_waits, waiting
from smithers_git.core.approval_rules import may_decide
from smithers_git.core.state import WaitState
from smithers_git.core.wait_nodes import HumanTask, Signal
from smithers_git.errors import RunRefused, UsageError
from smithers_git.names import TaskKey, parse_key
from smithers_git.service import detach, runs
from smithers_git.service.append import append
from smithers_git.service.frames import Chain
from smithers_git.service.person import require_person
from smithers_git.service.preview import preview
from smithers_git.service.project import Project


@dataclass(frozen=True, slots=True)
class Question:
    """A question that nobody has answered yet."""

    run: str
    key: TaskKey
    wait: WaitState


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of an answer."""

    chain: Chain
    late: bool
    """True when the question had expired: the answer was not taken, and the run goes on without one."""


def questions(project: Project, run: str | None = None) -> list[Question]:
    """Every open question, oldest first; of one run, or of all."""
    names = [run] if run else [view.row.run for view in runs.views(project) if _asks(view)]
    found: list[Question] = []
    for name in names:
        state = project.chain(name).state
        waits = state.open_waits.items() if state.end is None else ()
        found += [Question(name, key, wait) for key, wait in waits if wait.kind == "question"]
    return sorted(found, key=lambda one: one.wait.since)


def _asks(view: runs.RunView) -> bool:
    return view.row.end is None and any(one.kind == "question" for one in view.waiting)


def choose(project: Project, run: str, node: str | None) -> Question:
    """The question that is meant; raises RunRefused when none is open, UsageError when several are."""
    found = questions(project, run)
    if node is not None:
        key = parse_key(node)
        exact = [one for one in found if one.key == key or (one.key.node == node and "@" not in node)]
        if not exact:
            raise _closed(project.chain(run), key)
        return exact[-1]
    if not found:
        raise RunRefused(f"run {run} asks nothing", hint=f"smithers why {run} tells how it stands")
    if len(found) > 1:
        names = ", ".join(str(one.key) for one in found)
        raise UsageError(f"{len(found)} questions wait in run {run}: {names}", hint="name one: --node NODE")
    return found[0]


def _closed(chain: Chain, key: TaskKey) -> RunRefused:
    """Why nobody can answer `key` any more."""
    state, run = chain.state, chain.run
    wait = state.waits.get(key)
    if wait is not None and wait.end is not None:
        said = f"{key} of run {run} is not open: {fold_waits.said(wait)}"
    elif state.end is not None:
        said = f"run {run} is {state.end}: {key} asks no more"
    else:
        said = f"{key} of run {run} does not wait for an answer"
    return RunRefused(said, hint=f"smithers why {run} tells how it stands")


def _open(chain: Chain, key: TaskKey, by: str) -> WaitState:
    wait = chain.state.open_waits.get(key)
    if wait is None or wait.kind != "question" or chain.state.end is not None:
        raise _closed(chain, key)
    given = chain.state.matched().get(key)
    if given is not None:
        said = f"{key} of run {chain.run} was already answered by {given.by}; the run has not looked at that yet"
        raise RunRefused(said, hint=f"smithers up --resume {chain.run} goes on with it")
    if not may_decide(wait.allowed, by):
        people = ", ".join(wait.allowed)
        raise RunRefused(f"{by} may not answer {key} of run {chain.run}", hint=f"it is for: {people}")
    return wait


def asker_node(project: Project, chain: Chain, key: TaskKey) -> HumanTask:
    """The plan node that asks; raises RunRefused when the workflow cannot say it any more, or may not be asked here."""
    if not detach.driven_here(project, chain):
        raise RunRefused(
            f"run {chain.run} was never driven here, and a form would run its code",
            hint=f"smithers answer {chain.run} --node {key} --value JSON runs nothing",
        )
    seen = preview(project, chain)
    if seen.plan is None:
        said = seen.trouble.message if seen.trouble else "there is no plan"
        raise RunRefused(
            f"the answer cannot be checked, the workflow does not work as it is now: {said}",
            hint=f"smithers why {chain.run} says what to type",
        )
    item = seen.plan.items.get(key.node)
    if item is None or not isinstance(item.node, HumanTask):
        raise RunRefused(f"the plan of run {chain.run} does not ask {key} any more", hint=f"smithers graph {chain.run}")
    return item.node


def answer(project: Project, question: Question, value: Any, by: str) -> Answered:
    """Record an answer: exactly one of several that race; the others, and one that does not fit, raise RunRefused.

    Of a run that was never driven here no code is run: whether the answer fits is then judged where the run goes on.
    """
    key, late = question.key, False
    require_person(project, f"the answer to {key} of run {question.run}")

    def events(chain: Chain) -> Sequence[ev.Event]:
        nonlocal late
        wait = _open(chain, key, by)
        late = wait.until is not None and wait.until <= project.clock.now()
        if late:
            return [ev.WaitEnded(node=key.node, iteration=key.iteration, reason="expired")]
        if wait.asker is not None:
            return [ev.WaitResolved(node=key.node, iteration=key.iteration, by=by, reply=_reply(key, wait, value))]
        if not detach.driven_here(project, chain):
            id, plain = project.clock.token(12), str(key)
            return [ev.SignalArrived(id=id, name=key.node, data=value, by=by, answers=plain)]
        node = asker_node(project, chain, key)
        try:
            event = waiting.resolve(node, key, chain.state, value, by)
        except ValueError as error:  # a ValidationError is one
            reasons = waiting.issues(error) if isinstance(error, ValidationError) else [str(error)]
            raise RunRefused(
                f"the answer does not fit: {'; '.join(reasons)}",
                hint=f"the question stays open; its fields are: {fields(node)}",
            ) from error
        assert event.output is not None
        chain.put_output(event.output, event.value)
        return [event]

    return Answered(append(project, question.run, events), late)


def fields(node: HumanTask) -> str:
    """The fields of the answer, in words."""
    model = node.output
    assert model is not None
    named = model.model_json_schema().get("properties", {})
    return ", ".join(f"{name} ({part.get('type', 'see its schema')})" for name, part in named.items()) or "none"


def _reply(key: TaskKey, wait: WaitState, value: Any) -> str:
    if not isinstance(value, str):
        raise RunRefused(f"{key} wants a text", hint="--value 'your answer'")
    if wait.choices and value not in wait.choices:
        raise RunRefused(f"{value!r} is none of the choices", hint=f"they are: {', '.join(wait.choices)}")
    return value


def withdraw(project: Project, question: Question, by: str, note: str) -> Chain:
    """Take a question back: the node then fails or is skipped, as its `on_cancel` says. Raises as `answer` does."""
    key = question.key
    require_person(project, f"taking back {key} of run {question.run}")

    def events(chain: Chain) -> Sequence[ev.Event]:
        _open(chain, key, by)
        return [ev.WaitEnded(node=key.node, iteration=key.iteration, reason="cancelled", by=by, note=note)]

    return append(project, question.run, events)


@dataclass(frozen=True, slots=True)
class Sent:
    """A signal: its name, what it is about, and its data (JSON)."""

    name: str
    correlation: str | None
    data: Any
    by: str


def signal(project: Project, run: str, sent: Sent) -> tuple[Chain, TaskKey | None]:
    """Send a signal; returns the wait that takes it, None when it is kept for a later one.

    Raises RunRefused when the run is over, or the data does not fit what the plan waits for.
    """
    id = project.clock.token(12)

    def events(chain: Chain) -> Sequence[ev.Event]:
        if chain.state.end is not None:
            hint = f"smithers inspect {run} shows how it stands"
            raise RunRefused(f"run {run} is {chain.state.end}: it takes no signals", hint=hint)
        if detach.driven_here(project, chain):  # else the engine looks at it, wherever that is
            _refuse_unfit(project, chain, sent)
        return [ev.SignalArrived(id=id, name=sent.name, correlation=sent.correlation, data=sent.data, by=sent.by)]

    chain = append(project, run, events)
    taken = [key for key, one in chain.state.matched().items() if one.id == id]
    return chain, taken[0] if taken else None


def _refuse_unfit(project: Project, chain: Chain, sent: Sent) -> None:
    """Raise when no node that could take the signal accepts its data. Without a plan, the node that takes it judges."""
    seen = preview(project, chain)
    nodes = [item.node for item in seen.plan.items.values()] if seen.plan is not None else []
    wanted = [node for node in nodes if isinstance(node, Signal) and node.name == sent.name]
    wrong: list[str] = []
    for node in wanted:
        if node.correlation not in (None, sent.correlation):
            continue
        try:
            waiting.fit(node, sent.data)
        except ValidationError as error:
            wrong = wrong or [f"{node.id}: {issue}" for issue in waiting.issues(error)]
        else:
            return
    if wrong:
        raise RunRefused(
            f"the data does not fit what waits for the signal {sent.name!r}: {'; '.join(wrong)}",
            hint="give it with --data '{…}'; nothing was sent",
        )
