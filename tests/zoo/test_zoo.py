"""The fake-agent zoo: real programs that misbehave, driven by a real engine.

Each is found out within seconds, for what it is; it costs its own attempt and nothing else: the next agent of the chain
does the work on the right files, the tasks before keep their results, nothing of the user's changes, nothing is left
running.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit import engines, processes, proofs, runs
from kit.zoo import Zoo, body, wild

from smithers_git.service.job import Result
from smithers_git.service.perform import Performer
from smithers_git.service.project import Project

pytestmark = pytest.mark.usefixtures("warm_reapers")

FOUND_OUT: dict[str, list[str | None]] = {
    "waits-on-stdin": ["idle"],
    "silent": ["idle"],
    "falls-silent": ["idle"],
    "ignores-signals": ["idle"],
    "loops": ["loop"],
    "retries": ["overload"] * 4,
    "lies": ["unchanged"],
    "not-utf8": ["crash"],
    "half-a-line": ["crash"],
    "nothing": ["crash"],
    "empty-answer": ["empty"],
    "refuses": ["refusal"],
    "bad-key": ["auth"],
    "dies": ["crash"],
    "resets": ["astray"],
    "checks-out": ["crash"],
}
"""What each animal is found to be, once or again and again, before another agent has its turn."""
FREE = {"refuses", "bad-key"}
"""Those that cost the task none of its retries."""
BACK, LEFT = "The files are those from before that attempt.", "The files are as that attempt left them."
TOLD = {
    "silent": ("no output at all for 3 s", LEFT),
    "loops": ("it has gone round in circles", LEFT),
    "lies": ("no file has changed", LEFT),
    "dies": ("a signal", LEFT),
    "resets": ("resets took its workspace back to", BACK),
    "checks-out": ("checks-out took its workspace back to", BACK),
}
"""What the next agent hears of some of them, and which files it is told that it has."""
SECONDS = 20.0
"""An attempt of any of them takes less, on a machine on which many things happen at once."""


def test_every_animal_is_found_out_and_costs_only_its_own_attempt(zoo: Zoo) -> None:
    zoo.house("scribe")
    for species in FOUND_OUT:
        zoo.house(species)
    state = zoo.up({species: [species, "scribe"] for species in FOUND_OUT}, "retries=1, changes=True")
    met = {species: [*((species, kind) for kind in kinds), ("scribe", None)] for species, kinds in FOUND_OUT.items()}
    assert zoo.attempts(state) == met
    assert {species: zoo.after(state, species) for species in met} == {species: ["before", "tame"] for species in met}
    assert {species for species in met if wild(state, species).failures == 0} == FREE
    slow = [one for one in engines.events(zoo.repo, state.run) if getattr(one, "seconds", 0.0) > SECONDS]
    assert slow == []
    for species, words in TOLD.items():
        prompt = zoo.file(state, species, "prompt.txt")
        assert prompt.startswith("Write wild.txt.")
        for text in words:
            assert text in prompt, species
    proofs.files_are_the_frames(zoo.repo, state.run)


def test_animals_that_get_there_in_their_own_way(zoo: Zoo, tmp_path: Path) -> None:
    """One leaves a daemon, one lies at first, one edits a file again and again, one writes elsewhere, from which only
    `[isolate]` would keep it.
    """
    note, elsewhere = tmp_path / "pid", tmp_path / "elsewhere"
    elsewhere.mkdir()
    zoo.house("daemon", str(note))
    zoo.house("lies-once")
    zoo.house("outside", str(elsewhere))
    zoo.house("busy")
    names = ("daemon", "lies-once", "outside", "busy")
    state = zoo.up({name: [name] for name in names}, "changes=True, retries=0")
    assert zoo.attempts(state) == {name: [(name, None)] for name in names}
    assert not processes.alive(int(note.read_text()))
    assert zoo.after(state, "lies-once") == ["before", "at last"], "it was told that no file had changed"
    assert zoo.after(state, "busy") == ["before", "draft 119"], "who changes a file does not go round in circles"
    assert (elsewhere / "outside.txt").exists()
    everything = proofs.tree(zoo.repo, f"refs/smithers/runs/{state.run}:code")
    assert [name for name in everything if "outside.txt" in name] == []


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
    state = zoo.up({"main-cage": ["fills", "tame"]}, "retries=0", code=3)
    assert state.parked_for == "disk"
    assert wild(state, "main-cage").failures == 0
    (small_disk / "ballast").unlink()
    text = (zoo.repo / ".smithers/agents/tame.toml").read_text("utf-8")
    (zoo.repo / ".smithers/agents/fills.toml").write_text(text, "utf-8")
    assert zoo.smithers.json("up", "--resume", state.run)["status"] == "finished"
    assert zoo.after(Project.open(zoo.repo).chain(state.run).state, "main-cage") == ["before", "tame"]


@pytest.mark.parametrize("megabytes", [12, pytest.param(100, marks=pytest.mark.soak)])
def test_megabytes_without_an_end_are_read_and_not_kept(zoo: Zoo, megabytes: int) -> None:
    zoo.house("hundred-megabytes", str(megabytes))
    began = time.monotonic()
    state = zoo.up({"flood": ["hundred-megabytes", "tame"]})
    assert time.monotonic() - began < 90
    assert zoo.attempts(state) == {"flood": [("hundred-megabytes", "crash"), ("tame", None)]}
    blobs = [len(data) for _, data in proofs.tree(zoo.repo, f"refs/smithers/runs/{state.run}").values()]
    assert sum(blobs) < 10 << 20


def test_work_that_an_agent_throws_away_is_back_when_it_is_stopped_at_that(zoo: Zoo) -> None:
    zoo.house("resets-and-stays")
    zoo.smithers.write(body({"cage": ["resets-and-stays"]}))
    with runs.Engine(zoo.repo, "flow.py", "--run-id", "run") as engine:
        assert processes.eventually(lambda: Project.open(zoo.repo).tip("run") is not None, 20)
        before = proofs.space_path(zoo.repo, "run", "cage") / "before.txt"
        assert processes.eventually(before.exists, 20)
        assert processes.eventually(lambda: not before.exists(), 20)
        os.kill(engine.process.pid, signal.SIGINT)
        assert engine.end() == 130
    assert before.exists(), "it is put back at once"
    zoo.house("tame", name="resets-and-stays")
    assert zoo.smithers.json("up", "--resume", "run")["status"] == "finished"
    assert zoo.after(Project.open(zoo.repo).chain("run").state, "cage") == ["before", "tame"]


def test_a_kill_between_the_frame_and_the_files_of_an_attempt_that_went_astray_loses_neither(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(self: Performer, result: Result) -> None:
        if result.astray:
            raise Killed

    zoo.house("resets")
    with monkeypatch.context() as patch:
        patch.setattr(Performer, "put_back", die)
        with pytest.raises(Killed):
            zoo.up({"cage": ["resets", "tame"]}, "retries=1")
    (run,) = Project.open(zoo.repo).tips()
    space = proofs.space_path(zoo.repo, run, "cage")
    assert not (space / "before.txt").exists(), "it was killed before anything was put back"
    assert zoo.smithers.json("up", "--resume", run)["status"] == "finished"
    assert zoo.after(Project.open(zoo.repo).chain(run).state, "cage") == ["before", "tame"]
    assert not (Project.open(zoo.repo).run_dir(run) / "restore").exists(), "nothing is to be put back any more"
