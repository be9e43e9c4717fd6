"""What a hook left in the spool, read as occasions. Pure."""

from __future__ import annotations

import re
from typing import Final

from pydantic import BaseModel, ConfigDict

from smithers_git.core.trigger import Occasion

_HEADS: Final = "refs/heads/"
_ZERO: Final = re.compile(r"0+")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


class HookRecord(BaseModel):
    """One file of the spool, as `edge/hook.py` writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: str
    common: str
    """The git directory that all worktrees share, as git saw it."""
    top: str
    head: str
    branch: str
    """Full name; empty when HEAD is on none."""
    args: list[str]
    stdin: str
    before: str = ""
    tree: str = ""
    message: str = ""
    given: dict[str, str] = {}
    """PRE_COMMIT_… variables: the tool pre-commit gives its hooks those instead of arguments and input."""


def occasions(record: HookRecord) -> list[Occasion]:
    """What the record says happened: a push concerns each branch that it moves, everything else one."""
    if record.event == "pre-push":
        return _pushed(record)
    branch = record.branch.removeprefix(_HEADS) if record.branch.startswith(_HEADS) else ""
    before = record.before
    if record.event == "post-checkout":
        before = record.args[0] if record.args else record.given.get("PRE_COMMIT_FROM_REF", "")
        if record.given.get("PRE_COMMIT_CHECKOUT_TYPE") == "0":
            return []
    if not record.head and not record.tree:
        return []  # no commit, so nothing to start from
    found = Occasion(record.event, branch, record.head, _known(before), record.tree, message=record.message)
    return [found]


def _pushed(record: HookRecord) -> list[Occasion]:
    remote = (record.args[0] if record.args else "") or record.given.get("PRE_COMMIT_REMOTE_NAME", "")
    rows = [line.split(" ") for line in record.stdin.splitlines()]
    found = []
    for row in rows:
        if len(row) != 4 or not row[2].startswith(_HEADS) or not _known(row[1]):
            continue  # a tag, or a branch that is deleted there
        found.append(Occasion("pre-push", row[2].removeprefix(_HEADS), row[1], _known(row[3]), remote=remote))
    return found


def _known(commit: str) -> str:
    """A full commit id, or nothing: git writes zeros for "there is none"."""
    return commit if _COMMIT.fullmatch(commit) and not _ZERO.fullmatch(commit) else ""
