"""The outputs that smithers itself makes."""

from __future__ import annotations

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
