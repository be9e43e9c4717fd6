"""Slots of one user on one machine: never too many, in the order of the line, and none is lost with its owner."""

from __future__ import annotations

import os
import threading
from functools import partial
from pathlib import Path

import pytest

from smithers_git.clock import SystemClock
from smithers_git.core.admission import Limits, refusal
from smithers_git.service.slots import Claim, Slot, Slots, Ticket

ONE = partial(refusal, Limits(max_agents=1), agent="a")
GIB = 1 << 30


def claim(node: str = "n", agent: str = "a") -> Claim:
    return Claim(agent, "r", node, "/repo", SystemClock().now())


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    return Slots(tmp_path / "slots", lambda: 64 * GIB, SystemClock())


def taken(slots: Slots, node: str, ticket: Ticket | None = None) -> Slot:
    found = slots.take(claim(node), ticket, ONE)
    assert isinstance(found, Slot), found
    return found


def test_a_slot_is_had_by_one_until_it_is_given_back(slots: Slots) -> None:
    first = taken(slots, "first")
    assert [one.node for one in slots.working()] == ["first"]
    assert slots.take(claim(), None, ONE) == "1 of 1 agent is at work on this machine"
    first.give_back()
    assert slots.working() == []
    taken(slots, "second")


def test_many_who_ask_at_once_get_one_slot_each_time(slots: Slots) -> None:
    inside, most, lock, turns = [0], [0], threading.Lock(), 5

    def work() -> None:
        for _ in range(turns):
            while not isinstance(found := slots.take(claim(), None, ONE), Slot):
                pass
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            with lock:
                inside[0] -= 1
            found.give_back()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1]
    assert slots.working() == []


def test_who_waits_longer_goes_first(slots: Slots) -> None:
    slot = taken(slots, "busy")
    early, late = slots.queue(claim("early")), slots.queue(claim("late"))
    assert [one.node for one in slots.waiting()] == ["early", "late"]
    slot.give_back()
    assert isinstance(slots.take(claim("new"), None, ONE), str)
    assert isinstance(slots.take(claim("late"), late, ONE), str)
    taken(slots, "early", early)


def test_a_stopped_process_does_not_hold_up_the_line_and_has_its_place_when_it_asks_again(slots: Slots) -> None:
    early, late = slots.queue(claim("early")), slots.queue(claim("late"))
    path = next((slots.home / "waiting").glob(early.name))
    os.utime(path, (0, 0))
    taken(slots, "late", late).give_back()
    early.tell("still here")
    assert isinstance(slots.take(claim("late"), late, ONE), str)
    assert [one.reason for one in slots.waiting()] == ["still here", ""]


def test_what_a_dead_process_left_is_cleared_away(slots: Slots) -> None:
    slot = taken(slots, "busy")
    slots.queue(claim("waits"))
    for kind in ("held", "waiting"):
        (slots.home / kind / "00000000000000000000-1-dead.lock").write_text("{}", "utf-8")
    assert [one.node for one in slots.working()] == ["busy"]
    assert [one.node for one in slots.waiting()] == ["waits"]
    assert len(list((slots.home / "held").iterdir())) == 1
    slot.give_back()


def test_a_look_makes_no_folder(slots: Slots) -> None:
    assert (slots.working(), slots.waiting()) == ([], [])
    assert not slots.home.exists()
