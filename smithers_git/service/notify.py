"""Tell people of what happened: by a command, on the desktop, to a web address. A run never waits for it.

Whoever wrote a frame that is to be told starts a process apart. It reads from the frames what each notifier has not
been told, so that nothing is lost with the process that wrote the frame: the next one finds it there too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smithers_git.core import codec
from smithers_git.core import events as ev
from smithers_git.core.landing import frame as landing_frame
from smithers_git.core.landing.events import EntryLanded
from smithers_git.core.notice import Notice, notices, of_run
from smithers_git.edge import process
from smithers_git.edge.lock import FileLock, holding
from smithers_git.errors import FormatError, GitError, SmithersError
from smithers_git.names import QUEUE, RUNS
from smithers_git.service.finding import Finding
from smithers_git.service.frames import walk
from smithers_git.service.notify_ledger import TRIES, Ledger
from smithers_git.service.notify_ways import LIMIT, Notifier, sender, webhook_target
from smithers_git.service.project import Project


@dataclass(frozen=True, slots=True)
class Told:
    """What one notifier did with one notification."""

    notifier: str
    notice: Notice
    error: str | None = None


def notifiers(project: Project) -> list[Notifier]:
    """Those that are configured."""
    wanted = project.settings.notify
    found = []
    if wanted.command:
        found.append(Notifier("command", json.dumps(wanted.command), tuple(wanted.command_events or wanted.events)))
    if wanted.desktop:
        found.append(Notifier("desktop", "", tuple(wanted.desktop_events or wanted.events)))
    if wanted.webhook:
        found.append(Notifier("webhook", webhook_target(wanted.webhook), tuple(wanted.webhook_events or wanted.events)))
    return found


def ledger(project: Project, notifier: Notifier, since: float | None = None) -> Ledger:
    """What that notifier was told. One that is new is told what happened since then, or from now on."""
    digest = hashlib.sha256(notifier.target.encode()).hexdigest()[:12]
    path = _folder(project) / f"{notifier.name}-{digest}.json"
    return Ledger.load(path, project.clock.now() if since is None else since)


def _folder(project: Project) -> Path:
    return project.state_dir / "notify"


# -- in the process that has other things to do


class Announcer:
    """Has what a run records told. Made before its engine writes a frame, so that a kill behind one loses nothing."""

    def __init__(self, project: Project, note: Callable[[str], None]) -> None:
        self._project = project
        self._note = note
        ways = notifiers(project)
        self._wanted = {event for one in ways for event in one.events}
        for one in ways:
            ledger(project, one)

    def recorded(self, run: str, events: Sequence[ev.Event], at: float) -> None:
        """Called behind each frame of the run; starts a process when there is something to tell."""
        if self._wanted:
            told = {found[0] for event in events if (found := of_run(run, event)) is not None}
            if told & self._wanted:
                announce(self._project, self._note, at)


def recorded(project: Project, run: str, events: Sequence[ev.Event], at: float) -> None:
    """Have a frame told that was written from outside the run's engine, say the question of a running agent."""
    told = {found[0] for event in events if (found := of_run(run, event)) is not None}
    if told and any(told & set(one.events) for one in notifiers(project)):
        announce(project, None, at)


def landed(project: Project, note: Callable[[str], None], at: float) -> None:
    """Have a landing told, which a frame of that time holds."""
    if any("landed" in one.events for one in notifiers(project)):
        announce(project, note, at)


def announce(project: Project, note: Callable[[str], None] | None, since: float | None = None) -> None:
    """Have what is due told by a process apart. Tells `note`, once, that a notifier did not work the last time."""
    for one in notifiers(project):
        known = ledger(project, one, since)
        if note is not None and known.trouble is not None and not known.said:
            note(f"the last notification by {one.name} failed: {known.trouble}; see smithers doctor")
            known.said = True
            known.save()
    folder = _folder(project)
    try:
        (folder / "due").touch()
        env = process.clean_env(project.environ)
        argv = [*project.python(), "-C", str(project.worktree), "notify"]
        process.spawn_detached(argv, cwd=project.worktree, env=env, log=folder / "log")
    except (OSError, SmithersError) as error:
        if note is not None:
            note(f"notifications could not be sent: {error}")


def findings(project: Project) -> Iterator[Finding]:
    """How each notifier did the last time, for doctor."""
    for one in notifiers(project):
        known = ledger(project, one)
        lost = f"; {known.given_up} given up after {TRIES} tries" if known.given_up else ""
        if known.trouble is not None:
            text = f"the last one by {one.name} failed: {known.trouble}{lost}"
            yield Finding("notifications", "needs you", text, ("smithers notify --test",))
        else:
            yield Finding("notifications", "ok", f"by {one.name}, on {', '.join(one.events)}")


# -- in the process apart


def send_due(project: Project) -> list[Told]:
    """Tell every notifier what it was not told yet; nothing when another process is at it.

    Whoever comes while this one works leaves a mark and goes; it is looked for again after the lock is free.
    """
    done: list[Told] = []
    due = _folder(project) / "due"
    while True:
        lock = FileLock(_folder(project) / "lock")
        if not lock.try_acquire():
            return done
        try:
            due.unlink(missing_ok=True)
            for one in notifiers(project):
                done += _tell(project, one)
        finally:
            lock.release()
        if not due.exists():
            return done


def add(project: Project, notice: Notice) -> None:
    """Have something told that no frame says; `send_due` sends it. Known by its id, like all others."""
    with holding(_folder(project) / "lock", 2 * LIMIT):
        for one in notifiers(project):
            if notice.event in one.events:
                known = ledger(project, one)
                known.take(notice)
                known.save()


def test(project: Project) -> list[Told]:
    """Send a sample by every notifier, whatever it wants to be told of."""
    now, done = project.clock.now(), []
    sample = Notice("test", "finished", "test", None, 0, now, "this is only a test", ("ps",))
    for one in notifiers(project):
        try:
            sender(project, one)(sample)
        except SmithersError as error:
            done.append(Told(one.name, sample, error.message))
        else:
            done.append(Told(one.name, sample))
    return done


def is_due(project: Project) -> bool:
    """Whether there is something to send, or to look at."""
    now, tips = project.clock.now(), _tips(project)
    for one in notifiers(project):
        known = ledger(project, one)
        if known.tips != tips or any(unsent.next_at <= now for unsent in known.unsent.values()):
            return True
    return False


def _tell(project: Project, notifier: Notifier) -> Iterator[Told]:
    known, tips = ledger(project, notifier), _tips(project)
    for ref, tip in tips.items():
        if known.tips.get(ref) != tip:
            for notice in _news(project, ref, tip, known):
                if notice.event in notifier.events:
                    known.take(notice)
    known.tips = tips
    known.save()
    send = sender(project, notifier)
    for one in sorted(known.unsent.values(), key=lambda unsent: unsent.notice.at):
        now = project.clock.now()
        if one.next_at > now:
            continue
        try:
            send(one.notice)
        except SmithersError as error:
            known.failed(one.notice, error.message, now)
            yield Told(notifier.name, one.notice, error.message)
            return  # the others would meet the same; they are tried the next time
        known.succeeded(one.notice)
        yield Told(notifier.name, one.notice)


def _tips(project: Project) -> dict[str, str]:
    return {RUNS + run: tip for run, tip in project.tips().items()} | project.objects.refs(QUEUE)


def _news(project: Project, ref: str, tip: str, known: Ledger) -> list[Notice]:
    """What happened on one ref since it was looked at, oldest first; only what was written on this machine."""
    found: list[Notice] = []
    queue = ref.startswith(QUEUE)
    try:
        decode = landing_frame.decode if queue else codec.decode
        for frame in walk(project.objects, tip, known.tips.get(ref), decode):
            if frame.data.time < known.begun:
                break
            if frame.data.owner.host != project.owner.host:
                continue  # a fetched frame: it was told where it was written
            about = (frame.commit, frame.data.number, frame.data.time)
            new = _landed(project, ref, about, frame.data.events) if queue else None
            if new is None:
                new = [one for one in notices(about, frame.data.run, frame.data.events) if not _inner(project, one)]
            found += new[::-1]
    except (FormatError, GitError):
        pass  # damaged: doctor tells of it, and the others are told
    return found[::-1]


def _inner(project: Project, notice: Notice) -> bool:
    """Whether it is the end of a run that only another run waits for."""
    return notice.event in ("finished", "failed") and project.chain(str(notice.run)).state.caller is not None


def _landed(project: Project, ref: str, frame: tuple[str, int, float], events: Sequence[Any]) -> list[Notice]:
    """What one frame of a merge queue has to tell."""
    from smithers_git.service.landing.line import open_ledger

    commit, number, at = frame
    found = []
    for place, event in enumerate(events):
        if isinstance(event, EntryLanded):
            branch = ref.removeprefix(QUEUE)
            entry = open_ledger(project, f"refs/heads/{branch}").state.entries[event.entry].entry
            reason = f"{entry.name} is on {branch} as {event.commit[:12]}"
            command = ("verify", event.commit[:12])
            found.append(Notice(f"{commit}:{place}", "landed", entry.run, None, number, at, reason, command))
    return found
