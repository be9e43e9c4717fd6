from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading

import pytest
from kit import workers

from smithers_git.edge.lock import FileLock, holding, is_held
from smithers_git.errors import LockTimeout, StorageError

OWNER = """
import sys
from pathlib import Path
from smithers_git.edge.lock import FileLock
lock = FileLock(Path(sys.argv[1]))
assert lock.try_acquire({"start": 7})
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "locks" / "run.lock"


@pytest.fixture
def owner(path):
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.stdin.close()
        process.wait(10)


def test_one_owner_at_a_time(path):
    one, two = FileLock(path), FileLock(path)
    assert one.try_acquire()
    assert not two.try_acquire()
    one.release()
    assert two.try_acquire()
    two.release()


def test_another_process_sees_who_holds_it(path, owner):
    assert is_held(path)
    assert not FileLock(path).try_acquire()
    holder = FileLock(path).holder()
    assert holder["pid"] == owner.pid
    assert holder["start"] == 7
    assert holder["host"]


def test_a_killed_owner_holds_it_no_longer_at_once(path, owner):
    owner.kill()
    owner.wait(10)
    assert not is_held(path)
    lock = FileLock(path)
    assert lock.try_acquire()
    lock.release()


def test_a_child_does_not_keep_it_after_its_owner(path):
    lock = FileLock(path)
    lock.acquire(1)
    with subprocess.Popen(["sleep", "30"], close_fds=False) as child:
        lock.release()
        assert not is_held(path)
        child.kill()


def test_looking_creates_nothing_and_changes_nothing(path):
    assert not is_held(path)
    assert not path.exists()
    lock = FileLock(path)
    lock.acquire(1)
    before = path.read_bytes()
    assert is_held(path)
    assert path.read_bytes() == before
    lock.release()
    assert path.exists()
    assert not is_held(path)


def test_those_who_look_never_make_an_acquire_fail(path):
    stop = threading.Event()

    def look():
        while not stop.is_set():
            is_held(path)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(50):
            lock = FileLock(path)
            assert lock.try_acquire()
            lock.release()
    finally:
        stop.set()
        for looker in lookers:
            looker.join()


def test_waiting_ends_with_an_error_that_names_the_owner(path, owner):
    with pytest.raises(LockTimeout, match=f"process {owner.pid} on"):
        FileLock(path).acquire(0.05)


def test_waiting_ends_when_the_owner_lets_go(path):
    lock = FileLock(path)
    lock.acquire(1)
    timer = threading.Timer(0.1, lock.release)
    timer.start()
    with holding(path, 10):
        assert is_held(path)
    timer.join()
    assert not is_held(path)


def test_a_lock_file_deleted_meanwhile_is_not_mistaken_for_the_lock(path):
    first = FileLock(path)
    first.acquire(1)
    path.unlink()
    second = FileLock(path)
    assert second.try_acquire()  # of the new file
    assert is_held(path)
    first.release()
    assert is_held(path)
    second.release()


def test_processes_exclude_each_other(path, tmp_path):
    number = tmp_path / "number"
    number.write_text("0")
    context = multiprocessing.get_context("spawn")
    counters = [context.Process(target=workers.count, args=(path, number)) for _ in range(4)]
    for worker in counters:
        worker.start()
    for worker in counters:
        worker.join(60)
    assert number.read_text() == "100"


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be used"):
        FileLock(tmp_path / "file" / "x.lock").try_acquire()


def test_a_half_written_holder_is_none(path):
    path.parent.mkdir()
    path.write_text('{"pid": 1')
    assert FileLock(path).holder() is None
    os.truncate(path, 0)
    assert FileLock(path).holder() is None


def test_a_lock_whose_file_was_removed_is_not_held_any_more(tmp_path):
    path = tmp_path / "r.lock"
    ours, theirs = FileLock(path), FileLock(path)
    assert not ours.holds()
    assert ours.try_acquire()
    assert ours.holds()
    path.unlink()
    assert not ours.holds()
    assert theirs.try_acquire()
    assert theirs.holds()
    assert not ours.holds()
    theirs.release()
    assert not theirs.holds()
