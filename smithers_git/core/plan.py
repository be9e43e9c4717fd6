"""A rendered tree as a checked plan: every task with its place, its workspace and what it needs."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from smithers_git.core.check import check, refuse
from smithers_git.core.failure_nodes import Region
from smithers_git.core.nodes import Approval, Branch, Loop, Node, Parallel, Sequence, Task, Worktree
from smithers_git.errors import WorkflowError
from smithers_git.names import MAIN, identifier

RESERVED = frozenset({"workspace", "checkout"})
"""Parameter names of `call=` functions that do not name a node."""


@dataclass(slots=True)
class Item:
    """One task or approval with its place in the plan."""

    node: Task | Approval
    space: str
    loops: tuple[str, ...]
    """Ids of the loops around it, outermost first."""
    needs: tuple[str, ...] = ()
    params: dict[str, str] = field(default_factory=dict)
    """Parameter of the prompt or call function to the node whose output it gets."""
    regions: tuple[str, ...] = ()
    """Ids of the sagas and try blocks around it, outermost first."""


@dataclass(slots=True)
class LoopItem:
    node: Loop
    outer: tuple[str, ...]


@dataclass(slots=True)
class RegionItem:
    node: Region
    loops: tuple[str, ...]
    """Ids of the loops around it, outermost first."""


@dataclass(slots=True)
class SpaceItem:
    node: Worktree
    parent: str


@dataclass(slots=True)
class Plan:
    """A checked plan. The same tree always gives the same plan."""

    root: Node
    items: dict[str, Item] = field(default_factory=dict)
    loops: dict[str, LoopItem] = field(default_factory=dict)
    spaces: dict[str, SpaceItem] = field(default_factory=dict)
    regions: dict[str, RegionItem] = field(default_factory=dict)
    settled: dict[int, int] = field(default_factory=dict, compare=False, repr=False)
    """A note of the scheduler: by id of a child tuple of this tree, how many leading children are known to be done."""
    settled_for: tuple[object, int] = field(default=(None, -1), compare=False, repr=False)
    """The state object, and its count of resets, that the note holds for."""

    def shape(self) -> tuple[object, ...]:
        """Ids, places and conditions, to compare two renders of the same state."""
        return (
            *((id, item.space, item.loops, item.needs, _skips(item.node)) for id, item in self.items.items()),
            *((id, loop.node.until, loop.node.max_iterations) for id, loop in self.loops.items()),
        )


def _skips(node: Task | Approval) -> bool:
    return isinstance(node, Task) and node.skip_if


def build(root: Node | None, where: str, known: frozenset[str] = frozenset()) -> Plan:
    """The plan of a rendered tree; raises WorkflowError that names file, line and node.

    Args:
        root: what the workflow function returned; None is an empty plan.
        where: file and line of the workflow function, for errors about the tree as a whole.
        known: nodes that have an output although this render no longer mentions them; they may still be needed.
    """
    if root is None:
        root = Sequence()
    if not isinstance(root, Task | Approval | Sequence | Parallel | Branch | Loop | Worktree):
        raise WorkflowError(
            f"{where}: the workflow returned {root!r}", hint="return a plan node: Sequence(…), Task(…), Loop(…) or None"
        )
    plan = Plan(root)
    _collect(plan, root, MAIN, ())
    _place_regions(plan, root, ())
    names = _names(plan, known)
    for item in plan.items.values():
        _link(plan, item, names, known)
    if any(item.needs for item in plan.items.values()):
        _refuse_cycles(plan)
    return plan


def _collect(plan: Plan, node: Node, space: str, loops: tuple[str, ...]) -> None:
    check(node)
    if isinstance(node, Task | Approval | Loop | Worktree | Region):
        _refuse_twin(plan, node)
    if isinstance(node, Task | Approval):
        plan.items[node.id] = Item(node, space, loops)
        return
    if isinstance(node, Loop):
        plan.loops[node.id] = LoopItem(node, loops)
        loops = (*loops, node.id)
    elif isinstance(node, Region):
        plan.regions[node.id] = RegionItem(node, loops)
    elif isinstance(node, Worktree):
        plan.spaces[node.id] = SpaceItem(node, space)
        space = node.id
    for child in node.children:
        _collect(plan, child, space, loops)


def _place_regions(plan: Plan, node: Node, around: tuple[str, ...]) -> None:
    if isinstance(node, Task | Approval):
        plan.items[node.id].regions = around
        return
    around = (*around, node.id) if isinstance(node, Region) else around
    for child in node.children:
        _place_regions(plan, child, around)


def regions_between(target: Item, asker: Item) -> tuple[str, ...]:
    """The sagas and try blocks around `target` that are not around `asker`, outermost first."""
    return tuple(region for region in target.regions if region not in asker.regions)


def _refuse_twin(plan: Plan, node: Task | Approval | Loop | Worktree | Region) -> None:
    # Not one merged table: making that for each node was quadratic, 10 s of a render of 20,000.
    places = (plan.spaces,) if isinstance(node, Worktree) else (plan.items, plan.loops, plan.regions)
    twin = next((place[node.id] for place in places if node.id in place), None)
    if twin is not None:
        kind = "worktree" if isinstance(node, Worktree) else "id"
        raise refuse(
            node,
            f"duplicate {kind} {node.id!r}: it is already used at {twin.node.where}",
            "give each node an id of its own, made from data: Task(f'test-{name}', …)",
        )


def _names(plan: Plan, known: frozenset[str]) -> dict[str, list[str]]:
    """Parameter name to the nodes that it can mean. What is rendered now goes before what no longer is."""
    found: dict[str, list[str]] = {}
    for ids in (sorted(known - plan.items.keys()), plan.items):
        now: dict[str, list[str]] = {}
        for id in ids:
            now.setdefault(identifier(id), []).append(id)
        found |= now
    return found


def _link(plan: Plan, item: Item, names: dict[str, list[str]], known: frozenset[str]) -> None:
    node = item.node
    function = node.summary if isinstance(node, Approval) else (node.call or node.prompt)
    if callable(function):
        item.params = _params(item, function, names)
    wanted = dict.fromkeys((*node.needs, *item.params.values()))
    for need in wanted:
        if need in plan.items or need in known:
            continue
        close = difflib.get_close_matches(need, plan.items, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"the plan has: {', '.join(plan.items)}"
        raise refuse(node, f"{node.id!r} needs {need!r}, which is not in the plan", hint)
    item.needs = tuple(wanted)


def _params(item: Item, function: Any, names: dict[str, list[str]]) -> dict[str, str]:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some built-in functions, say dict, do not tell
        said = f"{item.node.id!r}: the parameters of {function!r} cannot be read"
        raise refuse(item.node, said, "wrap it in a function: lambda: …") from None
    found: dict[str, str] = {}
    for name, parameter in parameters.items():
        if parameter.default is not parameter.empty or name in RESERVED:
            continue  # a default is the usual way to bind a loop variable; it names no node
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            raise refuse(
                item.node,
                f"{item.node.id!r} asks for {name!r}, which is not in the plan",
                f"did you mean {close[0]!r}?" if close else "name the parameter after a node (- and : become _)",
            )
        meant = [name] if name in names[name] else names[name]
        if len(meant) > 1:
            said = f"{item.node.id!r} asks for {name!r}, which can mean {' or '.join(map(repr, meant))}"
            raise refuse(item.node, said, "rename one of them")
        found[name] = meant[0]
    return found


def gate_of(plan: Plan, item: Item, need: str) -> str | None:
    """The loop that must be finished before `item` may use `need`: the outermost one around `need` but not `item`."""
    target = plan.items[need]
    shared = 0
    while shared < min(len(item.loops), len(target.loops)) and item.loops[shared] == target.loops[shared]:
        shared += 1
    return target.loops[shared] if len(target.loops) > shared else None


Point = tuple[str, object]


def _order(plan: Plan) -> dict[Point, set[Point]]:
    """What must be over before what: from each start and end in the tree to the points just before it."""
    before: dict[Point, set[Point]] = {}

    def place(node: Node, start: Point, end: Point) -> None:
        before.setdefault(end, set()).add(start)
        if isinstance(node, Task | Approval):
            return
        last = start
        for child in node.children:
            name: object = child.id if isinstance(child, Task | Approval | Loop) else id(child)
            first, done = ("start", name), ("end", name)
            in_a_row = isinstance(node, Sequence | Loop | Worktree)
            before.setdefault(first, set()).add(last if in_a_row else start)
            before[end].add(done)
            place(child, first, done)
            last = done

    root: object = plan.root.id if isinstance(plan.root, Task | Approval | Loop) else id(plan.root)
    place(plan.root, ("start", root), ("end", root))
    for item in plan.items.values():
        for need in item.needs:
            if need in plan.items:
                before.setdefault(("start", item.node.id), set()).add(("end", gate_of(plan, item, need) or need))
    return before


def dependents(plan: Plan, nodes: Iterable[str]) -> set[str]:
    """Tasks that can only start once one of `nodes` is done, directly or not."""
    after: dict[Point, set[Point]] = {}
    for point, earlier in _order(plan).items():
        for one in earlier:
            after.setdefault(one, set()).add(point)
    seen: set[Point] = set()
    pending: list[Point] = [("end", node) for node in nodes]
    while pending:
        point = pending.pop()
        if point not in seen:
            seen.add(point)
            pending.extend(after.get(point, ()))
    return {name for kind, name in seen if kind == "start" and isinstance(name, str) and name in plan.items}


def _refuse_cycles(plan: Plan) -> None:
    """Order in a Sequence and `needs` together must not form a circle: nothing in it could ever start."""
    try:
        TopologicalSorter(_order(plan)).prepare()
    except CycleError as error:
        found = {name for _, name in error.args[1]}
        circle = [name for name in plan.items if name in found]
        raise refuse(
            plan.items[circle[0]].node,
            f"deadlock: {' and '.join(map(repr, circle))} wait for each other",
            "drop one of the needs, or reorder the tasks",
        ) from None
