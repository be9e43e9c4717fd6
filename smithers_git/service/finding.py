"""One thing that `smithers doctor` looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from smithers_git.errors import SmithersError

FIX: Final = "smithers doctor --fix"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and how it is. `note`: worth knowing, nothing is wrong."""

    name: str
    standing: Literal["ok", "note", "mended", "needs you"]
    text: str
    commands: tuple[str, ...] = ()
    """What the user can type."""


def trouble(name: str, error: SmithersError) -> Finding:
    """An error as a finding."""
    return Finding(name, "needs you", error.message, (error.hint,) if error.hint else ())
