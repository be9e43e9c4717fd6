"""Runs without a repository: random plans, and a driver that finishes or fails tasks in any order."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import strategies as st
from pydantic import BaseModel

from smithers_git.core import events as ev
from smithers_git.core.codec import output_path
from smithers_git.core.nodes import Approval, Branch, Loop, Node, Parallel, Sequence, Task, Worktree
from smithers_git.core.plan import Plan, build
from smithers_git.core.retry import Met, after_failure
from smithers_git.core.schedule import Decision, decide
from smithers_git.core.state import State, apply
from smithers_git.names import TaskKey

WHERE = "flow.py:1"


class Note(BaseModel):
    text: str = ""


def task(id: str, **options) -> Task:
    return Task(id, value=1, **options)


def begin(max_concurrency: int = 4) -> State:
    """The state after frame 0."""
    created = ev.RunCreated(
        run="r", workflow="w", entry="workflow.py", input={}, base="b" * 40, max_concurrency=max_concurrency
    )
    return apply(State(), created, 0.0)


@dataclass
class Driver:
    """Turns the wheel of one run, as the engine does, and looks at every decision.

    `ends` says how an attempt ends: None for a success, else the kind of its failure.
    """

    render: Callable[[State], Node | None]
    ends: Callable[[TaskKey, int], ev.FailureKind | None] = lambda _key, _attempt: None
    approves: Callable[[TaskKey], bool] = lambda _key: True
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    state: State = field(default_factory=begin)
    most_turns: int = 3000
    now: float = 0.0
    history: list[tuple[ev.Event, float]] = field(default_factory=list)
    started: list[TaskKey] = field(default_factory=list)
    turns: int = 0

    def add(self, event: ev.Event) -> None:
        self.history.append((event, self.now))
        apply(self.state, event, self.now)

    def plan(self) -> Plan:
        return build(self.render(self.state), WHERE, frozenset(self.state.latest))

    def run(self) -> State:
        """Go on until the run is over; fails when it is stuck, or goes on for ever."""
        while self.state.end is None:
            self.turn()
        return self.state

    def turn(self) -> Decision:
        self.turns += 1
        assert self.turns < self.most_turns, f"goes on for ever: {self.history[-6:]}"
        plan = self.plan()
        decision = decide(plan, self.state, self.now)
        assert decision == decide(plan, self.state, self.now), "the same arguments give the same decision"
        check_decision(plan, self.state, decision)
        for event in decision.events:
            self.add(event)
        for start in decision.start:
            self.started.append(start.key)
            attempt = self.state.node(start.key).attempt + 1
            self.add(ev.TaskStarted(node=start.key.node, iteration=start.key.iteration, attempt=attempt))
        check_limits(plan, self.state)
        if not decision.events:
            self._happen(plan, decision)
        return decision

    def _happen(self, plan: Plan, decision: Decision) -> None:
        """One thing from outside: an attempt ends, a person decides, or time goes by."""
        self.now += 0.01
        deeds: list[Callable[[], None]] = [lambda key=key: self.end(plan, key) for key in self.state.running]
        deeds += [lambda key=key: self.decide(key) for key in self.state.waiting()]
        if decision.wake_at is not None and not decision.start:
            deeds.append(lambda: self._sleep(decision.wake_at or 0.0))
        assert deeds, f"stuck: {decision}"
        self.chance.choice(deeds)()

    def _sleep(self, until: float) -> None:
        self.now = max(self.now, until)

    def decide(self, key: TaskKey) -> None:
        approved = self.approves(key)
        self.add(ev.ApprovalDecided(node=key.node, iteration=key.iteration, approved=approved, by="Ada"))

    def end(self, plan: Plan, key: TaskKey) -> None:
        """The attempt of `key` that is in flight ends."""
        known = self.state.node(key)
        where = {"node": key.node, "iteration": key.iteration, "attempt": known.attempt}
        kind = self.ends(key, known.attempt)
        if kind is None:
            path = known.output or output_path(self.state.outputs, key)
            self.add(ev.TaskFinished(**where, output=path))
            return
        item = plan.items.get(key.node)
        node = item.node if item and isinstance(item.node, Task) else task(key.node)
        retry = after_failure(node, Met(kind, known.failures + 1), self.now, self.chance.random())
        self.add(
            ev.TaskFailed(
                **where, kind=kind, message=f"{kind}!", final=retry.final, retry_at=retry.at,
                continued=node.continue_on_fail,
            )
        )  # fmt: skip


# -- an oracle that knows the rules and not the code


def key_of(plan: Plan, state: State, id: str) -> TaskKey:
    loops = plan.items[id].loops
    return TaskKey(id, state.loop(loops[-1]).iteration if loops else 0)


def is_over(plan: Plan, state: State, node: Node) -> bool:
    if isinstance(node, Task | Approval):
        return key_of(plan, state, node.id) in state.done
    if isinstance(node, Loop):
        finished = state.loop(node.id).finished
        return finished is not None and not (finished == "max" and node.on_max == "fail")
    return all(is_over(plan, state, child) for child in node.children)


def path_to(node: Node, id: str) -> list[Node] | None:
    """The nodes from the root to the leaf `id`."""
    if isinstance(node, Task | Approval):
        return [node] if node.id == id else None
    for child in node.children:
        found = path_to(child, id)
        if found is not None:
            return [node, *found]
    return None


def is_reached(plan: Plan, state: State, id: str) -> bool:
    """Whether all that comes before a leaf, in each sequence around it, is over."""
    path = path_to(plan.root, id)
    assert path is not None
    for parent, child in pairwise(path):
        if not isinstance(parent, Parallel):
            before = parent.children[: parent.children.index(child)]
            if not all(is_over(plan, state, other) for other in before):
                return False
    return True


def leaves(node: Node) -> Iterator[Task | Approval]:
    if isinstance(node, Task | Approval):
        yield node
    else:
        for child in node.children:
            yield from leaves(child)


def groups(node: Node) -> Iterator[Parallel]:
    if isinstance(node, Parallel):
        yield node
    if not isinstance(node, Task | Approval):
        for child in node.children:
            yield from groups(child)


def need_is_over(plan: Plan, state: State, asker: str, need: str) -> bool:
    if need not in plan.items:
        return need in state.latest
    mine, theirs = plan.items[asker].loops, plan.items[need].loops
    outside = [loop for loop in theirs if loop not in mine]
    if outside:
        return state.loop(outside[0]).finished is not None
    return key_of(plan, state, need) in state.done


def check_decision(plan: Plan, state: State, decision: Decision) -> None:
    """Every task that starts may start, each once, in the order of the plan."""
    keys = [start.key for start in decision.start]
    assert len(set(keys)) == len(keys)
    order = list(plan.items)
    assert [order.index(key.node) for key in keys] == sorted(order.index(key.node) for key in keys)
    for start in decision.start:
        key, item = start.key, plan.items[start.key.node]
        assert key not in state.running, f"{key} starts a second time"
        assert key not in state.done, f"{key} is done already"
        assert state.node(key).status not in ("failed", "finished", "skipped")
        assert is_reached(plan, state, key.node), f"{key} starts before its time"
        assert all(need_is_over(plan, state, key.node, need) for need in item.needs), f"{key} starts before its needs"
    if decision.events:
        assert not decision.start, "facts are recorded before anything starts"
    if decision.start:
        assert not _failed(plan, state), "something new starts after a failure"
    _check_idle_slots(plan, state, decision)


def _failed(plan: Plan, state: State) -> list[str]:
    """Failed nodes whose turn it is. A branch that changes its mind can put new work before one; that comes first."""
    nodes = {id: state.node(key_of(plan, state, id)) for id in plan.items}
    failed = [id for id, node in nodes.items() if node.status == "failed" and not node.continued]
    return [id for id in failed if is_reached(plan, state, id)]


def _check_idle_slots(plan: Plan, state: State, decision: Decision) -> None:
    """A task waits for a slot only when the run, or a group around it, is full."""
    running = {key.node for key in state.running} | {start.key.node for start in decision.start}
    count = len(state.running) + len(decision.start)
    for wait in decision.waits:
        if wait.kind == "slot" and count < state.max_concurrency:
            around = [group for group in groups(plan.root) if wait.key.node in {leaf.id for leaf in leaves(group)}]
            full = [g for g in around if len(running & {x.id for x in leaves(g)}) == g.max_concurrency]
            assert full, f"{wait.key} waits although there is room"


def check_limits(plan: Plan, state: State) -> None:
    assert len(state.running) <= state.max_concurrency
    running = [key.node for key in state.running]
    for group in groups(plan.root):
        inside = {leaf.id for leaf in leaves(group)}
        busy = sum(node in inside for node in running)
        assert group.max_concurrency is None or busy <= group.max_concurrency


# -- random plans


@dataclass(frozen=True)
class Spec:
    """A plan that does not depend on the state yet."""

    kind: str
    id: str = ""
    children: tuple[Spec, ...] = ()
    options: tuple[tuple[str, object], ...] = ()

    def option(self, name: str):
        return dict(self.options)[name]


def render(spec: Spec, state: State, needs: dict[str, list[str]]) -> Node | None:
    """The tree that a workflow function would return for this state."""
    inside = [render(child, state, needs) for child in spec.children]
    if spec.kind == "task":
        return task(spec.id, needs=needs.get(spec.id, ()), **dict(spec.options))
    if spec.kind == "approval":
        return Approval(spec.id, needs=needs.get(spec.id, ()), **dict(spec.options))
    if spec.kind == "sequence":
        return Sequence(*inside)
    if spec.kind == "worktree":
        return Worktree(spec.id, *inside)
    if spec.kind == "parallel":
        return Parallel(*inside, max_concurrency=spec.option("limit"))
    if spec.kind == "branch":
        return Branch(spec.option("on") in state.latest, inside[0], inside[1])
    loop = state.loop(spec.id)
    until = loop.iteration - loop.base >= spec.option("holds_at")
    # A Sequence between two loops, as `build` asks for.
    return Loop(
        Sequence(*inside), until=until, id=spec.id, max_iterations=spec.option("most"), on_max=spec.option("on_max")
    )


def _leaf(draw, name: str) -> Spec:
    if draw(st.integers(0, 6)) == 0:
        return Spec("approval", name, options=(("on_deny", draw(st.sampled_from(["fail", "continue", "skip"]))),))
    options = (
        ("skip_if", draw(st.integers(0, 7)) == 0),
        ("continue_on_fail", draw(st.booleans())),
        ("retries", draw(st.integers(0, 2))),
        ("needs_approval", draw(st.integers(0, 9)) == 0),
    )
    return Spec("task", name, options=options)


@st.composite
def specs(draw, depth: int = 3, name: str = "n") -> Spec:
    """A random plan of at most a few dozen nodes; `name` makes every id in it unlike those beside it."""
    kind = draw(st.sampled_from(["task", "sequence", "parallel", "loop", "branch", "worktree"])) if depth else "task"
    if kind == "task":
        return _leaf(draw, name)
    count = 2 if kind == "branch" else draw(st.integers(0, 3))
    children = tuple(draw(specs(depth - 1, f"{name}{number}")) for number in range(count))
    options: tuple[tuple[str, object], ...] = ()
    if kind == "parallel":
        options = (("limit", draw(st.sampled_from([None, 1, 2]))),)
    if kind == "branch":
        options = (("on", draw(st.sampled_from(["n0", "n1", "n00", "n01", "n10", "n11"]))),)
    if kind == "loop":
        options = (
            ("holds_at", draw(st.integers(0, 3))),
            ("most", draw(st.integers(1, 3))),
            ("on_max", draw(st.sampled_from(["fail", "return-last", "return-last"]))),
        )
    return Spec(kind, f"{name}.{kind}", children, options)


def steady(spec: Spec) -> list[str]:
    """Ids of leaves that every render has, so that another leaf may need them."""
    if spec.kind in ("task", "approval"):
        return [spec.id]
    return [] if spec.kind == "branch" else [id for child in spec.children for id in steady(child)]


@st.composite
def wanted(draw, ids: list[str]) -> dict[str, list[str]]:
    """Random `needs` among `ids`."""
    if len(ids) < 2:
        return {}
    pairs = draw(st.lists(st.tuples(st.sampled_from(ids), st.sampled_from(ids)), max_size=4))
    found: dict[str, list[str]] = {}
    for asker, need in pairs:
        if asker != need and need not in found.setdefault(asker, []):
            found[asker].append(need)
    return found
