"""The fake-agent zoo: real programs that misbehave, driven by a real engine.

Each is found out within seconds, for what it is; it costs its own attempt and nothing else: the next agent of the chain
does the work on the right files, the tasks before keep their results, nothing of the user's changes, nothing is left
running.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from kit import processes, proofs
from kit.zoo import Zoo

from smithers_git.names import TaskKey

FOUND_OUT = [
    ("waits-on-stdin", "idle"),
    ("silent", "idle"),
    ("falls-silent", "idle"),
    ("ignores-signals", "idle"),
    ("loops", "loop"),
    ("retries", "overload"),
    ("lies", "unchanged"),
    ("not-utf8", "crash"),
    ("half-a-line", "crash"),
    ("nothing", "crash"),
    ("empty-answer", "empty"),
    ("refuses", "refusal"),
    ("bad-key", "auth"),
    ("dies", "crash"),
    ("resets", "astray"),
    ("checks-out", "crash"),
]


@pytest.mark.parametrize(("species", "kind"), FOUND_OUT, ids=[species for species, _ in FOUND_OUT])
def test_an_animal_is_found_out_and_costs_only_its_own_attempt(zoo: Zoo, species: str, kind: str) -> None:
    zoo.house(species)
    began = time.monotonic()
    options = "retries=4" if kind == "overload" else "retries=1, changes=True"
    state = zoo.up(species, "tame", options=options)
    assert time.monotonic() - began < 20
    first = [kind] * (4 if kind == "overload" else 1)
    assert zoo.attempts(state) == [*((species, one) for one in first), ("tame", None)]
    assert zoo.after(state) == ["before", "tame"], "the next one worked on the right files"
    assert state.nodes[TaskKey("wild")].failures == (0 if kind in ("refusal", "auth") else 1)
    proofs.files_are_the_frames(zoo.repo, state.run)


def test_what_a_daemon_was_left_for_is_ended_with_its_attempt(zoo: Zoo, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    zoo.house("daemon", str(note))
    state = zoo.up("daemon", "tame")
    assert zoo.attempts(state) == [("daemon", None)]
    assert not processes.alive(int(note.read_text()))


def test_a_liar_is_told_and_may_do_it_after_all(zoo: Zoo) -> None:
    zoo.house("lies-once")
    state = zoo.up("lies-once", options="changes=True, retries=0")
    assert zoo.attempts(state) == [("lies-once", None)]
    assert zoo.after(state) == ["before", "at last"]


def test_a_hundred_megabytes_are_read_and_not_kept(zoo: Zoo) -> None:
    zoo.house("hundred-megabytes", "100")
    began = time.monotonic()
    state = zoo.up("hundred-megabytes", "tame")
    assert time.monotonic() - began < 60
    assert zoo.attempts(state) == [("hundred-megabytes", "crash"), ("tame", None)]
    blobs = [len(data) for _, data in proofs.tree(zoo.repo, f"refs/smithers/runs/{state.run}").values()]
    assert sum(blobs) < 16 << 20
