"""The fake-agent zoo: real programs that misbehave, driven by a real engine.

Each is found out within seconds, for what it is; it costs its own attempt and nothing else: the next agent of the chain
does the work on the right files, the tasks before keep their results, nothing of the user's changes, nothing is left
running.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit import processes, proofs
from kit.zoo import Zoo

from smithers_git.names import TaskKey
from smithers_git.service.project import Project

WILD = TaskKey("wild")
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
    assert state.nodes[WILD].failures == (0 if kind in ("refusal", "auth") else 1)
    proofs.files_are_the_frames(zoo.repo, state.run)


def test_what_a_daemon_was_left_for_is_ended_with_its_attempt(zoo: Zoo, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    zoo.house("daemon", str(note))
    state = zoo.up("daemon", "tame")
    assert zoo.attempts(state) == [("daemon", None)]
    assert not processes.alive(int(note.read_text()))


@pytest.mark.parametrize(
    ("species", "told", "files"),
    [
        ("resets", "resets took its workspace back to", "The files are those from before that attempt."),
        ("lies", "no file has changed", "The files are as that attempt left them."),
    ],
)
def test_the_next_agent_is_told_what_happened_and_which_files_it_has(
    zoo: Zoo, species: str, told: str, files: str
) -> None:
    zoo.house(species)
    zoo.house("scribe")
    state = zoo.up(species, "scribe", options="changes=True")
    prompt = proofs.tree(zoo.repo, f"refs/smithers/runs/{state.run}:code/main")["prompt.txt"][1].decode()
    assert prompt.startswith("Write wild.txt.")
    assert told in prompt
    assert files in prompt


def test_a_liar_is_told_and_may_do_it_after_all(zoo: Zoo) -> None:
    zoo.house("lies-once")
    state = zoo.up("lies-once", options="changes=True, retries=0")
    assert zoo.attempts(state) == [("lies-once", None)]
    assert zoo.after(state) == ["before", "at last"]


def test_what_one_animal_writes_elsewhere_is_in_nobodys_result(zoo: Zoo, tmp_path: Path) -> None:
    """Who may write everywhere can, and only `[isolate]` keeps it from that; what it leaves is not taken in."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    zoo.house("outside", str(elsewhere), "..")
    state = zoo.up("outside", "tame")
    assert zoo.attempts(state) == [("outside", None)]
    assert (elsewhere / "outside.txt").exists()
    names = proofs.tree(zoo.repo, f"refs/smithers/runs/{state.run}:code/main")
    assert [name for name in names if "outside" in name] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB, which only root may mount."""
    place = tmp_path / "small"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={24 << 20}", "tmpfs", str(place)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"NOT TESTED: an agent that fills the disk, as no tmpfs can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_an_agent_that_fills_the_disk_parks_the_run_and_loses_nothing(
    zoo: Zoo, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(small_disk / "state"))
    config = zoo.repo / ".smithers" / "config.toml"
    config.write_text(config.read_text("utf-8") + "\n[disk]\nfloor = 0\n", "utf-8")
    zoo.house("fills", str(small_disk / "ballast"))
    state = zoo.up("fills", "tame", options="retries=0", code=3)
    assert state.parked_for == "disk"
    assert state.nodes[WILD].failures == 0
    (small_disk / "ballast").unlink()
    text = (zoo.repo / ".smithers/agents/tame.toml").read_text("utf-8")
    (zoo.repo / ".smithers/agents/fills.toml").write_text(text, "utf-8")
    assert zoo.smithers.json("up", "--resume", state.run)["status"] == "finished"
    assert zoo.after(Project.open(zoo.repo).chain(state.run).state) == ["before", "tame"]


def test_a_hundred_megabytes_are_read_and_not_kept(zoo: Zoo) -> None:
    zoo.house("hundred-megabytes", "100")
    began = time.monotonic()
    state = zoo.up("hundred-megabytes", "tame")
    assert time.monotonic() - began < 60
    assert zoo.attempts(state) == [("hundred-megabytes", "crash"), ("tame", None)]
    blobs = [len(data) for _, data in proofs.tree(zoo.repo, f"refs/smithers/runs/{state.run}").values()]
    assert sum(blobs) < 16 << 20
