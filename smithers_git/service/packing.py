"""When to settle and pack what smithers wrote: quietly, beside the run, and at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from smithers_git.edge.git.journal import Segment
from smithers_git.edge.git.pack import consolidate, crowded, pack, pack_reachable, remember
from smithers_git.errors import GitError, StorageError
from smithers_git.names import is_ours
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project

OFTEN: Final = 2048
"""Objects that this process writes between two packs; well below the 6,700 at which git starts a gc of its own."""


class Packer:
    """Settles the journal and packs for one engine, which writes its frames through it from now on, until `close`.

    A repository that cannot be packed is the user's to mend, not a reason for a run to fail: `noted` is told, once.
    """

    def __init__(self, project: Project, chain: Chain, noted: Callable[[str], None]) -> None:
        self._project = project
        self._chain = chain
        self._noted = noted
        self._thread: threading.Thread | None = None
        self._works = True
        self._journal = project.journaled(chain.run)
        if self._journal is not None:
            chain.write_through(self._journal)

    def look(self) -> None:
        """Begin if there is enough to do and nobody does it already."""
        if self._thread is not None and self._thread.is_alive():
            return
        segment = self._journal.turn() if self._journal is not None else None
        if segment is not None:
            self._begin(lambda: self._settle(segment))
            return
        written = self._written()
        if len(written) >= OFTEN and self._works:
            names = list(written)
            del written[: len(names)]
            self._begin(lambda: self._pack(lambda common_dir: pack(common_dir, names)))

    def finish(self) -> None:
        """At the end of a run: settle the journal, pack what is loose of ours, if it piles up, and wait for it."""
        if self._thread is not None:
            self._thread.join()
        settled = False
        while (segment := self._journal.last() if self._journal is not None else None) is not None:
            self._settle(segment)
            settled = True
        project = self._project
        written = list(self._written())
        if self._works and written and crowded(project.repository.common_dir):
            self._written().clear()
            self._pack(lambda common_dir: pack(common_dir, written))
        if self._works and (written or settled) and crowded(project.repository.common_dir):
            refs = project.objects.refs("refs/")
            ours = {tip for name, tip in refs.items() if is_ours(name)}
            theirs = {tip for name, tip in refs.items() if name.startswith("refs/heads/")} - ours
            self._pack(lambda common_dir: pack_reachable(common_dir, sorted(ours), sorted(theirs)))

    def close(self) -> None:
        """Let go of the journal; what it still holds is settled by whoever opens the repository next."""
        if self._thread is not None:
            self._thread.join()
        if self._journal is not None:
            self._journal.leave()
        self._chain.write_through(self._project.objects)

    def _written(self) -> list[str]:
        # Without flushes, for measurements, frames are in no journal and among what was written.
        return (self._project.objects if self._journal is None or self._journal.sync else self._journal).written

    def _begin(self, work: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=work, name="smithers packing", daemon=True)
        self._thread.start()

    def _settle(self, segment: Segment) -> None:
        try:
            made = segment.settle()
        except StorageError as error:
            self._complain(error)
            return
        if made is not None:
            self._pack(lambda common_dir: remember(common_dir, made))

    def _pack(self, work: Callable[..., None]) -> None:
        common_dir, lock = self._project.repository.common_dir, self._project.lock("packing")
        try:
            if lock.try_acquire():
                work(common_dir)
                consolidate(common_dir)
        except (GitError, StorageError) as error:
            self._complain(error)
        finally:
            lock.release()

    def _complain(self, error: GitError | StorageError) -> None:
        if self._works:
            self._noted(f"what smithers wrote could not be packed: {error.message}; {error.hint}")
        self._works = False
