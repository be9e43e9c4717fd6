"""Why a run does not go on: every blocker, with the commands that clear it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Literal

from smithers_git.core import budget
from smithers_git.core.nodes import Task
from smithers_git.core.schedule import Decision, Start, Wait, decide
from smithers_git.core.state import NodeState, State
from smithers_git.errors import AgentError
from smithers_git.names import QUEUE
from smithers_git.service import admission, pools, runs
from smithers_git.service.preview import Preview, preview
from smithers_git.service.project import Project

Kind = Literal[
    "approval", "question", "signal", "timer", "child", "retry", "limit", "needs", "slot", "running", "stopped",
    "failed", "ceiling", "interrupted", "machine", "paused", "cancelled", "parked", "agent", "landing",
    "source-changed", "workflow", "finished",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason, and what clears it. Without commands it clears by itself."""

    kind: Kind
    text: str
    commands: tuple[str, ...] = ()
    node: str | None = None
    since: float | None = None
    """Unix seconds."""
    until: float | None = None
    """Unix seconds at which it clears by itself."""
    details: tuple[str, ...] = field(default=())
    """Further lines: the request, the changed files."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a run stands, and why it is not further."""

    state: State
    status: runs.RunStatus
    blockers: list[Blocker]
    """Never empty."""


def why(project: Project, run: str) -> Answer:
    """Everything that keeps the run from going on; what is in flight, when it does go on."""
    chain = project.chain(run)
    state = chain.state
    status = runs.status(project, state)
    resume = f"smithers up --resume {run}"
    if status == "finished":
        done = Blocker("finished", "it is finished: nothing is left to do", (f"smithers inspect {run}",))
        return Answer(state, status, [done])
    seen = preview(project, chain)
    found: list[Blocker] = []
    if status == "cancelled":
        found.append(Blocker("cancelled", "it was cancelled; what was done is kept", (resume,), since=state.updated))
    elif status == "failed":
        found += _failures(project, state)
    else:
        # The state is only read, yet the scheduler leaves a note on the plan: both are this call's own.
        decision = decide(seen.plan, state, project.clock.now()) if seen.plan is not None else Decision()
        found += _standing(state, status, decision, project.settings.budget.soft)
        live = status == "running"  # without an engine nothing runs, whatever was begun
        found += [_wait(state, wait) for wait in decision.waits if live or wait.kind != "running"]
        found += _asks(state)
        found += [blocker for start in decision.start if (blocker := _agent(project, state, start))]
        found += _turns(project, run)
    if status in ("running", "interrupted"):
        found += _landing(project, run)
    stopped = project.stopped_owner(run) if status == "running" else None
    if stopped is not None:
        text = f"its engine, process {stopped}, is stopped (Ctrl-Z, or a signal): nothing is decided until it goes on"
        found.insert(0, Blocker("stopped", text, (f"kill -CONT {stopped}",)))
    if status != "running":
        found += _source(run, seen)
    if not found:
        found.append(
            _driven(state, run) if status == "running" else Blocker("interrupted", "nothing drives it", (resume,))
        )
    found += [_out(state, agent, said) for agent, said in state.out.items() if status != "failed"]
    return Answer(state, status, found)


def _out(state: State, agent: str, said: str) -> Blocker:
    """That the run does without an agent."""
    text = f"{agent} is out for this run: {said}; when it works again, let it in"
    return Blocker("agent", text, (f"smithers agents test {agent}", f"smithers up --resume {state.run}"))


def _landing(project: Project, run: str) -> list[Blocker]:
    """What the run has in a merge queue, and what keeps it from landing."""
    if not project.objects.refs(QUEUE):
        return []  # and nothing of the queues is imported
    from smithers_git.service.landing.line import standing

    found = []
    for place in standing(project, run):
        text = f"{place.name} is in the queue of {place.branch} ({place.status})"
        why = f": {place.blocker}" if place.blocker else ""
        found.append(Blocker("landing", text + why, (f"smithers queue {place.branch}",), since=place.since))
    return found


def _driven(state: State, run: str) -> Blocker:
    return Blocker("running", "its engine works", (f"smithers logs -f {run}",), since=state.updated)


def _standing(state: State, status: runs.RunStatus, decision: Decision, soft: float) -> list[Blocker]:
    """What concerns the run as a whole; `soft` is the part of a budget from which on nothing starts."""
    resume = (f"smithers up --resume {state.run}",)
    if state.cancel_requested:
        text = f"{state.cancel_requested} asked to cancel it: what runs is being ended"
        return [Blocker("cancelled", text, () if status == "running" else resume)]
    if status == "parked":
        commands = ("smithers gc --dry-run", *resume) if state.parked_for == "disk" else (budget.goes_on(state, soft),)
        return [Blocker("parked", str(state.parked), commands, since=state.updated)]
    if state.pause_requested:
        text = "it is paused: nothing new starts" + (", what is in flight ends first" if status == "running" else "")
        return [Blocker("paused", text, resume)]
    could_go_on = decision.start or decision.events
    if status == "interrupted" or (status == "waiting" and could_go_on):
        cut = ", ".join(str(key) for key in state.running)
        text = "no engine drives it" + (f"; {cut} was cut off and starts again" if cut else "; it can go on at once")
        return [Blocker("interrupted", text, resume, since=state.updated)]
    return []


def _wait(state: State, wait: Wait) -> Blocker:
    run, node = state.run, str(wait.key)
    known = state.node(wait.key)
    if wait.kind == "approval":
        asked = state.approvals[wait.key]
        choice = {"select": f" --select {shlex.quote(asked.options[0])}"} if asked.options else {}
        choice |= {"rank": f" --rank {shlex.quote(','.join(asked.options))}"}
        commands = (
            f"smithers approve {run} --node {node}{choice.get(asked.mode, '')}",
            f"smithers deny {run} --node {node} --note 'why'",
            f"smithers diff {run}",
        )
        who = " or ".join(asked.allowed) or "a person"
        options = (f"options: {', '.join(asked.options)}",) if asked.options else ()
        details = (*asked.summary.strip().splitlines(), *options)
        text = f"{who} must decide: {asked.title}"
        return Blocker("approval", text, commands, node, asked.requested, asked.until, details)
    if wait.kind in ("question", "signal", "timer", "child"):
        return _outside(state, wait)
    if wait.kind == "running":
        agent = f" of {known.agent}" if known.agent else ""
        text = f"attempt {known.attempt}{agent} is running"
        return Blocker("running", text, (f"smithers chat -f {run} {node}",), node, known.started)
    if wait.kind == "retry":
        text = f"attempt {known.attempt + 1} begins by itself; the last one failed: {_line(known.error)}"
        return Blocker("retry", text, (), node, known.ended, wait.until)
    if wait.kind == "limit":
        now = (f"smithers up --resume {run}",)
        details = (*_said(known), "it goes on by itself then; with another agent in its chain it would at once")
        return Blocker("limit", known.limit, now, node, known.ended, wait.until, details)
    return Blocker(wait.kind, wait.reason, (), node)


def _said(known: NodeState) -> tuple[str, ...]:
    """What the last attempt failed with, when it was for the same limit."""
    return (_line(known.error),) if known.kind == "limit" and known.error else ()


def _outside(state: State, wait: Wait) -> Blocker:
    """What comes from outside: an answer, a signal, a moment."""
    run, node, known = state.run, str(wait.key), state.open_waits[wait.key]
    command = runs.Waiting(node, known.title, known.since, known.kind).command(run)
    text = {
        "question": f"a person must answer: {known.title}",
        "signal": f"it waits for the signal {known.title}",
        "timer": "it waits for its time",
        "child": f"it waits for the run {known.title}",
    }[known.kind]
    details = tuple(known.prompt.splitlines()) if known.prompt != known.title else ()
    return Blocker(known.kind, text, (command,) if command else (), node, known.since, wait.until, details)


def _asks(state: State) -> list[Blocker]:
    """Questions that running agents ask."""
    waits = [Wait(key, wait.kind, wait.title, wait.until) for key, wait in state.open_waits.items() if wait.asker]
    return [_outside(state, wait) for wait in waits]


def _turns(project: Project, run: str) -> list[Blocker]:
    """The agents for which the machine has no room yet, and who has it."""
    found = []
    for claim in admission.in_line(project, run):
        at_work = project.slots().working()
        others = tuple(f"{one.agent} works on {one.node} of run {one.run} in {one.place}" for one in at_work)
        text = f"{claim.agent} waits for its turn on this machine: {claim.reason}"
        found.append(Blocker("machine", text, (), claim.node, claim.since, details=others))
    return found


def _agent(project: Project, state: State, start: Start) -> Blocker | None:
    """That the program of an agent which would start now is missing."""
    task = start.item.node
    if not isinstance(task, Task) or not task.agent:
        return None
    node = str(start.key)
    try:
        name = pools.choose(project, task.agent, state, start.key).agent
        if name is None:
            return None  # its attempt, or the wait for it, says so
        profile = pools.profile(project, name)
    except AgentError as error:
        return Blocker("agent", f"{error.message}; {error.hint}", ("smithers agents list",), node)
    if pools.program(project, profile) is not None:
        return None
    commands = [profile.install] if profile.install else []
    return Blocker("agent", f"the agent {name} is not installed", (*commands, f"smithers agents test {name}"), node)


def _failures(project: Project, state: State) -> list[Blocker]:
    run = state.run
    resume = f"smithers up --resume {run}"
    found = []
    for key, node in state.nodes.items():
        if node.status != "failed" or node.continued:
            continue
        again = f"smithers retry-task {run} {key}"
        commands = {
            "denied": (resume,),
            "auth": (f"smithers agents test {node.agent}", again),
            "unstartable": (*_install(project, node.agent), again),
        }.get(node.kind or "", (again, f"smithers chat {run} {key}"))
        text = f"{node.kind}: {_line(node.error)}" + (f"; {node.hint}" if node.hint else "")
        found.append(Blocker("failed", text, commands, str(key), node.ended, details=_more(node.error)))
    ceilings = [name for name, loop in state.loops.items() if loop.finished == "max"]
    if not found and ceilings:
        text = f"{_line(state.error)}; {state.error_hint}"
        found.append(Blocker("ceiling", text, (f"{resume} --accept-change",), ceilings[-1], state.updated))
    if not found:
        text = _line(state.error) + (f"; {state.error_hint}" if state.error_hint else "")
        found.append(Blocker("failed", text, (f"{resume} --accept-change",), since=state.updated))
    return found


def _install(project: Project, agent: str | None) -> list[str]:
    try:
        profile = pools.profile(project, agent or "")
    except AgentError:  # the profile was removed since
        return ["smithers agents list"]
    return [profile.install] if profile.install else [f"smithers agents test {profile.name}"]


def _line(text: str | None) -> str:
    return (text or "").partition("\n")[0]


def _more(text: str | None) -> tuple[str, ...]:
    """The lines behind the first one: the end of a red check's output."""
    return tuple((text or "").strip().splitlines()[1:][-12:])


def _source(run: str, seen: Preview) -> list[Blocker]:
    if seen.trouble is not None:
        text = f"the workflow does not work as it is now: {seen.trouble.message}; {seen.trouble.hint}"
        return [Blocker("workflow", text, (f"smithers up --resume {run} --accept-change",))]
    if seen.changed:
        text = "the workflow's files are not the ones that it started with; put them back, or accept them"
        command = f"smithers up --resume {run} --accept-change"
        return [Blocker("source-changed", text, (command,), details=tuple(seen.changed))]
    return []
