"""Which accounts are at a limit, and until when: one small file each, shared by all runs of the user.

An account is an agent with what selects it: the variables that hold its key or its folder. They are only in the file's
name, and only as a part of a hash; what a key is, no file says.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from smithers_git.core.profile import Profile
from smithers_git.core.settings import AgentSettings
from smithers_git.edge.git.command import storage_errors
from smithers_git.edge.lock import holding
from smithers_git.service.project import Project

FIRST: Final = 300.0
"""Seconds until the next try when nothing says when a limit ends; twice as long each time, up to LONGEST."""
LONGEST: Final = 3600.0
_SHORTEST: Final = 1.0
"""Seconds of the first wait, whatever was said; twice as long each time, up to FIRST: a service that says "in 20 ms"
again and again is not asked fifty times a second."""
_WAIT: Final = 5.0
_MESSAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Limit:
    """An account that was at a limit when it was used last."""

    agent: str
    until: float
    """Unix seconds at which it may be used again."""
    since: float
    times: int
    """How often in a row."""
    message: str
    """What its service said."""


@dataclass(frozen=True, slots=True)
class Account:
    """The account that one agent uses in one project."""

    path: Path
    agent: str

    def limit(self) -> Limit | None:
        """The limit it was at last; None after a success, or when it never was at one. It may be over."""
        try:
            found = json.loads(self.path.read_bytes())
            return Limit(**{name: found[name] for name in Limit.__dataclass_fields__})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    @storage_errors
    def hit(self, said: float | None, message: str, now: float) -> float:
        """Note that it is at a limit; returns the Unix seconds until which it is left alone.

        Args:
            said: the moment at which the limit ends, in Unix seconds, as its service said; None when it did not.
            message: its words.
            now: Unix seconds.

        Raises:
            StorageError: the file cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with holding(self.path.with_suffix(".lock"), _WAIT):
            old = self.limit()
            # Several attempts that were under way meet the same limit: that is once.
            times = 1 if old is None else old.times + (old.until <= now)
            if said is None:
                until = now + min(LONGEST, FIRST * 2 ** min(times - 1, 10))
            else:
                until = max(said, now + min(FIRST, _SHORTEST * 2 ** min(times - 1, 10)))
            if old is not None and old.until > now:
                until = max(until, old.until)
            known = Limit(self.agent, until, now, times, message[:_MESSAGE])
            fresh = self.path.with_suffix(".new")
            fresh.write_text(json.dumps(asdict(known)), "utf-8")
            fresh.replace(self.path)
        return float(until)

    @storage_errors
    def clear(self) -> None:
        """It works: forget the limit. Raises StorageError."""
        self.path.unlink(missing_ok=True)


def account(project: Project, profile: Profile, own: AgentSettings) -> Account:
    """The account that the agent of `profile` uses with the settings `own`."""
    patterns = [*profile.env.passed, *own.pass_env, *(profile.login.env if profile.login else ())]
    chosen = {
        name: value
        for name, value in project.environ.items()
        if name == "HOME" or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    }
    words = json.dumps([profile.name, sorted(chosen.items()), sorted(own.env.items())], default=str)
    name = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', profile.name)}-{hashlib.sha256(words.encode()).hexdigest()[:16]}"
    return Account(_folder(project) / f"{name}.json", profile.name)


def _folder(project: Project) -> Path:
    return project.user_state / "limits"
