"""P1 to P9: an operation that dies, or hears an error, at any of its calls that change the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from reliability.sweep import CRASHES, Fault, Sweep, replayed, sweep
from reliability.sweep_operations import OPERATIONS
from reliability.sweep_world import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with World(tmp_path, monkeypatch) as made:
        yield made


@pytest.mark.skipif(replayed() is None, reason="SMITHERS_TEST_SWEEP=OPERATION:FAULT:POINT replays one case")
def test_replay(world: World) -> None:
    told = replayed()
    assert told is not None
    operation, fault, point = told
    found = Sweep(world, OPERATIONS[operation]).case(Fault(fault), point)
    assert found is None, str(found)


FOUND = {
    "a torn record of a worktree": ("land", "kill-before", "write /commondir"),
    "a record of a worktree before its lock": ("land", "kill-before", "open /locked"),
    "a record that is removed": ("gc", "kill-before", "unlink records-gone/"),
    "the lock of a branch of ours": ("up", "kill-before", "rename refs/heads/smithers/one/main"),
    "a copied pack": ("init", "kill-before", "rename packs/plan"),
}
"""Points at which a promise was once broken; see found/sweep.toml."""


@pytest.mark.parametrize("case", FOUND)
def test_what_was_found_stays_mended(world: World, case: str) -> None:
    operation, fault, match = FOUND[case]
    found = Sweep(world, OPERATIONS[operation]).case(Fault(fault), 1, match)
    assert found is None, str(found)


@pytest.mark.soak
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_crash(world: World, operation: str) -> None:
    made = sweep(Sweep(world, OPERATIONS[operation]), CRASHES)
    assert not made.violations
