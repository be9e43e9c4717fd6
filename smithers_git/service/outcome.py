"""From what came back of an attempt to events: finished, failed, to be tried again, interrupted, or known already."""

from __future__ import annotations

import json
from typing import Final

from smithers_git.core import chain as chain_of_agents
from smithers_git.core import codec
from smithers_git.core import events as ev
from smithers_git.core.retry import Met, after_failure
from smithers_git.core.state import State
from smithers_git.errors import TooLarge
from smithers_git.names import MAIN
from smithers_git.service import conversations
from smithers_git.service.frames import Chain
from smithers_git.service.job import Job, Result, Space, Suspension
from smithers_git.service.project import Project

ENDED: Final = (ev.TaskFinished, ev.TaskFailed, ev.TaskInterrupted, ev.TaskSuspended)

_CHUNK: Final = 1 << 20
"""Bytes of one transcript file: small enough for every forge, and appended to never."""


def is_void(state: State, result: Result) -> bool:
    """Whether the run went on without the attempt: it counts as over there, or the whole run does.

    So it is for an engine that lost the run's lock while it was stopped, and for a result that comes twice.
    """
    job = result.job
    return state.end is not None or (result.begun and state.running.get(job.key) != job.attempt)


def events(chain: Chain, result: Result, now: float, chance: float) -> list[ev.Event]:
    """The events of an attempt that ended; its output and transcript are handed to the next frame."""
    _put_said(chain, result)
    if result.suspended is not None:
        return [_suspended(result, result.suspended)]
    newer = _newer(chain, result)
    if result.kind is None:
        try:
            return [_finished(chain, result), *newer]
        except TooLarge as error:
            result.kind, result.message, result.hint = "invalid", error.message, error.hint
    return [*_left_behind(chain, result), _failed(chain, result, now, chance), *newer]


def _newer(chain: Chain, result: Result) -> list[ev.Event]:
    """That the workspace stays where a task beside it has brought it, whose result came in before this older one."""
    space = result.job.space
    if space is None or result.astray or not _is_older(chain, space, result.commit):
        return []
    why = f"{result.job.key} was saved before what is there now"
    return [ev.SpaceSaved(space=space.name, commit=chain.state.spaces[space.name].commit, reason=why)]


def _is_older(chain: Chain, space: Space, commit: str | None) -> bool:
    known = chain.state.spaces.get(space.name)
    if commit is None or known is None or commit == known.commit:
        return False
    return chain.objects.is_ancestor(commit, known.commit)


def _end(result: Result) -> dict[str, object]:
    job = result.job
    return {
        "node": job.key.node,
        "iteration": job.key.iteration,
        "attempt": job.attempt,
        "seconds": round(result.seconds, 3),
        "agent": result.agent,
        "model": result.model,
        "space": job.space.name if job.space else MAIN,
        "commit": None if result.astray else result.commit,
        "session": result.session,
        "conversation": result.conversation,
        "session_total": result.session_total,
        "usage": result.usage,
        "cost": result.cost,
    }


def _suspended(result: Result, found: Suspension) -> ev.TaskSuspended:
    job = result.job
    return ev.TaskSuspended(
        node=job.key.node,
        iteration=job.key.iteration,
        attempt=job.attempt,
        seconds=round(result.seconds, 3),
        child=found.run,
        tip=found.tip,
        title=found.title,
        until=found.until,
    )


def _finished(chain: Chain, result: Result) -> ev.TaskFinished:
    path = chain.state.node(result.job.key).output or codec.output_path(chain.state.outputs, result.job.key)
    chain.put_output(path, result.value)
    own = {"output": path, "gates": result.gates, "cache_key": result.job.cache_key, "cached": result.cached}
    return ev.TaskFinished.model_validate({**_end(result), **own})


def _failed(chain: Chain, result: Result, now: float, chance: float) -> ev.TaskFailed:
    assert result.kind is not None
    task, known = result.job.task, chain.state.node(result.job.key)
    over = over_budget(result, known.tokens, known.cost)
    left = chain_of_agents.left(result.job.chain, known, {*chain.state.out, result.agent or ""})
    overloads = known.overloads + 1 if result.kind == "overload" else 0
    retry = after_failure(task, Met(result.kind, known.failures + 1, bool(left), overloads), now, chance)
    # A limit keeps its own agent from going on, and no other: whoever begins next looks who is free.
    later = None if result.kind == "limit" else result.retry_at
    final = retry.final or over is not None
    kind, message = (result.kind, result.message) if over is None else ("budget", f"{over}; {result.message}")
    return ev.TaskFailed.model_validate(
        {
            **_end(result),
            "kind": kind,
            "message": message[:8000],
            "final": final,
            "free": retry.free and not final,
            "hint": result.hint if final else "",
            "restored": result.astray,
            "retry_at": max(filter(None, (retry.at, later)), default=None),
            "continued": task.continue_on_fail,
        }
    )


def _left_behind(chain: Chain, result: Result) -> list[ev.Event]:
    """That the files of an attempt that went astray are kept, and that the next one does not begin with them."""
    space = result.job.space
    if not result.astray or space is None or result.commit is None:
        return []
    why = f"{result.job.key}: attempt {result.job.attempt} threw away what the tasks before it had done"
    back = chain.state.spaces[space.name].commit
    return [ev.SpaceSaved(space=space.name, commit=result.commit, reason=why, restored=back)]


def over_budget(result: Result, tokens: int, cost: float) -> str | None:
    """What the node has spent, when that leaves nothing for another attempt."""
    budget = result.job.task.budget
    if budget is None:
        return None
    tokens += result.usage.tokens if result.usage else 0
    cost += result.cost or 0.0
    if budget.tokens is not None and tokens >= budget.tokens:
        return f"{tokens} of {budget.tokens} tokens are spent"
    if budget.usd is not None and cost >= budget.usd:
        return f"${cost:.2f} of ${budget.usd:.2f} is spent"
    return None


def last_events(chain: Chain, result: Result, reason: str, now: float, chance: float) -> list[ev.Event]:
    """The events of an attempt when its engine stops: what ended before it could be cut off counts as it ended."""
    if result.kind == "cancelled" or (result.kind is not None and result.full):
        return interrupted(chain, result, reason)
    return events(chain, result, now, chance)


def interrupted(chain: Chain, result: Result, reason: str) -> list[ev.Event]:
    """The events of an attempt that was ended from outside; what it left in its workspace is kept."""
    job = result.job
    _put_said(chain, result)
    found = _left_behind(chain, result)
    space, commit = job.space, result.commit
    known = chain.state.spaces[space.name].commit if space else None
    if space is not None and commit and commit != known and not (result.astray or _is_older(chain, space, commit)):
        why = f"{job.key}: attempt {job.attempt} was interrupted"
        found.append(ev.SpaceSaved(space=space.name, commit=commit, reason=why))
    goes_on = "goes on with its conversation" if result.session else "starts again"
    files = "on the files from before it" if result.astray else "on the files as it left them"
    found.append(
        ev.TaskInterrupted(
            node=job.key.node,
            iteration=job.key.iteration,
            attempt=job.attempt,
            reason=reason,
            next=f"{goes_on} {files}",
            restored=result.astray,
            agent=result.agent,
            session=result.session,
            conversation=result.conversation,
            usage=result.usage,
            cost=result.cost,
        )
    )
    return found


def _put_said(chain: Chain, result: Result) -> None:
    put_transcript(chain, result.job, result.transcript)
    if result.kept is not None:
        conversations.put(chain, result.kept)


def put_transcript(chain: Chain, job: Job, data: bytes) -> None:
    """Hand what an attempt said to the next frame, in chunks."""
    for chunk, start in enumerate(range(0, len(data), _CHUNK)):
        path = codec.transcript_path(chain.state.number + 1, job.key, job.attempt, chunk)
        chain.put(path, data[start : start + _CHUNK])


def cached(project: Project, job: Job) -> Result | None:
    """The result of an earlier attempt with the same definition on the same files, if the index knows one."""
    if job.cache_key is None:
        return None
    objects, known = project.objects, project.index.cached(job.cache_key)
    if known is None or not objects.has(known.frame):
        return None
    blob = objects.find(objects.read_commit(known.frame).tree, known.path)
    if blob is None:
        return None
    result = Result(job, value=json.loads(objects.read_blob(blob)), cached=True)
    if job.space is not None and known.code is not None and objects.has(known.code):
        tree = objects.read_commit(known.code).tree
        message = f"{job.key}: taken over from {known.run}"
        result.commit = objects.write_commit(tree, [job.space.commit], message, int(project.clock.now()))
    return result
