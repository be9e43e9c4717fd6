"""Cancel and pause: asked for by a frame, carried out by whoever owns the run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from smithers_git.core import events as ev
from smithers_git.core.state import State
from smithers_git.errors import RunRefused
from smithers_git.service import children
from smithers_git.service.append import append
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project


def cancel(project: Project, run: str, by: str) -> State:
    """Cancel a run, and the runs that it uses.

    A live engine ends its tasks, keeps their files and confirms; without one it is done at once.
    """
    alive = project.is_owned(run)

    def decide(chain: Chain) -> Sequence[ev.Event]:
        _refuse_ended(chain, "cancelled")
        asked = ev.CancelRequested(by=by)
        return [asked] if alive else [asked, ev.RunCancelled(by=by)]

    chain = append(project, run, decide)
    if not alive:
        project.end_orphans(run)
    for child in children.still_open(project, chain.state):
        with suppress(RunRefused):  # it ended meanwhile
            cancel(project, child, by)
    return chain.state


def pause(project: Project, run: str, by: str) -> State:
    """Start nothing new in a run; what is in flight ends by itself. `up --resume` goes on."""

    def decide(chain: Chain) -> Sequence[ev.Event]:
        _refuse_ended(chain, "paused")
        if chain.state.pause_requested:
            raise RunRefused(f"run {run} is paused already", hint=f"smithers up --resume {run} goes on with it")
        return [ev.PauseRequested(by=by)]

    return append(project, run, decide).state


def _refuse_ended(chain: Chain, what: str) -> None:
    end = chain.state.end
    if end is not None:
        hint = f"smithers up --resume {chain.run} would go on with it" if end != "finished" else "nothing is left to do"
        raise RunRefused(f"run {chain.run} is {end} and cannot be {what}", hint=hint)
