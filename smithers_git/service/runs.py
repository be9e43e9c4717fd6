"""Which runs there are, what each is called, and how it really stands."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from smithers_git.edge.index import RunRow
from smithers_git.errors import FormatError, GitError, RunNotFound
from smithers_git.service.project import Project

if TYPE_CHECKING:  # it brings pydantic, which `ps` on a current index does without
    from smithers_git.core.state import NodeState, State

RunStatus = Literal["running", "waiting", "paused", "parked", "interrupted", "finished", "failed", "cancelled"]
"""`interrupted`: nobody owns the run and nothing outside is waited for: `smithers up --resume` goes on with it.
`parked`: the run could not go on: the disk is full, or a budget spent."""


class Waiting(NamedTuple):
    """Something that a run waits for."""

    node: str
    title: str
    since: float
    """Unix seconds."""
    kind: Literal["approval", "question", "signal", "timer", "child", "limit"]
    until: float | None = None
    """Unix seconds at which a limit ends."""

    def command(self, run: str) -> str | None:
        """What to type to end it; None for a timer, which ends by itself."""
        if self.kind == "signal":
            return f"smithers signal {run} {self.title}"
        if self.kind == "child":
            return f"smithers why {self.title.partition(' ')[0]}"
        verb = {"approval": "approve", "question": "answer"}.get(self.kind)
        return verb and f"smithers {verb} {run} --node {self.node}"


def waits(state: State) -> list[Waiting]:
    """What the run with this state waits for, approvals first."""
    asked = [(key, state.approvals[key]) for key in state.waiting()]
    found = [Waiting(str(key), one.title, one.requested, "approval") for key, one in asked]
    found += [Waiting(str(key), one.title, one.since, one.kind) for key, one in state.open_waits.items()]
    return found + [
        Waiting(str(key), node.limit, node.ended or state.updated, "limit", node.retry_at)
        for key in sorted(state.pauses)
        if (node := state.node(key)).limited
    ]


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as `ps` shows it."""

    row: RunRow
    status: RunStatus
    stopped: int | None = None
    """The pid of the engine of a running run, if it is stopped: nothing goes on until it is continued."""

    @property
    def waiting(self) -> list[Waiting]:
        """Everything that the run waits for from outside, approvals first."""
        return [Waiting(*one) for one in json.loads(self.row.waiting)]

    @property
    def running(self) -> list[str]:
        """Nodes with an attempt in flight (or cut off, when the run is interrupted)."""
        return [str(name) for name in json.loads(self.row.running)]


def catch_up(project: Project) -> dict[str, str]:
    """Let the index reflect every ref: after a fetch, a rewind, a crash, or when its file was deleted.

    Returns the runs that cannot be read, with why: one damaged run must not hide all others.
    """
    tips, known = project.tips(), project.index.tips()
    unreadable: dict[str, str] = {}
    gone = known.keys() - tips.keys()
    for run, tip in tips.items():
        if known.get(run) == tip:
            continue
        try:
            reflect(project, run)
        except (FormatError, GitError) as error:
            unreadable[run] = error.message
    gone |= known.keys() & unreadable.keys()
    if gone:
        project.index.remove(gone)
    return unreadable


def reflect(project: Project, run: str) -> None:
    """Write one run's rows anew from its frames."""
    from smithers_git.service.fold import state_of
    from smithers_git.service.frames import cache_rows, walk

    tip = project.tip(run)
    if tip is None:
        return  # it was removed just now
    frames = list(walk(project.objects, tip))
    known = [row for frame in frames for row in cache_rows(frame.commit, frame.data)]
    project.index.record(state_of(reversed(frames)), tip, known)


def status_of(project: Project, run: str, end: str | None, otherwise: RunStatus) -> RunStatus:
    """How a run stands, `otherwise` when nobody owns it. Nothing stored says "running": the owner's lock does."""
    if end is not None:
        return end  # type: ignore[return-value]  # the three ends are statuses
    if project.is_owned(run):
        return "running"
    return otherwise


def _idle(*, parked: bool, paused: bool, waiting: bool) -> RunStatus:
    """How a run stands that nobody owns and that is not over."""
    if parked:
        return "parked"
    if paused:
        return "paused"
    return "waiting" if waiting else "interrupted"


def node_status(node: NodeState, run: RunStatus) -> str:
    """How a node really stands: an attempt of a run that nobody drives is not running, it was cut off."""
    return "interrupted" if node.status == "running" and run != "running" else node.status


def status(project: Project, state: State) -> RunStatus:
    """How the run with this state stands."""
    due = state.wake_at is not None and state.wake_at > project.clock.now()
    waiting = bool(state.waiting() or state.open_waits or due) and not state.running
    idle = _idle(parked=state.parked is not None, paused=state.paused, waiting=waiting)
    return status_of(project, state.run, state.end, idle)


def views(project: Project) -> list[RunView]:
    """Every run that can be read, newest first."""
    return survey(project)[0]


def survey(project: Project) -> tuple[list[RunView], dict[str, str]]:
    """Every run, newest first, and those that cannot be read with why."""
    unreadable = catch_up(project)
    found = []
    now = project.clock.now()
    for row in project.index.runs():
        due = row.wake_at is not None and row.wake_at > now
        waiting = (_outside(row.waiting) or due) and row.running == "[]"
        idle = _idle(parked=row.parked is not None, paused=bool(row.paused), waiting=waiting)
        how = status_of(project, row.run, row.end, idle)
        found.append(RunView(row, how, project.stopped_owner(row.run) if how == "running" else None))
    return found, unreadable


def _outside(waiting: str) -> bool:
    """Whether a row waits for more than limits, which end by themselves."""
    return waiting != "[]" and any(Waiting(*one).kind != "limit" for one in json.loads(waiting))


def resolve(project: Project, name: str) -> str:
    """The run whose id is `name` or begins with it, as git shortens commit ids; raises RunNotFound."""
    runs = list(project.tips())
    if name in runs:
        return name
    return _only([run for run in runs if run.startswith(name)], name)


def _only(found: Iterable[str], name: str) -> str:
    matches = sorted(found)
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise RunNotFound(f"{name!r} fits {len(matches)} runs: {', '.join(matches[:8])}", hint="give more characters")
    raise RunNotFound(f"there is no run {name!r} in this repository", hint="smithers ps --all lists the runs")


def named(project: Project, name: str | None) -> str:
    """The run that `name` means; the newest one when it is None. Raises RunNotFound."""
    return newest(project) if name is None else resolve(project, name)


def newest(project: Project) -> str:
    """The run that was started last; raises RunNotFound when there is none."""
    found = views(project)
    if not found:
        raise RunNotFound("there is no run in this repository yet", hint="start one: smithers up implement -p '…'")
    return found[0].row.run
