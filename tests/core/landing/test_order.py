"""Who stands in the line of a merge queue, in which order, and what keeps the others out."""

from __future__ import annotations

import pytest

from smithers_git.core.landing import events as ev
from smithers_git.core.landing.entry import Entry
from smithers_git.core.landing.order import order
from smithers_git.core.landing.state import QueueState, apply
from smithers_git.core.landing.view import View


def queue(*words: str) -> QueueState:
    """`a`, `b!2` (priority), `c<a,b` (needs): entries in the order of their arrival."""
    state = QueueState()
    for word in words:
        head, _, needs = word.partition("<")
        name, _, priority = head.partition("!")
        entry = Entry(
            id=name, name=name, head=name, depends_on=tuple(filter(None, needs.split(","))), priority=int(priority or 0)
        )
        apply(state, ev.EntryEntered(entry=entry), 0.0)
    return state


def line(state: QueueState, **view) -> str:
    return " ".join(one.entry.name for one in order(state, View(tip="base", tree="base", **view)).standing)


def aside(state: QueueState, **view) -> dict[str, str]:
    return {place.entry: place.blocker for place in order(state, View(tip="base", tree="base", **view)).aside}


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ("", ""),
        ("a b c", "a b c"),
        ("a b!1 c!2", "c b a"),
        ("a!-1 b", "b a"),
        ("a b!1 c!1", "b c a"),
        ("a<b b", "b a"),
        ("a<c b c", "b c a"),
        ("a<b b<c c", "c b a"),
        ("a!9<b b c!1", "c b a"),
        ("a<b,b b", "b a"),
        ("d<b,c c<a b<a a", "a c b d"),
    ],
)
def test_dependencies_come_first_then_priority_then_arrival(entries, expected):
    assert line(queue(*entries.split())) == expected


def test_what_landed_is_waited_for_no_longer():
    state = queue("a", "b<a")
    apply(state, ev.EntryLanded(entry="a", before="base", commit="c", tree="t", receipt="r"), 0.0)
    assert line(state) == "b"


def test_what_the_target_holds_is_waited_for_no_longer():
    state = queue("a", "b<a", "c<elsewhere")
    assert line(state, contained=frozenset("a"), landed=frozenset({"elsewhere"})) == "b c"


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (None, "waits for x, which has not entered this queue"),
        (ev.EntryRefused(entry="x", reason="red", message=""), "waits for x, which was refused (red)"),
        (ev.EntryEjected(entry="x", by="ann", note="no"), "waits for x, which was ejected by ann: no"),
        (ev.EntryHeld(entry="x", by="ann", note="later"), "waits for x, which is held by ann: later"),
    ],
)
def test_a_dependency_that_does_not_stand_in_the_line_is_named_with_the_reason(event, why):
    state = queue("a<x", "b", *(["x"] if event else []))
    if event:
        apply(state, event, 0.0)
    assert line(state) == "b"
    assert aside(state)["a"] == why


def test_only_who_depends_on_it_waits_and_each_names_what_is_next_to_it():
    state = queue("a<x", "b<a", "c", "d<c")
    assert line(state) == "c d"
    assert aside(state)["b"] == "waits for a, which is blocked itself"


def test_a_held_entry_says_who_holds_it():
    state = queue("a", "b")
    apply(state, ev.EntryHeld(entry="a", by="ann"), 0.0)
    assert line(state) == "b"
    assert aside(state) == {"a": "held by ann"}


@pytest.mark.parametrize(
    ("entries", "name", "why"),
    [
        ("a<a", "a", "waits for itself: a → a"),
        ("a<b b<c c<a d", "b", "waits for itself: b → c → a → b"),
        ("a<b b<c c<b", "a", "waits for b, which is blocked itself"),
    ],
)
def test_a_circle_is_spelled_out(entries, name, why):
    assert aside(queue(*entries.split()))[name] == why
