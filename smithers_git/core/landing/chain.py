"""The chain of candidates: S0 is the target's tip, each further one the one before it and one more entry.

What conflicts or was red leaves the chain, so that nothing behind it is tested with it; whose fault a red gate is
shows on the candidate before it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from smithers_git.core.landing import events as ev
from smithers_git.core.landing.entry import shown
from smithers_git.core.landing.order import Order
from smithers_git.core.landing.state import EntryState, QueueState, Verdict
from smithers_git.core.landing.view import Check, Conflict, Merged, Place, Position, View

_SEVERITY: tuple[Verdict, ...] = ("red", "broken", "suspect")
_SAID = {"red": "is red", "broken": "cannot run", "suspect": "was red once"}
_SHORT = 12


class Link(NamedTuple):
    """A candidate in the chain."""

    one: EntryState | None
    """None for the tip itself."""
    commit: str
    tree: str
    green: bool

    @property
    def name(self) -> str:
        return self.one.entry.name if self.one else "the target"


@dataclass(slots=True)
class Chain:
    """What came of the walk along the line."""

    state: QueueState
    view: View
    order: Order
    links: list[Link]
    """The tip, then the candidates that stand on each other."""
    line: list[Position] = field(default_factory=list)
    records: list[ev.QueueEvent] = field(default_factory=list)
    merge: list[tuple[str, str]] = field(default_factory=list)
    confirm: list[Check] = field(default_factory=list)
    """Gates that decide whose fault a red one is."""
    verify: list[Check] = field(default_factory=list)
    """Gates that the candidates lack, in the order of the chain, as far ahead as the window goes."""
    useful: set[Check] = field(default_factory=set)
    """All gates whose verdict matters."""
    awaits: dict[str, list[Check]] = field(default_factory=dict)
    """The gates that decide about an entry, by its id."""
    contained: list[str] = field(default_factory=list)
    out: set[str] = field(default_factory=set)
    """Names that have left the chain."""
    cut: str | None = None
    """Why the chain is not built any further."""
    doubt: str | None = None
    """Why nothing is begun any further along."""
    unmerged: bool = False
    """Whether that is for want of a candidate that is made now."""
    stopped: str | None = None
    former: dict[str, list[tuple[str, Merged]]] = field(default_factory=dict)

    @property
    def last(self) -> Link:
        return self.links[-1]

    @property
    def at_tip(self) -> bool:
        return len(self.links) == 1

    def place(self, one: EntryState, status: Place, blocker: str | None, commit: str | None = None) -> None:
        self.line.append(Position(one.entry.id, status, blocker, self.last.commit, commit))

    def leave(self, one: EntryState, status: Place, blocker: str | None, commit: str | None = None) -> None:
        """Put `one` beside the chain: what follows stands on the one before it."""
        self.out.add(one.entry.name)
        self.place(one, status, blocker, commit)

    def refuse(self, one: EntryState, event: ev.EntryRefused) -> None:
        self.records.append(event)
        self.leave(one, "refused", None)

    def verdict(self, check: Check) -> Verdict:
        return self.state.runs_of(check.tree, check.gate, self.view.env).verdict


def build(state: QueueState, view: View, order: Order) -> Chain:
    """Walk along the line and put one candidate on the other, as far as they are known."""
    chain = Chain(state, view, order, [Link(None, view.tip, view.tree, True)])
    chain.former = _former(state, view)
    for one in order.standing:
        _step(chain, one)
    return chain


def _former(state: QueueState, view: View) -> dict[str, list[tuple[str, Merged]]]:
    """Candidates that stand on what we landed before the present tip, by entry: a verdict on them may be under way."""
    found: dict[str, list[tuple[str, Merged]]] = {}
    for (onto, entry), merged in view.merges.items():
        if onto in state.tips and onto != view.tip and isinstance(merged, Merged):
            found.setdefault(entry, []).append((onto, merged))
    return found


def _step(chain: Chain, one: EntryState) -> None:
    gone = next((need for need in one.entry.depends_on if need in chain.out), None)
    if gone is not None:
        chain.leave(one, "blocked", f"waits for {gone}, which does not go on now")
        return
    if chain.cut is not None:
        chain.place(one, "queued", chain.cut)
        return
    if _on_trial(chain, one):
        return
    found = chain.view.merges.get((chain.last.commit, one.entry.id))
    if found is None:
        _unknown(chain, one)
    elif isinstance(found, Conflict):
        _conflict(chain, one, found)
    elif not found.trees:
        _nothing_new(chain, one)
    else:
        _candidate(chain, one, found)


def _unknown(chain: Chain, one: EntryState) -> None:
    last = chain.last
    if len(chain.links) > chain.state.window or chain.doubt is not None:
        chain.cut = chain.doubt or f"waits for its turn behind {last.name}"
        chain.place(one, "queued", chain.cut)
        return
    chain.merge.append((last.commit, one.entry.id))
    chain.cut, chain.unmerged = f"waits for the merge of {one.entry.name}", True
    chain.place(one, "merging", None)


def _nothing_new(chain: Chain, one: EntryState) -> None:
    if chain.at_tip:
        chain.contained.append(one.entry.id)
        chain.order.done.add(one.entry.name)
        chain.place(one, "contained", None)
    else:
        chain.place(one, "green", f"holds nothing new behind {chain.last.name}")


# -- conflicts


def _conflict(chain: Chain, one: EntryState, found: Conflict) -> None:
    """On the tip the entry goes back; otherwise it waits for whom it conflicts with."""
    tip = (chain.view.tip, one.entry.id)
    alone = found if chain.at_tip else chain.view.merges.get(tip)
    complete = all(need in chain.order.done for need in one.entry.depends_on)
    if isinstance(alone, Conflict) and complete:
        message = f"conflicts with the target: {alone.message}"
        chain.refuse(one, ev.EntryRefused(entry=one.entry.id, reason="conflict", message=message))
        return
    if alone is None:
        chain.merge.append(tip)
    rival = _rival(chain, one) if isinstance(alone, Merged) else "what is"
    chain.leave(one, "conflict", f"conflicts with {rival} ahead; if that lands, it goes back to its author")


def _rival(chain: Chain, one: EntryState) -> str:
    """The name of whom it conflicts with, by halving; asks for a merge where one is missing."""
    low, high = 0, len(chain.links) - 1
    while high - low > 1:
        middle = (low + high) // 2
        key = (chain.links[middle].commit, one.entry.id)
        found = chain.view.merges.get(key)
        if found is None:
            chain.merge.append(key)
            return f"one of {', '.join(link.name for link in chain.links[low + 1 : high + 1])}"
        if isinstance(found, Merged):
            low = middle
        else:
            high = middle
    return chain.links[high].name


# -- verdicts


def _candidate(chain: Chain, one: EntryState, merged: Merged) -> None:
    checks = _checks(one, merged)
    verdicts = {check: chain.verdict(check) for check in checks}
    worst = next((v for v in _SEVERITY if v in verdicts.values()), None)
    if worst is not None:
        check = next(check for check, verdict in verdicts.items() if verdict == worst)
        if not chain.last.green:
            _doubtful(chain, one, merged, check)
            return
        _troubled(chain, one, worst, check)
        chain.line[-1] = replace(chain.line[-1], commit=merged.commit)
        return
    missing = [check for check, verdict in verdicts.items() if verdict == "open"]
    chain.useful.update(missing)
    chain.awaits[one.entry.id] = missing
    ahead = chain.last.name
    if missing:
        within = len(chain.links) <= chain.state.window and chain.doubt is None
        if within:
            chain.verify += missing
        chain.place(one, "queued", None if within else chain.doubt or f"waits for its turn behind {ahead}")
    else:
        chain.place(one, "green", None if chain.at_tip else f"lands after {ahead}")
    chain.line[-1] = replace(chain.line[-1], commit=merged.commit)
    chain.links.append(Link(one, merged.commit, merged.trees[-1], not missing))


def _checks(one: EntryState, merged: Merged) -> list[Check]:
    """What has to be green: every commit that is put on the target, the one that stays on top first."""
    return list(dict.fromkeys(Check(tree, gate) for tree in reversed(merged.trees) for gate in one.entry.gates))


def _doubtful(chain: Chain, one: EntryState, merged: Merged, check: Check) -> None:
    """Red on top of what is not decided yet: it can be the fault of those ahead, so nothing is begun behind it.

    To go on without `one` would be a guess: where gates end at nearly the same time, and one entry in five is red, it
    costs a tenth more runs and gains no time.
    """
    chain.useful.update(_checks(one, merged))
    why = f"{shown(check.gate)} {_SAID[chain.verdict(check)]} on top of {chain.last.name}, which is not decided yet"
    chain.doubt = chain.doubt or f"waits until it is known whose fault {one.entry.name} shows"
    chain.place(one, "suspect", why, merged.commit)
    chain.links.append(Link(one, merged.commit, merged.trees[-1], False))


def _troubled(chain: Chain, one: EntryState, verdict: Verdict, check: Check) -> None:
    """A gate is not green on the candidate of `one`. Whose fault it is shows on the one before."""
    last, gate = chain.last, shown(check.gate)
    chain.useful.add(check)
    if verdict == "broken":
        chain.refuse(one, _refused(chain, one, check, "broken"))
        return
    before = Check(last.tree, check.gate)
    base = chain.verdict(before)
    if base in ("open", "suspect"):
        chain.useful.add(before)
    if verdict == "suspect":
        wanted = [] if base in ("red", "broken") else [check] if base == "green" else [check, before]
        _decide(chain, one, wanted)
    elif base == "green":
        chain.refuse(one, _refused(chain, one, check, "red"))
        return
    elif base in ("open", "suspect"):
        _decide(chain, one, [before])
    else:
        chain.leave(one, "blocked", None)
    if base in ("red", "broken"):
        _bad_base(chain, gate, base)


def _decide(chain: Chain, one: EntryState, checks: list[Check]) -> None:
    """Leave the chain until `checks` have shown whose fault it is."""
    chain.confirm += checks
    chain.awaits[one.entry.id] = checks
    chain.leave(one, "suspect", None)


def _bad_base(chain: Chain, gate: str, base: Verdict) -> None:
    """Nobody in the line is to blame for a gate that is red before anything is merged."""
    if chain.at_tip:
        chain.stopped = f"{gate} {_SAID[base]} on the target itself, at {chain.view.tip[:_SHORT]}"
        why = chain.stopped
    else:
        why = f"{gate} {_SAID[base]} without it too, on top of {chain.last.name}"
    chain.line[-1] = replace(chain.line[-1], status="blocked", blocker=why)


def _on_trial(chain: Chain, one: EntryState) -> bool:
    """Whether a verdict on a former tip settles the entry, or is just being confirmed there.

    Siblings go on landing while an entry is confirmed. What the confirmation says still counts: it stood on a commit
    of the target that was green. Without this an entry would be tried anew after each landing.
    """
    for onto, merged in chain.former.get(one.entry.id, ()):
        for check in _checks(one, merged):
            verdict = chain.verdict(check)
            if verdict not in ("red", "suspect") or chain.verdict(Check(chain.state.tips[onto], check.gate)) != "green":
                continue
            if verdict == "red":
                chain.refuse(one, _refused(chain, one, check, "red"))
                return True
            if check in chain.view.checking:
                chain.useful.add(check)
                chain.awaits[one.entry.id] = [check]
                chain.leave(one, "suspect", None, merged.commit)
                return True
    return False


def _refused(chain: Chain, one: EntryState, check: Check, reason: ev.Reason) -> ev.EntryRefused:
    runs = chain.state.runs_of(check.tree, check.gate, chain.view.env)
    said = "is red" if reason == "red" else f"could not be run in {runs.broken} attempts"
    message = f"{shown(check.gate)} {said} on tree {check.tree[:_SHORT]}" + (
        f": {runs.message}" if runs.message else ""
    )
    return ev.EntryRefused(
        entry=one.entry.id, reason=reason, message=message, evidence=runs.log, tree=check.tree, gate=check.gate
    )
