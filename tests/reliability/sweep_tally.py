"""Which points are tried, what came of them, and the numbers for the page of results.

A full sweep takes hours, so it goes on where it stopped, also where it was killed. SMITHERS_TEST_SWEEP_SECONDS bounds
one call of each pair of operation and fault, SMITHERS_TEST_SWEEP_ONLY names what is tried (`up,land` or
`up,land:kill-before,EIO`), and SMITHERS_TEST_SWEEP_STRIDE=3 is content with a third of the points. They are taken from
all over the operation, so that a part of them says something of the whole. What was tried is kept in
`.cache/reliability/sweep`, for one state of the code; to try it again, delete that.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from reliability import report
from reliability.sweep import CRASHES, ERRORS, LASTING, Fault, Sweep, Violation
from reliability.sweep_operations import OPERATIONS

import smithers_git

_ROOT = Path(__file__).parents[2]
_FAULTS = [*CRASHES, *ERRORS, *LASTING]
_ONWARD = 5
"""In a full sweep every fifth case goes on to the end of the run."""
_HOW = {
    "crash-sweep": "Each operation is killed with all its processes (kill -9) before each call that changes the disk"
    " (`kill-before`), behind it (`kill-after`: the disk is as before the next call) and in the middle of each write"
    " (`tear`); then the next command, the operation again or a resume, and the promises are looked at from outside.",
    "error-sweep": "Each call that changes the disk fails once, or from then on, with ENOSPC, EIO, EACCES, EMFILE or"
    " EINTR; the operation may fail, and nothing else; then, without the error, it is completed.",
}
_ATTACKS = {
    "crash-sweep": ("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P9"),
    "error-sweep": ("P1", "P2", "P3", "P4", "P5", "P9"),
}


@dataclass
class Tally:
    """One operation with one fault."""

    operation: str
    fault: str
    points: int = -1
    """Calls that the fault can meet; it differs by a few from time to time, as threads do."""
    cases: int = 0
    """How many of them were tried, in the order of `_order`."""
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    def left(self, stride: int) -> list[int]:
        """The points that are still to be tried, where one in `stride` is enough."""
        return _order(self.points)[self.cases : math.ceil(self.points / stride)]


def _order(points: int) -> list[int]:
    """All points: every eighth, then those between, so that wherever it stops the whole operation was looked at."""
    return [point for first in (1, 5, 3, 7, 2, 6, 4, 8) for point in range(first, points + 1, 8)]


def asked(names: Iterable[str]) -> list[str]:
    only = os.environ.get("SMITHERS_TEST_SWEEP_ONLY", "").partition(":")[0]
    return [name for name in names if not only or name in only.split(",")]


def asked_faults(names: Iterable[str]) -> list[str]:
    only = os.environ.get("SMITHERS_TEST_SWEEP_ONLY", "").partition(":")[2]
    return [name for name in names if not only or name in only.split(",")]


def drawn(seed: str, operations: int, make: Callable[[str], Sweep]) -> list[Violation]:
    """A few points of a few operations."""
    chance, began = random.Random(seed), time.monotonic()
    tallies: dict[str, Tally] = {}
    found: list[Violation] = []
    for name in chance.sample(sorted(OPERATIONS), operations):
        made = make(name)
        for fault in (Fault(chance.choice(CRASHES)), Fault(chance.choice([*ERRORS, *LASTING]))):
            points = made.points(fault)
            tally = tallies[f"{name} {fault.name}"] = Tally(name, fault.name, points)
            step = max(1, points // 2)
            for point in range(chance.randint(1, step), points + 1, step):
                tally.cases += 1
                violation = made.case(fault, point, thorough=tally.cases == 1, onward=False)
                if violation is not None:
                    found.append(violation)
                    tally.violations.append(str(violation))
    seconds = time.monotonic() - began
    for part in _HOW:
        _report(
            part, [one for one in tallies.values() if Fault(one.fault).crash == (part == "crash-sweep")], seed, seconds
        )
    return found


def full(operation: str, fault: Fault, make: Callable[[str], Sweep]) -> Tally:
    """Every point, going on where an earlier call has stopped; `make` is not asked where all is tried."""
    tally = _load(operation, fault.name)
    stride = int(os.environ.get("SMITHERS_TEST_SWEEP_STRIDE", "1"))
    bound = float(os.environ.get("SMITHERS_TEST_SWEEP_SECONDS", "0")) or math.inf
    if tally.points < 0:
        tally.points = make(operation).points(fault)
    began, earlier = time.monotonic(), tally.seconds
    for point in tally.left(stride):
        found = make(operation).case(fault, point, onward=tally.cases % _ONWARD == 0)
        tally.cases += 1
        tally.seconds = earlier + time.monotonic() - began
        if found is not None:
            tally.violations.append(str(found))
            print(found, flush=True)
        _keep(tally)
        if tally.seconds - earlier > bound:
            break
    _keep(tally)
    for part in _HOW:
        _report(part, [one for one in _all() if Fault(one.fault).crash == (part == "crash-sweep")], "", None)
    return tally


def _report(part: str, tallies: list[Tally], seed: str, seconds: float | None) -> None:
    if not tallies:
        return
    rows = []
    for name in dict.fromkeys(one.operation for one in tallies):
        mine = [one for one in tallies if one.operation == name]
        rows.append(
            {
                "operation": name,
                "points": str(max(one.points for one in mine)),
                "cases": str(sum(one.cases for one in mine)),
                "tried": ", ".join(map(_tried, sorted(mine, key=lambda one: _FAULTS.index(one.fault)))),
                "violations": str(sum(len(one.violations) for one in mine)),
            }
        )
    report.write(
        report.Report(
            part=part,
            attacks=_ATTACKS[part],
            how=_HOW[part],
            counts={
                "operations": len(rows),
                "points": sum(int(row["points"]) for row in rows),
                "cases": sum(one.cases for one in tallies),
            },
            seeds=seed,
            violations=sum(len(one.violations) for one in tallies),
            seconds=sum(one.seconds for one in tallies) if seconds is None else seconds,
            rows=tuple(rows),
        )
    )


def _tried(tally: Tally) -> str:
    of = "all" if tally.cases >= tally.points else f"{tally.cases} of"
    return f"{tally.fault} {of} {tally.points}"


@cache
def _folder() -> Path:
    """Of the code as it is: what was tried on another says nothing of this one."""
    digest = hashlib.sha256()
    for path in sorted(Path(smithers_git.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    told = os.environ.get("SMITHERS_TEST_SWEEP_FOLDER") or digest.hexdigest()[:16]
    folder = _ROOT / ".cache" / "reliability" / "sweep" / told
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _place(tally: Tally) -> Path:
    return _folder() / f"{tally.operation}.{tally.fault}.json"


def _keep(tally: Tally) -> None:
    """At once and whole: the sweep may be killed at any moment, and another one may read it."""
    place = _place(tally)
    draft = place.with_suffix(".new")
    draft.write_text(json.dumps(asdict(tally), indent=1))
    draft.replace(place)


def _load(operation: str, fault: str) -> Tally:
    fresh = Tally(operation, fault)
    path = _place(fresh)
    return Tally(**json.loads(path.read_text())) if path.exists() else fresh


def _all() -> list[Tally]:
    return [Tally(**json.loads(path.read_text())) for path in sorted(_folder().glob("*.json"))]
