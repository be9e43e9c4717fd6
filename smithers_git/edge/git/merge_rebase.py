"""Which commits of a branch a rebase replays, as `git rebase` chooses them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from smithers_git.edge.git.command import git_bytes

_FORMAT: Final = "--format=tformat:%m%x00%H%x00%P%x00%T%x00%an <%ae> %ad%x00%B"
_FIELDS: Final = 6


@dataclass(frozen=True, slots=True)
class Step:
    """A change to replay.

    Attributes:
        commit: that has it.
        base: commit that it is a change of; None when it begins a history.
        author: as git writes it: `Name <mail> SECONDS ZONE`.
        message: of the commit; None for snapshots of the engine, which get a new one together.
        known: the target holds the same change already.
    """

    commit: str
    base: str | None
    author: str
    message: str | None
    known: bool


@dataclass(frozen=True, slots=True)
class _Listed:
    step: Step
    parents: tuple[str, ...]


def steps(common_dir: Path, onto: str, head: str, is_snapshot: Callable[[str], bool]) -> tuple[list[Step], list[str]]:
    """The changes of `head` that `onto` does not have, oldest first, and the merges, which `git rebase` leaves out.

    Snapshots that follow each other are one change. A snapshot that is a merge (an agent went to another branch, and
    the engine joined the two) stands for all that its other parents brought.
    """
    options = ("-z", "--no-show-signature", "--encoding=UTF-8", "--date=raw", "--topo-order", "--reverse")
    arguments = ("--cherry-mark", "--right-only", _FORMAT, f"{onto}...{head}", "--")
    fields = git_bytes(common_dir, "log", *options, *arguments).decode("utf-8", "replace").split("\0")
    listed = [_listed(fields[at : at + _FIELDS], is_snapshot) for at in range(0, len(fields) - 1, _FIELDS)]
    joined = _joined(listed)
    found: list[Step] = []
    merges: list[str] = []
    for one in listed:
        step = one.step
        if step.commit in joined:
            continue
        if len(one.parents) > 1 and step.message is not None:
            merges.append(step.commit)
            continue
        last = found[-1] if found else None
        if last and last.message is None and step.message is None and step.base == last.commit:
            found[-1] = replace(last, commit=step.commit, known=last.known and step.known)
        else:
            found.append(step)
    return found, merges


def _listed(fields: list[str], is_snapshot: Callable[[str], bool]) -> _Listed:
    mark, commit, before, _, author, message = fields
    parents = tuple(before.split())
    base = parents[0] if parents else None
    return _Listed(Step(commit, base, author, None if is_snapshot(message) else message, mark == "="), parents)


def _joined(listed: list[_Listed]) -> set[str]:
    """Commits that only the further parents of a snapshot lead to."""
    parents = {one.step.commit: one.parents for one in listed}

    def reach(tips: tuple[str, ...]) -> set[str]:
        seen: set[str] = set()
        pending = list(tips)
        while pending:
            commit = pending.pop()
            if commit in parents and commit not in seen:
                seen.add(commit)
                pending.extend(parents[commit])
        return seen

    found: set[str] = set()
    for one in listed:
        if len(one.parents) > 1 and one.step.message is None:
            found |= reach(one.parents[1:]) - reach(one.parents[:1])
    return found
