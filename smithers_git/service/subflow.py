"""A Subflow task: begin the run that it uses, drive it within this process, and take over its output.

The run's id stands in the frame that starts the attempt, so that after a crash the next attempt finds what there is.
When that run waits for something, so does the task, and no process does.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any, Final

from smithers_git.core.describe import describe
from smithers_git.core.flow_nodes import Subflow
from smithers_git.core.state import State
from smithers_git.errors import RunBusy, RunRefused, SmithersError
from smithers_git.service import children, control, disk, drive, launch, runs
from smithers_git.service.drive import Drive, Resume
from smithers_git.service.frames import Chain
from smithers_git.service.job import Job, Result, Suspension
from smithers_git.service.live import Watch
from smithers_git.service.perform import check_output
from smithers_git.service.project import Project
from smithers_git.service.watcher import Watcher

DEEPEST: Final = 8
"""Runs within runs. A workflow that uses itself without an end would otherwise go on for ever."""
_POLL: Final = 0.1
"""Seconds between two looks at a cancel, or at a run that another process drives."""


def use(project: Project, job: Job, result: Result, watch: Watch) -> None:
    """Fill in `result`: the output of the other run, what it waits for, or why it failed."""
    task, run = job.task, str(job.child)
    assert isinstance(task, Subflow)
    own = project.apart()
    try:
        if own.tip(run) is None:
            _begin(own, job, task, run)
        state, tip = _drive(own, job, watch)
    except SmithersError as error:
        result.kind = "cancelled" if watch.cancel.is_set() else "bad_request"
        result.message = f"subflow {run}: {error.message}" + (f"; {error.hint}" if error.hint else "")
        result.full = error.message if disk.is_why(own, error) else None
        return
    if state.end == "finished":
        try:
            check_output(job, result, _output(own.chain(state.run), task))
        except SmithersError as error:
            result.kind, result.message = "invalid", error.message
    elif state.end is not None:
        result.kind = "cancelled" if state.end == "cancelled" else "error"
        result.message = f"subflow {state.run} " + (f"failed: {state.error}" if state.end == "failed" else "cancelled")
    elif watch.cancel.is_set():
        result.kind, result.message = "cancelled", f"subflow {state.run} was interrupted"
        by = own.chain(job.run).state.cancel_requested
        if by is not None:  # here too: whoever asked for it may have met an engine that was about to end
            with suppress(RunRefused):  # it is done already
                control.cancel(own, state.run, by)
    else:
        title, until = _waits(state)
        result.suspended = Suspension(state.run, tip, title, until)


def _begin(project: Project, job: Job, task: Subflow, run: str) -> None:
    if children.depth(project, job.run) >= DEEPEST:
        raise SmithersError(f"{DEEPEST} runs use each other already", hint="a workflow must not use itself without end")
    assert task.call is not None
    given = task.call(**job.arguments)
    plain = given if isinstance(given, dict) else given.model_dump(mode="json")
    launch.begin(
        project,
        launch.Request(
            workflow=task.workflow,
            input=plain,
            run=run,
            cwd=project.worktree,
            base=job.space.commit if job.space else None,
            caller=(job.run, str(job.key)),
        ),
    )


def _drive(project: Project, job: Job, watch: Watch) -> tuple[State, str]:
    """Go on with the run until it is over or waits; returns its state, and the frame that holds that."""
    driving = Drive(Watcher(recorded=lambda _state, events, _at: _tell(watch, events)))
    over = threading.Event()

    def stop() -> None:
        while not over.is_set():
            if watch.cancel.is_set():
                driving.stop("the run that uses it was told to stop")
                return
            project.clock.sleep(_POLL)

    project.background(f"smithers {job.key} stop", stop)
    try:
        while True:
            try:
                # Revived only with this run: a cancel of the other one alone stands.
                state = drive.go_through(project, str(job.child), Resume(revive=job.revive), driving)
                newest = project.chain(state.run)
                if newest.state.number == state.number or driving.reason is not None:
                    return state, str(newest.tip)
                # An answer came after its engine had looked: what it waits for now is not what `state` says.
            except RunBusy:  # a person drives it; its end, or its waiting, is ours
                while project.is_owned(str(job.child)):  # to ask for the lock takes reading all of its frames
                    project.clock.sleep(_POLL)
                    if watch.cancel.is_set():
                        raise
    finally:
        over.set()


def _tell(watch: Watch, events: tuple[Any, ...]) -> None:
    for event in events:
        text = describe(event)
        watch.live.write(f"{text}\n".encode())
        watch.live.report("text", text)


def _waits(state: State) -> tuple[str, float | None]:
    """What a run waits for in one line, and when something is due in it."""
    if state.parked is not None:
        return state.parked, None
    if state.paused:
        return "it is paused", None
    titles = [f"{one.node}: {one.title}" for one in runs.waits(state)]
    return ", ".join(titles) or "it goes on later", state.wake_at


def _output(chain: Chain, task: Subflow) -> Any:
    """The output of the node that the task names, else the one that was written last."""
    state = chain.state
    if task.of is not None:
        known = [
            node for key, node in state.nodes.items() if key.node == task.of and state.latest.get(task.of) == key[1]
        ]
        if not known:
            raise SmithersError(
                f"subflow {chain.run} has no output of {task.of!r}", hint=f"smithers output {chain.run}"
            )
        return chain.load(str(known[0].output))
    ended = [(node.ended or 0.0, number, node) for number, node in enumerate(state.nodes.values()) if node.output]
    return chain.load(str(max(ended)[2].output)) if ended else None
