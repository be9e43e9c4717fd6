"""`make simulate`: many seeds, or one with its scenario and all that happened.

python -m reliability.simulate.run --seeds 100000 [--first 0]
python -m reliability.simulate.run --seed 2859
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from reliability import report
from reliability.simulate import simulation
from reliability.simulate.simulation import Failed

HOW = (
    "The real engine in a simulated world (git, worktrees, programs, locks, clock and people in memory, one process "
    "at a time): a seed makes a workflow, how each attempt ends, kills at any deed, stops, stolen locks, a full disk, "
    "lost, late and doubled results, clock jumps and people who meddle. In one seed of 17 up to three runs land on "
    "one branch, through gates that pass, fail, break and change their minds, hooks, and people who push, merge by "
    "hand, hold, eject and move branches; in another one of 17 a run continues as a new one, and engines die in "
    "between; in a third one a run uses another one; in a fourth one agents do most of the work: they cost something, "
    "have limits, answer what does not fit, forget, and throw files away, under budgets that people raise and lower. "
    "Every frame and every move of a branch is checked against the rules; then nothing goes wrong any more, and every "
    "run and landing must end, in a third of the seeds with nobody but the real `supervise` to start engines. A third "
    "of the seeds must end as without any trouble."
)


def count(counts: Counter[str], played: simulation.Played) -> None:
    """Add what one seed did."""
    world = played.world
    counts["seeds"] += 1
    counts["runs"] += len(world.checker.lines)
    counts["frames checked"] += world.checker.frames
    counts["deeds"] += world.steps
    counts["engines"] += world.engines
    counts["landings"] += world.checker.queues.landed
    counts["gates"] += world.gates
    counts["kills"] += sum(line.endswith(": killed") for line in world.trace)
    counts["runs taken from a stopped engine"] += sum(": rob " in line for line in world.trace)


def write(counts: Counter[str], seeds: str, violations: int, seconds: float) -> None:
    attacks = ("P1", "P2", "P3", "P5", "P6", "P7", "P9", "I1", "I2", "I3", "I4", "I5", "I7")
    report.write(
        report.Report(
            "simulation", attacks, HOW, dict(counts), seeds=seeds, violations=violations, seconds=round(seconds)
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, help="play this one and print it")
    given = parser.parse_args()
    os.environ["TZ"] = "UTC"  # a budget is one of a day, and a seed the same everywhere
    time.tzset()
    with tempfile.TemporaryDirectory() as folder:
        if given.seed is not None:
            return _one(given.seed, Path(folder))
        return _many(range(given.first, given.first + given.seeds), Path(folder))


def _one(seed: int, folder: Path) -> int:
    try:
        played = simulation.compare(seed, folder)
    except Failed as failed:
        print(failed)
        return 1
    print(played.world.scenario, *played.world.trace, f"digest {played.digest}", sep="\n")
    return 0


def _many(seeds: range, folder: Path) -> int:
    counts, bad, began = Counter[str](), list[int](), time.monotonic()
    for seed in seeds:
        try:
            count(counts, simulation.compare(seed, folder))
        except Failed as failed:
            bad.append(seed)
            print(failed, file=sys.stderr)
        if (seed + 1 - seeds.start) % 1000 == 0 or seed == seeds[-1]:  # so that hours that are cut short leave numbers
            print(f"{seed + 1 - seeds.start} seeds, {len(bad)} bad: {bad[:20]}", flush=True)
            write(counts, f"{seeds.start} to {seed}", len(bad), time.monotonic() - began)
    print(", ".join(f"{number} {name}" for name, number in counts.items()), f"{len(bad)} bad: {bad}", sep="\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
