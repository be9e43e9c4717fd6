"""Probes of the merge queue: against serial landing on a simulated clock and for real, merges, lanes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import queue_sim

if TYPE_CHECKING:
    from probes import Bench


def simulated(_bench: Bench) -> None:
    """16 entries with 4 lanes against serial, simulated clock (targets: 2.5x faster, 1.5x the gate runs)"""
    queue_sim.main()


def queue(bench: Bench) -> None:
    """16 entries of which 3 are red, gates of one second, 4 lanes against 1 (target: 2.5x faster)"""
    length = "0.2" if bench.quick else "1.0"
    found = {}
    for width in (4, 1):
        repo = bench.repository(files=200)
        found[width] = bench.python(str(bench.here / "queue_real.py"), "queue", str(width), "16", "3", length, cwd=repo)
    four, one = found[4], found[1]
    took = [
        f"{row['wall'] / 1000:.1f} s, {row['runs']:.0f} gate runs, {row['landed']:.0f} landed" for row in (four, one)
    ]
    print(f"  4 lanes: {took[0]}\n  1 lane:  {took[1]}")
    print(f"  {one['wall'] / four['wall']:.2f}x faster for {four['runs'] / one['runs']:.2f}x the gate runs")


def merges(bench: Bench) -> None:
    """one candidate in memory in a repository of 10,000 files (about 7 ms are aimed at)"""
    repo = bench.repository(files=1000 if bench.quick else 10_000)
    found = bench.python(str(bench.here / "queue_real.py"), "merges", "30", cwd=repo)
    began = time.perf_counter()
    for _ in range(30):
        bench.git(repo, "merge-tree", "--write-tree", "HEAD", "b0")
    plain = (time.perf_counter() - began) * 1000 / 30
    print(f"  {found['wall']:.1f} ms a candidate; git merge-tree alone {plain:.1f}: {found['wall'] / plain:.2f}x")


def lanes(bench: Bench) -> None:
    """ten trees put into used lanes against ten fresh worktrees, 5,000 files"""
    repo = bench.repository(files=500 if bench.quick else 5000)
    found = bench.python(str(bench.here / "queue_real.py"), "pool", "10", cwd=repo)
    began = time.perf_counter()
    for number in range(10):
        bench.git(repo, "worktree", "add", "--detach", str(bench.base / f"lane{number}"))
    fresh = (time.perf_counter() - began) * 1000
    print(f"  lanes {found['wall']:.0f} ms, fresh worktrees {fresh:.0f}: {fresh / found['wall']:.1f}x faster")


ALL: dict[str, Callable[[Bench], None]] = {
    "queue-simulated": simulated,
    "queue": queue,
    "merges": merges,
    "lanes": lanes,
}
