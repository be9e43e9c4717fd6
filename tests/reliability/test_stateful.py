"""Any commands in any order, in one repository in which its user works too: what the model says is so after each.

make stateful EXAMPLES=2000            # the long form
make stateful EXAMPLES=50 SEED=17      # the same examples again: each batch of 50 has a seed of its own
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import FlakyStrategyDefinition
from hypothesis.stateful import run_state_machine_as_test
from kit.repos import git
from reliability import report
from reliability.stateful import Machine

from smithers_git.core import asking
from smithers_git.core import events as ev
from smithers_git.core.state import State
from smithers_git.edge.git import follow
from smithers_git.edge.index import Index
from smithers_git.service import recover, requests, travel

BATCH = 50
"""Examples that one seed makes. hypothesis remembers every draw of them, and each takes ten seconds to repeat."""


def _run(folder: Path, examples: int, steps: int, chosen: int = 0) -> None:
    first = int(os.environ.get("SMITHERS_TEST_SEED") or chosen or secrets.randbelow(10**9))
    tally, begun = Counter[str](), time.monotonic()
    for number in range(first, first + (examples + BATCH - 1) // BATCH):
        print(f"SMITHERS_TEST_SEED={number}")
        told, violations = str(first) if number == first else f"{first} to {number}", 1
        try:
            _batch(folder / str(number), min(examples, BATCH), steps, number, tally)
            violations = 0
        finally:
            _report(Counter(tally), told, time.monotonic() - begun, violations)


def _batch(folder: Path, examples: int, steps: int, number: int, counts: Counter[str]) -> None:
    class Here(Machine):
        root, tally = folder, counts
        bad: ClassVar[list[BaseException | None]] = []

        def teardown(self) -> None:
            error = sys.exc_info()[1]
            Here.bad.append(error)
            super().teardown()
            if error is None or type(error).__module__.startswith("hypothesis"):
                Here.bad.pop()

    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    try:
        run_state_machine_as_test(seed(number)(Here), settings=how)
    except FlakyStrategyDefinition:  # what can be drawn depends on what is there, and that on how quick an engine was
        if Here.bad:
            raise AssertionError("an example failed, and did not when it was repeated") from Here.bad[0]
        counts["batches that were cut short"] += 1


def _report(tally: Counter[str], seeds: str, seconds: float, violations: int) -> None:
    examples, short = tally.pop("examples", 0), tally.pop("batches that were cut short", 0)
    how = (
        "A rule machine over the commands in one repository, beside a user who commits, switches branches, edits, "
        "fetches, deletes worktrees and the index, and breaks the configuration. A model in plain Python, which reads "
        "frames through plain git, says after each command what must be so."
    )
    counts = {"examples": examples, "commands": sum(tally.values()), **dict(sorted(tally.items()))}
    counts |= {"batches that were cut short": short} if short else {}
    attacks = ("P1", "P2", "P3", "P4", "P5", "P9", "I2", "I6", "I7")
    report.write(report.Report("stateful", attacks, how, counts, seeds, violations, seconds))


def test_a_few_examples_of_any_commands_in_any_order(tmp_path: Path) -> None:
    _run(tmp_path / "repos", 8, 15, chosen=7)  # the same each day: it decides whether a change may land


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine to be turned by hand, after its first run."""

    class Here(Machine):
        root, tally = tmp_path / "repos", Counter[str]()

    found = Here()
    found.branch()
    found.first("ship")
    return found


def test_a_rewind_that_drops_its_tail_is_seen(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(travel, "_keep_tail", lambda *_: "refs/smithers/rewound/run1/1")
    with pytest.raises(AssertionError, match="the tail is kept"):
        machine.rewind(n=0, frame=1)


def test_a_rewind_that_leaves_the_files_is_seen(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(travel, "_put_back", lambda *_: [])
    with pytest.raises(AssertionError):
        machine.rewind(n=0, frame=1)


def test_a_second_decision_that_counts_is_seen(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(State, "waiting", lambda self: [*self.approvals])
    with pytest.raises(AssertionError):
        machine.decide(n=0, verb="approve")


def test_a_decision_about_files_of_before_that_counts_is_seen(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.edit_in_a_workspace(n=0, m=0)
    machine.decide(n=0, verb="approve")  # refused
    with monkeypatch.context() as patch:
        patch.setattr(requests, "refuse_stale", lambda *_: None)
        with pytest.raises(AssertionError):
            machine.decide(n=0, verb="approve")
    assert machine.tally["refused as stale"] == 1


def test_an_approval_that_is_not_asked_anew_is_seen(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.edit_in_a_workspace(n=0, m=0)
    monkeypatch.setattr(asking, "same", lambda *_: True)
    with pytest.raises(AssertionError, match="asked about files of before"):
        machine.resume(n=0)


def test_a_step_that_is_done_again_is_seen(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    again = ev.TaskReset(nodes=["a@0"])
    monkeypatch.setattr(recover, "examine", lambda *_: recover.Recovery(events=[again]))
    machine.decide(n=0, verb="approve")
    with pytest.raises(AssertionError):
        machine.resume(n=0)


def test_an_index_that_forgets_is_seen(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Index, "record", lambda *_: True)
    with pytest.raises(AssertionError):
        machine.signal(n=0)


def test_a_landing_that_also_moves_another_branch_is_seen(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def move(repository: object, target: str, *told: str) -> None:
        whole(repository, target, *told)
        git(machine.repo, "branch", "-f", "other", "main")

    whole = follow.move
    machine.decide(n=0, verb="approve")
    machine.resume(n=0)
    monkeypatch.setattr(follow, "move", move)
    with pytest.raises(AssertionError, match="changed besides the target"):
        machine.land(n=0, onto="main", gate="true")


@pytest.mark.soak
def test_soak_any_commands_in_any_order(tmp_path: Path) -> None:
    _run(tmp_path / "repos", int(os.environ.get("SMITHERS_TEST_EXAMPLES", "2000")), 30)
