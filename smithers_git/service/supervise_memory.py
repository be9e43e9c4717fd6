"""What supervise remembers of runs between two looks. Local and disposable: without it all are looked at again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

DEAD: Final = 3
"""Starts in a row that led to nothing, after which a run is given up."""


@dataclass(slots=True)
class Seen:
    """One run."""

    tip: str = ""
    """The newest frame when it was looked at."""
    idle_until: float | None = None
    """Unix seconds before which it cannot go on while the tip is this one; None when it could."""
    blocked: str | None = None
    """Why it cannot go on by itself."""
    started: str | None = None
    """The newest frame when it was last started."""
    pid: int = 0
    began: str = ""
    """Start time of that process, to tell a recycled pid."""
    dead: int = 0
    """Starts in a row that led to nothing."""
    given_up: bool = False


@dataclass(slots=True)
class Memory:
    """All runs, by id."""

    path: Path
    runs: dict[str, Seen] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Memory:
        """What stands in the file; nothing when there is none, or it is torn."""
        try:
            found: dict[str, dict[str, Any]] = json.loads(path.read_bytes())
            return cls(path, {run: Seen(**seen) for run, seen in found.items()})
        except (OSError, ValueError, TypeError, AttributeError):
            return cls(path)

    def save(self) -> None:
        """Write it, whole or not at all. On a full disk it stays as it was."""
        fresh = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps({run: asdict(seen) for run, seen in self.runs.items()}), "utf-8")
            fresh.replace(self.path)
        except OSError:
            return

    def of(self, run: str) -> Seen:
        return self.runs.setdefault(run, Seen())

    def keep(self, runs: set[str]) -> None:
        """Forget all others."""
        self.runs = {run: seen for run, seen in self.runs.items() if run in runs}
