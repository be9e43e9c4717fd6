"""What happens next. `decide(plan, state, now)` is pure: the same arguments always give the same decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from smithers_git.core import asking, endings, regions, waiting
from smithers_git.core import events as ev
from smithers_git.core.failure_nodes import Region
from smithers_git.core.flow_nodes import ContinueAsNew, Subflow
from smithers_git.core.nodes import Approval, Loop, Node, Parallel, Task
from smithers_git.core.parts import NodeState, RegionState, WaitState
from smithers_git.core.plan import Item, LoopItem, Plan, gate_of, regions_between
from smithers_git.core.state import State
from smithers_git.core.wait_nodes import WaitNode
from smithers_git.names import TaskKey

Outcome = Literal["done", "open", "failed"]

_OUTSIDE = frozenset({"approval", "question", "signal", "timer", "child", "retry", "limit", "machine"})
"""What can end although nothing runs."""


@dataclass(frozen=True, slots=True)
class Start:
    """A task that may start now."""

    key: TaskKey
    item: Item


Held = Literal[
    "approval", "question", "signal", "timer", "child", "retry", "limit", "needs", "slot", "machine", "running",
    "failed",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a node does not go on."""

    key: TaskKey
    kind: Held
    reason: str
    until: float | None = None


@dataclass(slots=True)
class Decision:
    """What to do now. `events` are facts to record first; after them, decide again."""

    events: list[ev.Event] = field(default_factory=list)
    start: list[Start] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    wake_at: float | None = None
    """Unix seconds at which the first thing is due by itself: a retry, a timer, the end of a wait."""


Hold = Callable[[Start], str | None]
"""Why a task that could start has to wait for the machine; None when it has not. It takes no slot meanwhile."""


@dataclass(slots=True)
class _Group:
    limit: int | None
    running: int = 0


@dataclass(slots=True)
class _Walk:
    plan: Plan
    state: State
    now: float
    decision: Decision
    hold: Hold | None = None
    ready: list[tuple[Start, tuple[_Group, ...]]] = field(default_factory=list)
    failed: list[TaskKey] = field(default_factory=list)
    loop_failed: LoopItem | None = None
    thrown: list[RegionState] = field(default_factory=list)
    """Regions that have settled and pass their failure on."""

    @property
    def has_failed(self) -> bool:
        return bool(self.failed or self.loop_failed or self.thrown)

    def sequence(self, walk: _Walk, nodes: tuple[Node, ...], groups: tuple[_Group, ...]) -> Outcome:
        """Look at `nodes` one after another, in `walk`."""
        return _visit_sequence(walk, nodes, groups)

    def fresh(self) -> _Walk:
        """A walk over the same state that has found nothing yet."""
        return _Walk(self.plan, self.state, self.now, Decision(), self.hold)

    def take(self, other: _Walk) -> None:
        """Add what `other` found, without its failures."""
        mine, theirs = self.decision, other.decision
        mine.events += theirs.events
        mine.waits += theirs.waits
        mine.wake_at = min(filter(None, (mine.wake_at, theirs.wake_at)), default=None)
        self.ready += other.ready

    def blame(self, other: _Walk) -> None:
        """Add the failures of `other`."""
        self.failed += other.failed
        self.loop_failed = self.loop_failed or other.loop_failed
        self.thrown += other.thrown

    def reason(self) -> ev.RunFailed:
        """The first failure, as the end of a run would say it."""
        return endings.failed(self.state, self.failed, self.loop_failed, self.thrown)

    def kind(self) -> str | None:
        """The kind of that failure; None for a loop at its ceiling."""
        if self.failed:
            return self.state.node(self.failed[0]).kind
        return self.thrown[0].kind if self.thrown else None


def decide(plan: Plan, state: State, now: float, hold: Hold | None = None) -> Decision:
    """What starts, what waits and for what, what is recorded at once, and whether the run is over.

    Depth-first, left to right; a task starts only when its groups and the run have a free slot. After a failure
    nothing new starts but what regions undo, catch and tidy up; what is in flight ends first, then the run fails.
    """
    walk = _Walk(plan, state, now, Decision(), hold)
    decision = walk.decision
    if state.end is not None:
        return decision
    if plan.settled_for[0] is not state or plan.settled_for[1] != state.resets:
        plan.settled.clear()
        plan.settled_for = (state, state.resets)
    outcome = _visit(walk, plan.root, ())
    if outcome == "failed" or walk.has_failed:
        return _give_up(walk)
    if decision.events:
        # Facts first: they can change everything behind them. Starting waits for the next decision.
        return decision
    if outcome == "done" and not state.running:
        ended = ev.RunFinished(failed_children=endings.failed_children(state), successor=_successor(walk))
        decision.events.append(ended)
        return decision
    _fill_slots(walk)
    if not _withdraw(walk) and _is_stuck(walk):
        decision.events.append(_deadlock(decision))
    return decision


def _withdraw(walk: _Walk) -> bool:
    """End what is still open and what the plan, as it is now, does not come to any more; whether there is such."""
    decision, still = walk.decision, walk.state.open_still()
    if not still:  # the rule: each step looks
        return False
    seen = {wait.key for wait in decision.waits} | {start.key for start in decision.start} | walk.state.running.keys()
    left = sorted(still - seen)
    if left:  # facts first: who begins then, and who finds no slot, is decided on them
        decision.start.clear()
        decision.waits[:] = [wait for wait in decision.waits if wait.kind != "slot"]
        decision.events += [ev.WaitEnded(node=one.node, iteration=one.iteration, reason="withdrawn") for one in left]
    return bool(left)


def _give_up(walk: _Walk) -> Decision:
    """After a failure nobody is asked and no loop goes on any more, but in what undoes and tidies up."""
    last = walk.fresh()
    settled = regions.unwind(last, (walk.plan.root,), walk)
    decision = last.decision
    decision.waits += [wait for wait in walk.decision.waits if wait.kind == "running" and wait not in decision.waits]
    if decision.events:
        return decision
    _fill_slots(last)
    if (settled and not walk.state.running) or _is_stuck(last):
        decision.events.append(walk.reason())
    elif not settled:
        _withdraw(last)  # nobody is asked beside what undoes and tidies up
    return decision


def _is_stuck(walk: _Walk) -> bool:
    """Whether nothing starts, runs, or can come from outside."""
    decision = walk.decision
    return not (decision.start or walk.state.running or any(wait.kind in _OUTSIDE for wait in decision.waits))


def _deadlock(decision: Decision) -> ev.RunFailed:
    """Nothing can start, nothing runs, and nothing from outside would change that."""
    blocked = "; ".join(f"{wait.key} {wait.reason}" for wait in decision.waits) or "nothing is left to wait for"
    return ev.RunFailed(error=f"deadlock: {blocked}", hint="smithers graph shows the plan; drop a need, or render it")


def _fill_slots(walk: _Walk) -> None:
    free = walk.state.max_concurrency - sum(not _lands(walk.plan, key.node) for key in walk.state.running)
    for start, groups in walk.ready:
        if _lands(walk.plan, start.key.node):  # it waits for its turn in a queue, which has lanes of its own
            walk.decision.start.append(start)
            continue
        held = walk.hold(start) if walk.hold else None
        if held is not None:
            walk.decision.waits.append(Wait(start.key, "machine", held))
            continue
        if free <= 0 or any(group.limit is not None and group.running >= group.limit for group in groups):
            walk.decision.waits.append(Wait(start.key, "slot", "waits for a free slot"))
            continue
        walk.decision.start.append(start)
        free -= 1
        for group in groups:
            group.running += 1


def _lands(plan: Plan, node: str) -> bool:
    item = plan.items.get(node)
    return item is not None and isinstance(item.node, Task) and item.node.kind == "land"


def _visit(walk: _Walk, node: Node, groups: tuple[_Group, ...]) -> Outcome:
    if isinstance(node, Task | Approval):
        return _visit_leaf(walk, node, groups)
    if isinstance(node, Loop):
        return _visit_loop(walk, node, groups)
    if isinstance(node, Parallel):
        group = _Group(node.max_concurrency)
        outcomes = [_visit(walk, child, (*groups, group)) for child in node.children]
        if "failed" in outcomes:
            return "failed"
        return "open" if "open" in outcomes else "done"
    if isinstance(node, Region):
        return regions.visit(walk, node, groups)
    return _visit_sequence(walk, node.children, groups)


def _visit_sequence(walk: _Walk, children: tuple[Node, ...], groups: tuple[_Group, ...]) -> Outcome:
    # Leading children that are done stay done until a reset. Without this note, a sequence of 2,000 tasks would look
    # at 1,000 finished ones at each step: a tenth of a step's whole cost.
    settled = walk.plan.settled
    first = at = settled.get(id(children), 0)
    for position in range(first, len(children)):
        child = children[position]
        outcome = _visit(walk, child, groups)
        if outcome != "done":
            return outcome
        if isinstance(child, Task) and not walk.plan.items[child.id].loops:
            at += 1
            settled[id(children)] = at
    return "done"


def _key(walk: _Walk, item: Item) -> TaskKey:
    if not item.loops:
        return item.node.key
    return TaskKey(item.node.id, walk.state.loop(item.loops[-1]).iteration)


def _visit_leaf(walk: _Walk, node: Task | Approval, groups: tuple[_Group, ...]) -> Outcome:
    item = walk.plan.items[node.id]
    key, state = _key(walk, item), walk.state
    if key in state.done:
        return "done"
    known = state.node(key)
    if known.status == "failed":
        walk.failed.append(key)
        return "failed"
    if key in state.running:
        for group in groups if not _lands(walk.plan, node.id) else ():
            group.running += 1
        walk.decision.waits.append(Wait(key, "running", f"attempt {known.attempt} is running"))
        return "open"
    if isinstance(node, Task) and node.skip_if:
        walk.decision.events.append(ev.TaskSkipped(node=key.node, iteration=key.iteration, reason="skip_if"))
        return "open"
    missing = [need for need in item.needs if not _satisfied(walk, item, need)]
    if missing:
        walk.decision.waits.append(Wait(key, "needs", f"waits for {', '.join(missing)}"))
        return "open"
    if not _approved(walk, item, key):
        return "open"
    if known.retry_at is not None and known.retry_at > walk.now:
        _wait(walk, _later(key, known))
        return "open"
    if isinstance(node, WaitNode | Subflow) and (key in state.open_waits or isinstance(node, WaitNode)):
        _look(walk, node, key)
        return "open"
    walk.ready.append((Start(key, item), groups))
    return "open"


def _later(key: TaskKey, known: NodeState) -> Wait:
    if known.limited:
        return Wait(key, "limit", known.limit, until=known.retry_at)
    return Wait(key, "retry", f"tries again: {known.error}", until=known.retry_at)


def _look(walk: _Walk, node: WaitNode | Subflow, key: TaskKey) -> None:
    """Begin to wait, end a wait that is due, or note that it goes on."""
    wait = walk.state.open_waits.get(key)
    if wait is None:
        assert isinstance(node, WaitNode)
        walk.decision.events.append(waiting.begin(node, key, walk.now))
        return
    event = _wake(wait, key, walk.now) if isinstance(node, Subflow) else waiting.go_on(node, key, walk.state, walk.now)
    if event is not None:
        walk.decision.events.append(event)
        return
    _wait(walk, Wait(key, wait.kind, wait.title, until=wait.until))


def _wake(wait: WaitState, key: TaskKey, now: float) -> ev.TaskWoken | None:
    due = wait.until is not None and wait.until <= now
    return ev.TaskWoken(node=key.node, iteration=key.iteration) if due else None


def _wait(walk: _Walk, wait: Wait) -> None:
    walk.decision.waits.append(wait)
    if wait.until is not None:
        walk.decision.wake_at = min(walk.decision.wake_at or wait.until, wait.until)


def _satisfied(walk: _Walk, item: Item, need: str) -> bool:
    target = walk.plan.items.get(need)
    if target is None:
        return need in walk.state.latest
    over = (walk.state.regions.get(regions.key_of(walk, region)) for region in regions_between(target, item))
    if any(region is not None and region.caught and region.settled for region in over):
        return True  # it failed, or never ran, and the plan goes on without its output
    gate = gate_of(walk.plan, item, need)
    if gate is not None:
        return walk.state.loop(gate).finished is not None
    return _key(walk, target) in walk.state.done


def _approved(walk: _Walk, item: Item, key: TaskKey) -> bool:
    """Whether nothing waits for a person here; asks when nobody was asked yet, or about something else."""
    node = item.node
    if isinstance(node, Task) and not node.needs_approval:
        return True
    asked = walk.state.approvals.get(key)
    if asked is not None and asked.approved is not None:
        return asked.approved
    wanted = asking.request(walk.plan, walk.state, item, key, walk.now)
    if asked is None or not asking.same(asked, wanted, walk.state.base):
        walk.decision.events.append(wanted)
    elif (decided := asking.by_itself(asked, key, walk.now)) is not None:
        walk.decision.events.append(decided)
    else:
        _wait(walk, Wait(key, "approval", asked.title, until=asked.until))
    return False


def _visit_loop(walk: _Walk, node: Loop, groups: tuple[_Group, ...]) -> Outcome:
    item, loop = walk.plan.loops[node.id], walk.state.loop(node.id)
    if item.outer and node.id not in walk.state.loops:
        walk.decision.events.append(ev.LoopEntered(loop=node.id, outer=list(item.outer)))
        return "open"
    if loop.finished == "max" and node.on_max == "fail":
        walk.loop_failed = item
        return "failed"
    if loop.finished is not None:
        return "done"
    outcome = _visit_sequence(walk, node.children, groups)
    if outcome != "done":
        return outcome
    passes = loop.iteration - loop.base + 1
    if node.until or passes >= node.max_iterations:
        reason: Literal["until", "max"] = "until" if node.until else "max"
        walk.decision.events.append(ev.LoopFinished(loop=node.id, reason=reason, iterations=passes))
    else:
        # From the state and not from the plan: a branch may have taken an inner loop out of this render.
        inner = [name for name, known in walk.state.loops.items() if node.id in known.outer]
        walk.decision.events.append(ev.LoopAdvanced(loop=node.id, iteration=loop.iteration + 1, inner=inner))
    return "open"


def _successor(walk: _Walk) -> str | None:
    """The run to go on as, when a ContinueAsNew of the plan was reached."""
    asked = (item for item in walk.plan.items.values() if isinstance(item.node, ContinueAsNew))
    known = (walk.state.node(_key(walk, item)) for item in asked)
    return next((node.successor for node in known if node.status == "finished"), None)
