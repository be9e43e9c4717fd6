"""What is looked at once after the machine went down: power may have been lost, and with it what was not flushed.

What was acknowledged is in flushed frames. But git and agents flush little of what they write beside them, so objects,
records of worktrees, locks and the index may be torn, and are put in order before anything relies on them. That the
machine went down cleanly cannot be told, and does no harm: then there is nothing to mend.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from smithers_git.edge import boot
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
    path = project.state_dir / _NAME
    now = boot.current()
    try:
        known = path.read_text("ascii", "replace")
    except FileNotFoundError:
        known = ""
        # A power loss may take the folder of our own files, and leave a lock of a landing.
        ours = project.state_dir, project.repository.common_dir / OURS
        place = next((place for place in ours if place.is_dir()), None)
        if place is None or place.stat().st_mtime >= now.since:
            return  # nothing of ours was here when the machine started, or somebody has looked since
    except OSError:
        return
    if known == now.id:
        return
    with suppress(OSError, SmithersError), holding(project.state_dir / "locks" / "boot.lock", _WAIT):
        if not path.exists() or path.read_text("ascii", "replace") != now.id:
            _mend(project, now.since)
            # Not flushed: if it is lost, the next one looks once more.
            path.write_text(now.id, "ascii")


def _mend(project: Project, since: float) -> None:
    from smithers_git.edge.git import aftermath  # what only this needs, and no command that finds all in order

    common_dir = project.repository.common_dir
    aftermath.clear_locks(common_dir, since)
    aftermath.clear_objects(common_dir, since)
    aftermath.mend_records(common_dir, project.workspaces("").root, since)
    for file in project.state_dir.glob("index.sqlite*"):
        file.unlink(missing_ok=True)


def went_down(project: Project, moment: float) -> bool:
    """Whether the machine was started after `moment`, in Unix seconds; a little early where it has slept."""
    return moment < project.clock.now() - project.clock.monotonic()
