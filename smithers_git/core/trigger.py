"""Triggers: what starts a run by itself, a hook of git or a schedule. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from smithers_git.core import cron

Hook = Literal["post-commit", "pre-push", "post-merge", "post-checkout", "pre-commit", "commit-msg"]
HOOKS: Final[tuple[str, ...]] = get_args(Hook)
ASKS: Final = ("pre-push", "pre-commit", "commit-msg")
"""Hooks whose exit code git heeds: they can refuse."""

_VALUE: Final = re.compile(r"\{(branch|commit|remote|message)\}")


class TriggerSettings(BaseModel):
    """One `[[trigger]]` of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")
    """Its runs are called after it: 1 to 40 lower-case letters, digits and dashes."""
    on: Hook | Literal["cron"]
    workflow: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")
    """The name of a pack, so that all that it runs is known when the repository is trusted; never a path."""
    branches: list[str] = []
    """Globs, `*` within a part of the name and `**` over parts; empty for every branch."""
    paths: list[str] = []
    """Globs; one of the changed files must match. One without a slash matches a file's name in any folder."""
    input: dict[str, Any] = {}
    """The workflow's input. In its texts {branch}, {commit}, {remote} and {message} are filled in."""
    wait: bool = False
    """Have git wait for the end of the run; of a pre- hook and commit-msg its verdict decides."""
    timeout: float = Field(default=600.0, gt=0, le=86_400)
    """Seconds that git waits, at most; then the verdict is no."""
    schedule: str | None = None
    """For `on = "cron"`: five fields as in crontab, or @daily and its kind; in the local time of the machine."""

    @field_validator("schedule")
    @classmethod
    def _can_be_read(cls, value: str | None) -> str | None:
        if value is not None:
            cron.parse(value)
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> TriggerSettings:
        if (self.on == "cron") != (self.schedule is not None):
            raise ValueError(
                'a schedule goes with on = "cron"' if self.schedule else 'on = "cron" needs a schedule, say "0 3 * * *"'
            )
        if self.on == "cron" and (self.wait or self.branches or self.paths):
            raise ValueError("wait, branches and paths are for hooks; nobody waits for a schedule, and nothing changed")
        return self


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why triggers are looked at: something that git did or is about to do.

    Attributes:
        event: name of the hook.
        branch: short name of the branch concerned; empty on none. Of a push it is the remote's.
        commit: the commit concerned, and where the run starts from. Of pre-commit and commit-msg the one before.
        before: what `commit` is compared with to know the changed files; empty when that has to be found.
        tree: of pre-commit and commit-msg: what is going to be committed; else empty.
        remote: name of the remote, or its address, that is pushed to.
        message: of commit-msg: the message.
    """

    event: str
    branch: str
    commit: str
    before: str = ""
    tree: str = ""
    remote: str = ""
    message: str = ""


def concerned(triggers: Iterable[TriggerSettings], occasion: Occasion) -> list[TriggerSettings]:
    """The triggers for the occasion's event and branch; what they say of paths is not looked at."""
    found = [trigger for trigger in triggers if trigger.on == occasion.event]
    return [t for t in found if not t.branches or any(_glob(g).fullmatch(occasion.branch) for g in t.branches)]


def touches(trigger: TriggerSettings, changed: Sequence[str]) -> bool:
    """Whether one of the changed files (relative to the top, with slashes) is of those that the trigger names."""
    if not trigger.paths:
        return True
    for glob in trigger.paths:
        whole = _glob(glob if "/" in glob else f"**/{glob}")
        if any(whole.fullmatch(path) for path in changed):
            return True
    return False


def filled(value: Any, occasion: Occasion) -> Any:
    """An input with the occasion's values put into its texts, once: what they hold is not looked at again."""
    if isinstance(value, str):
        return _VALUE.sub(lambda match: str(getattr(occasion, match[1])), value)
    if isinstance(value, dict):
        return {key: filled(inner, occasion) for key, inner in value.items()}
    return [filled(inner, occasion) for inner in value] if isinstance(value, list) else value


def run_id(trigger: TriggerSettings, occasion: Occasion) -> str:
    """What the run of a trigger is called: the same for the same commit, so that a second one is refused by its ref."""
    staged = (occasion.tree, occasion.message) if occasion.tree else ()
    subject = "\0".join((occasion.commit, *staged))
    return f"{trigger.name}-{hashlib.sha256(subject.encode('utf-8', 'surrogateescape')).hexdigest()[:10]}"


def slot_id(trigger: TriggerSettings, slot: datetime) -> str:
    """What the run of a schedule is called: the same for the same minute."""
    return f"{trigger.name}-{slot:%Y%m%d-%H%M}"


def _glob(pattern: str) -> re.Pattern[str]:
    """`**/` is any number of folders, `**` anything, `*` and `?` anything but a slash."""
    said = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.removeprefix("/"))
    return re.compile("".join(said.get(part, re.escape(part)) for part in parts), re.DOTALL)
