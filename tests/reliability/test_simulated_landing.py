"""Merge queues in a simulated world: the seeds that have one, and broken queues, each of which must be caught."""

from __future__ import annotations

import pytest
from kit.memory_git import MemoryObjects
from kit.memory_merge import MemoryMerger
from reliability.simulate import draws
from reliability.simulate.draws import draw
from reliability.simulate.simulation import Failed, compare

from smithers_git.core.landing import chain, order
from smithers_git.core.landing.state import GateRuns
from smithers_git.service.landing import driver, home
from smithers_git.service.landing.candidates import Candidates

pytestmark = [  # a killed process closes no files
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
MOST = 100
"""Seeds with a merge queue within which a broken one must be caught."""
SEEDS = range(5, MOST * draws.LANDING, draws.LANDING)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("simulated")


def caught(folder, first: int = 0) -> str:
    """What the first seed that finds something says; `first`: no earlier one does."""
    for seed in SEEDS:
        try:
            if seed >= first:
                compare(seed, folder)
        except Failed as failed:
            return str(failed)
    pytest.fail(f"{MOST} seeds have found nothing")


def test_all_that_can_happen_to_a_queue_is_drawn():
    drawn = [draw(seed).landings for seed in SEEDS]
    assert {one.runs for one in drawn} == {1, 2, 3}
    assert {one.target for one in drawn} == {"main", None}
    assert {what for one in drawn for what in one.odd.values()} == {"flake", "break"}
    assert sum(bool(one.bad) for one in drawn) > 20
    assert sum(bool(one.refused) for one in drawn) > 5
    assert sum(one.blocked != (0.0, 0.0) for one in drawn) > 5
    deeds = {deed.what for seed in SEEDS for deed in draw(seed).deeds}
    assert deeds >= {"push", "merge", "move", "hold", "let", "eject", "cancel", "rewind"}


def test_what_lands_untested_is_caught(folder, monkeypatch):
    monkeypatch.setattr(GateRuns, "verdict", property(lambda _self: "green"))
    assert "I1: " in caught(folder)


def test_a_receipt_that_is_not_written_is_caught(folder, monkeypatch):
    monkeypatch.setattr(home, "_receipts", lambda *_: "receipts/none.json")
    assert "I1: " in caught(folder)


def test_hooks_that_nobody_asks_are_caught(folder, monkeypatch):
    real = Candidates.__init__

    def init(self, *args):
        real(self, *args)
        self.hooked = False

    monkeypatch.setattr(Candidates, "__init__", init)
    assert "the hooks did not pass" in caught(folder)


def test_a_branch_that_is_moved_from_wherever_it_is_is_caught(folder, monkeypatch):
    """The compare-and-swap of the target, left out: what somebody pushed meanwhile is gone."""

    real = MemoryObjects.advance

    def advance(self, name, expected, new, *, late=False):
        real(self, name, self.store.refs.get(name) if name.startswith("refs/heads/") else expected, new)

    monkeypatch.setattr(MemoryObjects, "advance", advance)
    assert "I2: " in caught(folder)


def test_a_landing_before_what_it_depends_on_is_caught(folder, monkeypatch):
    monkeypatch.setattr(order, "_sorted", lambda free, _done: sorted(free.values(), key=order._rank))
    monkeypatch.setattr(chain, "_step", _without_needs(chain._step))
    assert "I3: " in caught(folder)


def _without_needs(real):
    class Free:
        def __init__(self, entry):
            self._entry = entry

        depends_on = ()

        def __getattr__(self, name):
            return getattr(self._entry, name)

    def step(made, one):
        return real(made, type(one)(Free(one.entry), one.order, one.entered))

    return step


def test_a_change_that_gets_lost_in_a_merge_is_caught(folder, monkeypatch):
    real = MemoryMerger._merge

    def merge(self, base, onto, head):
        merged = real(self, base, onto, head)
        ours = dict(self._files(onto))
        fresh = [path for path in merged if path not in ours]
        return {path: entry for path, entry in merged.items() if path not in fresh[1:]}

    monkeypatch.setattr(MemoryMerger, "_merge", merge)
    caught(folder)


def test_a_landing_that_was_cut_off_and_nobody_completes_is_caught(folder, monkeypatch):
    monkeypatch.setattr(home, "settle", lambda *_: None)
    caught(folder)


def test_a_landing_that_counts_before_it_happened_is_caught(folder, monkeypatch):
    """Whoever finds a landing begun takes it for done, without a look at the target."""
    monkeypatch.setattr(MemoryMerger, "contained", lambda *_: True)
    assert "P1: " in caught(folder)


def test_a_held_entry_that_lands_is_caught(folder, monkeypatch):
    real = driver.plan

    def plan(state, view):
        held, state.held = state.held, None
        try:
            return real(state, view)
        finally:
            state.held = held

    monkeypatch.setattr(driver, "plan", plan)
    assert "although it is held" in caught(folder, 413)


def test_a_queue_frame_that_is_lost_is_caught(folder, monkeypatch):
    real = MemoryObjects.advance

    def advance(self, name, expected, new, *, late=False):
        real(self, name, self.store.refs.get(name) if "queue" in name else expected, new)

    monkeypatch.setattr(MemoryObjects, "advance", advance)
    assert "P2: " in caught(folder, 719)
