"""The index holds nothing of its own: whatever happens to its file, no row lies and the next reader gets them all."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from kit.simulate import begin

from smithers_git.core import events as ev
from smithers_git.core.state import apply
from smithers_git.edge.index import VERSION, Index, Known, row_of
from smithers_git.names import TaskKey


@pytest.fixture
def path(tmp_path):
    return tmp_path / "git" / "smithers" / "index.sqlite"


@pytest.fixture
def index(path):
    opened = Index(path)
    yield opened
    opened.close()


def state_of(run: str, **changes):
    state = begin()
    state.run = run
    for name, value in changes.items():
        setattr(state, name, value)
    return state


def files(path: Path) -> list[Path]:
    return [path, Path(f"{path}-journal")]


# -- rows


def test_a_row_says_what_a_list_of_runs_shows():
    state = state_of("r1", input={"prompt": "  fix it\nplease"}, parent="r0", number=7, tokens=12, cost=0.5)
    for event in (
        ev.ApprovalRequested(node="ship", title="Ship?"),
        ev.TaskStarted(node="a", iteration=2, attempt=1),
        ev.TaskFinished(node="b", attempt=1),
        ev.PauseRequested(),
    ):
        apply(state, event, 5.0)
    row = row_of(state, "t" * 40)
    assert (row.run, row.tip, row.frame, row.workflow, row.title) == ("r1", "t" * 40, 7, "w", "fix it")
    assert (row.waiting, row.running) == ('[["ship", "Ship?", 5.0, "approval"]]', '["a@2"]')
    assert (row.end, row.paused, row.parent, row.done, row.tokens, row.cost) == (None, 1, "r0", 1, 12, 0.5)


def test_rows_come_back_newest_first(index):
    for number, run in enumerate(("old", "new", "newest")):
        assert index.record(state_of(run, created=float(number)), f"tip-{run}")
    assert [row.run for row in index.runs()] == ["newest", "new", "old"]
    assert index.tips() == {"old": "tip-old", "new": "tip-new", "newest": "tip-newest"}
    assert index.runs()[0] == row_of(state_of("newest", created=2.0), "tip-newest")


def test_a_later_tip_replaces_the_row(index):
    index.record(state_of("r"), "t1")
    index.record(state_of("r", end="finished", tokens=2**40), "t2")
    (row,) = index.runs()
    assert (row.tip, row.end, row.tokens) == ("t2", "finished", 2**40)


def test_what_is_forgotten_is_gone_with_its_results(index):
    index.record(state_of("a"), "t", [Known("k1", "a", "f", "p", None)])
    index.record(state_of("b"), "t", [Known("k2", "b", "f", "p", "c")])
    index.remove(["a", "never there"])
    assert index.tips() == {"b": "t"}
    assert index.cached("k1") is None
    assert index.cached("k2") == Known("k2", "b", "f", "p", "c")


def test_the_newest_result_with_a_key_is_kept(index):
    index.record(state_of("a"), "t", [Known("k", "a", "f1", "p", None)])
    index.record(state_of("b"), "t", [Known("k", "b", "f2", "p", None)])
    assert index.cached("k") == Known("k", "b", "f2", "p", None)


def test_text_that_no_file_can_hold_does_not_end_a_run(index):
    """A prompt from a command line that was not UTF-8."""
    assert index.record(state_of("r", input={"prompt": "a\udcffb"}, error="\udcff"), "t")
    assert [row.title for row in index.runs()] == ["a?b"]


# -- the file


def test_nothing_is_made_before_something_is_asked(path):
    Index(path)
    assert not path.parent.exists()


@pytest.mark.parametrize("which", [slice(0, 1), slice(1, 2), slice(0, 2)], ids=["file", "journal", "both"])
def test_the_file_may_go_at_any_moment(index, path, which):
    index.record(state_of("r"), "t1")
    for one in files(path)[which]:
        one.unlink(missing_ok=True)
    assert index.record(state_of("r"), "t2")
    assert index.tips() == {"r": "t2"}
    other = Index(path)
    assert other.tips() == {"r": "t2"}
    other.close()


def test_a_file_that_was_replaced_is_noticed(index, path):
    index.record(state_of("old"), "t1")
    for one in files(path):
        one.unlink(missing_ok=True)
    other = Index(path)
    other.record(state_of("new"), "t2")
    assert index.tips() == {"new": "t2"}, "not what was in the file that is gone"
    index.record(state_of("more"), "t3")
    assert other.tips() == {"new": "t2", "more": "t3"}
    other.close()


JUNK = {
    "empty": b"",
    "text": b"this is no database\n" * 100,
    "zeros": bytes(8192),
    "only a header": b"SQLite format 3\0",
    "a torn page": None,
}


@pytest.mark.parametrize("kind", JUNK)
def test_a_file_that_is_no_database_is_made_anew(path, kind):
    first = Index(path)
    for number in range(200):
        first.record(state_of(f"r{number}", input={"prompt": "x" * 200}), "t")
    first.close()
    whole = path.read_bytes()
    path.write_bytes(JUNK[kind] if JUNK[kind] is not None else whole[: len(whole) // 2] + bytes(len(whole) // 4))
    index = Index(path)
    assert index.record(state_of("r"), "t2") or index.record(state_of("r"), "t2"), "at the second time at the latest"
    assert index.tips()["r"] == "t2"
    assert [row.tip for row in index.runs() if row.run == "r"] == ["t2"]
    index.close()


@pytest.mark.parametrize("version", [0, VERSION + 1, VERSION + 90])
def test_a_file_of_another_version_is_made_anew(path, version):
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE runs (run TEXT, mood TEXT)")
        db.execute("INSERT INTO runs VALUES ('r', 'fine')")
        db.execute(f"PRAGMA user_version={version}")
    db.close()
    index = Index(path)
    assert index.tips() == {}
    assert index.record(state_of("r"), "t")
    assert index.tips() == {"r": "t"}
    index.close()


@pytest.mark.parametrize("obstacle", ["folder", "file"])
def test_where_there_can_be_no_file_it_is_worked_out_in_memory(path, obstacle):
    if obstacle == "folder":
        (path / "in the way").mkdir(parents=True)
    else:
        path.parent.parent.mkdir()
        path.parent.write_text("in the way")
    index = Index(path)
    assert index.record(state_of("r"), "t")
    assert index.tips() == {"r": "t"}
    index.close()
    assert Index(path).tips() == {}


def test_a_file_from_before_the_machine_started_is_checked(index, path):
    """Nothing is flushed, so a power cut may leave a file whose parts are from different moments."""
    for number in range(300):
        index.record(state_of(f"r{number}", input={"prompt": "x" * 150}), "t")
    index.close()
    data = bytearray(path.read_bytes())
    page = len(data) // 4096 // 2 * 4096
    data[page + 100 : page + 4096] = bytes(3996)
    path.write_bytes(data)
    os.utime(path, (1.0, 1.0))
    assert Index(path).tips() == {}, "made anew"


# -- more than one process

WRITER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from smithers_git.core.state import State
    from smithers_git.edge.index import Index
    index, me, count = Index(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    written = 0
    for number in range(count):
        state = State(run=f"{me}-{number % 10}", number=number, workflow="w", created=1.0)
        written += index.record(state, f"tip-{number}")
        if number % 7 == 0:
            index.tips()
    print(written, flush=True)
""")


def writers(path: Path, count: int, meanwhile) -> list[int]:
    argv = [sys.executable, "-c", WRITER, str(path)]
    processes = [
        subprocess.Popen(
            [*argv, who, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for who in "abc"
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        while any(process.poll() is None for process in processes):
            meanwhile()
        written = []
        for process in processes:
            out, errors = process.communicate()
            assert process.returncode == 0, errors
            written.append(int(out))
        return written
    finally:
        for process in processes:
            process.kill()
            process.wait()


def healthy(path: Path) -> bool:
    db = sqlite3.connect(path)
    try:
        return db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        db.close()


def test_three_processes_that_begin_at_once_lose_no_row(path):
    written = writers(path, 60, lambda: time.sleep(0.01))
    index = Index(path)
    assert written == [60, 60, 60]
    assert index.tips() == {f"{who}-{number}": f"tip-{50 + number}" for who in "abc" for number in range(10)}
    assert healthy(path)
    index.close()


@pytest.mark.parametrize("seed", range(3))
def test_three_processes_survive_that_the_file_is_deleted_again_and_again(path, seed):
    chance = random.Random(seed)

    def meanwhile():
        time.sleep(chance.random() * 0.03)
        doomed = files(path)[: chance.choice([1, 2])]
        for one in doomed if chance.random() < 0.8 else reversed(doomed):
            one.unlink(missing_ok=True)

    writers(path, 400, meanwhile)
    index = Index(path)
    known = index.tips()
    assert all(tip.startswith("tip-") for tip in known.values())
    for number in range(20):
        assert index.record(state_of(f"after-{number}"), "t")
    assert {run: tip for run, tip in index.tips().items() if run.startswith("after")} == {
        f"after-{number}": "t" for number in range(20)
    }
    index.close()
    assert healthy(path)


def test_a_reader_is_not_held_up_by_a_writer_in_the_middle(index, path):
    index.record(state_of("r"), "t1")
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE runs SET tip = 'half'")
    assert index.tips() == {"r": "t1"}
    db.execute("ROLLBACK")
    db.close()


def test_an_engine_that_dies_in_the_middle_leaves_a_whole_row(path):
    code = WRITER + "\nimport os\nos.kill(os.getpid(), 9)\n"
    process = subprocess.run(
        [sys.executable, "-c", code, str(path), "a", "25"], input="\n", text=True, capture_output=True
    )
    assert process.returncode == -9
    index = Index(path)
    assert index.tips() == {f"a-{number}": f"tip-{20 + number if number < 5 else 10 + number}" for number in range(10)}
    index.close()


def test_waiting_runs_are_told_in_the_order_in_which_they_asked():
    state = state_of("r")
    for number, name in enumerate("ba"):
        apply(state, ev.ApprovalRequested(node=name, title=name), float(number))
    assert state.waiting() == [TaskKey("b"), TaskKey("a")]
    assert row_of(state, "t").waiting == '[["b", "b", 0.0, "approval"], ["a", "a", 1.0, "approval"]]'


def test_it_is_told_apart_from_a_file_with_the_same_name(index, path):
    """An index that was moved away is still written by those who have it open; nobody reads it any more."""
    index.record(state_of("r"), "t1")
    path.rename(path.with_suffix(".away"))
    assert index.record(state_of("r"), "t2")
    assert path.exists()
    other = Index(path)
    assert other.tips() == {"r": "t2"}
    other.close()
