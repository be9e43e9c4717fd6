"""When to pack what smithers wrote: quietly, beside the run, and at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from smithers_git.edge.git.pack import consolidate, crowded, pack, pack_reachable
from smithers_git.errors import GitError, StorageError
from smithers_git.names import BRANCHES
from smithers_git.service.project import Project

OFTEN: Final = 2048
"""Objects that this process writes between two packs; well below the 6,700 at which git starts a gc of its own."""


class Packer:
    """Packs for one engine. git does the work in a process of its own (50 us an object), so the run does not wait.

    A repository that cannot be packed is the user's to mend, not a reason for a run to fail: `noted` is told, once.
    """

    def __init__(self, project: Project, noted: Callable[[str], None]) -> None:
        self._project = project
        self._noted = noted
        self._thread: threading.Thread | None = None
        self._works = True

    def look(self) -> None:
        """Begin to pack if there is enough to pack and nobody does it already."""
        written = self._project.objects.written
        if len(written) < OFTEN or not self._works or (self._thread is not None and self._thread.is_alive()):
            return
        names = list(written)
        del written[: len(names)]
        self._begin(lambda common_dir: pack(common_dir, names))

    def finish(self) -> None:
        """At the end of a run: pack what is loose of ours, if loose objects pile up, and wait for it."""
        if self._thread is not None:
            self._thread.join()
        project = self._project
        written = list(project.objects.written)
        if self._works and written and crowded(project.repository.common_dir):
            project.objects.written.clear()
            self._begin(lambda common_dir: pack(common_dir, written)).join()
        if self._works and written and crowded(project.repository.common_dir):
            refs = project.objects.refs("refs/")
            ours = {tip for name, tip in refs.items() if name.startswith(("refs/smithers/", BRANCHES))}
            theirs = {tip for name, tip in refs.items() if name.startswith("refs/heads/")} - ours
            self._begin(lambda common_dir: pack_reachable(common_dir, sorted(ours), sorted(theirs))).join()

    def _begin(self, work: Callable[..., None]) -> threading.Thread:
        self._thread = threading.Thread(target=self._pack, args=(work,), name="smithers packing", daemon=True)
        self._thread.start()
        return self._thread

    def _pack(self, work: Callable[..., None]) -> None:
        common_dir, lock = self._project.repository.common_dir, self._project.lock("packing")
        try:
            if lock.try_acquire():
                work(common_dir)
                consolidate(common_dir)
        except (GitError, StorageError) as error:
            self._works = False
            self._noted(f"what smithers wrote could not be packed: {error.message}; {error.hint}")
        finally:
            lock.release()
