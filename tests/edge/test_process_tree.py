"""Nothing outlives its attempt, whoever is killed: the program, the reaper, the engine, or both."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.processes import DAEMON, PYTHON, alive, eventually, marked, pid_in

from smithers_git.edge import process
from smithers_git.edge.process import Launch, Terminal, runner

MARK = "TREE_TEST"
ENGINE = """
import os, sys, threading, time
from pathlib import Path
from smithers_git.edge.process import Launch, Terminal, run
folder, mark, path, way, *argv = sys.argv[1:]
terminal = way == "terminal"
launch = Launch(argv, Path(folder), {"PATH": path, "TREE_TEST": mark}, stdin=None if terminal else b"a prompt",
                terminal=Terminal() if terminal else None)
def note(started):
    Path(folder, "started").write_text(f"{started.pid} {started.start_time}")
    if way == "forked" and os.fork() == 0:  # as multiprocessing does; it inherits the reaper's lifeline
        Path(folder, "forked").write_text(str(os.getpid()))
        time.sleep(60)
        os._exit(0)
run(launch, on_output=lambda _: None, cancel=threading.Event(), on_start=note)
"""
TREE = """
import subprocess, sys, time
daemon = sys.argv[1]
subprocess.run([sys.executable, "-I", "-S", "-c", daemon, "daemon"])
subprocess.Popen(["sleep", "60"], start_new_session=True)
subprocess.Popen(["sleep", "60"], env={})
open("program", "w").write(str(__import__("os").getpid()))
time.sleep(60)
"""
"""Leaves a daemon, a child in a session of its own, and a child that has lost the marking variable."""


class Engine:
    """A process that runs one program, to be killed."""

    def __init__(self, folder: Path, way: str = "") -> None:
        self.folder, self.mark = folder, str(folder)
        (folder / "scratch").mkdir()
        words = [str(folder), self.mark, os.environ["PATH"], way, *PYTHON, TREE, DAEMON]
        self.process = subprocess.Popen(
            [sys.executable, "-c", ENGINE, *words], env={**os.environ, "TMPDIR": str(folder / "scratch")}
        )

    def ready(self) -> None:
        """Wait until the whole tree is up."""
        assert pid_in(self.folder / "daemon")
        assert pid_in(self.folder / "program")
        pid, self.start_time = (self.folder / "started").read_text().split()
        self.reaper = int(pid)
        assert eventually(lambda: len(process.reaper.descendants(self.reaper)) == 4)
        self.tree = [self.reaper, *process.reaper.descendants(self.reaper)]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def left(self) -> list[int]:
        return [pid for pid in self.tree if alive(pid)]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[type]:
    made: list[Engine] = []

    def make(way: str = "") -> Engine:
        made.append(Engine(tmp_path, way))
        made[-1].ready()
        return made[-1]

    yield make
    for one in made:
        one.kill()
        process.end_tree(one.reaper, one.start_time, (MARK, one.mark))


@pytest.mark.parametrize("way", ["pipes", "terminal", "forked"])
def test_killing_the_engine_ends_the_tree_at_once(engine, way):
    one = engine(way)
    assert list((one.folder / "scratch").iterdir()) == [], "a killed engine would leave the prompt behind"
    one.kill()
    assert eventually(lambda: not one.left(), 4.0), "sooner than the stop list's five seconds"
    if way == "forked":
        os.kill(pid_in(one.folder / "forked"), signal.SIGKILL)


def test_killing_the_reaper_ends_the_program_too_when_the_engine_lives(engine):
    one = engine()
    os.kill(one.reaper, signal.SIGKILL)
    assert one.process.wait(timeout=20) == 0
    daemon = pid_in(one.folder / "daemon")
    assert [pid for pid in one.left() if pid != daemon] == []


def test_a_killed_reaper_is_reported(tmp_path):
    (tmp_path / "scratch").mkdir()
    launch = Launch(["sleep", "60"], tmp_path, {"PATH": os.environ["PATH"]})
    end = process.run(
        launch,
        on_output=lambda _: None,
        cancel=threading.Event(),
        on_start=lambda started: threading.Timer(0.3, os.kill, (started.pid, signal.SIGKILL)).start(),
    )
    assert (end.reason, end.code, end.signal) == ("exited", None, None)
    assert end.message == "the process above it was killed, so it was ended"


@pytest.mark.parametrize("terminal", [None, Terminal()])
def test_a_reaper_killed_before_it_started_the_program_says_nothing_of_the_program(tmp_path, monkeypatch, terminal):
    monkeypatch.setattr(runner, "_BOOT", "import os; os.kill(os.getpid(), 9)")
    launch = Launch(["true"], tmp_path, {"PATH": os.environ["PATH"]}, terminal=terminal)
    end = process.run(launch, on_output=lambda _: None, cancel=threading.Event())
    assert (end.reason, end.code, end.signal) == ("exited", None, None)
    assert end.message == "the process above it was killed, so it was ended"
    monkeypatch.setattr(runner, "_BOOT", "raise SystemExit(1)")
    assert process.run(launch, on_output=lambda _: None, cancel=threading.Event()).reason == "unstartable"


def test_orphans_of_a_killed_engine_and_reaper_are_found_by_their_mark(engine):
    one = engine()
    os.kill(one.process.pid, signal.SIGSTOP)  # else it would end the rest itself
    os.kill(one.reaper, signal.SIGKILL)
    one.kill()
    assert eventually(lambda: not alive(one.reaper))
    orphans = one.left()
    assert len(orphans) == 4
    ended = process.end_tree(one.reaper, one.start_time, (MARK, one.mark))
    assert ended == sorted(orphans), "the child without the mark is found as a descendant"
    assert one.left() == []
    assert process.end_tree(one.reaper, one.start_time, (MARK, one.mark)) == []


def test_a_tree_with_a_live_reaper_is_ended_from_its_root(engine):
    one = engine()
    os.kill(one.process.pid, signal.SIGSTOP)
    assert process.end_tree(one.reaper, one.start_time, None) == sorted(one.tree)
    assert one.left() == []


def test_a_recycled_pid_is_left_alone(engine):
    one = engine()
    os.kill(one.process.pid, signal.SIGSTOP)
    boot, _, ticks = one.start_time.partition(".")
    assert len(boot) == 8, "start times begin anew at each boot"
    for other in (f"{boot}.{int(ticks) + 1}", f"00000000.{ticks}", ""):
        assert not process.is_alive(one.reaper, other)
        assert process.end_tree(one.reaper, other, None) == []
    assert one.left() == one.tree
    assert process.is_alive(one.reaper, one.start_time)


def test_only_the_very_mark_counts(engine):
    one = engine()
    os.kill(one.process.pid, signal.SIGSTOP)
    for name, value in ((MARK, one.mark[:-1]), (MARK, one.mark + "x"), (MARK[1:], one.mark)):
        assert process.end_tree(0, "", (name, value)) == []
    assert one.left() == one.tree


def test_an_engine_inside_the_tree_spares_itself_and_its_own(tmp_path):
    """A workflow run by an agent of an outer workflow carries the outer mark too."""
    script = f"""
import os, subprocess, sys
from smithers_git.edge.process import end_tree, start_time
mine, other = subprocess.Popen(["sleep", "60"]), None
parent = os.getppid()
ended = end_tree(parent, start_time(parent), ("{MARK}", {str(tmp_path)!r}))
alive = mine.poll() is None
mine.kill(); mine.wait()
print(alive, len(ended), flush=True)
"""
    done = subprocess.run(
        ["sh", "-c", 'sleep 60 & "$@"; echo survived', "sh", sys.executable, "-c", script],
        env={**os.environ, MARK: str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout == "True 1\nsurvived\n", done.stderr
    assert marked(MARK, str(tmp_path)) == []


def test_a_zombie_is_not_alive_and_not_ended():
    parent = subprocess.Popen([*PYTHON, "import os, time; os.fork() or os._exit(0); time.sleep(60)"])
    try:
        assert eventually(lambda: [alive(pid) for pid in process.reaper.descendants(parent.pid)] == [False])
        (zombie,) = process.reaper.descendants(parent.pid)
        assert process.start_time(zombie) == ""
        assert process.end_tree(parent.pid, process.start_time(parent.pid), None) == [parent.pid]
    finally:
        parent.kill()
        parent.wait()


@pytest.mark.parametrize("turn", range(3))
def test_a_tree_that_keeps_forking_is_ended(tmp_path, turn):
    """Without a mark, so one that is missed stays."""
    bomb = """
import os, time
until = time.monotonic() + 4
for _ in range(3): os.fork()
while time.monotonic() < until:
    if os.fork() == 0:
        time.sleep(6)
        os._exit(0)
    time.sleep(0.008)
"""
    child = subprocess.Popen([*PYTHON, bomb], env={**os.environ, MARK: str(tmp_path)})
    try:
        assert eventually(lambda: len(process.reaper.descendants(child.pid)) > 40)
        assert child.pid in process.end_tree(child.pid, process.start_time(child.pid), None)
        assert marked(MARK, str(tmp_path)) == []
    finally:
        child.kill()
        child.wait()
        process.end_tree(0, "", (MARK, str(tmp_path)))
