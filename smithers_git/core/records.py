"""The outputs that smithers itself makes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class CommandResult(BaseModel):
    """The output of a `run=` task."""

    command: list[str]
    exit_code: int | None
    """None when the command was ended (time limit, cancel) or could not be started."""
    passed: bool
    seconds: float
    tail: str
    """The last 16 KiB of standard output and standard error together."""


class Decision(BaseModel):
    """The output of an Approval."""

    approved: bool
    by: str
    note: str = ""
    selected: str | None = None
    """The option that was chosen, with mode="select"."""
    ranking: list[str] | None = None
    """All options, the best one first, with mode="rank"."""


Refusal = Literal["conflict", "red", "hook", "moved", "broken", "ejected"]
"""Why an entry of a merge queue did not land: it conflicts with the target, a gate is red on the merged tree, a hook of
the user said no, its branch moved after it entered, a gate could not be run, a person took it out."""


class Landing(BaseModel):
    """The output of a Land task."""

    landed: bool
    entry: str
    """Id of the entry in the queue."""
    onto: str
    """The branch."""
    commit: str | None = None
    """The commit that the branch was moved to."""
    reason: Refusal | None = None
    evidence: str = ""
    """What its author needs to mend it: the conflicting hunks of both sides, or the end of the gate's log."""


class TimerFired(BaseModel):
    """The output of a Timer."""

    due: float
    """Unix seconds at which it was due."""
    fired: float
    """Unix seconds at which somebody looked: later, when nothing ran."""
