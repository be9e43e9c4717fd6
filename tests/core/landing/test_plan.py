"""What a merge queue does next, one situation after the other."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from smithers_git.core.landing import events as ev
from smithers_git.core.landing.entry import Entry
from smithers_git.core.landing.plan import Check, Conflict, Merged, Plan, Position, View, plan
from smithers_git.core.landing.state import QueueState, apply

TEST = "test"


def tree(*names: str) -> str:
    return "+".join(["base", *names])


@dataclass
class Table:
    """A queue whose candidates are all made at once; commits and trees say which entries they hold."""

    state: QueueState = field(default_factory=QueueState)
    tip: str = "base"
    clash: tuple[str, ...] = ()
    checking: set[Check] = field(default_factory=set)
    merges: dict = field(default_factory=dict)
    view: dict = field(default_factory=dict)

    def enter(self, *names: str, needs: tuple[str, ...] = (), gates: tuple[str, ...] = (TEST,), **fields) -> Table:
        for name in names:
            entry = Entry(id=name, name=name, head=f"head-{name}", depends_on=needs, gates=gates, **fields)
            self.tell(ev.EntryEntered(entry=entry))
        return self

    def tell(self, *events: ev.QueueEvent) -> Table:
        for event in events:
            apply(self.state, event, 0.0)
        return self

    def ran(self, where: str, *outcomes: ev.Outcome, gate: str = TEST) -> Table:
        self.checking.discard(Check(where, gate))
        return self.tell(*(ev.GateRan(tree=where, gate=gate, env="", outcome=o, log="log") for o in outcomes))

    def once(self) -> Plan:
        view = View(
            tip=self.tip, tree=self.tip, merges=self.merges, checking=frozenset(self.checking),
            **{"lanes": 4, **self.view},
        )  # fmt: skip
        return plan(self.state, view)

    def plan(self) -> Plan:
        while (now := self.once()).merge:
            for onto, name in now.merge:
                conflict = any(name in pair and set(pair) - {name} <= set(onto.split("+")) for pair in self.clash)
                made = f"{onto}+{name}"
                self.merges[onto, name] = Conflict("in a.txt") if conflict else Merged(made, (made,))
        return now

    def go(self) -> Plan:
        """Plan, and have its gates in flight."""
        now = self.plan()
        self.checking = (self.checking - set(now.cancel)) | set(now.start)
        return now

    def land(self, name: str) -> Table:
        before, self.tip = self.tip, f"{self.tip}+{name}"
        return self.tell(ev.EntryLanded(entry=name, before=before, commit=self.tip, tree=self.tip, receipt="r"))

    def place(self, name: str) -> Position:
        return next(place for place in self.plan().line if place.entry == name)

    def blocker(self, name: str) -> str:
        return self.place(name).blocker or ""


def trees(checks: list[Check]) -> list[str]:
    return [check.tree for check in checks]


def refusals(now: Plan) -> list[tuple[str, str]]:
    return [(event.entry, event.reason) for event in now.records if isinstance(event, ev.EntryRefused)]


# -- speculation


def test_candidates_are_made_one_on_the_other():
    table = Table().enter("a", "b")
    assert table.once().merge == [("base", "a")]
    table.merges["base", "a"] = Merged("base+a", ("base+a",))
    assert table.once().merge == [("base+a", "b")]


def test_as_many_are_tested_at_once_as_the_window_and_the_lanes_allow():
    table = Table().enter("a", "b", "c", "d", "e", "f")
    assert trees(table.plan().start) == [tree("a"), tree("a", "b"), tree(*"abc"), tree(*"abcd")]
    table.view["lanes"] = 2
    assert trees(table.plan().start) == [tree("a"), tree("a", "b")]
    table.view["lanes"], table.state.window = 9, 3
    assert trees(table.plan().start) == [tree("a"), tree("a", "b"), tree(*"abc")]


def test_no_candidate_is_made_beyond_the_window():
    table = Table().enter("a", "b", "c", "d", "e", "f")
    table.plan()
    assert ("base+a+b+c+d", "e") not in table.merges
    assert table.blocker("f") == "waits for its turn behind d"


def test_there_is_always_one_lane():
    table = Table(view={"lanes": 0}).enter("a")
    assert trees(table.plan().start) == [tree("a")]


def test_all_gates_of_the_first_come_before_those_of_the_second():
    table = Table(view={"lanes": 3}).enter("a", "b", gates=("lint", "test"))
    assert table.plan().start == [
        Check(tree("a"), "lint"), Check(tree("a"), "test"), Check(tree("a", "b"), "lint"),
    ]  # fmt: skip


def test_what_is_in_flight_is_not_started_again():
    table = Table().enter("a", "b")
    table.go()
    assert (table.plan().start, table.plan().cancel) == ([], [])
    assert table.place("a") == Position("a", "checking", None, "base", tree("a"))


def test_a_verdict_counts_wherever_the_tree_came_from():
    table = Table().enter("a", "b").ran(tree("a"), "passed")
    assert trees(table.plan().start) == [tree("a", "b")]


def test_each_commit_of_a_rebase_is_tested_the_top_one_first():
    table = Table().enter("a", style="rebase")
    table.merges["base", "a"] = Merged("top", ("half", "whole"))
    assert trees(table.plan().start) == ["whole", "half"]
    table.ran("whole", "passed")
    assert table.plan().land is None
    table.ran("half", "passed")
    assert table.plan().land == ("a", "base", "top")


def test_what_no_longer_serves_is_ended_once_the_chain_is_known():
    table = Table().enter("a", "b", "c")
    table.go()
    table.tell(ev.EntryEjected(entry="a", by="you"))
    assert table.once().cancel == []
    assert sorted(trees(table.plan().cancel)) == [tree("a"), tree("a", "b"), tree(*"abc")]


# -- landing


def test_the_first_lands_when_it_is_green():
    table = Table().enter("a", "b").ran(tree("a"), "passed").ran(tree("a", "b"), "passed")
    assert table.plan().land == ("a", "base", tree("a"))
    assert table.blocker("b") == "lands after a"


def test_the_second_does_not_land_before_the_first():
    table = Table().enter("a", "b").ran(tree("a", "b"), "passed")
    assert table.plan().land is None


def test_after_a_landing_the_next_is_ready_at_once():
    table = Table().enter("a", "b").ran(tree("a"), "passed").ran(tree("a", "b"), "passed")
    table.plan()
    table.land("a")
    assert table.plan().land == ("b", tree("a"), tree("a", "b"))


def test_a_target_that_moved_makes_new_candidates():
    table = Table().enter("a").ran(tree("a"), "passed")
    table.plan()
    table.tip = "base+x"
    now = table.plan()
    assert now.land is None
    assert trees(now.start) == ["base+x+a"]


def test_a_landing_that_was_begun_is_settled_before_anything_else():
    table = Table().enter("a", "b").ran(tree("a"), "passed")
    table.tell(ev.LandingBegun(entry="a", before="base", commit=tree("a")))
    now = table.plan()
    assert (now.start, now.merge, now.land, now.records) == ([], [], None, [])
    assert [(place.entry, place.status, place.blocker) for place in now.line] == [
        ("a", "landing", None), ("b", "queued", "waits for the landing of a"),
    ]  # fmt: skip


def test_a_target_that_cannot_be_moved_is_the_blocker_and_tests_go_on():
    table = Table(view={"blocked": "main is checked out and dirty"}).enter("a", "b").ran(tree("a"), "passed")
    now = table.plan()
    assert now.land is None
    assert trees(now.start) == [tree("a", "b")]
    assert table.blocker("a") == "main is checked out and dirty"


def test_the_hooks_see_the_commit_that_lands_and_only_that():
    table = Table(view={"hooks": True}).enter("a", "b").ran(tree("a"), "passed").ran(tree("a", "b"), "passed")
    assert (table.plan().hook, table.plan().land) == (("a", "base", tree("a")), None)
    table.tell(ev.HookRan(entry="a", commit=tree("a"), passed=True))
    assert (table.plan().hook, table.plan().land) == (None, ("a", "base", tree("a")))


def test_a_hook_that_says_no_sends_the_entry_back():
    table = Table(view={"hooks": True}).enter("a").ran(tree("a"), "passed")
    table.tell(ev.HookRan(entry="a", commit=tree("a"), passed=False, message="no secrets", log="hook.log"))
    (event,) = table.plan().records
    assert (event.reason, event.message, event.evidence) == ("hook", "no secrets", "hook.log")
    assert table.plan().land is None


def test_an_entry_that_the_target_holds_is_done():
    table = Table(view={"contained": frozenset("a")}).enter("a", "b")
    now = table.plan()
    assert now.contained == ["a"]
    assert trees(now.start) == [tree("b")]
    assert table.place("a").status == "contained"


def test_an_entry_that_holds_nothing_new_is_done_when_its_turn_comes():
    table = Table().enter("a", "b", "c")
    table.plan()
    table.merges[tree("a"), "b"] = Merged(tree("a"), ())
    assert table.plan().contained == []
    assert trees(table.plan().start) == [tree("a"), tree("a", "c")]
    assert table.blocker("b") == "holds nothing new behind a"
    table.land("a")
    assert table.plan().contained == ["b"]


def test_an_entry_whose_branch_moved_goes_back():
    table = Table(view={"moved": frozenset("a")}).enter("a", "b", branch="refs/heads/x").ran(tree("a"), "passed")
    now = table.plan()
    assert refusals(now) == [("a", "moved")]
    assert now.records[0].message == "refs/heads/x is no longer at head-a, which is what entered"
    assert now.land is None


# -- dependencies


def test_an_entry_is_tested_on_top_of_what_it_depends_on():
    table = Table().enter("a", needs=("b",)).enter("b")
    assert trees(table.plan().start) == [tree("b"), tree("b", "a")]


def test_who_depends_on_a_red_entry_leaves_the_chain_with_it_and_siblings_go_on():
    table = Table().enter("a").enter("b", needs=("a",)).enter("c", needs=("b",)).enter("d")
    table.ran("base", "passed").ran(tree("a"), "failed")
    assert trees(table.plan().start) == [tree("a"), tree("d")]
    assert table.blocker("b") == "waits for a, which does not go on now"
    assert table.blocker("c") == "waits for b, which does not go on now"


# -- conflicts


def test_a_conflict_with_the_target_goes_back_to_the_author():
    table = Table(tip="base+x", clash=("xa",)).enter("a")
    (event,) = table.plan().records
    assert (event.entry, event.reason, event.message) == ("a", "conflict", "conflicts with the target: in a.txt")


def test_a_conflict_with_one_ahead_leaves_the_chain_and_names_it():
    table = Table(clash=("bd",)).enter("a", "b", "c", "d", "e")
    assert trees(table.plan().start) == [tree("a"), tree("a", "b"), tree(*"abc"), tree(*"abce")]
    assert not table.plan().records
    assert table.place("d").status == "conflict"
    assert table.blocker("d") == "conflicts with b ahead; if that lands, it goes back to its author"


def test_it_goes_back_as_soon_as_the_target_holds_the_other_one():
    table = Table(clash=("ac",)).enter("a", "b", "c").ran(tree("a"), "passed")
    table.plan()
    table.land("a")
    assert refusals(table.plan()) == [("c", "conflict")]


def test_it_goes_on_when_the_other_one_goes_back():
    table = Table(clash=("ac",)).enter("a", "b", "c")
    table.plan()
    table.tell(ev.EntryEjected(entry="a", by="you"))
    assert trees(table.plan().start) == [tree("b"), tree("b", "c")]


# -- red


def test_the_first_red_run_is_confirmed_and_the_rest_goes_on_without_the_entry():
    table = Table().enter("a", "b", "c", "d").ran(tree("a"), "passed").ran(tree("a", "b"), "failed")
    now = table.plan()
    assert not now.records
    assert trees(now.start) == [tree("a", "b"), tree("a", "c"), tree("a", "c", "d")]
    assert table.place("b").status == "suspect"


def test_the_second_red_run_sends_it_back():
    table = Table().enter("a", "b").ran(tree("a"), "passed").ran(tree("a", "b"), "failed", "failed")
    (event,) = table.plan().records
    assert (event.entry, event.reason, event.evidence) == ("b", "red", "log")
    assert (event.tree, event.gate) == (tree("a", "b"), TEST)


def test_a_flake_stays_in_the_chain():
    table = Table().enter("a", "b").ran(tree("a"), "failed", "passed")
    assert table.plan().land == ("a", "base", tree("a"))


def test_nobody_is_blamed_while_the_one_ahead_is_undecided():
    table = Table().enter("a", "b", "c")
    table.go()
    table.ran(tree("a", "b"), "failed", "failed")
    now = table.plan()
    assert not now.records
    assert table.blocker("b") == "test is red on top of a, which is not decided yet"
    assert (now.start, now.cancel) == ([], [])
    table.ran(tree("a"), "passed")
    assert refusals(table.plan()) == [("b", "red")]


def test_nothing_is_begun_behind_an_entry_whose_redness_can_be_the_fault_of_one_ahead():
    table = Table(view={"lanes": 2}).enter("a", "b", "c", "d")
    table.go()
    table.ran(tree("a", "b"), "failed")
    assert table.plan().start == []
    assert table.blocker("b") == "test was red once on top of a, which is not decided yet"
    assert table.blocker("c") == "waits until it is known whose fault b shows"
    table.ran(tree("a"), "passed")
    assert trees(table.plan().start) == [tree("a", "b"), tree("a", "c")]


def test_the_first_is_blamed_only_when_the_target_itself_is_green():
    table = Table().enter("a").ran(tree("a"), "failed", "failed")
    assert trees(table.plan().start) == ["base"]
    assert not table.plan().records
    table.ran("base", "passed")
    assert refusals(table.plan()) == [("a", "red")]


def test_a_red_target_stops_the_queue_and_nobody_is_blamed():
    table = Table().enter("a", "b").ran(tree("a"), "failed", "failed").ran("base", "failed")
    assert "base" in trees(table.plan().start)
    table.ran("base", "failed")
    now = table.plan()
    assert now.stopped == "test is red on the target itself, at base"
    assert (now.start, now.merge, now.records) == ([], [], [])
    assert [place.blocker for place in now.line] == [now.stopped, now.stopped]


def test_what_mends_a_red_target_lands_when_it_goes_first():
    table = Table().enter("a").ran(tree("a"), "failed", "failed").ran("base", "failed", "failed")
    table.enter("fix", priority=1)
    assert trees(table.plan().start) == [tree("fix"), tree("fix", "a")]
    table.ran(tree("fix"), "passed")
    assert table.plan().land == ("fix", "base", tree("fix"))


def test_a_target_that_was_mended_by_hand_starts_the_queue_again():
    table = Table().enter("a").ran(tree("a"), "failed", "failed").ran("base", "failed", "failed")
    table.tip = "base+mended"
    assert table.plan().stopped is None
    assert trees(table.plan().start) == ["base+mended+a"]


def test_resuming_the_queue_looks_at_a_red_target_again():
    table = Table().enter("a").ran(tree("a"), "failed", "failed").ran("base", "failed", "failed")
    table.tell(ev.EntryResumed(by="you"))
    assert trees(table.plan().start) == [tree("a")]


def test_an_entry_is_not_blamed_for_a_gate_that_the_one_ahead_breaks_and_does_not_have():
    table = Table().enter("a", gates=("lint",)).enter("b", gates=("test",)).ran(tree("a"), "passed", gate="lint")
    table.ran(tree("a", "b"), "failed", "failed")
    now = table.plan()
    assert now.start == [Check(tree("a"), "test")]
    assert now.land == ("a", "base", tree("a"))
    table.ran(tree("a"), "failed", "failed")
    assert not table.plan().records
    assert table.blocker("b") == "test is red without it too, on top of a"


def test_a_confirmation_counts_although_a_sibling_landed_meanwhile():
    table = Table().enter("a", "b", "c").ran(tree("a"), "passed")
    table.plan()
    table.land("a").ran(tree("a", "b"), "failed").ran(tree("a", "c"), "passed")
    table.go()
    assert table.plan().land == ("c", tree("a"), tree("a", "c"))
    table.land("c")
    now = table.plan()
    assert (now.cancel, now.start) == ([], [])
    assert table.place("b").status == "suspect"
    table.ran(tree("a", "b"), "failed")
    assert refusals(table.plan()) == [("b", "red")]


def test_a_confirmation_that_was_lost_begins_anew_on_the_new_tip():
    table = Table().enter("a", "b", "c").ran(tree("a"), "passed")
    table.plan()
    table.land("a").ran(tree("a", "b"), "failed").ran(tree("a", "c"), "passed")
    table.go()
    table.land("c").checking.clear()
    assert trees(table.plan().start) == [tree("a", "c", "b")]


# -- broken


def test_a_broken_run_is_tried_again():
    table = Table().enter("a").ran(tree("a"), "broken", "broken")
    assert trees(table.plan().start) == [tree("a")]
    assert not table.plan().records


def test_three_broken_runs_send_the_entry_back_and_not_as_red():
    table = Table().enter("a", "b").ran(tree("a"), "broken", "broken", "broken")
    (event,) = table.plan().records
    assert (event.entry, event.reason) == ("a", "broken")
    assert event.message.startswith("test could not be run in 3 attempts")


def test_a_gate_that_cannot_run_on_the_target_stops_the_queue():
    table = Table().enter("a").ran(tree("a"), "failed", "failed").ran("base", "broken", "broken", "broken")
    assert table.plan().stopped == "test cannot run on the target itself, at base"


# -- held


def test_a_held_queue_begins_nothing_and_says_who_holds_it():
    table = Table().enter("a", "b").ran(tree("a"), "passed").tell(ev.EntryHeld(by="ann", note="release"))
    table.plan()
    now = table.once()
    assert now.stopped == "held by ann: release"
    assert (now.start, now.merge, now.land, now.hook) == ([], [], None, None)
    assert all(place.blocker for place in now.line)


def test_what_is_in_flight_when_the_queue_is_held_may_end():
    table = Table().enter("a", "b")
    table.go()
    table.tell(ev.EntryHeld(by="ann"))
    assert table.plan().cancel == []


def test_a_held_entry_stands_aside():
    table = Table().enter("a", "b").tell(ev.EntryHeld(entry="a", by="ann"))
    assert trees(table.plan().start) == [tree("b")]
    assert table.blocker("a") == "held by ann"


# -- purity


def test_planning_changes_nothing_and_gives_the_same_twice():
    table = Table(clash=("bd",)).enter("a", "b", "c", "d").ran(tree("a"), "failed").ran("base", "passed")
    table.plan()
    before = repr(table.state)
    assert table.once() == table.once()
    assert repr(table.state) == before


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_no_more_gates_run_at_once_than_there_are_lanes(lanes):
    table = Table(view={"lanes": lanes}).enter("a", "b", "c", "d").ran(tree("a"), "failed")
    for _ in range(3):
        table.go()
        assert len(table.checking) <= lanes


def test_who_waits_for_a_lane_says_so():
    table = Table(view={"lanes": 1}).enter("a", "b").ran("base", "passed").ran(tree("a"), "passed")
    table.view["blocked"] = "dirty"
    table.go()
    table.enter("c")
    assert table.place("b").status == "checking"
    assert (table.place("c").status, table.blocker("c")) == ("queued", "waits for a free lane")
