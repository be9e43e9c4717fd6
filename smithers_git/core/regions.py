"""Where a plan goes after a failure inside a Saga or a TryCatchFinally: the part of `schedule.decide` for regions.

A region whose body failed first lets what is in flight there end, and regions within it settle. Then one event says
what failed and what is to be undone; from then on only its handlers are looked at, until they have settled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import TYPE_CHECKING

from smithers_git.core import failure_events as ev
from smithers_git.core.failure_nodes import Region, Saga, TryCatchFinally
from smithers_git.core.nodes import Approval, Loop, Node, Task
from smithers_git.core.parts import NodeState, RegionState
from smithers_git.names import TaskKey

if TYPE_CHECKING:
    from smithers_git.core.schedule import Outcome
    from smithers_git.core.schedule import _Group as Group
    from smithers_git.core.schedule import _Walk as Walk

Groups = tuple["Group", ...]
Nodes = tuple[Node, ...]


def visit(walk: Walk, node: Region, groups: Groups) -> Outcome:
    """How far a region is; a failure comes out of it only when everything in it has settled."""
    key = key_of(walk, node.id)
    known = walk.state.regions.get(key)
    if known is not None:
        outcome = _settle(walk, node, known, groups)
        if outcome != "open" or known.caught:
            return outcome
        walk.thrown.append(known)  # it will fail: what is around it ends now, and nobody is asked there any more
        return "failed"
    outcome, inner = _guarded(walk, node.body, groups)
    if outcome == "failed":
        walk.decision.events.append(_failed(walk, node, inner, aborted=False))
        return "open"
    if outcome == "done" and isinstance(node, TryCatchFinally):
        return walk.sequence(walk, node.last, groups)
    return outcome


def unwind(walk: Walk, nodes: Nodes, cause: Walk) -> bool:
    """Let the regions that have begun within `nodes` undo and tidy up, since a failure ends what is around them.

    Returns whether they have all settled. `cause` holds the failure.
    """
    settled = [_unwind(walk, region, cause) for region in _regions(nodes)]  # all of them at once, not until one has
    return all(settled)


def _unwind(walk: Walk, node: Region, cause: Walk) -> bool:
    known = walk.state.regions.get(key_of(walk, node.id))
    inner = walk.fresh()
    if known is not None:
        outcome = _settle(inner, node, known, ())
    elif not _begun(walk, node):
        return True
    elif walk.sequence(inner, node.body, ()) == "done":
        inner = walk.fresh()
        outcome = walk.sequence(inner, node.last, ()) if isinstance(node, TryCatchFinally) else "done"
    else:
        if unwind(walk, node.body, cause) and not _busy(walk, node.body):
            walk.decision.events.append(_failed(walk, node, cause, aborted=True))
        return False
    walk.take(inner)
    return outcome == "done" or (outcome == "failed" and not _busy(walk, (node,)))


def _guarded(walk: Walk, nodes: Nodes, groups: Groups) -> tuple[Outcome, Walk]:
    """Look at `nodes` such that a failure among them stays there: "failed" only when nothing there goes on any more.

    Returns the walk that holds the failures too.
    """
    inner = walk.fresh()
    outcome = walk.sequence(inner, nodes, groups)
    if not inner.has_failed:
        walk.take(inner)
        return outcome, inner
    walk.decision.waits += [wait for wait in inner.decision.waits if wait.kind == "running"]
    settled = unwind(walk, nodes, inner)
    return ("failed" if settled and not _busy(walk, nodes) else "open"), inner


def _settle(walk: Walk, node: Region, known: RegionState, groups: Groups) -> Outcome:
    """What is still to do in a region whose body has failed."""
    if not known.settled:
        handle = _compensate if isinstance(node, Saga) else _catch
        outcome = handle(walk, node, known, groups)
        if outcome == "done":
            key = key_of(walk, node.id)
            walk.decision.events.append(ev.RegionSettled(node=key.node, iteration=key.iteration))
            return "open"
        return outcome
    if known.caught:
        return "done"
    walk.thrown.append(known)
    return "failed"


def _compensate(walk: Walk, node: Region, known: RegionState, groups: Groups) -> Outcome:
    """Undo the finished steps, the last one first; one that cannot be undone does not keep the others from it."""
    assert isinstance(node, Saga)
    failed = False
    for step in reversed(known.steps):
        outcome, inner = _guarded(walk, node.compensations.get(step, ()), groups)
        if outcome == "open":
            return "open"
        if outcome == "failed":
            walk.blame(inner)
            failed = True
    return "failed" if failed else "done"


def _catch(walk: Walk, node: Region, known: RegionState, groups: Groups) -> Outcome:
    """Catch, then tidy up; a failure of `catch` goes on outwards after that."""
    assert isinstance(node, TryCatchFinally)
    outcome, inner = _guarded(walk, node.catch, groups) if known.caught else ("done", None)
    if outcome == "open":
        return "open"
    last = walk.sequence(walk, node.last, groups)
    if last == "done" and inner is not None and outcome == "failed":
        walk.blame(inner)
        return "failed"
    return last


def _failed(walk: Walk, node: Region, cause: Walk, *, aborted: bool) -> ev.RegionFailed:
    """The event that turns a region to its handlers. One that is ended from outside catches nothing."""
    key, said = key_of(walk, node.id), cause.reason()
    kind = cause.kind()
    steps: list[str] = []
    handlers: list[Node] = []
    if isinstance(node, Saga):
        caught = node.on_failure == "compensate"
        if node.on_failure != "fail":
            reached = takewhile(lambda one: _done(walk, one[1]), node.actions.items())  # what never began is not done
            steps = [step for step, action in reached]
        handlers = [one for step in steps for one in (*node.actions[step], *node.compensations[step])]
    else:
        assert isinstance(node, TryCatchFinally)
        caught = bool(node.catch) and (not node.kinds or kind in node.kinds)
        handlers = [*node.catch, *node.last]
    inside = {str(one): walk.state.node(one) for one in _keys(walk, node.body)}
    regions = [str(key_of(walk, region.id)) for region in _all_regions(handlers)]
    return ev.RegionFailed(
        node=key.node,
        iteration=key.iteration,
        cause=said.node or node.id,
        kind=kind,
        error=said.error,
        hint=said.hint,
        caught=caught and not aborted,
        steps=steps,
        inside=[
            *(one for one, known in inside.items() if known.status == "failed"),
            *(str(key_of(walk, region.id)) for region in _all_regions(node.body)),
        ],
        dropped=sorted({str(one) for one in walk.state.open_still()} & inside.keys()),
        again=[*(str(one) for one in _keys(walk, handlers)), *regions],
        loops=[loop.id for loop in _loops(handlers)],
    )


def _done(walk: Walk, nodes: Nodes) -> bool:
    return walk.sequence(walk.fresh(), nodes, ()) == "done"


def _begun(walk: Walk, node: Region) -> bool:
    """Whether anything in the body of a region has happened in the pass that the loops around it are in."""
    if any(walk.state.loop(loop.id).iteration > walk.state.loop(loop.id).base for loop in _loops(node.body)):
        return True
    return any(_touched(walk.state.node(key)) for key in _keys(walk, node.body))


def _touched(node: NodeState) -> bool:
    return node.status != "pending" or node.started is not None


def _busy(walk: Walk, nodes: Nodes) -> bool:
    return any(key in walk.state.running for key in _keys(walk, nodes))


def key_of(walk: Walk, region: str) -> TaskKey:
    """The region in the pass that the loop around it is in."""
    loops = walk.plan.regions[region].loops
    return TaskKey(region, walk.state.loop(loops[-1]).iteration if loops else 0)


def _keys(walk: Walk, nodes: Iterable[Node]) -> Iterator[TaskKey]:
    """The leaves among `nodes`, each in the pass that its loop is in."""
    for node in nodes:
        if isinstance(node, Task | Approval):
            loops = walk.plan.items[node.id].loops
            yield TaskKey(node.id, walk.state.loop(loops[-1]).iteration if loops else 0)
        else:
            yield from _keys(walk, node.children)


def _regions(nodes: Iterable[Node]) -> Iterator[Region]:
    """The outermost regions among `nodes`."""
    for node in nodes:
        if isinstance(node, Region):
            yield node
        elif not isinstance(node, Task | Approval):
            yield from _regions(node.children)


def _all_regions(nodes: Iterable[Node]) -> Iterator[Region]:
    for region in _regions(nodes):
        yield region
        yield from _all_regions(region.children)


def _loops(nodes: Iterable[Node]) -> Iterator[Loop]:
    for node in nodes:
        if isinstance(node, Loop):
            yield node
        if not isinstance(node, Task | Approval):
            yield from _loops(node.children)
