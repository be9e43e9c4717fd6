"""Add events to a run from outside its engine: an approval, a cancel, a pause, a reset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from smithers_git.core import events as ev
from smithers_git.errors import RefMoved
from smithers_git.service import notify
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project

_TRIES: Final = 60


def append(project: Project, run: str, decide: Callable[[Chain], Sequence[ev.Event]], *, signed: bool = False) -> Chain:
    """Write what `decide` says of the run's newest state as one frame; with `signed`, as the user signs commits.

    When another process writes first, the state is read again and `decide` is asked again, so that it always judges
    what really stands. Raises RefMoved after many losses in a row, and whatever `decide` raises.
    """
    turn = project.turn(run)
    turn.try_acquire()  # else another one has it for long, say to sign: then as if there were none
    try:
        return _append(project, run, decide, signed=signed)
    finally:
        turn.release()


def _append(project: Project, run: str, decide: Callable[[Chain], Sequence[ev.Event]], *, signed: bool) -> Chain:
    chain = project.chain(run)
    signer = project.signer() if signed else None
    for attempt in range(_TRIES):
        now, events = project.clock.now(), decide(chain)
        for event in events:
            chain.add(event, now)
        try:
            chain.commit(signer)
        except RefMoved:
            if attempt == _TRIES - 1:
                raise
            # With jitter, so that two losers do not meet again (libgit2 refuses at once, it does not queue).
            project.clock.sleep((0.002 + 0.018 * project.clock.jitter()) * min(attempt + 1, 10))
            chain.reload()
            continue
        notify.recorded(project, run, events, now)
        return chain
    raise AssertionError("unreachable")
