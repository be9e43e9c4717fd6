"""Room to work: nothing is begun without it, and a run that meets the end of it is parked, not failed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from smithers_git.core import amounts
from smithers_git.edge import disk
from smithers_git.edge.git.command import storage_errors
from smithers_git.errors import DiskFull, is_full
from smithers_git.service.project import Project

RESERVE: Final = {"work": 3 << 20, "frame": 1 << 20}
"""Bytes that are kept free: for what an attempt wrote just before the disk was full, and, whether that fits or not, for
the frame that says so, with what attempts said."""
_SPENT: Final = 1 << 20
"""A disk with fewer bytes is full, whatever a program said of its failure: git does not always tell why."""
HINT: Final = "smithers gc --dry-run shows what can be cleared away"


def require_room(project: Project) -> None:
    """Refuse to begin work where there is less room than `[disk] floor`; raises DiskFull, which says how much less."""
    floor = project.settings.disk.bytes
    for place in _places(project):
        free = project.free(place)
        if free < floor:
            missing = amounts.shown(floor - free)
            raise DiskFull(
                f"the disk of {place} has {amounts.shown(free)} free, {missing} less than [disk] floor asks for "
                f"({amounts.shown(floor)})",
                hint=HINT,
            )


def is_why(project: Project, error: Exception) -> bool:
    """Whether it was a full disk that `error` comes from."""
    return isinstance(error, DiskFull) or is_full(error) or spent(project)


def spent(project: Project) -> bool:
    """Whether nothing more can be written."""
    return any(project.free(place) < _SPENT for place in _places(project))


@storage_errors
def reserve(project: Project) -> None:
    """Keep some room, of a small disk a part of what is free; raises DiskFull."""
    for part, size in RESERVE.items():
        path = _reserve(project, part)
        if not path.exists():
            disk.fill(path, min(size, project.free(path) // 8))


def release(project: Project, *parts: str) -> bool:
    """Give some of that room free; says whether there was any."""
    there = [path for part in parts if (path := _reserve(project, part)).exists()]
    for path in there:
        path.unlink(missing_ok=True)
    return bool(there)


def _reserve(project: Project, part: str) -> Path:
    return project.state_dir / "reserve" / part


def _places(project: Project) -> tuple[Path, Path]:
    return project.repository.common_dir, project.workspaces("").root
