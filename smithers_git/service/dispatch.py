"""From a decision to a job: which agent, which prompt, which folder, with which outputs in hand."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import BaseModel

from smithers_git.core import codec, waiting
from smithers_git.core import events as ev
from smithers_git.core.command_line import may_resume
from smithers_git.core.flow_nodes import ContinueAsNew, Subflow
from smithers_git.core.nodes import Approval, Task, wants_workspace
from smithers_git.core.plan import Item, Plan
from smithers_git.core.queue_nodes import Land
from smithers_git.core.records import CommandResult, Decision
from smithers_git.core.schedule import Start
from smithers_git.core.state import NodeState
from smithers_git.core.wait_nodes import HumanTask
from smithers_git.errors import NoAgentLeft, SmithersError
from smithers_git.names import MAIN, TaskKey, branch_ref, run_of
from smithers_git.service import isolation, pools
from smithers_git.service.frames import Chain
from smithers_git.service.job import Job, Space
from smithers_git.service.landing import entries
from smithers_git.service.project import Project
from smithers_git.service.source import Source, guard
from smithers_git.service.streak import approved_in_a_row

_HALFWAY: Final = frozenset({"limit", "overload"})
"""Failures that cost no retry, and may come when half of the work is done."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A job, the events that announce it, or why it cannot be made."""

    job: Job
    events: tuple[ev.Event, ...] = ()
    trouble: str | None = None
    kind: ev.FailureKind = "bad_request"
    """What kind of trouble that is."""
    delay: ev.TaskDelayed | None = None
    """Set when every agent of the task is at its limit: there is no attempt."""


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Makes jobs for one run."""

    project: Project
    chain: Chain
    source: Source

    def prepare(self, plan: Plan, start: Start) -> Dispatch:
        """The job for `start`, with the events to record before it begins."""
        key, item = start.key, start.item
        task = item.node
        assert isinstance(task, Task)
        known = self.chain.state.node(key)
        attempt = known.attempt + 1
        plain, made = Job(self.chain.run, key, attempt, task, None), list[ev.Event]()
        try:
            space, made = self._space(plan, item)
            plain = replace(plain, space=space, **self._runs(task, known, key))
            arguments = self._arguments(plan, item)
            job = self._job(plain, known, arguments)
        except SmithersError as error:
            hint = f"; {error.hint}" if error.hint else ""
            kind: ev.FailureKind = "auth" if isinstance(error, NoAgentLeft) else "bad_request"
            return Dispatch(plain, tuple(made), trouble=f"{error.message}{hint}", kind=kind)
        began = ev.TaskStarted(
            node=key.node,
            iteration=key.iteration,
            attempt=attempt,
            agent=job.agent,
            space=space.name if space else MAIN,
            commit=space.commit if space else None,
            session=job.session,
            successor=job.successor,
            child=job.child,
            permission=job.permission,
            isolated=job.isolated if job.agent else None,
        )
        return Dispatch(job, (*made, began))

    def _runs(self, task: Task, known: NodeState, key: TaskKey) -> dict[str, Any]:
        """The run that the task begins; that of the attempt before, so that a crash never begins a second one."""
        if not isinstance(task, ContinueAsNew | Subflow):
            return {}
        name, before = ("child", known.child) if isinstance(task, Subflow) else ("successor", known.successor)
        return {name: before or run_of(self.chain.run, key, str(self.chain.newest))}

    def _job(self, plain: Job, known: NodeState, arguments: dict[str, Any]) -> Job:
        task = plain.task
        agent = session = standing = None
        former: str | None = None
        prompt, new_pass = "", False
        if task.agent:
            agent = self._agent(plain)
            standing = isolation.require(
                self.project, pools.profile(self.project, agent), pools.settings_of(self.project, agent)
            )
            known, new_pass = self._conversation(plain, known, agent)
            session = known.session if known.session_agent == agent and self._may_resume(plain, known) else None
            former = _former(known, agent) if session is None else known.error
            prompt = self._text(task.prompt, arguments, f"the prompt of {task.id!r} raised").strip()
            if not prompt:
                raise SmithersError(f"{task.where}: the prompt of {task.id!r} is empty", hint="say what is to be done")
        elif isinstance(task, Land) and plain.space is not None:
            body = self._text(task.prompt, arguments, f"the body of {task.id!r} raised").strip()
            return replace(plain, wish=entries.for_task(self.project, self.chain.state, task, plain.space, body))
        return Job(
            plain.run,
            plain.key,
            plain.attempt,
            task,
            plain.space,
            arguments=arguments,
            prompt=prompt,
            agent=agent,
            permission=standing.permission if standing else None,
            isolated=standing is not None and standing.isolated,
            chain=tuple(pools.chain(self.project, task.agent)) if agent else (),
            start=known.start or (plain.space.commit if plain.space else None),
            session=session,
            session_total=known.session_total if session else None,
            new_pass=new_pass,
            former=former,
            trouble=known.error if known.failures or known.kind in _HALFWAY else None,
            by_hand=known.by_hand,
            restored=known.restored,
            cache_key=self._cache_key(task, prompt, plain.space, arguments) if task.cache else None,
            successor=plain.successor,
            child=plain.child,
            revive=known.revive,
        )

    def undelayed(self, starts: Sequence[Start]) -> tuple[list[Start], list[ev.TaskDelayed]]:
        """Those of `starts` that can begin, and of the others until when they wait for the limits of agents."""
        looked = [(start, self.delayed(start)) for start in starts]
        return [start for start, delay in looked if delay is None], [delay for _, delay in looked if delay is not None]

    def delayed(self, start: Start) -> ev.TaskDelayed | None:
        """That every agent of the task is at its limit, so that it waits; None when it can begin, or never will."""
        task = start.item.node
        if not isinstance(task, Task) or not task.agent:
            return None
        try:
            found = pools.choose(self.project, task.agent, self.chain.state, start.key)
        except SmithersError:  # what is wrong with it, its attempt says
            return None
        if found.agent is not None or found.until is None:
            return None
        return ev.TaskDelayed(
            node=start.key.node, iteration=start.key.iteration, until=found.until, agents=list(found.limited)
        )

    def _agent(self, plain: Job) -> str:
        """Who makes the attempt; raises NoAgentLeft when every agent of the chain is out."""
        state, names = self.chain.state, plain.task.agent
        found = pools.choose(self.project, names, state, plain.key).agent
        if found is not None:
            return found
        said = [f"{name}: {state.out[name]}" for name in pools.chain(self.project, names) if name in state.out]
        raise NoAgentLeft(
            f"no agent is left for {plain.key}: {'; '.join(said) or 'all have refused it'}",
            hint=f"smithers up --resume {state.run} lets them in again",
        )

    def _may_resume(self, plain: Job, known: NodeState) -> bool:
        """Whether the conversation may go on where the attempt works: three CLIs would edit the folder it began in."""
        if known.session is None or known.session_agent is None or plain.space is None:
            return True
        spaces = self.project.workspaces(self.chain.run)
        began, now = (str(spaces.path(name)) for name in (known.space, plain.space.name))
        return may_resume(pools.profile(self.project, known.session_agent), began, now)

    def _conversation(self, plain: Job, known: NodeState, agent: str) -> tuple[NodeState, bool]:
        """What knows the conversation to go on with, and whether that is the one of an earlier pass of the loop."""
        if known.session or not plain.task.same_conversation:
            return known, False
        node, passes = plain.key.node, range(plain.key.iteration - 1, -1, -1)
        before = (self.chain.state.node(TaskKey(node, number)) for number in passes)
        found = next((one for one in before if one.session), None)
        if found is None or found.session_agent != agent:
            return known, False
        told = replace(
            known, session=found.session, session_agent=agent, session_total=found.session_total, space=found.space
        )
        return told, True

    def _text(self, prompt: Any, arguments: dict[str, Any], doing: str) -> str:
        if callable(prompt):
            return str(guard(lambda: prompt(**arguments), self.source.location.folder, doing))
        return str(prompt)

    def request(self, plan: Plan, event: ev.ApprovalRequested) -> ev.ApprovalRequested:
        """The request with the text that the person reads, and with how often people approved it before."""
        item = plan.items[event.node]
        if event.auto_after is not None:
            streak = approved_in_a_row(self.project, self.chain, event.node, event.auto_after)
            event = event.model_copy(update={"streak": streak})
        if not isinstance(item.node, Approval):
            return event
        text = self._text(item.node.summary, self._arguments(plan, item), f"the summary of {event.node!r} raised")
        return event.model_copy(update={"summary": text})

    def question(self, plan: Plan, event: ev.WaitStarted) -> ev.WaitStarted:
        """The wait with the text that the person reads."""
        item = plan.items[event.node]
        if not isinstance(item.node, HumanTask):
            return event
        text = self._text(item.node.prompt, self._arguments(plan, item), f"the prompt of {event.node!r} raised")
        return waiting.asked(event, item.node, text)

    def _space(self, plan: Plan, item: Item) -> tuple[Space | None, list[ev.Event]]:
        if not self._wants_folder(item):
            return None, []
        made: list[ev.Event] = []
        return self._enter(plan, item.space, made), made

    @staticmethod
    def _wants_folder(item: Item) -> bool:
        task = item.node
        if not isinstance(task, Task) or task.kind == "value":
            return False
        return task.kind != "call" or bool(task.gates) or wants_workspace(task)

    def _enter(self, plan: Plan, name: str, made: list[ev.Event]) -> Space:
        """The workspace `name`; one that does not exist yet begins at the tip of the one around it."""
        known = self.chain.state.spaces.get(name)
        if known is not None:
            return Space(name, known.branch, known.commit, known.port)
        if name == MAIN:
            branch, commit = branch_ref(self.chain.state.run, MAIN), self.chain.state.base
        else:
            place = plan.spaces[name]
            own, begins = place.node.branch, place.node.base
            if begins is None:
                commit = self._enter(plan, place.parent, made).commit
            else:
                commit = self.project.objects.ref(f"refs/heads/{begins}") or self.chain.state.base
            branch = f"refs/heads/{own}" if own else branch_ref(self.chain.state.run, name)
        address = self.project.workspaces(self.chain.run).address(name)
        made.append(ev.SpaceCreated(space=name, branch=branch, commit=commit, slug=address.slug, port=address.port))
        return Space(name, branch, commit, address.port)

    def _arguments(self, plan: Plan, item: Item) -> dict[str, Any]:
        return {param: self._value(plan, node) for param, node in item.params.items()}

    def _value(self, plan: Plan, node: str) -> Any:
        """The output of `node` as its model: that of the pass its loop is in where there is one, else the newest."""
        state, item = self.chain.state, plan.items.get(node)
        newest = state.latest.get(node, 0)
        # Not the pass of the one who asks: outside of the loop that is always 0, and would get the first of many.
        now_in = state.loop(item.loops[-1]).iteration if item and item.loops else newest
        path = state.node(TaskKey(node, now_in)).output or state.node(TaskKey(node, newest)).output
        if path is None:
            return None
        value = copy.deepcopy(self.chain.load(path))  # a function may change what it is given; the output stays
        model = output_model(item.node) if item else None
        return model.model_validate(value) if model else value

    def _cache_key(self, task: Task, prompt: str, space: Space | None, arguments: dict[str, Any]) -> str:
        tree = self.project.objects.read_commit(space.commit).tree if space else ""
        values = {k: v.model_dump(mode="json") if isinstance(v, BaseModel) else v for k, v in arguments.items()}
        code = task.call.__code__.co_code.hex() if task.call is not None else ""
        parts = {
            "agent": list(task.agent),
            "arguments": values,
            "call": code,
            "gates": [str(gate) for gate in task.gates],
            "model": task.output.model_json_schema() if task.output else None,
            "prompt": prompt,
            "run": task.run,
            "tree": tree,
        }
        return hashlib.sha256(codec.dumps(parts)).hexdigest()


def _former(known: NodeState, agent: str) -> str | None:
    """How an attempt of this agent ended that was made before, in another conversation; None when there was none."""
    if known.session is not None and known.session_agent == agent:
        return known.error or "it was done"
    return known.error if known.agent == agent else None


def output_model(node: Task | Approval) -> type[BaseModel] | None:
    """The model of a node's output; None for plain JSON."""
    if isinstance(node, Approval):
        return Decision
    return CommandResult if node.kind == "run" else node.output
