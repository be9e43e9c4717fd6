"""What a run costs: the disk of its worktrees, its frames in git, tokens and money."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from smithers_git.edge.git.usage import Part, disk_usage, parts
from smithers_git.errors import GitError
from smithers_git.names import BRANCHES, OURS, REWOUND
from smithers_git.service import archive, runs
from smithers_git.service.project import Project
from smithers_git.service.runs import RunView


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
    sizes = frame_bytes(project, views)
    own = {name.rpartition("/")[2] for name in project.objects.refs(OURS + "runs/")}
    for view in views:
        row = view.row
        folder = project.workspaces(row.run).path("main").parent
        yield Cost(
            run=row.run,
            status=view.status,
            updated=row.updated,
            worktrees=folder_bytes(folder),
            frames=sizes[row.run],
            tokens=row.tokens,
            money=row.cost,
            folded=row.run not in own,
        )


def users_tips(project: Project) -> list[str]:
    """Where the refs of the user are: what these reach, no run costs."""
    refs = project.objects.refs("refs/")
    wanted = ("refs/heads/", "refs/remotes/", "refs/tags/")
    return sorted({tip for name, tip in refs.items() if name.startswith(wanted) and not name.startswith(BRANCHES)})


def frame_bytes(project: Project, views: Sequence[RunView]) -> dict[str, int | None]:
    """Bytes of the objects that each run and its rewound tails hold and no ref of the user, as they lie on the disk.

    What several runs share counts for the oldest of them, and a delta counts without what it is against. None for a
    run of which objects are missing.
    """
    tips = {view.row.run: [view.row.tip] for view in views}
    for run, oid in _tails(project):
        if run in tips:
            tips[run].append(oid)
    oldest = {view.row.run: number for number, view in enumerate(sorted(views, key=lambda view: view.row.created))}
    without = users_tips(project)
    try:
        return _shared_out(parts(project.repository.common_dir, chain(*tips.values()), without), tips, oldest)
    except GitError:  # one damaged run must not hide what the others cost
        return {run: _alone(project, own, without) for run, own in tips.items()}


def _shared_out(found: list[Part], tips: Mapping[str, list[str]], oldest: Mapping[str, int]) -> dict[str, int | None]:
    """The bytes of commits, children first, by the oldest run whose commits lead to each."""
    sizes: dict[str, int | None] = dict.fromkeys(tips, 0)
    holders: dict[str, str] = {}

    def hold(commit: str, run: str) -> None:
        before = holders.get(commit)
        if before is None or oldest[run] < oldest[before]:
            holders[commit] = run

    for run, own in tips.items():
        for tip in own:
            hold(tip, run)
    for part in found:
        run = holders.pop(part.commit)
        sizes[run] = (sizes[run] or 0) + part.bytes
        for parent in part.parents:
            hold(parent, run)
    return sizes


def _alone(project: Project, tips: list[str], without: list[str]) -> int | None:
    try:
        return disk_usage(project.repository.common_dir, tips, without)
    except GitError:
        return None


def _tails(project: Project) -> Iterator[tuple[str, str]]:
    """The tails that rewinds left, folded or not: the run, and a commit."""
    for name, oid in (archive.refs(project.objects) | project.objects.refs(REWOUND)).items():
        if name.startswith(REWOUND):
            yield name.removeprefix(REWOUND).partition("/")[0], oid


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
