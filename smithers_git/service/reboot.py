"""What is looked at once after the machine went down: power may have been lost, and with it what was not flushed.

What was acknowledged is in flushed frames. But git and agents flush little of what they write beside them, so objects,
records of worktrees, locks and the index may be torn, and are put in order before anything relies on them. That the
machine went down cleanly cannot be told, and does no harm: then there is nothing to mend.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from smithers_git.edge import boot
from smithers_git.edge.git.command import storage_errors
from smithers_git.edge.lock import holding
from smithers_git.errors import SmithersError
from smithers_git.names import OURS

if TYPE_CHECKING:
    from smithers_git.service.project import Project

_NAME: Final = "boot"
_WAIT: Final = 60.0


def look(project: Project) -> None:
    """Put a repository in order in which smithers has worked, once for each start of the machine.

    Costs two small reads when that was done. Where nothing can be written, or settings cannot be read, it is left for
    a command that can: what is torn is then an error where it is met.
    """
    now = boot.current()
    with suppress(OSError, SmithersError):
        known = _known(project.state_dir)
        if known == now.id or (known is None and _is_new(project, now.since)):
            return
        with holding(project.state_dir / "locks" / "boot.lock", _WAIT):
            if _known(project.state_dir) != now.id:
                _mend(project, now.since)
                note(project.state_dir)


def _is_new(project: Project, since: float) -> bool:
    """Whether nothing of ours was here when the machine started. The first engine notes that."""
    # A power loss may take the folder of our own files, and leave a lock of a landing.
    ours = project.state_dir, project.repository.common_dir / OURS
    place = next((place for place in ours if place.is_dir()), None)
    return place is None or place.stat().st_mtime >= since


def _mend(project: Project, since: float) -> None:
    from smithers_git.edge.git import aftermath  # what only this needs, and no command that finds all in order

    common_dir = project.repository.common_dir
    aftermath.clear_locks(common_dir, since)
    aftermath.clear_objects(common_dir, since)
    aftermath.mend_records(common_dir, project.workspaces("").root, since)
    for file in project.state_dir.glob("index.sqlite*"):
        file.unlink(missing_ok=True)


@storage_errors
def note(place: Path) -> None:
    """Note in the folder `place` which start of the machine this is; raises StorageError.

    It is not flushed: what a power loss leaves of it is no note, or one of another start.
    """
    if _known(place) != boot.current().id:
        place.mkdir(parents=True, exist_ok=True)
        (place / _NAME).write_text(boot.current().id, "ascii")


def _known(place: Path) -> str | None:
    try:
        return (place / _NAME).read_text("ascii", "replace")
    except FileNotFoundError:
        return None


def went_down(project: Project, place: Path, moment: float) -> bool:
    """Whether the machine was started since `note(place)`; without a note, since `moment`, in Unix seconds.

    The clock alone cannot tell: it is put forward when a laptop or a virtual machine wakes, and a frame may be younger
    than the start and say nothing of the files.
    """
    now, known = boot.current(), _known(place)
    certain = known is not None and now.exact
    return known != now.id and (certain or moment < project.clock.now() - project.clock.monotonic())
