"""The state of a merge queue: a fold over its events. `apply` is the only place where a status changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from smithers_git.core.landing import events as ev
from smithers_git.core.landing.entry import Entry, Gate

Status = Literal["waiting", "landed", "refused", "ejected", "replaced"]
Verdict = Literal["green", "red", "suspect", "broken", "open"]

WINDOW: Final = 4
"""Candidates that are verified ahead at first. It grows by each landing and is halved by each red gate."""

BREAKS: Final = 3
"""Runs of one gate on one tree that infrastructure may end before that counts."""


class RunKey(NamedTuple):
    """What a verdict is about: one gate on one exact tree in one environment."""

    tree: str
    gate: Gate
    env: str


@dataclass(slots=True)
class GateRuns:
    """How one gate went on one tree."""

    passed: int = 0
    failed: int = 0
    broken: int = 0
    forgiven: int = 0
    """Failures that no longer count, since somebody asked for the verdict anew."""
    log: str | None = None
    """Path of the newest output of a run that did not pass."""
    message: str = ""

    @property
    def verdict(self) -> Verdict:
        """Green after one pass; red after two failures and no pass; suspect after one, which is to be confirmed.

        Broken when infrastructure has ended too many runs: such runs are no evidence, and cannot go on for ever.
        """
        if self.passed:
            return "green"
        failed = self.failed - self.forgiven
        if failed >= 2:
            return "red"
        if self.broken >= BREAKS:
            return "broken"
        return "suspect" if failed else "open"

    def ask_again(self) -> None:
        """Forget what was not green; a pass and the record of a flake stay."""
        self.forgiven, self.broken = self.failed, 0


@dataclass(frozen=True, slots=True)
class Held:
    by: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Hooked:
    """What the user's hooks said of a commit."""

    entry: str
    passed: bool
    message: str
    log: str | None = None


@dataclass(slots=True)
class EntryState:
    """One entry and what became of it."""

    entry: Entry
    order: int
    """Arrival: 0 for the first entry of the queue. One that waits again goes to the end."""
    entered: float
    """Unix seconds of its last entering."""
    by: str = ""
    status: Status = "waiting"
    held: Held | None = None
    reason: ev.Reason | None = None
    message: str = ""
    evidence: str | None = None
    tree: str | None = None
    gate: Gate | None = None
    commit: str | None = None
    """Of the target, once it has landed."""
    ended: float | None = None
    receipt: str | None = None


@dataclass(slots=True)
class QueueState:
    """Everything that a merge queue is, besides the target itself."""

    target: str = ""
    base: str | None = None
    number: int = -1
    """Number of the last frame; -1 before frame 0."""
    updated: float = 0.0
    entries: dict[str, EntryState] = field(default_factory=dict)
    """By id, oldest first."""
    names: dict[str, str] = field(default_factory=dict)
    """Name to the id of the newest entry that has it."""
    arrived: int = 0
    """How often entries have arrived."""
    runs: dict[RunKey, GateRuns] = field(default_factory=dict)
    hooks: dict[str, Hooked] = field(default_factory=dict)
    """By commit."""
    window: int = WINDOW
    landing: ev.LandingBegun | None = None
    """What was begun and is neither done nor void."""
    begun: float = 0.0
    """Unix seconds of the newest beginning."""
    held: Held | None = None
    """The whole queue, by somebody."""
    landed_names: dict[str, str] = field(default_factory=dict)
    """Name to the commit with which it last landed."""
    tips: dict[str, str] = field(default_factory=dict)
    """Commits to which we moved the target, with their trees."""
    flakes: dict[Gate, int] = field(default_factory=dict)
    """Trees on which a gate both passed and failed."""

    def runs_of(self, tree: str, gate: Gate, env: str) -> GateRuns:
        """How `gate` went on `tree`; fresh, not kept, when it has not run."""
        return self.runs.get(RunKey(tree, gate, env)) or GateRuns()

    def waiting(self) -> list[EntryState]:
        """Entries that have not ended, oldest first."""
        return [one for one in self.entries.values() if one.status == "waiting"]


def apply(state: QueueState, event: ev.QueueEvent, at: float) -> QueueState:
    """Fold one event, which happened at `at` (Unix seconds), into `state`; changes and returns it."""
    _APPLY[type(event)](state, event, at)
    state.updated = at
    return state


def _opened(state: QueueState, event: ev.QueueOpened, _at: float) -> None:
    state.target, state.base = event.target, event.base


def _entered(state: QueueState, event: ev.EntryEntered, at: float) -> None:
    entry = event.entry
    known = state.entries.get(entry.id)
    if known is not None and known.status == "landed":
        return  # the same content: it is done
    if known is not None and known.status == "waiting":
        known.entry = entry  # its place stays; priority and the like may be new
        return
    before = state.entries.get(state.names.get(entry.name, ""))
    if before is not None and before is not known and before.status != "landed":
        before.status, before.ended, before.held = "replaced", at, None
        before.message = f"replaced by {entry.id}"
    if known is not None:
        _judge_anew(state, known)
    state.entries[entry.id] = EntryState(entry, state.arrived, at, event.by)
    state.names[entry.name] = entry.id
    state.arrived += 1


def _judge_anew(state: QueueState, known: EntryState) -> None:
    """Whoever enters the same content again says that the verdict was not its fault: a flake, a machine."""
    for key, runs in state.runs.items():
        if runs.passed == 0 and (key.tree, key.gate) == (known.tree, known.gate):
            runs.ask_again()
    for commit in [c for c, hooked in state.hooks.items() if hooked.entry == known.entry.id and not hooked.passed]:
        del state.hooks[commit]


def _gate_ran(state: QueueState, event: ev.GateRan, _at: float) -> None:
    runs = state.runs.setdefault(RunKey(event.tree, event.gate, event.env), GateRuns())
    flaky = bool(runs.passed and runs.failed)
    if event.outcome == "passed":
        runs.passed += 1
    else:
        runs.failed += event.outcome == "failed"
        runs.broken += event.outcome == "broken"
        runs.log, runs.message = event.log, event.message
    if runs.passed and runs.failed and not flaky:
        state.flakes[event.gate] = state.flakes.get(event.gate, 0) + 1


def _hook_ran(state: QueueState, event: ev.HookRan, _at: float) -> None:
    state.hooks[event.commit] = Hooked(event.entry, event.passed, event.message, event.log)


def _refused(state: QueueState, event: ev.EntryRefused, at: float) -> None:
    one = state.entries[event.entry]
    one.status, one.ended = "refused", at
    one.reason, one.message, one.evidence = event.reason, event.message, event.evidence
    one.tree, one.gate = event.tree, event.gate
    if event.reason == "red":
        state.window = max(1, state.window // 2)


def _begun(state: QueueState, event: ev.LandingBegun, at: float) -> None:
    state.landing, state.begun = event, at


def _void(state: QueueState, _event: ev.LandingVoid, _at: float) -> None:
    state.landing = None


def _landed(state: QueueState, event: ev.EntryLanded, at: float) -> None:
    one = state.entries[event.entry]
    one.status, one.ended, one.commit, one.receipt = "landed", at, event.commit, event.receipt
    one.reason, one.message, one.evidence, one.held = None, "", None, None
    state.landed_names[one.entry.name] = event.commit
    if event.receipt is not None:
        state.tips[event.commit] = event.tree
        state.window += 1
    if state.landing is not None and state.landing.entry == event.entry:
        state.landing = None


def _ejected(state: QueueState, event: ev.EntryEjected, at: float) -> None:
    one = state.entries[event.entry]
    if one.status != "landed":  # it may have landed while somebody took it out
        one.status, one.ended, one.held = "ejected", at, None
        one.message = f"ejected by {event.by}" + (f": {event.note}" if event.note else "")


def _held(state: QueueState, event: ev.EntryHeld, _at: float) -> None:
    if event.entry is None:
        state.held = Held(event.by, event.note)
    else:
        state.entries[event.entry].held = Held(event.by, event.note)


def _resumed(state: QueueState, event: ev.EntryResumed, _at: float) -> None:
    if event.entry is not None:
        state.entries[event.entry].held = None
        return
    state.held = None
    for runs in state.runs.values():
        if runs.passed == 0:
            runs.ask_again()


_APPLY: dict[type, Callable[[QueueState, Any, float], None]] = {
    ev.QueueOpened: _opened,
    ev.EntryEntered: _entered,
    ev.GateRan: _gate_ran,
    ev.HookRan: _hook_ran,
    ev.EntryRefused: _refused,
    ev.LandingBegun: _begun,
    ev.LandingVoid: _void,
    ev.EntryLanded: _landed,
    ev.EntryEjected: _ejected,
    ev.EntryHeld: _held,
    ev.EntryResumed: _resumed,
}
