"""The kill loop: nothing that was acknowledged is lost, and nothing is done twice, whenever engines are killed.

    make kills KILLS=10000              # the long form, with everything else that happens to processes and disks
    make kills SEED=3f2a KILLS=100      # one arena again

Which things happen comes from the seed; at which instruction a process dies is up to the machine.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit import engines as kit
from kit.disks import small_disk
from reliability import report
from reliability.kills import Arena, How, Tally

KILLS, ARENA = 200, 100
"""Kills in the one arena of the everyday form, and in each arena of the long form."""
SIZE = 256 << 20


def _seeds(number: int) -> list[str]:
    """Of so many arenas; only the one that SMITHERS_TEST_SEED names, if it does."""
    given = os.environ.get("SMITHERS_TEST_SEED")
    return given.split(",") if given else [secrets.token_hex(4) for _ in range(number)]


def _report(tally: Tally, seeds: list[str], seconds: float, violations: int) -> None:
    counts = {"kills": tally.kills, **dict(sorted(tally.faults.items()))}
    counts |= {"runs that were killed until they were over": tally.runs, "frames": tally.frames, "arenas": tally.arenas}
    how = (
        "Four real engines, each with five script agents in worktrees, commands, and 200 functions in a row whose "
        "frames are published together, in one repository on a file system in memory. One of them is killed many "
        "times a second, with `kill -9`; the dead one is resumed. When a run is over, each of its steps must have been "
        "done once, and its files, outputs and frames, and the index, must be what an undisturbed run has; `git fsck` "
        "must be content, and the user's own files and branches as before."
    )
    if tally.faults:
        how += (
            " Meanwhile the clock jumps, the disk fills up, engines are stopped and continued, second engines try, a "
            "person writes into workspaces, and the user's own git collects garbage, packs refs and fetches."
        )
    attacks = ("P1", "P2", "P3", "P4", "P5", "P6", "P9")
    told = report.Report("kill-loop", attacks, how, counts, ", ".join(seeds), violations, seconds)
    report.write(told)


def test_engines_killed_200_times_at_any_moment_do_every_step_once(tmp_path: Path) -> None:
    tally, begun, seeds = Tally(), time.monotonic(), _seeds(1)
    for seed in seeds:
        print(f"SMITHERS_TEST_SEED={seed}")
        Arena(seed, tmp_path / seed, tally, How(0.03)).go(KILLS)
    _report(tally, seeds, time.monotonic() - begun, 0)


@pytest.mark.parametrize(
    ("broken", "seen"),
    [
        ("loses_a_frame", "was lost"),
        ("does_not_put_back", "lines too many|workspace"),
        ("forgets_what_is_late", "begun again"),
        pytest.param("two_owners", "wrote again after others", marks=pytest.mark.soak),
        pytest.param("works_again", "was finished before", marks=pytest.mark.soak),
    ],
)
def test_a_program_that_is_broken_is_seen(
    broken: str, seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMITHERS_TEST_BROKEN", f"reliability.kill_broken:{broken}")
    how = How(0.3, engines=2, seconds=broken == "two_owners")
    with pytest.raises(AssertionError, match=seen):
        Arena("broken", tmp_path / "arena", Tally(), how).go(KILLS)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    with small_disk(place, SIZE, "kills beside a full disk"):
        yield place


@pytest.mark.soak
def test_soak_engines_survive_kills_stops_jumps_full_disks_and_the_users_own_git(tmp_path: Path, small: Path) -> None:
    kills = int(os.environ.get("SMITHERS_TEST_KILLS", "10000"))
    tally, begun, seeds = Tally(), time.monotonic(), _seeds((kills + ARENA - 1) // ARENA)
    how = How(0.12, faults=True, gc_beside=True, small=small)
    for number, seed in enumerate(seeds, 1):
        print(f"SMITHERS_TEST_SEED={seed}")
        try:
            Arena(seed, tmp_path / seed, tally, how).go(min(ARENA, kills - tally.kills))
        except Exception:
            _report(tally, seeds[:number], time.monotonic() - begun, 1)
            shutil.copytree(small / "repo", tmp_path / seed / "repo", symlinks=True)  # `small` is gone soon
            raise
        _report(tally, seeds[:number], time.monotonic() - begun, 0)  # so that hours that are cut short leave numbers
        shutil.rmtree(tmp_path / seed)
        shutil.rmtree(small / "repo")
        kit.forget()
