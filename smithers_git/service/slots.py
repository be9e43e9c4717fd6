"""Who of the user has an agent at work on this machine, and who waits for that: one locked file each.

The kernel drops the lock of a process that dies, so a slot cannot leak. What the files say is decided on under one more
lock, so two who look at once do not both take the last slot.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from smithers_git.clock import Clock
from smithers_git.core.admission import Machine
from smithers_git.edge.git.command import storage_errors
from smithers_git.edge.lock import FileLock, holding, is_held
from smithers_git.errors import LockTimeout

_WAIT: Final = 1.0
"""Seconds to wait for the others who look; each needs about a millisecond."""
_SILENT: Final = 10.0
"""Seconds after which somebody in the line who asks no more (a stopped process) is passed over."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt of an agent, at work or in the line."""

    agent: str
    run: str
    node: str
    place: str
    """The folder of its repository."""
    since: float
    """Unix seconds."""
    reason: str = ""
    """What it waits for."""


class Ticket:
    """A place in the line, held until it is given back."""

    def __init__(self, claim: Claim, lock: FileLock) -> None:
        self.claim = claim
        self._lock = lock

    @property
    def name(self) -> str:
        return self._lock.path.name

    @storage_errors
    def tell(self, reason: str) -> None:
        """Still there: `reason` is what it waits for now."""
        if reason != self.claim.reason:
            self.claim = Claim(**{**asdict(self.claim), "reason": reason})
            self._lock.path.write_text(json.dumps(asdict(self.claim)), "utf-8")
        os.utime(self._lock.path)

    def give_back(self) -> None:
        _leave(self._lock)


class Slot:
    """The right to have one agent at work, held until it is given back."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    def give_back(self) -> None:
        _leave(self._lock)


class Slots:
    """The slots of one user on this machine.

    Args:
        home: their folder, `$XDG_STATE_HOME/smithers/slots`.
        memory: reads the bytes that are free.
        clock: for tests.
    """

    def __init__(self, home: Path, memory: Callable[[], int], clock: Clock) -> None:
        self.home, self._memory, self._clock = home, memory, clock

    @storage_errors
    def take(self, claim: Claim, ticket: Ticket | None, refusal: Callable[[Machine], str | None]) -> Slot | str:
        """A slot for `claim`, or why there is none now.

        Args:
            ticket: the claim's place in the line; None before it has one, which is behind all others.
            refusal: why the claim may not begin on a machine as it is; None when it may.

        Raises:
            StorageError: the folder cannot be written.
        """
        try:
            with holding(self.home / "slots.lock", _WAIT):
                reason = refusal(self._machine(ticket))
                return reason or Slot(self._enter("held", claim))
        except LockTimeout:
            return "others are being let in"

    @storage_errors
    def queue(self, claim: Claim) -> Ticket:
        """A place at the end of the line; raises StorageError."""
        return Ticket(claim, self._enter("waiting", claim))

    def working(self) -> list[Claim]:
        """The agents at work, the oldest first."""
        return [claim for _, claim in self._claims("held")]

    def waiting(self) -> list[Claim]:
        """Who waits, the first of the line first."""
        return [claim for _, claim in self._claims("waiting")]

    def _machine(self, ticket: Ticket | None) -> Machine:
        """What there is now, for who holds `ticket`."""
        working = tuple((claim.agent, claim.since) for claim in self.working())
        line = [(path, claim) for path, claim in self._claims("waiting") if not self._silent(path)]
        ahead = [claim.agent for path, claim in line if ticket is None or path.name < ticket.name]
        return Machine(self._clock.now(), self._memory(), working, tuple(ahead))

    def _silent(self, path: Path) -> bool:
        try:
            return self._clock.now() - path.stat().st_mtime > _SILENT
        except FileNotFoundError:
            return True

    def _enter(self, kind: str, claim: Claim) -> FileLock:
        # The time first: the names are the order of the line.
        name = f"{int(claim.since * 1e6):020d}-{os.getpid()}-{self._clock.token(8)}.lock"
        lock = FileLock(self.home / kind / name)
        lock.acquire(_WAIT, asdict(claim))
        return lock

    def _claims(self, kind: str) -> Iterator[tuple[Path, Claim]]:
        """Those whose owner lives, the oldest first."""
        folder = self.home / kind
        for path in sorted(folder.glob("*.lock")) if folder.is_dir() else ():
            if not is_held(path):
                path.unlink(missing_ok=True)  # who is just making it sees that and makes it again
                continue
            with suppress(OSError, ValueError, TypeError, KeyError):  # given back, or being written, at this moment
                found = json.loads(path.read_bytes())
                yield path, Claim(**{name: found[name] for name in Claim.__dataclass_fields__})


def _leave(lock: FileLock) -> None:
    lock.path.unlink(missing_ok=True)
    lock.release()
