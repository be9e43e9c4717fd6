"""What commands cost when there is much of everything: counted each day, timed at large sizes by `make soak`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from kit import repos
from reliability import growth, report
from reliability.growth_world import ASKS, Size, World

from smithers_git.service import runs

UNIT = Size(frames=16, runs=5, spoken=20_000, tickets=4, entries=2)
BENT = 0.18
"""What a straight line may bend by: `gc` looks into as many folders of objects as there are, and bent by 0.107 one day
and by -0.101 another. A few calls more for each pair of runs bend `ps` by 0.44 and more."""
TENTH = Size(frames=2_000, runs=50, spoken=10_000_000, tickets=1_000, entries=50)
BOUND = 2.5
"""How much more than ten times a command may take of ten times as much: time is rougher than a count."""
FLOOR = 0.1
"""Seconds of CPU below which a time says nothing."""
HOW_WORK = (
    "Every command that looks, at one, two and three sizes of the same repository: more frames, runs, transcripts, "
    "tickets, waiting entries. Calls of functions and processes are counted, which no load changes; a straight line is "
    "asked for."
)


@pytest.fixture
def world(tmp_path, monkeypatch):
    (tmp_path / "w").mkdir()
    made = World(repos.make_repo(tmp_path / "w" / "repo"))
    monkeypatch.chdir(made.repo)
    return made


def grown(world: World, commands: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """The work of commands at one, two and three sizes."""
    meter, found = growth.Meter(world, count=True), []
    for times in (1, 2, 3):
        world.grow(UNIT * times)
        for command in commands if times == 1 else ():
            meter(command)  # imports, and caches that are filled once
        found.append(growth.measure(meter, commands))
    return {command: tuple(costs[command].work for costs in found) for command in commands}


def bent(works: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {command: work for command, work in works.items() if growth.bend(*work) > BENT}


def test_every_command_that_looks_costs_a_straight_line(world):
    began = time.monotonic()
    works = grown(world, growth.LOOKS)
    assert not bent(works)
    counts = {"commands": len(works), "sizes": 3}
    report.write(report.Report("growth-work", (), HOW_WORK, counts, seconds=time.monotonic() - began))


def test_a_loop_inside_a_loop_is_noticed(world, monkeypatch):
    real = runs.catch_up

    def slow(project):
        known = project.tips()
        for run in known:
            assert sum(Path(run).is_relative_to(other) for other in known) == 1
        return real(project)

    monkeypatch.setattr(runs, "catch_up", slow)
    assert bent(grown(world, ("ps",)))


HOW = (
    "20,000 frames in one run, 500 runs, 100 MB said by commands, 10,000 tickets, 500 waiting entries, against a tenth "
    "of all that, in the same repository: seconds of CPU of every command that looks, before and after `smithers gc` "
    "folded what is over, and of what plain git does with our refs. Ten is a straight line."
)


@pytest.mark.soak
def test_soak_ten_times_as_much_costs_ten_times_as_much(world):
    began, meter, found, sizes, refs = time.monotonic(), growth.Meter(world, count=False), [], [], []
    for size in (TENTH, TENTH * 10):
        growing = growth.cpu()
        world.grow(size)
        print(f"{size}: made in {growth.cpu() - growing:.0f} s of CPU", flush=True)
        costs = growth.measure(meter, growth.LOOKS, _told)
        costs |= {"up kanban, to its first agent": meter.start_kanban()}
        costs |= {growth.FOLD: meter(growth.FOLD)}
        costs |= {f"{command}, folded": cost for command, cost in growth.measure(meter, growth.AFTER, _told).items()}
        refs.append(len(world.git("for-each-ref", "refs/smithers", "refs/heads/smithers").splitlines()))
        before = growth.disk(world.repo)
        costs |= growth.measure(meter, growth.GIT, _told)
        sizes.append((before, growth.disk(world.repo), _copies(world.repo.parent)))
        found.append(costs)
    rows = tuple(_row(command, found[0][command], found[1][command]) for command in found[0])
    for row in rows:
        print(row)
    (_, small, _), (loose, large, clone) = sizes
    counts = {"commands": len(rows), "frames": TENTH.frames * 10, "runs": TENTH.runs * 10, "refs, folded": refs[1]}
    counts |= {"MB before git gc": loose >> 20, "MB after": large >> 20, "MB of a plain clone": clone >> 20}
    report.write(report.Report("growth", (), HOW, counts, seconds=time.monotonic() - began, rows=rows))
    over = [row for row in rows if float(row["large s"]) > 10 * BOUND * max(float(row["small s"]), FLOOR)]
    assert not over
    assert refs[1] <= TENTH.runs * 10 // ASKS + 5, "runs that are over have no ref of their own; those that wait do"
    assert large <= 10 * small * 1.5


def _told(line: str) -> None:
    print(line, flush=True)


def _copies(folder: Path) -> int:
    return growth.disk(min(folder.glob("copy-*"), key=lambda path: path.stat().st_mtime))


def _row(command: str, small: growth.Cost, large: growth.Cost) -> dict[str, str]:
    ratio = large.seconds / small.seconds if small.seconds > 0 else 0
    shown = command.replace("LONG", "RUN").replace("TALK", "RUN").replace("../", "")
    return {
        "command": shown if shown.startswith("git") else f"smithers {shown}",
        "small s": f"{small.seconds:.2f}",
        "large s": f"{large.seconds:.2f}",
        "ratio": f"{ratio:.1f}",
        "printed, large": f"{large.bytes:,} B",
    }
