"""What a merge queue does next. `plan(state, view)` is pure, and is computed anew on every event."""

from __future__ import annotations

from dataclasses import replace

from smithers_git.core.landing import events as ev
from smithers_git.core.landing.chain import Chain, build
from smithers_git.core.landing.order import held_by, order
from smithers_git.core.landing.state import EntryState, QueueState
from smithers_git.core.landing.view import Check, Conflict, Merged, Plan, Position, View

__all__ = ["Check", "Conflict", "Merged", "Plan", "Position", "View", "plan"]

_SHORT = 12


def plan(state: QueueState, view: View) -> Plan:
    """The line with every entry's blocker, and what to record, merge, start, cancel, show to the hooks, and land.

    Facts first: while there is something to record nothing else is begun, since it can change all of the rest.
    """
    if state.landing is not None:
        return _settling(state, state.landing)
    moved = [_moved(one) for one in state.waiting() if one.entry.id in view.moved - view.contained]
    if moved:
        return Plan(line=[Position(event.entry, "refused") for event in moved], records=list(moved))
    chain = build(state, view, order(state, view))
    made = Plan(line=chain.line, contained=[*sorted(view.contained & _ids(state)), *chain.contained])
    made.stopped = held_by(state.held) if state.held else chain.stopped
    if state.held is None:
        _land(chain, made)
        made.records[:0] = chain.records
    if made.records:
        made.hook = made.land = None
    else:
        _work(chain, made)
    made.line = [*_settled(chain, made), *chain.order.aside]
    return made


def _ids(state: QueueState) -> set[str]:
    return {one.entry.id for one in state.waiting()}


def _moved(one: EntryState) -> ev.EntryRefused:
    entry = one.entry
    message = f"{entry.branch or 'its branch'} is no longer at {entry.head[:_SHORT]}, which is what entered"
    return ev.EntryRefused(entry=entry.id, reason="moved", message=message)


def _settling(state: QueueState, begun: ev.LandingBegun) -> Plan:
    """The target is about to move, or has moved: the driver finds out which before anything else happens."""
    line = [Position(begun.entry, "landing", None, begun.before, begun.commit)]
    why = f"waits for the landing of {state.entries[begun.entry].entry.name}"
    line += [Position(one.entry.id, "queued", why) for one in state.waiting() if one.entry.id != begun.entry]
    return Plan(line=line)


def _work(chain: Chain, made: Plan) -> None:
    """Which gates to start and which to end, and which candidates to make."""
    checking = chain.view.checking
    # While a candidate is missing it is not known yet what the chain needs behind it.
    made.cancel = [] if chain.unmerged else sorted(checking - chain.useful, key=repr)
    if made.stopped is not None:
        return
    made.merge = list(dict.fromkeys(chain.merge))
    width = max(1, min(chain.state.window, chain.view.lanes))
    free = width - len(checking) + len(made.cancel)
    wanted = [check for check in dict.fromkeys([*chain.confirm, *chain.verify]) if check not in checking]
    made.start = wanted[: max(0, free)]


def _land(chain: Chain, made: Plan) -> None:
    """Land the first candidate when it is green and the user's hooks agree."""
    if len(chain.links) < 2:
        return
    first, view = chain.links[1], chain.view
    if not first.green or first.one is None:
        return
    entry = first.one.entry.id
    if view.hooks:
        hooked = chain.state.hooks.get(first.commit)
        if hooked is None:
            made.hook = (entry, view.tip, first.commit)
            return
        if not hooked.passed:
            message = hooked.message or "the repository's hooks refuse it"
            made.records.append(ev.EntryRefused(entry=entry, reason="hook", message=message, evidence=hooked.log))
            return
    if view.blocked is None:
        made.land = (entry, view.tip, first.commit)


def _settled(chain: Chain, made: Plan) -> list[Position]:
    """The line as it is once the plan is done: who is being checked, and who is stopped with the whole queue."""
    running = (chain.view.checking - set(made.cancel)) | set(made.start)
    return [_shown(chain, made, place, running) for place in chain.line]


def _shown(chain: Chain, made: Plan, place: Position, running: frozenset[Check] | set[Check]) -> Position:
    awaits = chain.awaits.get(place.entry, [])
    if any(check in running for check in awaits):
        return replace(place, status="checking" if place.status == "queued" else place.status, blocker=None)
    if place.blocker is not None or place.status == "contained":
        return place
    if made.stopped is not None:
        return replace(place, blocker=made.stopped)
    if awaits:
        return replace(place, blocker="waits for a free lane")
    if place.status == "green" and made.land is None and made.hook is None:
        return replace(place, blocker=chain.view.blocked)
    return place
