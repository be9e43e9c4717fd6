"""Check, offline and from git alone, that commits which landed are what was tested."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from smithers_git.core import commit_message
from smithers_git.core import receipt as receipts
from smithers_git.core.landing import events as ev
from smithers_git.core.landing.entry import CONTENT, entry_id
from smithers_git.core.receipt import Receipt
from smithers_git.edge.git.objects import Commit, Objects
from smithers_git.errors import FormatError, UsageError
from smithers_git.names import QUEUE
from smithers_git.service.frames import Frame
from smithers_git.service.landing.ledger import walk
from smithers_git.service.landing.line import open_ledger
from smithers_git.service.project import Project

Verdict = Literal["verified", "wrong", "foreign"]
"""`foreign`: no queue landed it and it does not say that one did: a commit by hand."""

_MOST: Final = 100_000


@dataclass(slots=True)
class Found:
    """What is known of one commit."""

    commit: str
    subject: str
    verdict: Verdict
    wrong: list[str] = field(default_factory=list)
    receipt: Receipt | None = None
    queue: str | None = None


@dataclass(slots=True)
class _Queue:
    """One queue's frames, read once for a whole range."""

    ref: str
    tree: str
    tip: str
    landing: str | None
    """The commit of a landing that was begun and is not completed."""
    frames: dict[int, Frame] | None = None


def verify(project: Project, revision: str) -> list[Found]:
    """Every commit that `revision` names on its line of first parents, oldest first; raises UsageError: no commit."""
    objects = project.objects
    lines = [_queue(project, ref, tip) for ref, tip in sorted(objects.refs(QUEUE).items())]
    return [_judge(objects, lines, objects.read_commit(commit)) for commit in _commits(objects, revision)]


def _queue(project: Project, ref: str, tip: str) -> _Queue:
    begun = open_ledger(project, ref.removeprefix(QUEUE)).state.landing
    return _Queue(ref, project.objects.read_commit(tip).tree, tip, begun.commit if begun else None)


def _commits(objects: Objects, revision: str) -> list[str]:
    if "..." in revision:
        raise UsageError(f"{revision!r}: a symmetric difference is no line of commits", hint="write it A..B")
    older, dots, newer = revision.rpartition("..")
    ends = [_resolve(objects, name or "HEAD") for name in ((older, newer) if dots else (newer,))]
    if not dots:
        return ends
    found: list[str] = []
    commit: str | None = ends[1]
    while commit is not None and not objects.is_ancestor(commit, ends[0]):
        found.append(commit)
        if len(found) > _MOST:
            raise UsageError(f"{revision!r} has over {_MOST} commits", hint="verify a shorter range")
        commit = next(iter(objects.read_commit(commit).parents), None)
    return found[::-1]


def _resolve(objects: Objects, name: str) -> str:
    found = objects.resolve(name)
    if found is None:
        raise UsageError(f"{name!r} names no commit", hint="git log --oneline shows what there is")
    return found


def _judge(objects: Objects, lines: list[_Queue], commit: Commit) -> Found:
    subject = commit.message.partition("\n")[0]
    entry = commit_message.trailer(commit.message, commit_message.ENTRY)
    path = receipts.path(commit.oid)
    for line in lines:
        blob = objects.find(line.tree, path)
        if blob is None:
            continue
        found = Found(commit.oid, subject, "verified", queue=line.ref.removeprefix(QUEUE))
        try:
            found.receipt = receipts.read(objects.read_blob(blob), f"the receipt of {commit.oid[:12]}")
            found.wrong = _contradictions(objects, line, commit, found.receipt, blob)
        except FormatError as error:
            found.wrong = [error.message]
        found.verdict = "wrong" if found.wrong else "verified"
        return found
    tree = commit_message.trailer(commit.message, commit_message.TREE)
    if entry is None and tree is None:
        return Found(commit.oid, subject, "foreign")
    wrong = ["it says that a queue landed it, and there is no receipt of it"]
    if any(line.landing == commit.oid for line in lines):
        wrong = ["its landing was cut off before the receipt was written: smithers queue resume completes it"]
    if tree is not None and tree != commit.tree:
        wrong.append(f"its tree is {commit.tree[:12]}, and its message says {tree[:12]}")
    return Found(commit.oid, subject, "wrong", wrong)


def _contradictions(objects: Objects, line: _Queue, commit: Commit, receipt: Receipt, blob: str) -> list[str]:
    wrong = receipts.contradictions(receipt, commit.oid, commit.tree, commit.parents)
    said = commit_message.trailer(commit.message, commit_message.TREE)
    if said != commit.tree:
        wrong.append(f"its message says tree {(said or 'none')[:12]}")
    if commit_message.trailer(commit.message, commit_message.ENTRY) != receipt.entry.id:
        wrong.append("its message names another entry")
    content = receipt.entry.model_dump(include=set(CONTENT))
    if entry_id(receipt.target, **content) != receipt.entry.id:
        wrong.append("the entry in its receipt is not what its id was made from")
    frames = _frames(objects, line)
    landed = [f for f in frames.values() if any(_lands(event, receipt) for event in f.data.events)]
    if not landed:
        return [*wrong, "no frame of the queue tells of its landing"]
    if objects.find(landed[0].tree, receipts.path(commit.oid)) != blob:
        wrong.append(f"its receipt was changed after frame {landed[0].data.number} wrote it")
    for one in receipt.passes:
        frame = frames.get(one.frame)
        if (
            frame is None
            or frame.data.number >= landed[0].data.number
            or not any(
                isinstance(event, ev.GateRan)
                and (event.tree, event.gate, event.outcome) == (one.tree, one.gate, "passed")
                for event in frame.data.events
            )
        ):
            wrong.append(f"frame {one.frame} of the queue tells of no such green run")
    return wrong


def _lands(event: ev.QueueEvent, receipt: Receipt) -> bool:
    return isinstance(event, ev.EntryLanded) and event.entry == receipt.entry.id and receipt.tree in event.trees


def _frames(objects: Objects, line: _Queue) -> dict[int, Frame]:
    """The queue's frames by number; raises FormatError when one is missing in between."""
    if line.frames is None:
        frames = list(walk(objects, line.tip))
        numbers = [frame.data.number for frame in frames]
        if numbers != list(range(len(frames)))[::-1]:
            raise FormatError(f"{line.ref} does not hold its frames in a row", hint="git fsck tells what is damaged")
        line.frames = {frame.data.number: frame for frame in frames}
    return line.frames
