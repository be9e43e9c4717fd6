"""Whether what a repository brings along may run without somebody having started it.

A workflow that a person starts is that person's word. A hook or a schedule is nobody's: what it runs came with a pull,
perhaps. So the user says once that this repository is trusted, and again when what would run has changed. That word is
kept in the user's own folder, since whatever lies in a repository could be brought along, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from smithers_git.clock import iso
from smithers_git.edge import content
from smithers_git.edge import trust as store
from smithers_git.edge.lock import holding
from smithers_git.errors import NotTrusted
from smithers_git.service.project import Project

_KEPT: Final = 50
"""Digests of one repository: those of its branches and of older commits that are checked out again."""


@dataclass(frozen=True, slots=True)
class Trust:
    """How a repository stands with the user: `changed` was trusted as it had been."""

    state: Literal["trusted", "changed", "unknown"]
    digest: str


def look(project: Project) -> Trust:
    """How the repository stands, as its `.smithers` is in this checkout now."""
    digest = store.digest(project.worktree)
    known = store.read(project.user_state).get(_key(project))
    return Trust("unknown" if known is None else "trusted" if digest in known else "changed", digest)


def require(project: Project) -> None:
    """Raise NotTrusted unless all that the repository would run is trusted as it is now."""
    state = look(project).state
    if state != "trusted":
        what = "what its .smithers would run has changed since it was trusted" if state == "changed" else "it never was"
        raise NotTrusted(
            f"nothing of {project.worktree} runs by itself before the repository is trusted: {what}",
            hint="look at .smithers, then: smithers trust",
        )


def grant(project: Project) -> Trust:
    """Trust the repository as it is now; what was trusted before stays so."""
    digest = store.digest(project.worktree)
    home = project.user_state
    with holding(home / "trust.lock", 10.0):
        entries = store.read(home)
        known = entries.setdefault(_key(project), {})
        known[digest] = iso(project.clock.now())
        for old in sorted(known, key=lambda each: known[each])[: -_KEPT or None]:
            del known[old]
        store.write(home, entries)
    return Trust("trusted", digest)


def revoke(project: Project) -> bool:
    """Forget that the repository is trusted; returns whether it was in any form."""
    home = project.user_state
    with holding(home / "trust.lock", 10.0):
        entries = store.read(home)
        found = entries.pop(_key(project), None)
        if found is not None:
            store.write(home, entries)
    return found is not None


def own_content(project: Project) -> dict[str, list[str]]:
    """What the repository brings along that could run: names of its packs and agents."""
    top = project.worktree
    return {
        "packs": sorted(n for n, path in content.list_packs(top).items() if path.is_relative_to(top / ".smithers")),
        "agents": sorted(n for n, path in content.list_agents(top).items() if path.is_relative_to(top / ".smithers")),
    }


def _key(project: Project) -> str:
    return str(project.repository.common_dir.resolve())
