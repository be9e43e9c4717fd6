"""After a power loss in the middle of an operation, what was acknowledged is there, and everything goes on."""

from __future__ import annotations

import json
import os
import random
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from reliability import power, report
from reliability.disk import Disk, Line
from reliability.images import Image
from reliability.power import CASES, Count, Recording
from reliability.power_cases import Stage

MODES = ("ext4", "strict")
Made = Callable[[str], Recording]
HOW = (
    "Every write, rename and flush of an operation is recorded. What a crash behind each of them may leave on the disk "
    "is laid out (all, nothing, and all but one of what was not flushed; torn writes; drawn combinations), once by the "
    "rules of ext4 with its defaults and once by the least that any file system promises, and the ordinary commands "
    "recover from it. All P1 to P5 and the queue's I1, I2 and I7 hold in both."
)


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """A stage seals the process with a HOME of its own."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    """Records an operation, once.

    In a folder that pytest does not clear away: an image can be looked at again only where it was recorded.
    """
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="smithers-power-") as folder:
        yield cache(lambda name: power.make(CASES[name], Path(folder) / name))
    os.environ.clear()
    os.environ.update(before)


def sweep(names: Iterable[str], made: Made, most: int, more: int, seconds: float) -> list[Count]:
    """Record each operation, and recover from some of its images in each mode."""
    seed = os.environ.get("SMITHERS_TEST_SEED") or secrets.token_hex(4)
    print(f"images come from SMITHERS_TEST_SEED={seed}")
    counts = []
    for name in names:
        recording = made(name)
        Stage(Path(recording.top)).seal()
        for mode in MODES:
            chance = random.Random(f"{seed} {name} {mode}")
            chosen = power.choose(recording.disk, mode, chance, most, more)
            end = time.monotonic() + seconds
            counts.append(power.look(recording, mode, chosen, seed, until=lambda end=end: time.monotonic() > end))
    _report(counts, seed)
    return counts


def _report(counts: list[Count], seed: str) -> None:
    """Leave the numbers, beside those of operations that were looked at before and not now."""
    rows = [
        {
            "operation": one.case,
            "mode": one.mode,
            "recorded calls": str(one.lines),
            "images": str(one.images),
            "violations": str(len(one.problems)),
            "seed": seed,
            "seconds": f"{one.seconds:.0f}",
        }
        for one in counts
    ]
    now = {row["operation"] for row in rows}
    rows = [*(row for row in _former() if row["operation"] not in now), *rows]
    rows.sort(key=lambda row: (list(CASES).index(row["operation"]), row["mode"]))
    images = {f"images, {mode}": sum(int(row["images"]) for row in rows if row["mode"] == mode) for mode in MODES}
    report.write(
        report.Report(
            part="power-loss",
            attacks=("P1", "P2", "P3", "P4", "P5", "P9", "I1", "I2", "I7"),
            how=HOW,
            counts={"operations": len({row["operation"] for row in rows}), **images},
            seeds=", ".join(sorted({row["seed"] for row in rows})),
            violations=sum(int(row["violations"]) for row in rows),
            seconds=sum(float(row["seconds"]) for row in rows),
            rows=tuple(rows),
        )
    )


def _former() -> list[dict[str, str]]:
    path = Path(report._FOLDER or os.devnull) / "power-loss.json"
    found = json.loads(path.read_text("utf-8")) if path.is_file() else {"rows": []}
    return [row for row in found["rows"] if row["operation"] in CASES and "seed" in row]


def nothing(counts: list[Count]) -> None:
    problems = [problem for one in counts for problem in one.problems]
    assert not problems, "\n".join([f"{len(problems)} violations", *problems[:5]])


def test_a_run_and_a_landing_survive_a_power_loss(made: Made) -> None:
    os.environ.setdefault("SMITHERS_TEST_SEED", "day")  # the same each day: it decides whether a change may land
    nothing(sweep(("run", "land"), made, most=2, more=2, seconds=20))


def test_what_people_say_and_agents_remember_survives_a_power_loss(made: Made) -> None:
    os.environ.setdefault("SMITHERS_TEST_SEED", "day")
    nothing(sweep(("people", "talk"), made, most=1, more=1, seconds=20))


@pytest.mark.soak
def test_every_operation_survives_a_power_loss_at_any_moment(made: Made) -> None:
    seconds = float(os.environ.get("SMITHERS_TEST_SECONDS", "60"))
    names = os.environ.get("SMITHERS_TEST_CASES", "").split() or list(CASES)
    nothing(sweep(names, made, most=2000, more=500, seconds=seconds))


# -- the judge can say no


@pytest.fixture
def landing(made: Made) -> Recording:
    recording = made("land")
    Stage(Path(recording.top)).seal()
    return recording


def without(recording: Recording, flushes: str) -> Recording:
    """The recording of a program that never flushes what has `flushes` in its path."""
    lines = [Line("none") if _is_flush(line) and flushes in line.path else line for line in recording.disk.lines]
    return replace(recording, disk=Disk(recording.base, lines))


def _is_flush(line: Line) -> bool:
    return line.op in ("fsync", "fdatasync")


def judged(recording: Recording, name: str) -> list[str]:
    at = int(name.split(":")[1])
    found = power.examine(recording, Image(name, recording.disk.image(name), at, at))
    return [str(problem) for problem in found["problems"]]


def test_a_program_that_flushes_nothing_is_found_out(landing: Recording) -> None:
    end = len(landing.disk.lines)
    careless = without(landing, "")
    assert "P1" in judged(careless, f"strict:{end}:none")[0]
    assert judged(careless, f"ext4:{end}:{careless.disk.reach(end)}:none")
    assert not judged(landing, f"strict:{end}:none")


def test_a_program_that_does_not_flush_the_folders_of_its_refs_is_found_out(landing: Recording) -> None:
    end = len(landing.disk.lines)
    careless = without(landing, "refs")
    assert "P1" in judged(careless, f"strict:{end}:none")[0]


def test_a_program_that_does_not_look_after_a_start_of_the_machine_is_found_out(made: Made) -> None:
    """On an image in which git knows no worktree any more, and their folders are there."""
    recording = made("run")
    Stage(Path(recording.top)).seal()
    disk, folder = recording.disk, "repo/.git/worktrees"
    (made_at,) = [at for at, line in enumerate(disk.lines) if (line.op, line.path) == ("mkdir", folder)]
    ((number, one),) = [(number, one) for number, one in enumerate(disk.changes) if one.at == made_at]
    name = f"strict:{one.safe}:drop:{number}"
    image = Image(name, disk.image(name), one.safe, one.safe)
    assert not power.examine(recording, image)["problems"]
    assert "exists and is not an empty folder" in power.examine(recording, image, looked=True)["problems"][0]
