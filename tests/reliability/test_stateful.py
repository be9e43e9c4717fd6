"""Any commands in any order, in one repository in which its user works too: what the model says is so after each.

make stateful EXAMPLES=2000            # the long form
make stateful EXAMPLES=2000 SEED=17    # the same examples again
"""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from reliability import report
from reliability.stateful import Machine


def _run(folder: Path, examples: int, steps: int) -> None:
    number = int(os.environ.get("SMITHERS_TEST_SEED") or secrets.randbelow(10**9))
    print(f"SMITHERS_TEST_SEED={number}")

    class Here(Machine):
        root, tally = folder, Counter[str]()

    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    begun, violations = time.monotonic(), 1
    try:
        run_state_machine_as_test(seed(number)(Here), settings=how)
        violations = 0
    finally:
        _report(Here.tally, number, time.monotonic() - begun, violations)


def _report(tally: Counter[str], number: int, seconds: float, violations: int) -> None:
    examples = tally.pop("examples", 0)
    how = (
        "A rule machine over the commands in one repository, beside a user who commits, switches branches, edits, "
        "fetches, deletes worktrees and the index, and breaks the configuration. A model in plain Python, which reads "
        "frames through plain git, says after each command what must be so."
    )
    counts = {"examples": examples, "commands": sum(tally.values()), **dict(sorted(tally.items()))}
    attacks = ("P1", "P2", "P3", "P4", "P5", "P7", "P9")
    report.write(report.Report("stateful", attacks, how, counts, str(number), violations, seconds))


def test_a_few_examples_of_any_commands_in_any_order(tmp_path: Path) -> None:
    _run(tmp_path / "repos", 8, 15)


@pytest.mark.soak
def test_soak_any_commands_in_any_order(tmp_path: Path) -> None:
    _run(tmp_path / "repos", int(os.environ.get("SMITHERS_TEST_EXAMPLES", "2000")), 30)
