"""Resume what can go on: due timers and retries, what an answer or a signal came for, what lost its engine.

One look at a time: whoever holds the lock of supervise looks. Even if two did, the run's own lock lets one engine work.
A run is taken up only where an engine of this very clone had it last: one that was fetched, forked or rewound is its
person's to resume.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from smithers_git.core import events as ev
from smithers_git.core.notice import Notice
from smithers_git.core.schedule import decide
from smithers_git.core.state import State
from smithers_git.edge.index import RunRow
from smithers_git.edge.lock import FileLock
from smithers_git.errors import SmithersError
from smithers_git.service import children, detach, disk, notify, reboot, runs, triggers
from smithers_git.service.detach import Detached
from smithers_git.service.frames import Chain, walk
from smithers_git.service.preview import preview
from smithers_git.service.project import Project
from smithers_git.service.runs import RunView
from smithers_git.service.supervise_memory import DEAD, Memory, Seen

AGAIN: Final = 3600.0
"""Seconds after which a run that waits is looked at again although nothing of it has changed: what it waits for may be
outside of it, and a thousand that wait must not be a load."""
SOON: Final = 60.0
"""The same for a run that is parked, waits for one that it uses, or has something in its way."""
TAIL: Final = 20
"""Lines of the log that are shown of an engine that dies again and again."""

YOUNG: Final = 30.0
"""Seconds that whoever began a run has to take its lock."""

_DRIVERS: Final = ("up", "gc", "supervise")
"""What the last owner of a run did, when the run was left to itself. Behind a rewind a person decides."""
_LEADS_NOWHERE: Final = (ev.RunResumed, ev.TaskInterrupted, ev.TaskStarted, ev.SpaceSaved, ev.SpaceCreated)
"""All that the frames of an engine hold which died before it got anywhere."""


@dataclass(frozen=True, slots=True)
class Started:
    """A run that goes on, or would without `--dry-run`."""

    run: str
    why: str
    engine: Detached | None = None
    """None when somebody else was quicker, and in a dry run."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """A run that cannot go on by itself."""

    run: str
    why: str
    tail: tuple[str, ...] = ()
    """The end of its engine's log."""


@dataclass(slots=True)
class Look:
    """What one look found and did."""

    started: list[Started] = field(default_factory=list)
    stuck: list[Stuck] = field(default_factory=list)
    """Each is told once, until something about the run changes."""
    given_up: list[Stuck] = field(default_factory=list)
    """Told once as well: their engine died three times in a row."""
    later: list[str] = field(default_factory=list)
    """Runs that could go on, and are too many at once."""
    busy: bool = False
    """Another supervise is at it; nothing was looked at."""


def supervise(project: Project, most: int, *, dry_run: bool = False) -> Look:
    """Look once, and resume what can go on, so that at most `most` runs of this repository work at once.

    With `dry_run` nothing is started or remembered, and everything that is stuck is named.
    """
    lock = FileLock(_folder(project) / "lock")
    if not lock.try_acquire({"doing": "supervise"}):
        return Look(busy=True)
    try:
        memory = Memory.load(_folder(project) / "runs.json")
        found = _look(project, memory, most, dry_run=dry_run)
        if not dry_run:
            memory.save()
    finally:
        lock.release()
    if not dry_run:
        _tell(project, found)
    return found


def _tell(project: Project, found: Look) -> None:
    """Tell of runs that were given up, and what others could not tell any more."""
    for one in found.given_up:
        now, tip = project.clock.now(), project.tip(one.run)
        reason = f"{one.why}; smithers supervise has given it up"
        notify.add(project, Notice(f"{tip}:given-up", "failed", one.run, None, 0, now, reason, ("logs", one.run)))
    if notify.is_due(project):
        notify.send_due(project)


def _folder(project: Project) -> Path:
    return project.state_dir / "supervise"


def _look(project: Project, memory: Memory, most: int, *, dry_run: bool) -> Look:
    found, views = Look(), runs.views(project)
    open_views = [view for view in views if view.row.end is None]
    memory.keep({view.row.run for view in open_views})
    free = most - sum(view.status == "running" for view in open_views)
    free -= _schedules(project, found, free, dry_run=dry_run)
    begun = {one.run for one in found.started}
    rows = {view.row.run: view.row for view in views}
    for view in sorted(open_views, key=lambda view: view.row.updated):
        run, seen = view.row.run, memory.of(view.row.run)
        if run in begun or view.status in ("running", "paused"):
            continue
        if not _ours(project, rows, run) or _coming(project, seen):
            continue
        if dry_run:
            seen.blocked = seen.idle_until = None  # everything is looked at, and said
        before = seen.blocked
        why = _why(project, view, seen)
        if seen.blocked is not None and seen.blocked != before:
            found.stuck.append(Stuck(run, seen.blocked))
        if why is None or (seen.given_up and not dry_run):
            continue
        if seen.given_up or _is_dead(project, view, seen):
            seen.given_up = True
            found.given_up.append(Stuck(run, f"its engine died {DEAD} times in a row", _tail(project, run)))
        elif free <= 0:
            found.later.append(run)
        else:
            free -= 1
            if dry_run:
                found.started.append(Started(run, why))
            else:
                _start(project, found, seen, (run, why))
                memory.save()  # before the next one: a kill here must not forget that this one was started
    return found


def _schedules(project: Project, found: Look, free: int, *, dry_run: bool) -> int:
    """Start what a schedule says, as far as there is room; returns how many were started."""
    done = 0
    for item in triggers.due(project, project.clock.now()):
        why = f"its schedule {item.trigger.schedule} is due"
        if done >= free:
            found.later.append(item.run)
            continue
        try:
            if not dry_run:
                triggers.start_due(project, item)
        except SmithersError as error:
            found.stuck.append(Stuck(item.run, error.message))
            continue
        found.started.append(Started(item.run, why))
        done += 1
    return done


def _ours(project: Project, rows: Mapping[str, RunRow], run: str | None) -> bool:
    """Whether an engine of this clone had the run last, or that of the run which goes on as it, or uses it."""
    while run is not None and run in rows:
        holder = project.lock(run).holder()
        if holder is not None:
            return holder.get("doing") in _DRIVERS
        run = rows[run].predecessor or rows[run].caller
    return False


def _coming(project: Project, seen: Seen) -> bool:
    """Whether the engine that was started is still on its way to the run's lock."""
    return bool(seen.pid) and project.is_alive(seen.pid, seen.began)


# -- why a run can go on


def _why(project: Project, view: RunView, seen: Seen) -> str | None:
    """Why the run can go on now; None when it cannot. Notes in `seen` until when, or what is in its way."""
    row, now = view.row, project.clock.now()
    if seen.tip != row.tip:
        seen.given_up = False  # somebody took it up
    elif seen.idle_until is not None and now < min(seen.idle_until, row.wake_at or seen.idle_until):
        return None
    seen.tip = row.tip
    seen.blocked, seen.idle_until = None, now + AGAIN
    try:
        chain = project.chain(row.run)
        why = _reason(project, chain, seen, now)
        if why is not None:
            disk.require_room(project)  # an engine refuses to begin without; three that did would count as dead
    except SmithersError as error:  # one run that cannot be looked at must not keep all others
        seen.blocked, seen.idle_until = error.message, now + SOON
        return None
    if why is not None:
        seen.idle_until = None
        return why
    uses = any(wait.kind == "child" for wait in chain.state.open_waits.values())
    if seen.blocked is not None or uses or view.status != "waiting":
        seen.idle_until = now + SOON
    elif chain.state.wake_at is not None and chain.state.wake_at > now:
        seen.idle_until = min(now + AGAIN, chain.state.wake_at)
    return None


def _reason(project: Project, chain: Chain, seen: Seen, now: float) -> str | None:
    state = chain.state
    if state.cancel_requested:
        return f"{state.cancel_requested} has cancelled it, and its engine died before it said so"
    if state.paused or (state.interrupted and not _went_down(project, state)):
        return None  # a person stopped it
    if state.number == 0 and now - state.created < YOUNG:
        return None  # whoever began it is about to drive it
    if state.parked is not None and not children.has_room(project, state):
        return None
    look = preview(project, chain)
    if look.trouble is not None:
        seen.blocked = f"its workflow cannot be used: {look.trouble.message}"
    elif look.changed:
        seen.blocked = f"its workflow was changed ({', '.join(look.changed)})"
    if seen.blocked is not None:
        return None
    if state.running:
        return f"its engine died while {', '.join(str(key) for key in state.running)} ran"
    if children.woken(project, state):
        return "a run that it uses has got on"
    assert look.plan is not None
    decision = decide(look.plan, state, now)
    if state.parked is not None:
        return "the disk has room again" if state.parked_for == "disk" else "there is a budget again"
    if decision.start:
        return f"{decision.start[0].key} can start"
    return "something is due" if decision.events else None


def _went_down(project: Project, state: State) -> bool:
    """Whether the engine was ended by a shutdown: by SIGTERM, and the machine has been started since."""
    ended = any("SIGTERM" in (node.error or "") for node in state.nodes.values())
    return ended and reboot.went_down(project, project.run_dir(state.run), state.updated)


# -- starting


def _start(project: Project, found: Look, seen: Seen, started: tuple[str, str]) -> None:
    """Start an engine for the run that goes on for that reason."""
    run, why = started
    try:
        engine = detach.resume(project, run)
    except SmithersError as error:
        found.stuck.append(Stuck(run, error.message))
        return
    seen.started = seen.tip
    seen.pid, seen.began = (engine.pid, engine.began) if engine else (0, "")
    found.started.append(Started(run, why, engine))


def _is_dead(project: Project, view: RunView, seen: Seen) -> bool:
    """Count a start that led to nothing; whether there were too many in a row."""
    if seen.started is None:
        return False
    nowhere = all(
        isinstance(event, _LEADS_NOWHERE)
        for frame in walk(project.objects, view.row.tip, seen.started)
        for event in frame.data.events
    )
    seen.dead = seen.dead + 1 if nowhere else 0
    seen.started = None
    if seen.dead < DEAD:
        return False
    seen.dead = 0
    return True


def _tail(project: Project, run: str) -> tuple[str, ...]:
    try:
        text = (project.run_dir(run) / "engine.log").read_text("utf-8", "replace")
    except OSError:
        return ()
    return tuple(text.splitlines()[-TAIL:])
