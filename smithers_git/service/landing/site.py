"""What landing on a branch touches besides git's objects: the user's checkouts and hooks, lanes, the queue's lock."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from smithers_git.core import commit_message
from smithers_git.edge.git import behind, clearance, follow, hooks
from smithers_git.edge.git.diff import titles
from smithers_git.edge.git.merge import Merger
from smithers_git.edge.git.objects import Objects
from smithers_git.edge.lock import FileLock
from smithers_git.service import lanes
from smithers_git.service.project import Project
from smithers_git.service.tickets import landed_tickets


class Site:
    """One branch of the user's as the merge queue reaches it. A test puts another one in its place, see `Project`.

    Args:
        project: the repository.
        target: full name of the branch.
    """

    def __init__(self, project: Project, target: str) -> None:
        self._project = project
        self._repo = project.repository
        self._target = target

    # -- what would land

    def merger(self, objects: Objects) -> Merger:
        """Makes candidates, for the thread that `objects` are of."""
        return Merger(self._repo, objects, commit_message.is_snapshot)

    def titles(self, base: str, tip: str, *paths: str) -> list[str]:
        """What was done on the way from `base` to `tip`, a line for each commit, of those `paths` if any."""
        return titles(self._repo, base, tip, *paths)

    def tickets(self, tip: str) -> Collection[str]:
        """Tickets that landed in the history of `tip`."""
        return landed_tickets(self._project.worktree, [tip])

    # -- what judges it

    def env(self) -> str:
        """Digest of all but the tree that a gate's verdict depends on."""
        return lanes.env_digest(self._project)

    def has_hooks(self) -> bool:
        """Whether hooks of the user's are asked before something lands."""
        return self._project.settings.landing.hooks and bool(hooks.find(self._repo, "merge"))

    def width(self) -> int:
        """How many gates may run at once."""
        return lanes.carries(self._project.settings)

    def lanes(self) -> lanes.Lanes:
        """Where gates and hooks run."""
        return lanes.Lanes(self._project)

    def lock(self) -> FileLock:
        """The lock that whoever drives the queue holds."""
        name = self._target.removeprefix("refs/heads/")
        return FileLock(self._project.state_dir / "locks" / "queue" / f"{name}.lock")

    # -- the branch, and the worktrees that have it checked out

    def checkouts(self) -> tuple[str, ...]:
        """Folders that have the branch checked out."""
        return tuple(str(one.path) for one in follow.checkouts(self._repo, self._target))

    def obstacle(self, old: str, new: str) -> str | None:
        """Why the branch cannot be moved now: a worktree that has it checked out could not follow. None: nothing."""
        for checkout in follow.checkouts(self._repo, self._target):
            why = clearance.obstacle(checkout, old, new)
            if why is not None:
                return f"{self._target.removeprefix('refs/heads/')} is checked out in {checkout.path}, and {why}"
        return None

    def move(self, old: str, new: str, title: str) -> None:
        """Compare-and-swap of the branch; raises RefMoved, GitError."""
        follow.move(self._repo, self._target, old, new, title)

    def follow(self, old: str, new: str, *, moved: bool, down: bool) -> Iterator[str]:
        """Bring the worktrees that have the branch checked out from `old` to `new`; yields why one did not follow.

        Args:
            old, new: commits.
            moved: the branch is at `new`. Else it went on, and files that are written half are all that is mended.
            down: the machine went down since the landing began.
        """
        for checkout in follow.checkouts(self._repo, self._target):
            if down:
                follow.take_up(checkout, old, new)
            why = follow.follow(checkout, old, new) if moved else None
            if why is not None:
                yield f"{checkout.path} did not follow: {why}"

    def catch_up(self, tip: str | None) -> Iterator[str]:
        """Have worktrees follow to `tip` that could not when that landed; yields those that have."""
        known = tip is not None and (self._repo.smithers_dir / "behind").is_dir()
        for checkout in follow.checkouts(self._repo, self._target) if known else ():
            if behind.known(checkout) is not None and follow.catch_up(checkout, tip or "") is None:
                yield f"{checkout.path} has followed"
