"""Who may decide and answer: people, and programs that work for them, but never an attempt of a run.

An agent that could approve what it has done would make every approval worthless. It can reach `smithers` like any other
program in its shell, so the commands themselves refuse; that it unsets the variables of its environment does not help.
An agent that is not isolated and means harm could still write the refs by hand, as it could any other file.
"""

from __future__ import annotations

from smithers_git.errors import RunRefused
from smithers_git.service.project import Project

_RUN, _ATTEMPT = "SMITHERS_RUN", "SMITHERS_ATTEMPT"


def require_person(project: Project, what: str) -> None:
    """Raise RunRefused when this process is part of an attempt of a run of this repository; `what` is to be done."""
    run = attempt_of(project)
    if run is not None:
        raise RunRefused(
            f"{what} is for a person, and this is part of an attempt of run {run}",
            hint="smithers ask 'May I …?' asks a person from here; smithers inbox shows them what waits",
        )


def attempt_of(project: Project) -> str | None:
    """The run of this repository of which this process is an attempt, or was begun by one; None: of none.

    Commands that a run sets off beside its attempts (those of `[notify]`, say) are none.
    """
    # Of an attempt in another repository nothing is decided here: the tests of a project may play whole runs.
    places = project.ancestry((_RUN, _ATTEMPT))
    found = [place[_RUN] for place in places if place.get(_RUN) and place.get(_ATTEMPT)]
    return next((run for run in found if project.tip(run) is not None), None)
