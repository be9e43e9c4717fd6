"""Append, read and walk the frames of a run: objects first, then the ref, only then the index.

A crash between any two of these leaves a loose object, or an index that is one frame behind, never a lie.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from smithers_git.core import codec
from smithers_git.core import events as ev
from smithers_git.core.amounts import FILE, shown
from smithers_git.core.codec import FrameData, Owner
from smithers_git.core.redact import Redactor
from smithers_git.core.scrub import scrub
from smithers_git.core.state import State, apply
from smithers_git.edge.git.entries import TREE
from smithers_git.edge.git.objects import Objects
from smithers_git.edge.index import Index, Known
from smithers_git.errors import FormatError, RunNotFound, TooLarge
from smithers_git.names import run_ref
from smithers_git.service import archive
from smithers_git.service.tree import FrameTree

_REMEMBERED: Final = 512
"""Outputs kept parsed; the ones that a render reads again and again."""


Write = Callable[[str, list[str], str, int], str]
"""Tree, parents, message and Unix seconds to the id of a commit."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it stands in git."""

    commit: str
    tree: str
    data: FrameData
    before: str | None
    """The commit of the frame before it; None for frame 0, which has only code commits as parents."""


Decode = Callable[[bytes, str], FrameData]
"""From the bytes of `frame.json`, and words for where they stand, to the frame: a run's, or a merge queue's."""


def read_frame(objects: Objects, commit: str, decode: Decode = codec.decode) -> Frame:
    """The frame in one commit; raises FormatError when it holds none."""
    found = objects.read_commit(commit)
    blob = objects.find(found.tree, "frame.json")
    if blob is None:
        raise FormatError(
            f"commit {commit[:12]} is not a frame", hint="smithers timeline RUN lists the frames of a run"
        )
    data = decode(objects.read_blob(blob), f"frame {commit[:12]}")
    return Frame(commit, found.tree, data, found.parents[0] if data.number > 0 else None)


def walk(objects: Objects, tip: str, stop: str | None = None, decode: Decode = codec.decode) -> Iterator[Frame]:
    """Frames from `tip` back along first parents, `stop` excluded; a fork's walk goes on into its parent run."""
    commit: str | None = tip
    while commit is not None and commit != stop:
        frame = read_frame(objects, commit, decode)
        yield frame
        commit = frame.before


class Chain:
    """The frames of one run, as this process knows them: the tip, the state that they fold to, and the next tree.

    Events are applied with `add` and become durable with `commit`. When `commit` raises RefMoved, what was added is
    gone: call `reload` and decide again.
    """

    def __init__(
        self,
        objects: Objects,
        run: str,
        owner: Owner,
        index: Index | None = None,
        redactor: Callable[[], Redactor] = Redactor,
    ) -> None:
        self.run = run
        self.ref = run_ref(run)
        self.objects = objects
        self.owner = owner
        self.index = index
        self._redactor = redactor
        """Asked only before something is written: what reads a run does not fetch secrets."""
        self.tip: str | None = None
        self._published: str | None = None
        """What the run's own ref points at; None for a run that is new, or folded into the archive."""
        self._origin: str | None = None
        """The other run's frame that a fork goes on from, until its own first frame is written."""
        self.state = State()
        self.tree = FrameTree(objects)
        self._pending: list[ev.Event] = []
        self._at = 0.0
        """The time of the next frame and so of all its events, or the state would not be what the frame folds to."""
        self._files: dict[str, bytes] = {}
        self._dropped: list[str] = []
        self._values: OrderedDict[str, Any] = OrderedDict()
        self._shown = True
        """Whether others see the newest frame, and the index reflects it."""
        self._known: list[Known] = []

    @classmethod
    def open(
        cls,
        objects: Objects,
        run: str,
        owner: Owner,
        index: Index | None = None,
        redactor: Callable[[], Redactor] = Redactor,
    ) -> Chain:
        """The chain of an existing run; raises RunNotFound."""
        chain = cls(objects, run, owner, index, redactor)
        chain.reload()
        if chain.tip is None:
            raise RunNotFound(f"there is no run {run!r} in this repository", hint="smithers ps --all lists the runs")
        return chain

    def write_through(self, objects: Objects) -> None:
        """Write and read through these objects, of the same repository, from now on."""
        self.objects = self.tree.objects = objects

    def reload(self) -> bool:
        """Catch up with the ref; returns whether it had moved. What was added and not committed is dropped.

        Raises RunNotFound when the ref was there before and is gone: nobody can go on with such a run.
        """
        tip = self._look()
        if tip is None and self.tip is not None:
            newest = f"git update-ref {self.ref} {self.tip}"
            raise RunNotFound(f"the ref of run {self.run} was removed", hint=f"{newest} brings it back")
        if tip == self.tip and not self._pending:
            return False
        known = None if self._pending else self.tip
        frames = list(walk(self.objects, tip, known)) if tip else []
        behind = bool(frames) and known is not None and frames[-1].data.number == self.state.number + 1
        if not behind:
            self.state = State()
        for frame in reversed(frames):
            self._fold(frame)
        self.tip = tip
        self.tree = FrameTree(self.objects, frames[0].tree if frames else None)
        self._pending, self._files, self._dropped = [], {}, []
        self._values.clear()
        return True

    def _look(self) -> str | None:
        self._published = self.objects.ref(self.ref)
        return self._published or archive.tip(self.objects, self.run)

    def moved(self) -> bool:
        """Whether another process wrote or moved the run since this one looked."""
        return (self.objects.ref(self.ref) or archive.tip(self.objects, self.run)) != self.tip

    def begin_at(self, commit: str) -> None:
        """Begin a new run where another one was: its ref does not exist yet, its history is the other's up to there."""
        if self.tip is not None:
            raise FormatError(f"run {self.run} has frames already", hint="use another run id")
        frames = list(walk(self.objects, commit))
        for frame in reversed(frames):
            self._fold(frame)
        self.tree = FrameTree(self.objects, frames[0].tree)
        self._origin = commit

    def at(self, commit: str) -> State:
        """The state of an earlier frame of this run."""
        state = State()
        for frame in reversed(list(walk(self.objects, commit))):
            for event in frame.data.events:
                apply(state, event, frame.data.time)
            state.number = frame.data.number
        return state

    def _fold(self, frame: Frame) -> None:
        for event in frame.data.events:
            apply(self.state, event, frame.data.time)
        self.state.number = frame.data.number

    def add(self, event: ev.Event, at: float) -> ev.Event:
        """Apply an event that the next frame will hold; the first one of a frame says when all of it happened.

        Secrets are taken out here, so that the state is what the frame folds to; returns the event as it is held.
        """
        event = scrub(event, self._redactor())
        if not self._pending:
            self._at = at
        self._pending.append(event)
        apply(self.state, event, self._at)
        return event

    def put(self, path: str, data: bytes) -> None:
        """A file that the next frame will hold."""
        self._files[path] = data
        self._values.pop(path, None)

    def put_output(self, path: str, value: Any) -> None:
        """A validated output that the next frame will hold; readable through `load` at once. Raises TooLarge."""
        clean = self._redactor().value(value)
        data = codec.dumps(clean)
        if len(data) > FILE:
            raise TooLarge(
                f"the output {path} has {shown(len(data))}, more than a file in git history may have ({shown(FILE)})",
                hint="leave it in a file that git ignores, or in a store of its own, and give its place as the output",
            )
        self.put(path, data)
        self._remember(path, clean)

    def drop(self, path: str) -> None:
        """Leave `path` out of the next frame."""
        self._dropped.append(path)
        self._values.pop(path, None)

    @property
    def newest(self) -> str | None:
        """The commit of the newest frame: of the other run, as long as a fork has none of its own."""
        return self.tip or self._origin

    @property
    def pending(self) -> bool:
        return bool(self._pending)

    def commit(self, write: Write | None = None, *, late: bool = False) -> str | None:
        """Write what was added as one frame, publish it, index it; returns its commit, None when nothing was added.

        Args:
            write: makes the commit object in place of smithers itself, say with the user's signature.
            late: the frame is as safe, and others may see it only behind `show`.

        Raises RefMoved when another process wrote a frame first, StorageError when the disk refuses. After either,
        what was added is not in the run: `reload` before going on.
        """
        if not self._pending:
            return None
        frame = FrameData(self.run, self.state.number + 1, self._at, self.owner, tuple(self._pending))
        commit = self._write(frame, write or self.objects.write_commit)
        self._publish(commit, late)
        self.tip, self.state.number = commit, frame.number
        self._pending, self._files, self._dropped = [], {}, []
        self._known += cache_rows(commit, frame)
        self._shown = False
        if not late:
            self.show()
        return commit

    def show(self) -> None:
        """Have others see the newest frame, and the index reflect it, if they do not yet; raises as `commit` does."""
        if self._shown:
            return
        self.objects.publish()
        if self._pending or self.tip is None:
            return
        if self.index is not None:
            self.index.record(self.state, self.tip, self._known)
        self._known, self._shown = [], True

    def rewind(self, commit: str) -> None:
        """Put the run back to an earlier frame of its own; raises as `commit` does."""
        self._publish(commit)
        self.reload()

    def _publish(self, commit: str, late: bool = False) -> None:
        if self._published is None and self.tip is not None:
            archive.bring_back(self.objects, self.run)
            self._published = self.tip
        self.objects.advance(self.ref, self._published, commit, late=late)
        self._published = commit

    def _write(self, frame: FrameData, write: Write) -> str:
        objects, tree = self.objects, self.tree
        for path in self._dropped:
            tree.remove(path)
        for path, data in self._files.items():
            tree.put(path, objects.write_blob(data))
        tree.put("frame.json", objects.write_blob(codec.encode(frame)))
        before = self.newest
        parents = [before] if before else []
        # The base too: a run may wait long before its first workspace, and the user may amend it away meanwhile.
        parents += [event.base for event in frame.events if isinstance(event, ev.RunCreated)]
        for space, commit in code_commits(frame.events):
            if commit not in parents:
                parents.append(commit)
            tree.put(f"code/{space}", objects.read_commit(commit).tree, TREE)
        for event in frame.events:  # a workspace that was put back shows the files it was put back to
            if isinstance(event, ev.SpaceSaved) and event.restored:
                tree.put(f"code/{event.space}", objects.read_commit(event.restored).tree, TREE)
        return write(tree.write(), parents, codec.message(frame), int(frame.time))

    # -- outputs (this is what a Context reads through)

    def load(self, path: str) -> Any:
        """The JSON value of an output file of the newest frame."""
        if path in self._values:
            self._values.move_to_end(path)
            return self._values[path]
        if path in self._files:  # put, and not committed yet
            return json.loads(self._files[path])
        entry = self.tree.get(path)
        if entry is None:
            raise FormatError(f"{path} is not in the newest frame of {self.run}", hint="smithers doctor checks the run")
        value = json.loads(self.objects.read_blob(entry.oid))
        self._remember(path, value)
        return value

    def _remember(self, path: str, value: Any) -> None:
        self._values[path] = value
        while len(self._values) > _REMEMBERED:
            self._values.popitem(last=False)


def code_commits(events: tuple[ev.Event, ...]) -> list[tuple[str, str]]:
    """(workspace, commit) of every code commit that the events made known, in order."""
    found: list[tuple[str, str]] = []
    for event in events:
        if isinstance(event, ev.SpaceCreated | ev.SpaceSaved | ev.TaskFinished | ev.TaskFailed) and event.commit:
            found.append((event.space, event.commit))
    return found


def cache_rows(commit: str, frame: FrameData) -> list[Known]:
    """What the index keeps of the results in one frame that later tasks may take over."""
    return [
        Known(event.cache_key, frame.run, commit, event.output, event.commit)
        for event in frame.events
        if isinstance(event, ev.TaskFinished) and event.cache_key and event.output
    ]


def source_files(objects: Objects, tree: str) -> Mapping[str, bytes]:
    """The pinned workflow source of a frame: path below `source/` to bytes."""
    source = objects.find(tree, "source")
    if source is None:
        return {}
    return {path: objects.read_blob(entry.oid) for path, entry in objects.files(source)}
