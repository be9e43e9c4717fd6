"""What each notifier has been told: a local file of its own, so that everything is told at least once and rarely twice.

It is written after each notification. A crash between the two leaves one that is sent again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from smithers_git.core.notice import Notice

TRIES: Final = 5
"""After so many failures a notification is given up."""
_REMEMBERED: Final = 2000
"""Sent ones that are known: what comes up again after a rewind or in a fork is not told twice."""


@dataclass(slots=True)
class Unsent:
    """A notification that is still to be sent."""

    notice: Notice
    tries: int = 0
    next_at: float = 0.0
    """Unix seconds before which it is not tried again."""


@dataclass(slots=True)
class Ledger:
    """What one notifier was told, and what not yet."""

    path: Path
    begun: float
    """Unix seconds: what happened before the notifier was configured is not told."""
    tips: dict[str, str] = field(default_factory=dict)
    """Ref to the newest commit that was looked at."""
    sent: list[str] = field(default_factory=list)
    unsent: dict[str, Unsent] = field(default_factory=dict)
    trouble: str | None = None
    """Why the last try failed; None when it did not."""
    given_up: int = 0
    """Notifications that were given up since one was sent."""
    said: bool = False
    """Whether a person was told of this trouble."""

    @classmethod
    def load(cls, path: Path, now: float) -> Ledger:
        """What stands in the file; a fresh one, written at once, when there is none or it is torn."""
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
            unsent = {one["notice"]["id"]: _unsent(one) for one in found.pop("unsent")}
            return cls(path=path, unsent=unsent, **found)
        except (OSError, ValueError, KeyError, TypeError):
            fresh = cls(path, now)
            fresh.save()
            return fresh

    def save(self) -> None:
        """Write it, whole or not at all. On a full disk it stays as it was, and something is told again."""
        self.sent = self.sent[-_REMEMBERED:]
        plain = {
            "begun": self.begun,
            "tips": self.tips,
            "sent": self.sent,
            "unsent": [asdict(one) for one in self.unsent.values()],
            "trouble": self.trouble,
            "given_up": self.given_up,
            "said": self.said,
        }
        fresh = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps(plain), "utf-8")
            fresh.replace(self.path)
        except OSError:
            return

    def take(self, notice: Notice) -> None:
        """Have it sent, unless it was."""
        if notice.id not in self.unsent and notice.id not in self.sent:
            self.unsent[notice.id] = Unsent(notice)

    def succeeded(self, notice: Notice) -> None:
        self.unsent.pop(notice.id, None)
        self.sent.append(notice.id)
        self.trouble, self.given_up, self.said = None, 0, False
        self.save()

    def failed(self, notice: Notice, why: str, now: float) -> None:
        one = self.unsent[notice.id]
        one.tries += 1
        one.next_at = now + 15.0 * 4**one.tries
        if one.tries >= TRIES:
            self.unsent.pop(notice.id)
            self.sent.append(notice.id)
            self.given_up += 1
        self.said = self.said and why == self.trouble
        self.trouble = why
        self.save()


def _unsent(found: dict[str, Any]) -> Unsent:
    notice = found.pop("notice")
    return Unsent(Notice(**{**notice, "command": tuple(notice["command"])}), **found)
