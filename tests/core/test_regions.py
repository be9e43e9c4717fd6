"""Saga and TryCatchFinally: what runs after a failure, in which order, exactly once, whatever cuts in. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kit import simulate
from kit.simulate import begin, task

from smithers_git.core import events as ev
from smithers_git.core.describe import describe
from smithers_git.core.failure_nodes import Saga, Step, TryCatchFinally
from smithers_git.core.nodes import Approval, Backoff, Branch, Loop, Node, Parallel, Sequence
from smithers_git.core.plan import Plan, build, dependents
from smithers_git.core.schedule import decide
from smithers_git.core.state import State, apply
from smithers_git.errors import WorkflowError
from smithers_git.names import TaskKey


@dataclass
class Wheel:
    """Drives a plan; `fails` are the nodes whose next attempt fails, and how; `cuts` how often an engine dies."""

    render: Callable[[State], Node]
    fails: dict[str, str] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    cuts: int = 0
    state: State = field(default_factory=begin)
    ran: list[str] = field(default_factory=list)
    """Nodes whose attempt ended, in that order; one that failed with a `!`."""
    history: list[ev.Event] = field(default_factory=list)

    def plan(self) -> Plan:
        return build(self.render(self.state), simulate.WHERE, frozenset(self.state.latest))

    def add(self, event: ev.Event) -> None:
        assert describe(event)
        self.history.append(event)
        apply(self.state, event, 1.0)

    def turn(self) -> bool:
        """One decision and one thing that happens; False when nothing more does."""
        if self.state.end is not None:
            return False
        decision = decide(self.plan(), self.state, 1.0)
        for event in decision.events:
            self.add(event)
        for start in decision.start:
            known = self.state.node(start.key)
            self.add(ev.TaskStarted(node=start.key.node, iteration=start.key.iteration, attempt=known.attempt + 1))
        if not decision.events and not self.state.running:
            return False
        if not decision.events:
            self.happen()
        return True

    def happen(self) -> None:
        key = self.chance.choice(sorted(self.state.running))
        where = {"node": key.node, "iteration": key.iteration, "attempt": self.state.running[key]}
        if self.cuts and self.chance.random() < 0.3:
            self.cuts -= 1
            self.add(ev.TaskInterrupted(**where, reason="killed"))
            return
        kind = self.fails.pop(key.node, None)
        self.ran.append(f"{key}{'!' if kind else ''}")
        if kind is None:
            self.add(ev.TaskFinished(**where, output=f"outputs/{len(self.history)}.json"))
        else:
            self.add(ev.TaskFailed(**where, kind=kind, message="no", final=True))

    def run(self) -> State:
        for _ in range(2000):
            if not self.turn():
                return self.state
        raise AssertionError(f"goes on for ever: {self.history[-8:]}")

    def resume(self) -> State:
        self.add(ev.RunResumed())
        return self.run()


def drive(tree: Node, *fails: str, **options) -> Wheel:
    wheel = Wheel(lambda _state: tree, dict.fromkeys(fails, "exit"), **options)
    wheel.run()
    return wheel


def steps(*names: str) -> list[Step]:
    return [Step(task(name), task(f"un-{name}")) for name in names]


# -- sagas


def test_a_saga_without_a_failure_undoes_nothing():
    wheel = drive(Sequence(Saga(*steps("a", "b")), task("z")))
    assert wheel.ran == ["a", "b", "z"]
    assert wheel.state.end == "finished"


def test_a_failed_step_undoes_the_finished_ones_in_reverse_and_fails_the_run():
    wheel = drive(Sequence(Saga(*steps("a", "b", "c", "d")), task("z")), "c")
    assert wheel.ran == ["a", "b", "c!", "un-b", "un-a"]
    assert (wheel.state.end, wheel.state.error) == ("failed", "c failed: no")


def test_a_saga_that_goes_on_after_its_compensations_lets_the_plan_go_on():
    wheel = drive(Sequence(Saga(*steps("a", "b"), on_failure="compensate"), task("z", needs="b")), "b")
    assert wheel.ran == ["a", "b!", "un-a", "z"]
    assert (wheel.state.end, wheel.state.failed_children) == ("finished", ["b"])


def test_a_saga_that_only_fails_keeps_what_is_done_and_a_resume_goes_on_there():
    wheel = drive(Saga(*steps("a", "b"), on_failure="fail"), "b")
    assert (wheel.ran, wheel.state.end) == (["a", "b!"], "failed")
    assert wheel.resume().end == "finished"
    assert wheel.ran == ["a", "b!", "b"]


def test_a_resume_behind_a_saga_that_was_undone_begins_it_again_from_its_first_step():
    wheel = drive(Saga(*steps("a", "b")), "b")
    assert wheel.ran == ["a", "b!", "un-a"]
    assert wheel.resume().end == "finished"
    assert wheel.ran == ["a", "b!", "un-a", "a", "b"]


def test_a_compensation_that_fails_does_not_keep_the_others_from_it_and_a_resume_tries_it_again():
    wheel = drive(Saga(*steps("a", "b", "c")), "c", "un-b")
    assert wheel.ran == ["a", "b", "c!", "un-b!", "un-a"]
    assert wheel.state.error == "un-b failed: no"
    wheel.ran.clear()
    assert wheel.resume().end == "failed", "what was to be undone is; the saga has failed all the same"
    assert (wheel.ran, wheel.state.error) == (["un-b"], "c failed: no")
    wheel.ran.clear()
    assert wheel.resume().end == "finished"
    assert wheel.ran == ["a", "b", "c"]


def test_a_step_is_undone_only_when_all_of_its_action_is_done():
    two = Step(Sequence(task("b1"), task("b2")), task("un-b"))
    assert drive(Saga(*steps("a"), two), "b2").ran == ["a", "b1", "b2!", "un-a"]


def test_a_step_without_a_compensation_is_passed_over_and_one_that_was_never_reached_too():
    tree = Saga(*steps("a"), Step(task("look"), None), *steps("c"), Step(Branch(False), task("never"), id="d"))
    assert drive(tree, "c").ran == ["a", "look", "c!", "un-a"]


def test_each_pass_of_a_loop_has_a_saga_of_its_own():
    def tree(state: State) -> Node:
        saga = Saga(*steps("a", "b"), on_failure="compensate")
        return Loop(saga, until=state.loop("l").iteration >= 1, id="l")

    wheel = Wheel(tree, {"b": "exit"})
    assert wheel.run().end == "finished"
    assert wheel.ran == ["a", "b!", "un-a", "a@1", "b@1"]


def test_a_loop_inside_a_step_that_was_undone_has_fresh_passes_when_the_saga_is_tried_again():
    def tree(state: State) -> Node:
        loop = state.loop("l")
        body = Loop(task("a"), until=loop.iteration - loop.base >= 1, id="l")
        return Saga(Step(body, task("un-a")), *steps("b"))

    wheel = Wheel(tree, {"b": "exit"})
    wheel.run()
    assert wheel.ran == ["a", "a@1", "b!", "un-a"]
    assert wheel.resume().end == "finished"
    assert wheel.ran[4:] == ["a@2", "a@3", "b"]


def test_a_failure_beside_a_saga_undoes_it_before_the_run_fails():
    wheel = Wheel(lambda _state: Parallel(Saga(*steps("a", "b")), task("x")))
    for node in ("a", "x"):
        wheel.add(ev.TaskStarted(node=node, attempt=1))
    wheel.add(ev.TaskFinished(node="a", attempt=1, output="outputs/a.json"))
    wheel.add(ev.TaskFailed(node="x", attempt=1, kind="exit", message="no", final=True))
    assert wheel.run().end == "failed"
    assert (wheel.ran, wheel.state.error) == (["un-a"], "x failed: no")
    assert wheel.resume().end == "finished"
    assert sorted(wheel.ran) == ["a", "b", "un-a", "x"]


# -- try, catch, finally


def guarded(**options) -> Node:
    return Sequence(
        TryCatchFinally([task("a"), task("b")], catch=task("c"), last=task("f"), id="t", **options), task("z")
    )


@pytest.mark.parametrize(
    ("fails", "ran", "end", "error"),
    [
        ([], ["a", "b", "f", "z"], "finished", None),
        (["a"], ["a!", "c", "f", "z"], "finished", None),
        (["b"], ["a", "b!", "c", "f", "z"], "finished", None),
        (["b", "c"], ["a", "b!", "c!", "f"], "failed", "c failed: no"),
        (["f"], ["a", "b", "f!"], "failed", "f failed: no"),
        (["b", "f"], ["a", "b!", "c", "f!"], "failed", "f failed: no"),
        (["b", "c", "f"], ["a", "b!", "c!", "f!"], "failed", "f failed: no"),
    ],
)
def test_catch_runs_after_a_failure_only_and_finally_in_every_case(fails, ran, end, error):
    wheel = drive(guarded(), *fails)
    assert (wheel.ran, wheel.state.end, wheel.state.error) == (ran, end, error)


def test_a_kind_that_is_not_caught_goes_on_outwards_after_finally():
    wheel = drive(guarded(kinds=["timeout"]), "b")
    assert (wheel.ran, wheel.state.end, wheel.state.error) == (["a", "b!", "f"], "failed", "b failed: no")
    caught = Wheel(lambda _state: guarded(kinds=["timeout"]), {"b": "timeout"})
    assert caught.run().end == "finished"
    assert caught.ran == ["a", "b!", "c", "f", "z"]


def test_a_resume_behind_a_failure_that_was_not_caught_keeps_what_is_done_and_tidies_up_again():
    wheel = drive(TryCatchFinally([task("a"), task("b")], last=task("f")), "b")
    assert (wheel.ran, wheel.state.end) == (["a", "b!", "f"], "failed")
    assert wheel.resume().end == "finished"
    assert wheel.ran[3:] == ["b", "f"]


def test_a_resume_behind_a_catch_that_failed_does_not_run_the_body_again():
    wheel = drive(guarded(), "b", "c")
    assert wheel.resume().end == "finished"
    assert wheel.ran == ["a", "b!", "c!", "f", "c", "z"]


def test_a_later_failure_does_not_try_again_what_was_caught():
    wheel = drive(guarded(), "b", "z")
    assert wheel.state.end == "failed"
    assert wheel.resume().end == "finished"
    assert wheel.ran == ["a", "b!", "c", "f", "z!", "z"]


def test_what_is_in_flight_in_the_body_ends_before_catch_starts_and_nothing_new_of_it_does():
    body = Parallel(Sequence(task("a"), task("never")), task("b"))
    wheel = Wheel(lambda _state: TryCatchFinally(body, catch=task("c")))
    wheel.turn()  # one of the two has ended
    state = begin()
    for node in ("a", "b"):
        apply(state, ev.TaskStarted(node=node, attempt=1), 0.0)
    apply(state, ev.TaskFailed(node="b", attempt=1, kind="exit", message="no", final=True), 0.0)
    decision = decide(wheel.plan(), state, 0.0)
    assert (decision.start, decision.events) == ([], [])
    apply(state, ev.TaskFinished(node="a", attempt=1), 0.0)
    (event,) = decide(wheel.plan(), state, 0.0).events
    assert isinstance(event, ev.RegionFailed)
    apply(state, event, 0.0)
    assert [str(start.key) for start in decide(wheel.plan(), state, 0.0).start] == ["c"]


def test_a_question_in_a_body_that_failed_is_not_asked_any_more():
    tree = TryCatchFinally(Parallel(Approval("ask"), task("b")), catch=task("c"))
    wheel = drive(tree, "b")
    assert (wheel.state.end, wheel.state.waiting()) == ("finished", [])


def test_beside_a_block_that_will_fail_nothing_starts_and_nobody_is_asked_while_it_tidies_up():
    block = TryCatchFinally(task("a"), last=Sequence(task("tidy"), task("up")))
    tree = Parallel(Approval("ok"), Sequence(task("b"), task("never")), block)
    wheels = [drive(tree, "a", chance=random.Random(seed)) for seed in range(9)]
    (wheel, *_) = [one for one in wheels if one.ran[0] == "a!"]
    assert wheel.ran == ["a!", "b", "tidy", "up"]
    assert wheel.state.end == "failed"
    said = [(event.type, getattr(event, "node", "")) for event in wheel.history]
    assert said.index(("wait.ended", "ok")) < said.index(("task.started", "tidy"))
    caught = TryCatchFinally(tree, catch=task("c"))
    assert drive(caught, "a").state.end == "finished"


def test_a_question_beside_what_tidies_up_after_a_failure_is_not_asked_any_more():
    tree = Parallel(Approval("ok"), task("x"), TryCatchFinally(Sequence(task("a"), task("b")), last=task("tidy")))
    wheel = Wheel(lambda _state: tree, {"x": "exit"})
    assert wheel.run().end == "failed"
    said = [(event.type, getattr(event, "node", "")) for event in wheel.history]
    assert said.index(("wait.ended", "ok")) < said.index(("task.started", "tidy"))
    wheel.resume()
    assert wheel.state.waiting() == [TaskKey("ok")]


def test_an_attempt_that_was_to_be_tried_again_in_a_body_that_failed_is_not():
    tree = TryCatchFinally(Parallel(task("a", backoff=Backoff(100)), task("b")), catch=task("c"))
    wheel = Wheel(lambda _state: tree)
    plan = wheel.plan()
    for node in ("a", "b"):
        wheel.add(ev.TaskStarted(node=node, attempt=1))
    wheel.add(ev.TaskFailed(node="a", attempt=1, kind="exit", message="no", final=False, retry_at=100.0))
    wheel.add(ev.TaskFailed(node="b", attempt=1, kind="exit", message="no", final=True))
    assert decide(plan, wheel.state, 1.0).wake_at is None
    assert wheel.run().end == "finished"
    assert (wheel.ran, wheel.state.wake_at) == (["c"], None)


def test_a_loop_at_its_ceiling_is_caught():
    tree = TryCatchFinally(Loop(task("a"), until=False, max_iterations=2, id="l"), catch=task("c"), id="t")
    wheel = drive(tree)
    assert (wheel.ran, wheel.state.end) == (["a", "a@1", "c"], "finished")
    assert "ceiling of 2" in wheel.state.regions[TaskKey("t")].error


def test_an_outer_block_catches_what_an_inner_one_passes_on_and_both_tidy_up_inside_out():
    inner = TryCatchFinally(task("a"), last=task("f1"), id="inner")
    wheel = drive(TryCatchFinally(inner, catch=task("c"), last=task("f2"), id="outer"), "a")
    assert (wheel.ran, wheel.state.end) == (["a!", "f1", "c", "f2"], "finished")


def test_a_caught_failure_beside_a_saga_undoes_the_saga_first():
    body = Parallel(Saga(*steps("a", "b")), task("x"))
    wheel = Wheel(lambda _state: TryCatchFinally(body, catch=task("c")))
    for node in ("a", "x"):
        wheel.add(ev.TaskStarted(node=node, attempt=1))
    wheel.add(ev.TaskFailed(node="x", attempt=1, kind="exit", message="no", final=True))
    wheel.add(ev.TaskFinished(node="a", attempt=1, output="outputs/a.json"))
    assert wheel.run().end == "finished"
    assert wheel.ran == ["un-a", "c"]


def test_what_waits_for_a_node_that_failed_and_was_caught_goes_on_without_its_output():
    wheel = drive(Parallel(TryCatchFinally(task("a"), catch=task("c")), task("z", needs=["a", "c"])), "a")
    assert (wheel.ran, wheel.state.end) == (["a!", "c", "z"], "finished")


# -- anything at all


@st.composite
def trees(draw, depth: int = 3, name: str = "n") -> Node:
    kind = draw(st.sampled_from(["task", "sequence", "parallel", "saga", "try"])) if depth else "task"
    if kind == "task":
        return task(name)
    inside = [draw(trees(depth - 1, f"{name}{number}")) for number in range(draw(st.integers(1, 3)))]
    if kind == "sequence":
        return Sequence(*inside)
    if kind == "parallel":
        return Parallel(*inside)
    if kind == "saga":
        policy = draw(st.sampled_from(["compensate", "compensate-and-fail"]))
        made = [Step(child, task(f"{name}-un{at}"), id=f"s{at}") for at, child in enumerate(inside)]
        return Saga(*made, on_failure=policy, id=f"{name}.saga")
    catch = draw(st.sampled_from([None, task(f"{name}-catch")]))
    return TryCatchFinally(inside, catch=catch, last=task(f"{name}-last"), id=f"{name}.try")


def regions(node: Node):
    for child in getattr(node, "children", ()):
        yield from regions(child)
    if isinstance(node, Saga | TryCatchFinally):
        yield node


def leaves(nodes) -> list[str]:
    return [leaf.id for node in nodes for leaf in simulate.leaves(node)]


def _both_fail() -> Node:
    """A step that holds a saga which fails and is compensated, and a second step that fails: nothing of either ends."""
    inner = Saga(Step(task("a"), task("a-un"), id="s0"), on_failure="compensate", id="inner")
    steps = (Step(inner, task("inner-un"), id="s0"), Step(task("b"), task("b-un"), id="s1"))
    return Sequence(Saga(*steps, on_failure="compensate", id="outer"))


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(trees(), st.integers(0, 2**32), st.integers(0, 4))
@example(_both_fail(), 5, 0)
def test_whatever_fails_and_whoever_dies_every_finished_step_is_undone_once_in_reverse(tree, seed, cuts):
    chance = random.Random(seed)
    names = [leaf.id for leaf in simulate.leaves(tree) if "-" not in leaf.id]  # what undoes and tidies up works
    fails = dict.fromkeys(chance.sample(names, min(len(names), chance.randint(0, 2))), "exit")
    wheel = Wheel(lambda _state: tree, fails, chance=chance, cuts=cuts)
    state = wheel.run()
    assert state.end is not None
    assert not state.running
    assert len(set(wheel.ran)) == len(wheel.ran), "nothing ends twice"
    at = {name: number for number, name in enumerate(wheel.ran)}
    started = {event.node for event in wheel.history if isinstance(event, ev.TaskStarted)}
    for region in regions(tree):
        body = leaves(region.body)
        failed = state.regions.get(TaskKey(region.id))
        begun = [name for name in body if name in started]
        if isinstance(region, TryCatchFinally):
            assert (leaves(region.last)[0] in at) == bool(begun), "finally runs exactly when the body has begun"
            if region.catch:
                assert (leaves(region.catch)[0] in at) == bool(failed and failed.caught)
            continue
        finished = [
            s for s, action in region.actions.items() if all(name in at for name in leaves(action) if "-" not in name)
        ]
        undone = [s for s, nodes in region.compensations.items() if leaves(nodes)[0] in at]
        if failed is None:
            assert not undone
            caught = any(state.regions.get(TaskKey(inner.id)) for inner in regions(Sequence(*region.body)))
            assert not begun or caught or len(finished) == len(region.actions), "what has begun is whole, or undone"
            continue
        assert undone == list(failed.steps), "nothing is forgotten"
        places = [at[leaves(region.compensations[s])[0]] for s in undone]
        assert places == sorted(places, reverse=True)
        last = max((at[name] for name in begun if name in at), default=-1)  # a step may hold only what was compensated
        assert all(place > last for place in places), "undone when nothing of the body runs any more"
    unhandled = {str(key) for key, node in state.nodes.items() if node.status == "failed" and not node.continued}
    assert (state.end == "failed") == bool(unhandled)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(trees(), st.integers(0, 2**32))
def test_a_run_that_failed_finishes_when_it_is_resumed_and_nothing_fails_any_more(tree, seed):
    chance = random.Random(seed)
    names = [leaf.id for leaf in simulate.leaves(tree)]
    wheel = Wheel(lambda _state: tree, dict.fromkeys(chance.sample(names, min(3, len(names))), "exit"), chance=chance)
    wheel.run()
    for _ in range(12):
        if wheel.state.end == "finished":
            break
        wheel.resume()
    assert wheel.state.end == "finished"


# -- what is refused


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (lambda: Saga(*steps("a"), on_failure="undo"), "has on_failure='undo'"),
        (lambda: TryCatchFinally(task("a"), kinds=["time-out"]), "catches 'time-out', which is no kind of failure"),
        (lambda: Sequence(Saga(*steps("a"), id="a")), "duplicate id 'a'"),
        (lambda: Saga(*steps("a"), id="no good"), "cannot be the id of a Saga"),
    ],
)
def test_a_region_that_cannot_be_is_refused_with_its_line(tree, said):
    with pytest.raises(WorkflowError, match=r"test_regions\.py:") as caught:
        build(tree(), simulate.WHERE)
    assert said in caught.value.message


def test_two_steps_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two steps of a Saga have the id 'a'"):
        Saga(Step(task("a"), None), Step(task("b"), None, id="a"))


def test_what_handles_a_failure_comes_after_the_body():
    plan = build(Sequence(TryCatchFinally(task("a"), catch=task("c"), last=task("f")), task("z")), simulate.WHERE)
    assert dependents(plan, ["a"]) == {"c", "f", "z"}
