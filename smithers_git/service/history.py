"""The frames of a run in order, and where other histories branch off from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smithers_git.core.attempts import Attempt, Attempts
from smithers_git.core.codec import FrameData
from smithers_git.core.events import RunForked
from smithers_git.errors import FormatError, RunNotFound, UsageError
from smithers_git.names import TaskKey, parse_key
from smithers_git.service import archive, runs
from smithers_git.service.frames import Frame, walk
from smithers_git.service.project import Project
from smithers_git.service.runs import RunView


def frames(project: Project, run: str) -> list[Frame]:
    """Every frame of a run, oldest first, of a fork from its parent's first one on; raises RunNotFound."""
    tip = project.tip(run)
    if tip is None:
        raise RunNotFound(f"there is no run {run!r} in this repository", hint="smithers ps --all lists the runs")
    return list(reversed(list(walk(project.objects, tip))))


@dataclass(frozen=True, slots=True)
class Branch:
    """A history that goes its own way behind frame `frame`."""

    frame: int
    kind: Literal["fork", "rewound"]
    name: str
    """The run, or the ref that keeps the tail."""
    last: int
    """Number of its newest frame."""
    tip: str


def branches(project: Project, run: str, known: list[Frame]) -> list[Branch]:
    """The forks of a run and the tails that rewinds left, by the frame they begin behind."""
    commits = {frame.commit: frame.data.number for frame in known}
    found = [_tail(project, name, tip, commits) for name, tip in archive.tails(project.objects, run).items()]
    for view in runs.views(project):
        if view.row.parent == run:
            found.append(Branch(_forked(project, view), "fork", view.row.run, view.row.frame, view.row.tip))
    return sorted(found, key=lambda branch: (branch.frame, branch.name))


def _forked(project: Project, fork: RunView) -> int:
    """The frame of its parent that a fork began behind; read from its own frames alone, not from all before them."""
    for frame in walk(project.objects, fork.row.tip):
        for event in frame.data.events:
            if isinstance(event, RunForked) and event.run == fork.row.run:
                return event.frame
    raise FormatError(f"run {fork.row.run} does not say where it was forked", hint="smithers doctor checks the runs")


def _tail(project: Project, name: str, tip: str, commits: dict[str, int]) -> Branch:
    numbers: list[int] = []
    for frame in walk(project.objects, tip):
        if frame.commit in commits:
            return Branch(commits[frame.commit], "rewound", name, max(numbers, default=frame.data.number), tip)
        numbers.append(frame.data.number)
    return Branch(0, "rewound", name, max(numbers), tip)


def is_meant(key: TaskKey, node: str) -> bool:
    """Whether `node` (`NODE`: any iteration, `NODE@ITERATION`: that one) means `key`. Raises UsageError."""
    wanted = parse_key(node)
    return key == wanted or (key.node == wanted.node and "@" not in node)


def attempts_of(project: Project, run: str, node: str | None = None) -> list[Attempt]:
    """The attempts of a run, oldest first; of `NODE`, `NODE@ITERATION` or all. Raises UsageError when there is none."""
    return select(run, [frame.data for frame in frames(project, run)], node)


def select(run: str, data: list[FrameData], node: str | None) -> list[Attempt]:
    """As `attempts_of`, from frames that were read already."""
    found = Attempts(data).all
    if node is None:
        return found
    wanted = [one for one in found if is_meant(one.key, node)]
    if not wanted:
        names = ", ".join(dict.fromkeys(str(one.key) for one in found)) or "none yet"
        raise UsageError(f"run {run} has no attempt of {node!r}", hint=f"attempts were made of: {names}")
    return wanted
