"""One attempt of an agent: a conversation with it until the answer fits, or it is clear that it will not."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from smithers_git.clock import zone
from smithers_git.core import limits, parse
from smithers_git.core.events import FailureKind
from smithers_git.core.reply import Failure
from smithers_git.service import pools
from smithers_git.service.job import Job, Result
from smithers_git.service.live import Watch
from smithers_git.service.project import Project
from smithers_git.service.talk.memory import keep
from smithers_git.service.talk.seat import Seat
from smithers_git.service.talk.talker import Talker

CORRECTIONS: Final = 3
"""Times that an answer which does not fit its model goes back to the same conversation; not counted as retries."""
_UNCHANGED: Final = (
    "You said that you are done, but no file in the current folder differs from what was there when you began. This "
    "task asks for a change. Make it now, with your tools, in the current folder, and look that it is there before you "
    "answer."
)


def converse(project: Project, job: Job, result: Result, folder: Path, watch: Watch) -> None:
    """Ask the agent, and ask again in the same conversation while its answer does not fit the output model.

    Fills in `result`: value, or kind and message; session, usage and cost in any case.
    """
    assert job.agent is not None
    profile, own = pools.profile(project, job.agent), pools.settings_of(project, job.agent)
    seat = Seat(project, job, folder, watch, profile, own)
    with closing(project.talker(seat, result)) as talk:
        _converse(seat, result, talk)
    keep(seat, result)


@dataclass(frozen=True, slots=True)
class _Issue:
    """What keeps an answer from being one, and what the agent is told of it."""

    kind: FailureKind
    message: str
    prompt: str


def _converse(seat: Seat, result: Result, talk: Talker) -> None:
    project, job, watch = seat.project, seat.job, seat.watch
    prompt = opening(job, talk)
    told: set[str] = set()
    for turn in range(CORRECTIONS + 1):
        talk.correction = turn
        reply = talk.say(prompt)
        watch.live.spent(result.usage, result.cost)
        if reply.error is not None:
            result.kind, result.message = reply.error.kind, reply.error.message
            _blocked(project, job, result, reply.error)
            return
        if turn == 0:
            pools.account(project, str(job.agent)).clear()
        issue = _judge(seat, result, reply.answer)
        if issue is None:
            return
        result.kind, result.message = issue.kind, issue.message
        if turn == CORRECTIONS or watch.cancel.is_set() or (issue.kind == "unchanged" and "unchanged" in told):
            return
        told.add(issue.kind)
        watch.live.report("other", issue.message)
        prompt = issue.prompt
        if not talk.can_go_on:  # the agent cannot resume: it needs the whole task again
            prompt = f"{opening(job, talk)}\n\n{prompt}"
        result.kind, result.message = None, ""


def _judge(seat: Seat, result: Result, answer: str) -> _Issue | None:
    """Take the answer for the task's output, or say what is wrong with it."""
    job = seat.job
    model = job.task.output
    assert model is not None
    found = parse.validate(answer, model)
    if not isinstance(found, parse.Parsed):
        wrong = "; ".join(found.issues) if found.found else "there is no JSON in it"
        message = f"the answer does not fit {model.__name__}: {wrong}"
        return _Issue("invalid", message, parse.correction(found, model))
    if job.task.changes and job.start is not None and not seat.changed():
        message = f"{job.agent} said that it is done, and no file has changed"
        return _Issue("unchanged", message, f"{_UNCHANGED}\n\n{parse.instructions(model)}")
    result.value = found.value.model_dump(mode="json")
    return None


def _blocked(project: Project, job: Job, result: Result, error: Failure) -> None:
    """What follows of a failure for the next attempt: when it makes sense, and what a person has to do."""
    agent, now = str(job.agent), project.clock.now()
    if error.kind in ("limit", "overload"):
        said = _retry_at(error, now)
        if said is None:
            said = limits.reset_at(error.message, now, zone)
        limited = error.kind == "limit"
        result.retry_at = pools.account(project, agent).hit(said, error.message, now) if limited else said
    elif error.kind == "auth":
        result.hint = pools.login_hint(project, agent, job.run)
    elif error.retry_at is not None or error.retry_after is not None:
        result.retry_at = _retry_at(error, now)


def _retry_at(error: Failure, now: float) -> float | None:
    if error.retry_at is not None:
        return error.retry_at
    return None if error.retry_after is None else now + error.retry_after


def opening(job: Job, talk: Talker) -> str:
    """The first prompt of an attempt."""
    assert job.task.output is not None
    wanted = parse.instructions(job.task.output)
    goes_on = job.session is not None and talk.keeps_conversations
    if not goes_on and (told := talk.summary()):
        wanted = f"{told}\n\n{wanted}"
    if not job.by_hand and job.trouble is None and (job.new_pass or not goes_on):
        return f"{job.prompt}\n\n{wanted}"
    if goes_on and job.by_hand:
        # What failed before that is what the person has seen to.
        met = "A person worked with you meanwhile. The files are as they are now."
        return f"{met} Go on until the task is done.\n\n{wanted}"
    trouble = (
        f"The last attempt at this task did not succeed: {job.trouble}" if job.trouble else "You were interrupted."
    )
    # A kill may have come before the agent's program had written down what it was asked: then it is asked in full.
    killed = job.restored and job.trouble is None
    if goes_on and not job.new_pass and not killed:
        files = "The files are those from before that." if job.restored else "The files are as you left them."
        return f"{trouble}\n\n{files} Go on until the task is done.\n\n{wanted}"
    files = (
        "The files are those from before that attempt." if job.restored else "The files are as that attempt left them."
    )
    return f"{job.prompt}\n\n{trouble}\n{files}\n\n{wanted}"
