"""What a run costs: the disk of its worktrees, its frames in git, tokens and money."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from smithers_git.edge.git.usage import disk_usage
from smithers_git.errors import GitError
from smithers_git.names import BRANCHES, OURS
from smithers_git.service import archive, runs
from smithers_git.service.project import Project


@dataclass(frozen=True, slots=True)
class Cost:
    """One run. `frames` is approximate: see `frame_bytes`."""

    run: str
    status: runs.RunStatus
    updated: float
    worktrees: int
    """Bytes on the disk of all that lies in its folder of worktrees."""
    frames: int | None
    """Bytes of its history in git; None when objects are missing."""
    tokens: int
    money: float
    """US dollars, as the agents said."""
    folded: bool


def costs(project: Project) -> Iterator[Cost]:
    """What every run costs, newest first."""
    views = runs.views(project)
    tips = {view.row.run: view.row.tip for view in views}
    theirs = users_tips(project)
    own = {name.rpartition("/")[2] for name in project.objects.refs(OURS + "runs/")}
    for view in views:
        row = view.row
        without = [*theirs, *([tips[row.parent]] if row.parent in tips else [])]
        folder = project.workspaces(row.run).path("main").parent
        yield Cost(
            run=row.run,
            status=view.status,
            updated=row.updated,
            worktrees=folder_bytes(folder),
            frames=frame_bytes(project, row.run, row.tip, without),
            tokens=row.tokens,
            money=row.cost,
            folded=row.run not in own,
        )


def users_tips(project: Project) -> list[str]:
    """Where the refs of the user are: what these reach, no run costs."""
    refs = project.objects.refs("refs/")
    wanted = ("refs/heads/", "refs/remotes/", "refs/tags/")
    return sorted({tip for name, tip in refs.items() if name.startswith(wanted) and not name.startswith(BRANCHES)})


def frame_bytes(project: Project, run: str, tip: str, without: list[str]) -> int | None:
    """Bytes of the objects that the run and its rewound tails reach and `without` does not, as they lie on the disk.

    What two runs share without being forks counts for both, and a delta counts without what it is against.
    """
    tails = archive.tails(project.objects, run).values()
    try:
        return disk_usage(project.repository.common_dir, [tip, *tails], without)
    except GitError:
        return None


def folder_bytes(path: Path) -> int:
    """Bytes on the disk of a file, or of everything in a folder; a file with several names counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    pending = [path]
    while pending:
        place = pending.pop()
        try:
            found = place.lstat()
            if (found.st_dev, found.st_ino) in seen:
                continue
            seen.add((found.st_dev, found.st_ino))
            total += found.st_blocks * 512
            if place.is_dir() and not place.is_symlink():
                pending.extend(Path(entry.path) for entry in os.scandir(place))
        except OSError:  # it vanished while we look, or is closed to us
            continue
    return total
