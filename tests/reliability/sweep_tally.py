"""Which points are tried, what came of them, and the numbers for the page of results.

A full sweep takes hours, so it goes on where it stopped. SMITHERS_TEST_SWEEP_SECONDS bounds one call of each pair of
operation and fault, SMITHERS_TEST_SWEEP_ONLY names what is tried (`up,land` or `up,land:kill-before,EIO`), and
SMITHERS_TEST_SWEEP_STRIDE=3 tries every third point. What was tried is kept in `.cache/reliability/sweep`, for one
state of the code.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from reliability import report
from reliability.sweep import CRASHES, ERRORS, LASTING, Fault, Sweep, Violation
from reliability.sweep_operations import OPERATIONS

import smithers_git

_ROOT = Path(__file__).parents[2]
_ONWARD = 5
"""In a full sweep every fifth case goes on to the end of the run."""
_HOW = {
    "crash-sweep": "Each operation is killed with all its processes (kill -9) before and behind each call that changes"
    " the disk, and in the middle of each write; then the next command, the operation again or a resume, and the"
    " promises are looked at from outside.",
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
    next: int = 1
    stride: int = 1
    """Every which point is tried."""
    cases: int = 0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return self.next > self.points >= 0


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


def full(made: Sweep, fault: Fault) -> Tally:
    """Every point, going on where an earlier call has stopped."""
    tally = _load(made.operation.name, fault.name)
    if tally.over:
        tally = Tally(made.operation.name, fault.name)
    tally.stride = int(os.environ.get("SMITHERS_TEST_SWEEP_STRIDE", "1"))
    began, bound = time.monotonic(), float(os.environ.get("SMITHERS_TEST_SWEEP_SECONDS", "0"))
    tally.points = made.points(fault)
    while not tally.over and (not bound or time.monotonic() - began < bound):
        found = made.case(fault, tally.next, onward=tally.cases % _ONWARD == 0)
        tally.cases += 1
        tally.next += tally.stride
        if found is not None:
            tally.violations.append(str(found))
            print(found, flush=True)
    tally.seconds += time.monotonic() - began
    _place(tally).write_text(json.dumps(asdict(tally), indent=1))
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
                "faults": ", ".join(one.fault for one in mine),
                "points": str(max(one.points for one in mine)),
                "cases": str(sum(one.cases for one in mine)),
                "tried": ", ".join(dict.fromkeys(_tried(one) for one in mine)),
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
    if not tally.over:
        return f"{tally.cases} points"
    return "all points" if tally.stride == 1 else f"one point in {tally.stride}"


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


def _load(operation: str, fault: str) -> Tally:
    fresh = Tally(operation, fault)
    path = _place(fresh)
    return Tally(**json.loads(path.read_text())) if path.exists() else fresh


def _all() -> list[Tally]:
    return [Tally(**json.loads(path.read_text())) for path in sorted(_folder().glob("*.json"))]
