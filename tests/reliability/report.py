"""The numbers of one part of the proof, written down as the page of results takes them.

Set `SMITHERS_REPORT` to a folder, and every part that runs leaves `<part>.json` there; `page.py` makes
docs/reliability.md of them.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_FOLDER = os.environ.get("SMITHERS_REPORT")
"""Read when this is imported: every test then runs in a sealed environment."""


@dataclass(frozen=True)
class Report:
    """What one part did."""

    part: str
    """Its name: of the file, and in the page ("crash-sweep")."""
    attacks: tuple[str, ...]
    """Which promises it attacks ("P1", "I7")."""
    how: str
    """How, in a sentence or two of Markdown."""
    counts: dict[str, int]
    """What was done how often ("points": 1834), in the order in which the page shows it."""
    seeds: str = ""
    """Which seeds ("0 to 1999"), or "" where all cases were tried and nothing was drawn."""
    violations: int = 0
    """How often a promise did not hold in this run."""
    seconds: float = 0.0
    """How long it took, as the clock on the wall has it."""
    rows: tuple[dict[str, str], ...] = field(default=())
    """Lines of a table of its own, each with the same columns; none for most."""


def write(report: Report) -> None:
    """Leave `report` in the folder `SMITHERS_REPORT`; nothing without that."""
    folder = _FOLDER
    if not folder:
        return
    told = asdict(report) | {
        "version": version("smithers-git"),
        "day": datetime.now(UTC).date().isoformat(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}",
    }
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{report.part}.json").write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
