"""Objects and refs as the engine of a run writes its frames: one flush a frame, by a journal."""

from __future__ import annotations

from pathlib import Path

from smithers_git.edge.git import loose, ref_file
from smithers_git.edge.git.journal import Record, Segment
from smithers_git.edge.git.loose import Loose
from smithers_git.edge.git.objects import Objects

_LARGE = 64 << 10
"""Bytes from which an object is flushed by itself: a journal would have it written three times."""


class Journaled(Objects):
    """As `Objects`, for the one owner of a run: what it writes comes to be when it moves the run's own ref.

    Everything else, the first frame too, goes the ordinary way.
    """

    def __init__(self, git_dir: Path, run: str, ref: str, *, sync: bool = True) -> None:
        super().__init__(git_dir, sync=sync)
        self._run, self._own_ref = run, ref
        self._waiting: dict[str, Loose] = {}
        self._segment: Segment | None = None

    @property
    def is_usable(self) -> bool:
        """Whether the run's ref, and objects, may be written by hand, file by file, as git would here.

        Not where every ref has a reflog, where a group may write, or where refs and names have another form.
        """
        config = self._repo.config
        asked = ("core.logallrefupdates", "core.sharedrepository", "extensions.refstorage", "extensions.objectformat")
        reflog, *others = (config[key] if key in config else None for key in asked)  # noqa: SIM401 - it has no get
        return reflog != "always" and not any(others) and not (self._git_dir / "logs" / self._own_ref).exists()

    def _write(self, kind: str, data: bytes) -> str:
        if len(data) >= _LARGE:
            return super()._write(kind, data)
        found = self._begin(loose.make(kind, data))
        self._waiting[found.oid] = found
        return found.oid

    def advance(self, name: str, expected: str | None, new: str) -> None:
        """As `Objects.advance`."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        if not self.sync:
            self.written += [one.oid for one in waiting]
        if name == self._own_ref and expected is not None and waiting:
            self._change(name, expected, lambda: self._frame(expected, Record(name, new, tuple(waiting))))
            self._keep()
            self._fresh.clear()
            return
        for one in waiting:
            self._put(one)
        super().advance(name, expected, new)

    def _frame(self, expected: str, record: Record) -> None:
        self._flush_folders()  # of large objects
        with ref_file.locked(self._git_dir, record.ref) as move:
            found = ref_file.read(self._git_dir, record.ref) or self.ref(record.ref)
            if found != expected:
                raise ValueError(f"it is {found}")
            segment = self._note(record) if self.sync else None
            try:
                for one in record.objects:
                    loose.write(self._loose, one)
                move(record.commit)
            except OSError:
                if segment is not None:
                    segment.take_back()
                raise

    def _note(self, record: Record) -> Segment:
        if self._segment is None:
            self._segment = Segment(self._git_dir, self._run)
        self._segment.append(record)
        return self._segment

    def turn(self) -> Segment | None:
        """The journal so far, if it is full, to be settled by the caller; what comes goes into the next one."""
        segment = self._segment
        if segment is None or not segment.is_full:
            return None
        self._segment = None
        return segment

    def last(self) -> Segment | None:
        """The journal so far, to be settled or closed by the caller."""
        segment, self._segment = self._segment, None
        return segment
