"""A running task asks a person: the question is a frame, and so is the answer, for which the task waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from smithers_git.core import events as ev
from smithers_git.core import waiting
from smithers_git.core.state import WaitState
from smithers_git.errors import RunNotFound, RunRefused, UsageError
from smithers_git.names import TaskKey
from smithers_git.service.append import append
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project

_LOOK: Final = 0.25
"""Seconds between two looks at the run's ref."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What is asked. `timeout`: seconds after which nobody is asked any more; None: as long as the attempt lives."""

    text: str
    choices: tuple[str, ...] = ()
    timeout: float | None = None


def ask(project: Project, inquiry: Inquiry, wanted: Callable[[], bool] | None = None) -> tuple[TaskKey, WaitState]:
    """Ask, and block until the question is closed; returns its key and how it ended.

    `wanted` is called again and again meanwhile; when it is false, nobody is asked any more. The task is the one whose
    environment this process has. Raises UsageError outside of a task, RunRefused when the attempt is over.
    """
    run, asker, attempt = _context(project)
    key = asker

    def begin(chain: Chain) -> Sequence[ev.Event]:
        nonlocal key
        _refuse_stale(chain, asker, attempt)
        key = _free_key(chain, asker)
        asked = _question(inquiry, key, asker, attempt)
        until = None if inquiry.timeout is None else project.clock.now() + inquiry.timeout
        before = _answered_before(chain, asked)
        if before is None:
            return [asked.model_copy(update={"until": until})]
        where = {"node": key.node, "iteration": key.iteration}
        return [asked, ev.WaitResolved(**where, by=before.by, reply=before.reply)]

    chain = append(project, run, begin)
    try:
        return key, _await(project, chain, key, wanted)
    except KeyboardInterrupt:
        _close(project, run, key, "cancelled")
        raise


def _free_key(chain: Chain, asker: TaskKey) -> TaskKey:
    number = 1
    while TaskKey(f"{asker.node}.ask{number}", asker.iteration) in chain.state.waits:
        number += 1
    return TaskKey(f"{asker.node}.ask{number}", asker.iteration)


def _question(inquiry: Inquiry, key: TaskKey, asker: TaskKey, attempt: int) -> ev.WaitStarted:
    prompt = waiting.readable(inquiry.text)
    first = next((line.strip() for line in prompt.splitlines() if line.strip()), str(key))
    return ev.WaitStarted(
        node=key.node,
        iteration=key.iteration,
        kind="question",
        title=first[:200],
        prompt=prompt,
        choices=[waiting.readable(choice) for choice in inquiry.choices],
        asker=str(asker),
        attempt=attempt,
    )


def _answered_before(chain: Chain, asked: ev.WaitStarted) -> WaitState | None:
    """The answer that an earlier attempt got to this very question: nobody is asked twice because an engine died.

    The n-th time that an attempt asks it, it gets the n-th answer of the attempts before.
    """
    same = [
        wait
        for wait in chain.state.waits.values()
        if str(wait.asker) == asked.asker and (wait.prompt, list(wait.choices)) == (asked.prompt, asked.choices)
    ]
    earlier = [wait for wait in same if wait.attempt < asked.attempt]
    newest = max((wait.attempt for wait in earlier), default=0)
    answers = [wait for wait in earlier if wait.attempt == newest and wait.end == "resolved"]
    number = sum(wait.attempt == asked.attempt for wait in same)
    return answers[number] if number < len(answers) else None


def _context(project: Project) -> tuple[str, TaskKey, int]:
    environ = project.environ
    run, node = environ.get("SMITHERS_RUN"), environ.get("SMITHERS_NODE")
    iteration, attempt = environ.get("SMITHERS_ITERATION", "0"), environ.get("SMITHERS_ATTEMPT", "")
    if not (run and node and iteration.isdigit() and attempt.isdigit()):
        raise UsageError(
            "smithers ask is for a task of a run: no task is in its environment",
            hint="a workflow asks with HumanTask; a task of it calls smithers ask",
        )
    return run, TaskKey(node, int(iteration)), int(attempt)


def _refuse_stale(chain: Chain, asker: TaskKey, attempt: int) -> None:
    if chain.state.end is not None or chain.state.running.get(asker) != attempt:
        raise RunRefused(
            f"attempt {attempt} of {asker} in run {chain.run} is over: nobody would read the answer",
            hint=f"smithers inspect {chain.run} shows how it stands",
        )


def _await(project: Project, chain: Chain, key: TaskKey, wanted: Callable[[], bool] | None) -> WaitState:
    last = chain.state.waits[key]
    pause = threading.Event()
    while True:
        wait = chain.state.waits.get(key)
        if wait is None or wait.end is not None or chain.state.end is not None:
            closed = wait or last  # rewound: the question was never asked
            closed.end = closed.end or "withdrawn"
            return closed
        last = wait
        if wanted is not None and not wanted():
            chain, wanted = _close(project, chain.run, key, "cancelled"), None
            continue
        if wait.until is not None and wait.until <= project.clock.now():
            chain = _close(project, chain.run, key, "expired")
            continue
        pause.wait(_LOOK)
        if chain.moved():
            try:
                chain.reload()
            except RunNotFound:
                last.end = "withdrawn"
                return last


def _close(project: Project, run: str, key: TaskKey, reason: str) -> Chain:
    """Close the question, unless somebody was quicker."""

    def events(chain: Chain) -> Sequence[ev.Event]:
        if key not in chain.state.open_waits:
            return []
        how = {"reason": reason, "by": "" if reason == "expired" else "who asked"}
        return [ev.WaitEnded.model_validate({"node": key.node, "iteration": key.iteration, **how})]

    return append(project, run, events)
