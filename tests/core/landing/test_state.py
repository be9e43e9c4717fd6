"""The fold of a queue's events, and ids that come from content."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from smithers_git.core.landing import events as ev
from smithers_git.core.landing.entry import Entry, entry_id, shown
from smithers_git.core.landing.state import GateRuns, Held, QueueState, RunKey, apply

TARGET = "refs/heads/main"
CONTENT = {
    "name": "T-1",
    "head": "a" * 40,
    "gates": ("make test", ("ruff", "check")),
    "depends_on": ("T-0",),
    "style": "merge",
    "title": "Add a thing",
    "body": "",
    "ticket": "T-1",
}


def entry(name: str, number: int = 1, **fields) -> Entry:
    return Entry(id=f"{name}{number}", name=name, head=f"head-{name}{number}", gates=("test",), **fields)


def queue(*events: ev.QueueEvent) -> QueueState:
    state = QueueState()
    for number, event in enumerate([ev.QueueOpened(target=TARGET, base="base"), *events]):
        apply(state, event, float(number))
    return state


def entered(name: str, number: int = 1, **fields) -> ev.EntryEntered:
    return ev.EntryEntered(entry=entry(name, number, **fields), by="you")


def ran(outcome: ev.Outcome, tree: str = "tree") -> ev.GateRan:
    return ev.GateRan(tree=tree, gate="test", env="env", outcome=outcome, log=f"{outcome}.log", message=outcome)


def refused(name: str = "a1", reason: ev.Reason = "red") -> ev.EntryRefused:
    return ev.EntryRefused(entry=name, reason=reason, message="no", evidence="log", tree="tree", gate="test")


def landed(name: str = "a1", receipt: str | None = "receipt") -> ev.EntryLanded:
    return ev.EntryLanded(entry=name, before="base", commit=f"with-{name}", tree="tree", receipt=receipt)


# -- ids


def test_the_same_content_has_the_same_id():
    found = entry_id(TARGET, **CONTENT)
    assert found == entry_id(TARGET, **dict(reversed(CONTENT.items())))
    assert len(found) == 16
    assert int(found, 16) >= 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "T-2"),
        ("head", "b" * 40),
        ("gates", ("make test", "ruff check")),
        ("gates", (("ruff", "check"), "make test")),
        ("depends_on", ()),
        ("style", "squash"),
        ("title", "Add another"),
        ("body", "why \ud800"),
        ("ticket", None),
    ],
)
def test_other_content_has_another_id(field, value):
    assert entry_id(TARGET, **{**CONTENT, field: value}) != entry_id(TARGET, **CONTENT)


def test_another_target_has_another_id():
    assert entry_id("refs/heads/other", **CONTENT) != entry_id(TARGET, **CONTENT)


def test_an_id_is_made_of_the_whole_content_and_of_nothing_else():
    with pytest.raises(TypeError, match="title"):
        entry_id(TARGET, **{key: value for key, value in CONTENT.items() if key != "title"})
    with pytest.raises(TypeError):
        entry_id(TARGET, **CONTENT, priority=3)


def test_a_gate_is_shown_as_people_write_it():
    assert [shown(gate) for gate in CONTENT["gates"]] == ["make test", "ruff check"]


# -- events


@pytest.mark.parametrize(
    "event",
    [
        ev.QueueOpened(target=TARGET, base="base"),
        ev.EntryEntered(entry=Entry(id=entry_id(TARGET, **CONTENT), priority=2, **CONTENT), by="you"),
        ran("passed"),
        ev.GateRan(tree="tree", gate=("a", "b c"), env="env", outcome="broken"),
        ev.HookRan(entry="a1", commit="c", passed=False, message="no", log="log"),
        refused(),
        ev.LandingBegun(entry="a1", before="base", commit="c", trees=("t1", "t2"), follow=("/somewhere",)),
        ev.LandingVoid(entry="a1", reason="moved"),
        landed(),
        ev.EntryEjected(entry="a1", by="you", note="why"),
        ev.EntryHeld(by="you"),
        ev.EntryResumed(entry="a1", by="you"),
    ],
    ids=lambda event: event.type,
)
def test_an_event_is_read_as_it_was_written(event):
    adapter = TypeAdapter(ev.QueueEvent)
    text = adapter.dump_json(event)
    assert adapter.validate_json(text, strict=True) == event


# -- entries


def test_entries_wait_in_the_order_of_their_arrival():
    state = queue(entered("b"), entered("a"))
    assert [(one.entry.name, one.order, one.status) for one in state.waiting()] == [
        ("b", 0, "waiting"),
        ("a", 1, "waiting"),
    ]
    assert state.entries["a1"].entered == 2.0


def test_an_entry_that_enters_twice_keeps_its_place_and_takes_the_new_priority():
    state = queue(entered("a"), entered("b"), entered("a", priority=3))
    assert state.entries["a1"].order == 0
    assert state.entries["a1"].entry.priority == 3


def test_a_new_entry_replaces_the_one_of_its_name_that_has_not_landed():
    state = queue(entered("a"), refused(), entered("a", 2))
    assert state.entries["a1"].status == "replaced"
    assert [one.entry.id for one in state.waiting()] == ["a2"]
    assert state.names == {"a": "a2"}


def test_a_new_entry_of_a_name_that_landed_waits_beside_it():
    state = queue(entered("a"), landed(), entered("a", 2))
    assert state.entries["a1"].status == "landed"
    assert [one.entry.id for one in state.waiting()] == ["a2"]
    assert state.landed_names == {"a": "with-a1"}


def test_what_has_landed_does_not_enter_again():
    assert queue(entered("a"), landed(), entered("a")).entries["a1"].status == "landed"


def test_a_replaced_entry_that_enters_again_takes_its_name_back():
    state = queue(entered("a"), entered("a", 2), entered("a"))
    assert [one.entry.id for one in state.waiting()] == ["a1"]
    assert state.entries["a2"].status == "replaced"


def test_a_refused_entry_waits_again_at_the_end_and_is_judged_anew():
    state = queue(entered("a"), entered("b"), ran("failed"), ran("failed"), refused(), entered("a"))
    one = state.entries["a1"]
    assert (one.status, one.order, one.reason, one.message, one.evidence) == ("waiting", 2, None, "", None)
    runs = state.runs_of("tree", "test", "env")
    assert (runs.verdict, runs.failed) == ("open", 2)


def test_the_red_gate_of_another_tree_stays_red():
    events = [ran("failed"), ran("failed"), ran("failed", "other"), ran("failed", "other")]
    state = queue(entered("a"), *events, refused(), entered("a"))
    assert state.runs_of("other", "test", "env").verdict == "red"


def test_the_hooks_look_again_at_an_entry_that_they_refused():
    said = ev.HookRan(entry="a1", commit="c", passed=False)
    fine = ev.HookRan(entry="b1", commit="d", passed=True)
    state = queue(entered("a"), entered("b"), said, fine, refused(reason="hook"), entered("a"))
    assert set(state.hooks) == {"d"}


def test_a_refusal_keeps_what_the_author_needs():
    one = queue(entered("a"), refused(reason="conflict")).entries["a1"]
    assert (one.status, one.reason, one.message, one.evidence, one.ended) == ("refused", "conflict", "no", "log", 2.0)


def test_an_ejected_entry_says_who_took_it_out():
    one = queue(entered("a"), ev.EntryEjected(entry="a1", by="ann", note="not now")).entries["a1"]
    assert (one.status, one.message) == ("ejected", "ejected by ann: not now")


def test_what_landed_while_it_was_taken_out_has_landed():
    begun = ev.LandingBegun(entry="a1", before="base", commit="with-a1")
    out = ev.EntryEjected(entry="a1", by="ann")
    assert queue(entered("a"), begun, out, landed()).entries["a1"].status == "landed"
    assert queue(entered("a"), begun, landed(), out).entries["a1"].status == "landed"


def test_a_landing_is_open_until_it_is_done_or_void():
    begun = ev.LandingBegun(entry="a1", before="base", commit="with-a1")
    assert queue(entered("a"), begun).landing == begun
    assert queue(entered("a"), begun, landed()).landing is None
    assert queue(entered("a"), begun, ev.LandingVoid(entry="a1", reason="moved")).landing is None


def test_holds_are_of_an_entry_or_of_the_whole_queue():
    state = queue(entered("a"), ev.EntryHeld(entry="a1", by="ann"), ev.EntryHeld(by="bob", note="release"))
    assert state.entries["a1"].held == Held("ann")
    assert state.held == Held("bob", "release")
    apply(state, ev.EntryResumed(by="bob"), 9.0)
    assert (state.held, state.entries["a1"].held) == (None, Held("ann"))
    apply(state, ev.EntryResumed(entry="a1", by="bob"), 9.0)
    assert state.entries["a1"].held is None


def test_resuming_the_queue_asks_again_what_was_not_green():
    state = queue(
        ran("failed"), ran("failed"), ran("passed", "fine"), ran("broken", "other"), ev.EntryResumed(by="ann")
    )
    assert [runs.verdict for runs in state.runs.values()] == ["open", "green", "open"]


# -- verdicts


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ("", "open"),
        ("passed", "green"),
        ("failed", "suspect"),
        ("failed failed", "red"),
        ("failed passed", "green"),
        ("failed failed passed", "green"),
        ("broken broken", "open"),
        ("broken broken broken", "broken"),
        ("broken broken broken passed", "green"),
        ("failed broken broken", "suspect"),
        ("failed broken broken broken", "broken"),
        ("failed broken broken failed", "red"),
    ],
)
def test_a_verdict_is_what_the_runs_say(outcomes, verdict):
    state = queue(*(ran(outcome) for outcome in outcomes.split()))
    assert state.runs_of("tree", "test", "env").verdict == verdict


def test_verdicts_are_of_one_tree_gate_and_environment():
    state = queue(ran("passed"))
    assert list(state.runs) == [RunKey("tree", "test", "env")]
    assert state.runs_of("tree", "test", "other").verdict == "open"
    assert state.runs_of("tree", ("test",), "env").verdict == "open"


def test_looking_at_a_verdict_records_nothing():
    state = QueueState()
    assert state.runs_of("tree", "test", "env") == GateRuns()
    assert not state.runs


def test_the_log_of_a_red_run_outlives_the_green_one_that_shows_it_was_a_flake():
    state = queue(ran("failed"), ran("passed"), ran("passed"), ran("failed", "other"), ran("passed", "other"))
    assert state.runs_of("tree", "test", "env").log == "failed.log"
    assert state.flakes == {"test": 2}


# -- the window


@pytest.mark.parametrize(
    ("events", "window"),
    [
        ([], 4),
        ([landed()], 5),
        ([landed(receipt=None)], 4),
        ([refused()], 2),
        ([refused(), refused(), refused(), refused()], 1),
        ([refused(reason="conflict")], 4),
        ([refused(reason="broken")], 4),
    ],
)
def test_the_window_grows_by_what_lands_and_is_halved_by_what_is_red(events, window):
    assert queue(entered("a"), *events).window == window
