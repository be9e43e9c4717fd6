"""What `smithers logs` prints: events as plain lines, and with -f the lines of agents while they work."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Final

from smithers_git.clock import local
from smithers_git.core.describe import describe
from smithers_git.core.state import State
from smithers_git.edge import output
from smithers_git.errors import ExitCode, UsageError
from smithers_git.front.summary import next_commands
from smithers_git.front.words import said
from smithers_git.service import admission, runs
from smithers_git.service.follow import Follower, News, Saying
from smithers_git.service.frames import Frame
from smithers_git.service.history import frames
from smithers_git.service.project import Project
from smithers_git.service.transcripts import Interpreter, profile_of

PAUSE: Final = 0.2
"""Seconds between two looks."""
GRACE: Final = 1.5
"""Seconds without an engine before a followed run counts as standing still: one engine may hand over to the next."""


def show(project: Project, run: str, *, as_json: bool) -> None:
    """Print what happened so far."""
    found, now = frames(project, run), project.clock.now()
    lines = [line for frame in found for line in _lines(frame, now)] + _turns(project, run)
    if as_json:
        output.document({"run": run, "lines": lines})
        return
    for line in lines:
        output.emit(line)


def _turns(project: Project, run: str) -> list[str]:
    """The agents for which the machine has no room yet."""
    now, claims = project.clock.now(), admission.in_line(project, run)
    return [f"{local(one.since, now)} {one.node} waits for its turn on this machine: {one.reason}" for one in claims]


def _lines(frame: Frame, now: float) -> list[str]:
    return [f"{local(frame.data.time, now)} {describe(event)}" for event in frame.data.events]


def _print(frame: Frame, now: float) -> None:
    for line in _lines(frame, now):
        output.emit(line)


def follow(project: Project, run: str) -> int:
    """Print what happens until the run is over or nothing drives it; returns the exit code of design section 9."""
    follower, speakers = Follower(project, run), Speakers(project)
    first = follower.look()
    for frame in first.frames:
        _print(frame, project.clock.now())
    for saying in first.sayings:
        if not saying.last:  # what was said before is for `smithers chat`
            speakers.tell(saying, follower.chain.tip)

    waiting: list[str] = []

    def tell(news: News) -> None:
        before, waiting[:] = list(waiting), _turns(project, run)
        for line in waiting:
            if line not in before:
                output.emit(line)
        now = project.clock.now()
        for saying in news.sayings:
            speakers.tell(saying, follower.chain.tip)
        if news.rewound is not None:
            output.emit(f"{local(now, now)} run rewound to frame {news.rewound}")
        for frame in news.frames:
            _print(frame, now)

    return watch(follower, tell)


def watch(follower: Follower, tell: Callable[[News], None]) -> int:
    """Look again and again and `tell` the news; returns the exit code when nothing more will come by itself."""
    clock, pause = follower.project.clock, Event()
    alone_since = None if follower.driven else clock.monotonic() - GRACE
    while not output.unread():
        tell(follower.look())
        state = follower.chain.state
        if follower.driven:
            alone_since = None
        elif state.end is not None:
            return int(
                {"finished": ExitCode.DONE, "failed": ExitCode.FAILED, "cancelled": ExitCode.CANCELLED}[state.end]
            )
        elif alone_since is None:
            alone_since = clock.monotonic()
        elif clock.monotonic() - alone_since >= GRACE:
            _say_still(follower.project, state)
            return int(ExitCode.WAITING)
        pause.wait(PAUSE)
    return int(ExitCode.DONE)


def _say_still(project: Project, state: State) -> None:
    status = runs.status(project, state)
    output.note(f"run {state.run} is {status}: nothing more happens before you act")
    for command in next_commands(project, state, status)[:1]:
        output.note(f"next: {command}")


class Speakers:
    """Prints the lines of agents with the node that says them; commands are left to `smithers chat`."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: dict[str, Interpreter] = {}

    def tell(self, saying: Saying, tip: str | None) -> None:
        attempt = saying.attempt
        if attempt.agent is None or tip is None:
            return
        name = attempt.transcript
        if name not in self._known:
            tree = self._project.objects.read_commit(tip).tree
            self._known[name] = Interpreter(profile_of(self._project, tree, attempt.agent))
        speaker, now = self._known[name], self._project.clock.now()
        events = speaker.feed(saying.data) + (speaker.finish() if saying.last else [])
        for event in events:
            for line in said(event):
                text = output.clip(line, max(40, output.columns() - 20 - len(str(attempt.key))))
                output.emit(output.paint(f"{local(now, now)} {attempt.key}: {text}", "dim"))


def refuse_json(*, as_json: bool, follow: bool) -> None:
    """A stream is not one JSON document."""
    if as_json and follow:
        raise UsageError(
            "--json gives one document, and -f never ends",
            hint="leave one of them out; or ask again: smithers events --json",
        )
