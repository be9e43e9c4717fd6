"""P1 to P9: an operation that dies, or hears an error, at any of its calls that change the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from reliability import shim, sweep_tally
from reliability.sweep import CRASHES, ERRORS, LASTING, Fault, Sweep, replayed
from reliability.sweep_operations import OPERATIONS
from reliability.sweep_world import World

EVERYDAY = 2
"""Operations that are looked at each time, drawn by the seed."""

FOUND = {
    "a torn record of a worktree": ("land", "kill-before", "write /commondir"),
    "a torn record of a workspace": ("up", "kill-before", "write /commondir"),
    "a record of a workspace cut off": ("up", "tear", "write /commondir"),
    "where a record is, cut off": ("up", "tear", "write main/.git"),
    "a record of a worktree before its lock": ("land", "kill-before", "open /locked"),
    "the lock of the user's branch": ("land", "kill-before", "rename refs/heads/main"),
    "the lock of the user's HEAD": ("land", "kill-before", "unlink /HEAD.lock"),
    "the lock of the user's index": ("land", "kill-before", "write /index.lock"),
    "a file of the checkout cut off": ("land", "kill-before", "write /new.txt"),
    "the lock of a branch of ours": ("up", "kill-before", "rename refs/heads/smithers/one/main"),
    "a record that is removed": ("gc", "kill-before", "unlink records-gone/"),
    "a reflog that cannot be written": ("land", "ENOSPC", "write /logs/HEAD"),
    "an error in a temporary folder": ("approve", "EIO", "mkdir tmp/smithers-"),
    "a note that cannot be written": ("up", "ENOSPC", "open-trunc main/smithers-filled"),
    "an index that cannot be written": ("land", "ENOSPC", "write /index.lock"),
    "a copied pack": ("init", "kill-before", "rename packs/plan"),
    "a hook that is written": ("hooks-install", "kill-before", "chmod .smithers-new"),
}
"""Points at which a promise was once broken; see found/sweep.toml."""

ERRORS_EACH_TIME = {
    "rewind": ("ENOSPC", "write refs/smithers/rewound/one/1.lock"),
    "gc": ("ENOSPC", "write refs/smithers/archive.lock"),
    "prune": ("EIO", "unlink refs/smithers/runs/one"),
    "resume": ("EIO", "fdatasync smithers/journal/one"),
}
"""What moves or removes refs, or goes on behind a crash, hears an error there."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch, World(tmp_path_factory.mktemp("sweep"), patch) as made:
        yield made


@pytest.fixture
def world(shared: World, monkeypatch: pytest.MonkeyPatch) -> World:
    shared.settle(monkeypatch)
    shared.doctor = ""
    return shared


@pytest.fixture(scope="module")
def made() -> dict[str, Sweep]:
    return {}


def _sweep(made: dict[str, Sweep], world: World, operation: str) -> Sweep:
    """Each operation is prepared once."""
    if operation not in made:
        made[operation] = Sweep(world, OPERATIONS[operation])
    return made[operation]


@pytest.mark.skipif(replayed() is None, reason="SMITHERS_TEST_SWEEP=OPERATION:FAULT:POINT replays one case")
def test_replay(world: World, made: dict[str, Sweep]) -> None:
    told = replayed()
    assert told is not None
    operation, fault, point = told
    found = _sweep(made, world, operation).case(Fault(fault), point)
    assert found is None, str(found)


@pytest.mark.parametrize("case", FOUND)
def test_what_was_found_stays_mended(world: World, made: dict[str, Sweep], case: str) -> None:
    operation, fault, match = FOUND[case]
    found = _sweep(made, world, operation).case(Fault(fault), 1, match, thorough=False, onward=False)
    assert found is None, str(found)


@pytest.mark.parametrize("operation", ERRORS_EACH_TIME)
def test_an_error_at_a_ref_or_a_journal_is_survived(world: World, made: dict[str, Sweep], operation: str) -> None:
    fault, match = ERRORS_EACH_TIME[operation]
    found = _sweep(made, world, operation).case(Fault(fault), 1, match, onward=False)
    assert found is None, str(found)


def test_some_points_of_some_operations(world: World, made: dict[str, Sweep]) -> None:
    seed = os.environ.get("SMITHERS_TEST_SEED", "day")
    print(f"the points come from SMITHERS_TEST_SEED={seed}")
    found = sweep_tally.drawn(seed, EVERYDAY, lambda name: _sweep(made, world, name))
    assert not found, "\n".join(map(str, found))


@pytest.mark.soak
@pytest.mark.parametrize("operation", sweep_tally.asked(OPERATIONS))
@pytest.mark.parametrize("fault", sweep_tally.asked_faults([*CRASHES, *ERRORS, *LASTING]))
def test_every_point(world: World, made: dict[str, Sweep], operation: str, fault: str) -> None:
    tally = sweep_tally.full(operation, Fault(fault), lambda name: _sweep(made, world, name))
    assert not tally.violations, "\n".join(tally.violations)


DOCTORED = {
    "acknowledges_before_it_is_there": ("approve", "it said 0, yet"),
    "forgets_what_was_decided": ("approve", "it said 0, yet"),
    "touches_the_users_files": ("approve", "P4: repo/README.md"),
    "leaves_a_lock": ("approve", "left: repo/.git/index.lock"),
    "lies_in_the_index": ("approve", "P5"),
    "breaks_down": ("approve", "exit 70"),
    "dies_with_a_half_written_object": ("approve", "git fsck"),
    "says_nothing_of_an_error": ("init", "it said 0, yet"),
    "runs_a_step_again": ("up", "P3"),
}


@pytest.mark.parametrize("doctor", DOCTORED)
def test_a_product_that_is_broken_on_purpose_is_caught(world: World, made: dict[str, Sweep], doctor: str) -> None:
    operation, seen = DOCTORED[doctor]
    sweep = _sweep(made, world, operation)
    world.doctor = doctor
    found = sweep.case(Fault("EINTR"), 1 << 30, onward=False)
    assert found is not None
    assert any(seen in one for one in found.what), str(found)


def test_every_program_that_takes_part_is_seen(world: World, made: dict[str, Sweep], tmp_path: Path) -> None:
    """Python, git, libgit2, SQLite and the shell, each by something that only it writes."""
    sweep, log = _sweep(made, world, "up"), tmp_path / "log"
    world.restore(sweep.template)
    world.page.arm(world.root)
    world.page.record(log)
    world.server.begin(world.repo, *sweep.operation.argv)
    world.server.finish(60.0, world.page.end)
    world.page.end()
    world.page.off()
    seen = {(entry.op, Path(entry.path).name) for entry in shim.entries(log)}
    assert {("write", "index.sqlite"), ("create", "ran.txt"), ("write", "by agent.txt"), ("create", "gitdir")} <= seen
    assert any(op == "fsync" for op, _ in seen)
