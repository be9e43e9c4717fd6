"""Drive a run in the foreground: show what happens, let Ctrl-C end it cleanly, say how it stands at the end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from types import FrameType
from typing import Any

from smithers_git.clock import local
from smithers_git.core import events as ev
from smithers_git.core.describe import describe
from smithers_git.core.state import State
from smithers_git.edge import output
from smithers_git.front import summary
from smithers_git.service import drive
from smithers_git.service.drive import Drive, Resume
from smithers_git.service.project import Project
from smithers_git.service.watcher import Watcher


def follow(project: Project, run: str, resume: Resume, *, as_json: bool) -> int:
    """Drive `run` until it is over or waits; returns the exit code of design section 9."""
    with ExitStack() as stack:
        watcher = stack.enter_context(watching(project, as_json=as_json))
        driving = Drive(watcher=watcher)
        stack.enter_context(signals(driving.stop))
        state = drive.go_through(project, run, resume, driving)
    conclude(project, state, as_json=as_json)
    return int(drive.exit_code(state, driving))


def conclude(project: Project, state: State, *, as_json: bool) -> None:
    """Say how the run stands and what to type next."""
    document = summary.run_document(project, state)
    if as_json:
        output.document(document)
        return
    status = document["status"]
    style = {"finished": "green", "failed": "red", "waiting": "yellow"}.get(status, "bold")
    output.emit(f"run {state.run} {output.paint(status, style)} at frame {state.number}")
    if state.parked:
        output.emit(f"  {state.parked}")
    if state.failed_children:
        output.emit(f"  failed on the way: {', '.join(state.failed_children)}")
    if state.error and status == "failed":
        output.emit(f"  {state.error}")
        if state.error_hint:
            output.emit(f"  hint: {state.error_hint}")
    for waiting in document["waiting"]:
        output.emit(f"  {_waits_for(waiting)}")
    if state.end is None and state.wake_at is not None:
        output.emit(f"  due by itself at {local(state.wake_at, project.clock.now())}")
    for command in document["next"]:
        output.emit(f"  next: {command}")


def _waits_for(waiting: dict[str, Any]) -> str:
    if waiting["kind"] == "limit":
        return f"{waiting['node']} waits for the {waiting['title']}"
    whom = {"signal": "a signal", "timer": "a timer", "child": "a run"}.get(waiting["kind"], "a person")
    return f"waits for {whom}: {waiting['node']}: {waiting['title']}"


@contextmanager
def watching(project: Project, *, as_json: bool) -> Iterator[Watcher]:
    """Who shows the progress: a live view on a terminal, lines on standard error elsewhere."""
    if output.is_terminal() and not as_json and output.colored():
        from smithers_git.front.view import View

        with View(project) as view:
            yield view.watcher
        return
    yield Watcher(recorded=_lines, noted=output.note)


def _lines(_state: State, events: tuple[ev.Event, ...], at: float) -> None:
    clock = datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")
    for event in events:
        output.note(f"{clock} {describe(event)}")


@contextmanager
def signals(stop: Callable[[str], None]) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM, SIGHUP) calls `stop` with its name; a second Ctrl-C does not wait."""
    told = False

    def handle(number: int, _frame: FrameType | None) -> None:
        # Nothing is printed here: in the middle of a write that waits (for `less`, say) Python refuses another one.
        nonlocal told
        if told and number == signal.SIGINT:
            raise KeyboardInterrupt
        told = True
        stop("SIGINT" if number == signal.SIGINT else "SIGTERM")

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before: dict[int, Any] = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
