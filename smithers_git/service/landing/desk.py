"""Enter a change into a queue and wait until it landed or was refused, turning the queue's wheel meanwhile.

One process may wait for many entries of one queue (a workflow with twenty tickets does): they share one thread that
drives the queue while nobody else does, and reads what the other one writes while somebody does.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from smithers_git.core.landing import events as ev
from smithers_git.core.landing.state import EntryState, QueueState
from smithers_git.errors import RefMoved, RunRefused
from smithers_git.service.landing.driver import Driver, Note
from smithers_git.service.landing.entries import Wish
from smithers_git.service.landing.ledger import Ledger, record
from smithers_git.service.landing.line import open_ledger
from smithers_git.service.project import Project

_PAUSE: Final = 0.2
"""Seconds between two looks while nothing can go on."""


@dataclass(slots=True)
class Ticket:
    """One entry that this process waits for."""

    entry: str
    state: EntryState | None = None
    """As last seen; None before the first look."""
    blocker: str | None = None
    """Why it does not go on, when it does not."""
    since: float | None = None
    """From when on, on the monotonic clock."""

    @property
    def settled(self) -> bool:
        return self.state is not None and self.state.status != "waiting"


@dataclass
class _Queue:
    """What the threads of this process share about one queue."""

    target: str
    changed: threading.Condition
    tickets: list[Ticket] = field(default_factory=list)
    served: bool = False
    """Whether a thread of ours drives or watches it."""
    error: Exception | None = None

    def open(self) -> set[str]:
        with self.changed:
            return {ticket.entry for ticket in self.tickets if not ticket.settled}


class Desk:
    """Where the tasks of one process hand in what wants to land."""

    def __init__(self, project: Project, note: Note) -> None:
        self.project = project
        self.note = note
        self._queues: dict[str, _Queue] = {}
        self._guard = threading.Lock()

    def land(self, wish: Wish, by: str, cancel: threading.Event, patience: float | None = None) -> Ticket:
        """Enter `wish` and wait until it is settled; returns what became of it.

        Args:
            wish: the entry and its target.
            by: who wants it.
            cancel: setting it takes the entry out of the queue again, unless it has landed.
            patience: seconds to wait while nothing in the queue can go on; None: for ever.

        Raises whatever stops the whole queue: the disk, a target that is gone.
        """
        ledger = open_ledger(self.project, wish.target, self.project.apart().objects)
        enter(self.project, ledger, wish, by)
        ticket = Ticket(wish.entry.id)
        shared = self._join(wish.target, ticket)
        try:
            while True:
                with shared.changed:
                    shared.changed.wait(_PAUSE)
                    if shared.error is not None:
                        raise shared.error
                    settled, blocked = ticket.settled, ticket.since
                if settled:
                    return ticket
                if cancel.is_set():
                    _withdraw(self.project, ledger, wish.entry.id)
                    return _as_it_was(shared, ticket)
                if patience is not None and blocked is not None and self.project.clock.monotonic() - blocked > patience:
                    return ticket
        finally:  # also when the withdrawal fails: a queue with a ticket of nobody would be driven for ever
            with shared.changed:
                shared.tickets.remove(ticket)

    def stuck(self, waiting: int, patience: float) -> str | None:
        """Why nothing goes on, when `waiting` entries wait here and none has got on for `patience` seconds."""
        with self._guard:
            shared = list(self._queues.values())
        tickets = [ticket for one in shared for ticket in one.tickets if not ticket.settled]
        before = self.project.clock.monotonic() - patience
        if len(tickets) != waiting or not all(one.since is not None and one.since <= before for one in tickets):
            return None
        return "; ".join(dict.fromkeys(one.blocker for one in tickets if one.blocker)) or None

    def _join(self, target: str, ticket: Ticket) -> _Queue:
        with self._guard:
            shared = self._queues.setdefault(target, _Queue(target, self.project.condition()))
            with shared.changed:
                shared.tickets.append(ticket)
                if not shared.served:
                    shared.error, shared.served = None, True
                    self.project.background(f"smithers queue {target}", lambda: self._serve(shared))
        return shared

    def _serve(self, shared: _Queue) -> None:
        """Drive the queue, or watch whoever does, as long as somebody here waits."""
        try:
            driver = Driver(self.project, shared.target, self.note)
            while not self._leave(shared):
                self._look(shared, driver)
        except Exception as error:  # noqa: BLE001 - raised again by each of those who would wait for ever
            with shared.changed:
                shared.error, shared.served = error, False
                shared.changed.notify_all()

    def _leave(self, shared: _Queue) -> bool:
        with self._guard, shared.changed:
            if shared.tickets:
                return False
            shared.served = False
            return True

    def _look(self, shared: _Queue, driver: Driver) -> None:
        lock = self.project.site(shared.target).lock()
        mine = lock.try_acquire({"doing": "landing"})
        if mine:
            try:
                driver.drive(lambda state: self._publish(shared, state, {}))
            finally:
                lock.release()
            blockers = {place.entry: place.blocker or "waits for its turn" for place in driver.plan.line}
        else:
            driver.ledger.reload()
            blockers = {}
        if self._publish(shared, driver.ledger.state, blockers):
            return
        with shared.changed:
            shared.changed.wait(_PAUSE)

    def _publish(self, shared: _Queue, state: QueueState, blockers: dict[str, str]) -> bool:
        """Tell everybody here how their entries stand; True when all are settled."""
        now = self.project.clock.monotonic()
        with shared.changed:
            for ticket in shared.tickets:
                found = state.entries.get(ticket.entry)
                # A copy: the driver applies what happens to its own before the frame that says so is written.
                ticket.state = replace(found) if found is not None else None
                ticket.blocker = blockers.get(ticket.entry)
                ticket.since = (ticket.since or now) if ticket.blocker is not None else None
            shared.changed.notify_all()
            return all(ticket.settled for ticket in shared.tickets)


def _as_it_was(shared: _Queue, ticket: Ticket) -> Ticket:
    """A ticket whose entry was taken out: it waited. That it was ejected is us, when it is told so before it leaves."""
    with shared.changed:
        ejected = ticket.state is not None and ticket.state.status == "ejected"
        return Ticket(ticket.entry) if ejected else ticket


def enter(project: Project, ledger: Ledger, wish: Wish, by: str) -> None:
    """Write the entry into its queue, unless it stands there already; makes the queue and an integration branch."""
    _begin(project, ledger, wish)

    def events(now: Ledger) -> list[ev.QueueEvent]:
        known = now.state.entries.get(wish.entry.id)
        if known is not None and known.status in ("waiting", "landed"):
            return []
        base = now.objects.ref(wish.target)
        opened: list[ev.QueueEvent] = [] if now.tip else [ev.QueueOpened(target=wish.target, base=base)]
        return [*opened, ev.EntryEntered(entry=wish.entry, by=by)]

    record(ledger, project.clock, events)


def _begin(project: Project, ledger: Ledger, wish: Wish) -> None:
    """Make sure that there is a target. An integration branch begins at the run's base, and again when all that it
    holds is in that base: its work came home."""
    objects, tip = ledger.objects, ledger.objects.ref(wish.target)
    if tip is None and wish.base is None:
        name = wish.target.removeprefix("refs/heads/")
        raise RunRefused(f"there is no branch {name!r} to land on", hint=f"make it first: git branch {name}")
    if wish.base is None or tip == wish.base or ledger.state.waiting() or ledger.state.landing is not None:
        return
    if tip is None or (objects.is_ancestor(tip, wish.base) and not project.site(wish.target).checkouts()):
        with suppress(RefMoved):  # another run began it in this moment
            objects.advance(wish.target, tip, wish.base)


def _withdraw(project: Project, ledger: Ledger, entry: str) -> None:
    def events(now: Ledger) -> list[ev.QueueEvent]:
        known = now.state.entries.get(entry)
        if known is None or known.status != "waiting" or now.state.landing is not None:
            return []
        return [ev.EntryEjected(entry=entry, by="smithers", note="whoever waited for it was stopped")]

    ledger.reload()
    record(ledger, project.clock, events)
