"""The threads in which attempts are made."""

from __future__ import annotations

import contextvars
import threading
import time

import pytest

from smithers_git.service import crew
from smithers_git.service.crew import Threads
from smithers_git.service.job import Result

SET = contextvars.ContextVar("SET", default="nothing")


def told(workers: Threads) -> object:
    return workers.take(5)


def test_a_thread_that_is_free_is_used_again_and_one_that_is_busy_is_not_waited_for():
    workers, gate = Threads(), threading.Event()
    workers.begin("slow", lambda: (gate.wait(5), threading.get_ident()))
    seen = []
    for _ in range(3):
        workers.begin("quick", threading.get_ident)
        seen.append(told(workers))
        time.sleep(0.01)
    gate.set()
    slow = told(workers)
    assert len(set(seen)) == 1
    assert slow == (True, slow[1])
    assert slow[1] != seen[0]


def test_an_attempt_has_its_own_name_and_sees_nothing_of_the_one_before():
    workers = Threads()
    found = []
    for name in ("first", "second"):
        workers.begin(name, lambda: (threading.current_thread().name, SET.get(), SET.set("something")))
        found.append(told(workers)[:2])
        time.sleep(0.01)
    assert found == [("first", "nothing"), ("second", "nothing")]


def test_threads_end_when_nothing_comes(monkeypatch):
    monkeypatch.setattr(crew, "_IDLE", 0.02)
    workers = Threads()
    workers.begin("one", threading.current_thread)
    thread = told(workers)
    thread.join(5)
    assert not thread.is_alive()
    workers.begin("two", threading.current_thread)
    assert told(workers) is not thread


def test_work_that_comes_as_a_thread_gives_up_is_done(monkeypatch):
    monkeypatch.setattr(crew, "_IDLE", 0.001)
    workers = Threads()
    for number in range(200):
        workers.begin("one", lambda number=number: number)
        assert told(workers) == number
        time.sleep(0.001)


def test_a_worker_that_raises_is_heard_of_and_not_waited_for() -> None:
    def breaks() -> Result:
        raise LookupError("a bug of ours")

    workers = Threads()
    workers.begin("one", breaks)
    with pytest.raises(LookupError, match="a bug of ours"):
        workers.take(10)
