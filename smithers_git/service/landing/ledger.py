"""The frame chain of one merge queue: `refs/smithers/queue/<branch>`. Objects first, then the ref, as for a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from smithers_git.clock import Clock
from smithers_git.core import codec
from smithers_git.core.codec import FrameData, Owner
from smithers_git.core.landing import frame as queue_frame
from smithers_git.core.landing.entry import Gate
from smithers_git.core.landing.events import EntryEntered, EntryLanded, GateRan, LandingBegun, QueueEvent
from smithers_git.core.landing.state import QueueState, apply
from smithers_git.core.receipt import Pass
from smithers_git.core.redact import Redactor
from smithers_git.core.scrub import scrub
from smithers_git.edge.git.objects import Objects
from smithers_git.errors import RefMoved
from smithers_git.names import queue_ref
from smithers_git.service import frames
from smithers_git.service.frames import Frame
from smithers_git.service.landing import shelf
from smithers_git.service.landing.shelf import Folded
from smithers_git.service.tree import FrameTree

_TRIES: Final = 60
_MANY: Final = 200
"""Frames from which on folding them is worth a file; 200 take 50 ms."""


def walk(objects: Objects, tip: str, stop: str | None = None) -> Iterator[Frame]:
    """Frames of a queue from `tip` back to the first one, `stop` excluded."""
    return frames.walk(objects, tip, stop, queue_frame.decode)


class Ledger:
    """The frames of one queue, as this process knows them. `add`, then `commit`; after RefMoved `reload`.

    Args:
        objects: of this thread alone.
        target: full name of the branch that is landed on.
        owner: who writes.
        shelf: file beside the frames that spares folding all of them, see `shelf`.
        redactor: takes secrets out of what a frame is going to hold.
    """

    def __init__(
        self,
        objects: Objects,
        target: str,
        owner: Owner,
        shelf: Path | None = None,
        redactor: Callable[[], Redactor] = Redactor,
    ) -> None:
        self._redactor = redactor
        self.objects = objects
        self._shelf = shelf
        self.target = target
        self.ref = queue_ref(target)
        self.owner = owner
        self.tip: str | None = None
        self.state = QueueState()
        self.passes: dict[tuple[str, Gate], Pass] = {}
        """The newest green run of each gate on each tree."""
        self._tree = FrameTree(objects)
        self._pending: list[QueueEvent] = []
        self._files: dict[str, bytes] = {}
        self._at = 0.0
        self.reload()

    def reload(self) -> bool:
        """Catch up with the ref; returns whether it had moved. What was added and not committed is dropped."""
        tip = self.objects.ref(self.ref)
        if tip == self.tip and not self._pending:
            return False
        known = None if self._pending else self.tip
        if known is None and self._shelf is not None and tip is not None:
            known = self._take_from(self._shelf, tip)
        new = list(walk(self.objects, tip, known)) if tip else []
        if not (known is not None and (not new or new[-1].data.number == self.state.number + 1)):
            self.state, self.passes = QueueState(), {}
            new = list(walk(self.objects, tip)) if tip and known is not None else new
        for frame in reversed(new):
            for event in frame.data.events:
                apply(self.state, event, frame.data.time)
            self._learn(frame.data)
        self.tip = tip
        self._tree = FrameTree(self.objects, self.objects.read_commit(tip).tree if tip else None)
        self._pending, self._files = [], {}
        if self._shelf is not None and tip is not None and len(new) > _MANY:
            shelf.save(self._shelf, Folded(tip, self.state, list(self.passes.values())))
        return True

    def _take_from(self, path: Path, tip: str) -> str | None:
        """Begin with what is on the shelf; returns the frame that it reflects, None when it is of no use."""
        found = shelf.load(path)
        if found is None or not self.objects.has(found.tip) or not self.objects.is_ancestor(found.tip, tip):
            return None
        self.state = found.state
        self.passes = {(one.tree, one.gate): one for one in found.passes}
        return found.tip

    def add(self, event: QueueEvent, at: float) -> None:
        """Apply an event that the next frame will hold; the first one of a frame says when all of it happened."""
        event = scrub(event, self._redactor())
        if not self._pending:
            self._at = at
        self._pending.append(event)
        apply(self.state, event, self._at)

    def put(self, path: str, data: bytes) -> None:
        """A file that the next frame will hold."""
        self._files[path] = data

    def put_text(self, path: str, text: str) -> None:
        """A file of what somebody said, secrets taken out."""
        self.put(path, self._redactor().text(text).encode("utf-8", "replace"))

    def read(self, path: str) -> bytes | None:
        """A file of the newest frame."""
        entry = self._tree.get(path)
        return None if entry is None else self.objects.read_blob(entry.oid)

    def commit(self) -> bool:
        """Write what was added as one frame and publish it; says whether there was anything.

        Raises RefMoved when another process wrote first: `reload` before going on. StorageError: the disk refuses.
        """
        if not self._pending:
            return False
        frame = FrameData(
            self.ref.removeprefix("refs/smithers/"), self.state.number + 1, self._at, self.owner, tuple(self._pending)
        )
        for path, data in self._files.items():
            self._tree.put(path, self.objects.write_blob(data))
        self._tree.put("frame.json", self.objects.write_blob(codec.encode(frame)))
        parents = list(dict.fromkeys(([self.tip] if self.tip else []) + _kept(self._pending)))
        commit = self.objects.write_commit(self._tree.write(), parents, queue_frame.message(frame), int(frame.time))
        self.objects.advance(self.ref, self.tip, commit)
        self.tip = commit
        self._learn(frame)
        self._pending, self._files = [], {}
        return True

    def _learn(self, frame: FrameData) -> None:
        self.state.number = frame.number
        for event in frame.events:
            if isinstance(event, GateRan) and event.outcome == "passed":
                self.passes[event.tree, event.gate] = Pass(
                    tree=event.tree,
                    gate=event.gate,
                    env=event.env,
                    frame=frame.number,
                    at=frame.time,
                    seconds=event.seconds,
                    by=f"process {frame.owner.pid} on {frame.owner.host}",
                )


def _kept(events: Sequence[QueueEvent]) -> list[str]:
    """Commits that stay reachable through the frame, whatever becomes of their branches."""
    found: list[str] = []
    for event in events:
        if isinstance(event, EntryEntered):
            found.append(event.entry.head)
        elif isinstance(event, LandingBegun | EntryLanded):
            found.append(event.commit)
    return found


def record(ledger: Ledger, clock: Clock, decide: Callable[[Ledger], Sequence[QueueEvent]]) -> None:
    """Write what `decide` says of the queue's newest state as one frame; asked again when another wrote first.

    Raises RefMoved after many losses in a row, and whatever `decide` raises.
    """
    for attempt in range(_TRIES):
        now = clock.now()
        for event in decide(ledger):
            ledger.add(event, now)
        try:
            ledger.commit()
        except RefMoved:
            if attempt == _TRIES - 1:
                raise
            clock.sleep((0.002 + 0.018 * clock.jitter()) * min(attempt + 1, 10))
            ledger.reload()
            continue
        return
