"""What testing ahead is worth, on a simulated clock: the same seeds always give the same figures."""

from __future__ import annotations

import pytest
from bench.queue_sim import compare, full_line, simulate


@pytest.mark.parametrize("spread", [0.0, 0.2])
@pytest.mark.parametrize("rate", [0.95, 0.8])
def test_four_lanes_are_two_and_a_half_times_as_quick_at_most_half_more_gate_runs(rate, spread):
    found = compare(rate, seeds=30, spread=spread)
    assert found.faster >= 2.5
    assert found.more_runs <= 1.5


def test_without_a_red_one_every_gate_runs_once_and_every_lane_is_busy():
    cost = simulate(entries=16, lanes=4, pass_rate=1.0)
    assert (cost.rounds, cost.runs, cost.landed) == (4, 16, 16)


def test_the_long_line_that_is_measured_is_a_long_chain():
    world = full_line(60)
    assert sum(place.commit is not None for place in world.plan().line) > 50
