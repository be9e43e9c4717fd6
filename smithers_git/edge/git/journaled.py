"""Objects and refs as the engine of a run writes its frames: one flush a frame, by a journal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from smithers_git.edge.git import loose, ref_file
from smithers_git.edge.git.journal import Record, Segment
from smithers_git.edge.git.loose import Loose
from smithers_git.edge.git.objects import Objects
from smithers_git.edge.git.ref_file import RefLock

_LARGE: Final = 64 << 10
"""Bytes from which an object is flushed by itself: a journal would have it written three times."""
MANY: Final = 30
"""Objects above which what was late is published as one pack: 10 us an object and three flushes. Loose it takes 35 us,
and two flushes when the journal is settled."""


class _Burst(NamedTuple):
    """Frames that are in the journal, and that nobody else sees yet."""

    lock: RefLock
    before: str
    """Where the ref is."""
    tip: str
    objects: tuple[Loose, ...] = ()


class Journaled(Objects):
    """As `Objects`, for the one owner of a run: what it writes comes to be when it moves the run's own ref.

    Everything else, the first frame too, goes the ordinary way. As long as something is not published the run's ref is
    locked: nobody can write a frame in between. Whoever reads through this sees all, and publishes it by that.
    """

    def __init__(self, git_dir: Path, run: str, ref: str, *, sync: bool = True) -> None:
        self._burst: _Burst | None = None
        self._publishing = False
        super().__init__(git_dir, sync=sync)
        self._run, self._own_ref = run, ref
        self._waiting: dict[str, Loose] = {}
        self._large = False
        """Whether an object went the ordinary way since the last frame: a `git gc` may take it until a ref holds it."""
        self._segment: Segment | None = None
        self._done: list[Segment] = []

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
            self._large = True
            return super()._write(kind, data)
        found = self._begin(loose.make(kind, data))
        self._waiting[found.oid] = found
        return found.oid

    def advance(self, name: str, expected: str | None, new: str, *, late: bool = False) -> None:
        """As `Objects.advance`; when it raises, what was advanced late before stands, published or not."""
        waiting = tuple(self._waiting.values())
        self._waiting.clear()
        if not self.sync:
            self.written += [one.oid for one in waiting]
        if name == self._own_ref and expected is not None and waiting:
            late = late and self.sync and not self._large
            self._change(name, expected, lambda: self._frame(expected, Record(name, new, waiting), late))
            self._large = False
            if not late:
                self._is_published()
            return
        self.publish()
        for one in waiting:
            self._put(one)
        super().advance(name, expected, new)

    def publish(self) -> None:
        """As `Objects.publish`."""
        if self._burst is not None and not self._publishing:
            self._change(self._own_ref, self._burst.tip, self._show)
            self._is_published()

    def _is_published(self) -> None:
        self._keep()
        self._fresh.clear()

    def _frame(self, expected: str, record: Record, late: bool) -> None:
        self._flush_folders()  # of large objects
        fresh = self._burst is None
        known = self._burst or self._lock(expected, late)
        if known.tip != expected:
            raise ValueError(f"it is {known.tip}")
        segment = None
        self._burst = known._replace(tip=record.commit, objects=known.objects + record.objects)
        try:
            segment = self._note(record) if self.sync else None
            if not late:
                self._show()
        except (OSError, ValueError):
            if segment is not None:
                segment.take_back()
            if self._burst is not None:  # else somebody else has written a frame
                self._burst = self._burst._replace(tip=known.tip, objects=known.objects)
                if fresh:
                    self._burst.lock.close()
                    self._burst = None
            raise

    def _lock(self, expected: str, late: bool) -> _Burst:
        """Take git's lock of the ref, and look that it is where it is expected; raises ValueError when it is not."""
        if late and self._segment is None:
            self._segment = Segment(self._git_dir, self._run)
        lock = RefLock(self._git_dir, self._own_ref, self._segment.owner if late and self._segment else "")
        try:
            found = ref_file.read(self._git_dir, self._own_ref) or super().ref(self._own_ref)
        except BaseException:
            lock.close()
            raise
        if found != expected:
            lock.close()
            raise ValueError(f"it is {found}")
        return _Burst(lock, expected, expected)

    def _note(self, record: Record) -> Segment:
        if self._segment is None:
            self._segment = Segment(self._git_dir, self._run)
        self._segment.append(record)
        return self._segment

    def _show(self) -> None:
        """Write what was noted into the repository, and move the ref, whose lock goes with that."""
        assert self._burst is not None
        burst, segment, made = self._burst, self._segment, None
        if not burst.lock.holds:
            burst = self._lock_again(burst)
        if segment is not None and len(burst.objects) > MANY:
            made = segment.pack()
        else:
            for one in burst.objects:
                loose.write(self._loose, one)
        burst.lock.move(burst.tip)
        self._burst = None
        if segment is not None and made is not None:
            segment.made = made
            self._done.append(segment)
            self._segment = None

    def _lock_again(self, burst: _Burst) -> _Burst:
        """Somebody removed our lock by hand, as git advises. Who wrote a frame then was before us."""
        burst.lock.leave()
        try:
            lock = self._lock(burst.before, late=True).lock
        except ValueError:
            self._burst = None
            raise
        self._burst = burst._replace(lock=lock)
        return self._burst

    def turn(self) -> Segment | None:
        """A journal that is full, or in a pack, to be settled by the caller; what comes goes into the next one."""
        if self._done:
            return self._done.pop(0)
        segment = self._segment
        if segment is None or not segment.is_full or self._burst is not None:
            return None
        self._segment = None
        return segment

    def last(self) -> Segment | None:
        """The journal so far, to be settled by the caller; None when there is none left."""
        self.publish()
        if self._done:
            return self._done.pop(0)
        segment, self._segment = self._segment, None
        return segment

    def leave(self) -> None:
        """Let go of everything as a kill would; whoever opens the repository next settles what is left."""
        if self._burst is not None:
            self._burst.lock.leave()
            self._burst = None
        for segment in (*self._done, *filter(None, [self._segment])):
            segment.close()
        self._done, self._segment = [], None

    # -- whoever reads sees everything, and so does everybody else from then on

    def ref(self, name: str) -> str | None:
        if self._burst is not None and name == self._own_ref:
            return self._burst.tip
        return super().ref(name)

    def refs(self, prefix: str) -> dict[str, str]:
        self.publish()
        return super().refs(prefix)

    def has(self, oid: str) -> bool:
        self.publish()
        return super().has(oid)

    def resolve(self, revision: str) -> str | None:
        self.publish()
        return super().resolve(revision)

    def is_ancestor(self, older: str, newer: str) -> bool:
        self.publish()
        return super().is_ancestor(older, newer)

    def _get(self, oid: str) -> Any:
        self.publish()
        return super()._get(oid)

    def _change(self, name: str, expected: str | None, change: Callable[[], None]) -> None:
        before, self._publishing = self._publishing, True
        try:
            super()._change(name, expected, change)
        finally:
            self._publishing = before
