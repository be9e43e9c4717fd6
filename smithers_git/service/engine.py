"""The loop: render, schedule, execute, persist, until nothing can go on.

`render` makes the plan, `core.schedule.decide` says what happens next, `dispatch` makes a job of it, `perform` does
the job in a worker thread, `outcome` makes events of what came back, and `frames` makes them durable. This module
only turns the wheel; it is the one owner of a run while it holds the run's lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from smithers_git.core import endings
from smithers_git.core import events as ev
from smithers_git.core.nodes import Task
from smithers_git.core.plan import Plan
from smithers_git.core.schedule import Decision, Start, decide
from smithers_git.errors import RefMoved, SmithersError, WorkflowError
from smithers_git.names import TaskKey
from smithers_git.service import approvals, children, disk, outcome, recover, successor
from smithers_git.service.admission import Admission
from smithers_git.service.budget import Purse
from smithers_git.service.crew import SHORT, Flight
from smithers_git.service.dispatch import Dispatcher
from smithers_git.service.frames import Chain
from smithers_git.service.job import Job, Result
from smithers_git.service.packing import Packer
from smithers_git.service.perform import Performer, constant
from smithers_git.service.project import Project
from smithers_git.service.publisher import Publisher
from smithers_git.service.render import Renderer
from smithers_git.service.source import Source
from smithers_git.service.watcher import Watcher

POLL: Final = 0.1
"""Seconds between two looks at the ref while tasks run: what another process decides arrives within it."""
FAR: Final = 30.0
"""Seconds. For what is further away than this no process waits: the run is a row, and whoever looks then goes on."""

_MOST_FACTS: Final = 500
"""Facts in one frame. A loop whose every task is skipped makes nothing else, and must not fill the memory."""


class Engine:
    """Drives one run. The caller holds the run's lock; `owned` says whether it still does."""

    def __init__(
        self, project: Project, chain: Chain, source: Source, watcher: Watcher, owned: Callable[[], bool]
    ) -> None:
        self.project = project
        self.chain = chain
        self.renderer = Renderer(source, chain)
        self.dispatcher = Dispatcher(project, chain, source)
        self.performer = Performer(project, chain.run, watcher.noted)
        self.watcher = watcher
        self.packer = Packer(project, chain, watcher.noted)
        self.purse = Purse(project)
        self.admission = Admission(project, chain, watcher.noted)
        self.publisher = Publisher(project, chain, watcher)
        self._owned = owned
        self._flying: dict[TaskKey, Flight] = {}
        self._crew = project.crew()
        self._landed: list[Result] = []
        """Results that no frame holds yet."""
        self._told: list[ev.Event] = []
        self._stop: str | None = None
        self.parked: ev.RunParked | None = None
        """Why the run cannot go on."""

    def interrupt(self, reason: str) -> None:
        """End what runs and return; the run can be resumed. May be called from a signal handler."""
        self._stop = reason

    def run(self) -> None:
        """Go on until the run is over, waits for something outside, is paused, or was interrupted."""
        self._run()
        self.publisher.show()

    def _run(self) -> None:
        while True:
            try:
                if not self._turn():
                    return
            except RefMoved:
                # Someone else wrote a frame. What was decided on the older state is void; what came back is not.
                self._reload()
            except SmithersError as error:
                if self.parked is not None or not disk.is_why(self.project, error):
                    raise
                self.parked = ev.RunParked(reason=error.message)
                self._reload()

    def _turn(self) -> bool:
        """One pass of the wheel; False when there is nothing to do until something outside happens."""
        state = self.chain.state
        if self._is_lost() or (state.cancel_requested and state.end is None):  # what ends by that has not failed
            return self._wind_down(state.cancel_requested or ev.LOST)
        if not self._land():
            return self._wind_down("parked")
        self.admission.keep(self._flying)
        decision = self._settle()
        starts = [start for start in decision.start if start.key not in self._flying]  # one that still ends first
        if self._is_one_frame(starts):
            return self._start(starts)
        self._commit()
        return self._go_on(decision, starts)

    def _go_on(self, decision: Decision, starts: list[Start]) -> bool:
        state = self.chain.state
        if state.end is not None and not self._flying:
            return False
        ending = self._stop or state.end
        if ending:
            return self._wind_down(ending)
        if self._landed:  # it came in behind a value, which has a frame of its own
            return True
        if state.pause_requested:
            return self._wait(None) if self._flying else False
        over = self.purse.look(state)
        if over is not None and (decision.start or (over.hard and self._flying)):
            if self._flying and not over.hard:
                return self._wait(None)
            self.parked = ev.RunParked(reason=over.text, kind=over.kind)
            return self._wind_down(over.text)
        if starts:
            return self._start(starts)
        if self._woken():
            return True
        wake_at = self.admission.wake(decision.wake_at)
        if not self._flying and (wake_at is None or wake_at - self.project.clock.now() > FAR):
            return False
        return self._wait(wake_at)

    def _is_one_frame(self, starts: list[Start]) -> bool:
        """Whether functions that have ended and functions that begin now share a frame: it halves what a step costs.

        Nothing else does. What an agent or a command did is in a frame before anything is made ready for the next one.
        """
        state, nodes = self.chain.state, [start.item.node for start in starts]
        nodes += [result.job.task for result in self._landed]
        over = state.end or self._stop or state.cancel_requested or state.pause_requested
        if over or not (starts and self._landed) or any(getattr(node, "kind", "") != "call" for node in nodes):
            return False
        return endings.too_long(state.number + 1) is None and self.purse.look(state) is None

    def _is_lost(self) -> bool:
        """Whether the run has another owner; ends attempts that it went on without, too."""
        for key, flight in self._flying.items():
            if self.chain.state.running.get(key) != flight.attempt:
                flight.cancel.set()
        if self._owned():
            return False
        # The lock's file was removed, say while we were stopped, and somebody else is at work.
        self._stop = self._stop or ev.LOST
        return True

    # -- decide

    def _settle(self) -> Decision:
        """Record facts until the decision holds none: a loop that goes on, a question, the end of the run."""
        while True:
            try:
                plan = self.renderer.plan()
                decision = decide(plan, self.chain.state, self.project.clock.now(), self.admission.hold)
                for event in decision.events:
                    self._add(self._complete(plan, event))
            except WorkflowError as error:
                if not self._flying:  # what is in flight ends and is kept first
                    self._add(ev.RunFailed(error=error.message, hint=error.hint))
                return Decision()
            if not decision.events or self._stop:
                return Decision() if decision.events else decision
            if len(self._told) >= _MOST_FACTS:
                self._commit()
                if self._too_long():
                    return Decision()

    def _too_long(self) -> bool:
        """End a run that has grown beyond every bound; says whether it did."""
        end = endings.too_long(self.chain.state.number)
        if end is not None:
            self._add(end)
        return end is not None

    def _complete(self, plan: Plan, event: ev.Event) -> ev.Event:
        if isinstance(event, ev.RunFinished) and event.successor is not None:
            successor.begin(self.project, self.chain, self.renderer, event.successor)
        if isinstance(event, ev.WaitResolved) and event.output is not None:
            self.chain.put_output(event.output, event.value)
        if isinstance(event, ev.WaitStarted):
            return self.dispatcher.question(plan, event)
        if isinstance(event, ev.ApprovalDecided):
            return approvals.with_output(self.chain, event)
        return self.dispatcher.request(plan, event) if isinstance(event, ev.ApprovalRequested) else event

    # -- execute

    def _start(self, starts: list[Start]) -> bool:
        if self._too_long():
            return True
        first = starts[0].item.node
        if isinstance(first, Task) and first.kind == "value":
            key = starts[0].key
            job = Job(self.chain.run, key, self.chain.state.node(key).attempt + 1, first, None)
            self._landed.append(constant(job))
            return True
        plan = self.renderer.plan()
        jobs: list[Job] = []
        free, delays = self.dispatcher.undelayed(starts)
        self._add(*delays)
        for start in self.admission.admit(free):
            if isinstance(start.item.node, Task) and start.item.node.kind == "value":
                continue
            dispatch = self.dispatcher.prepare(plan, start)
            self._add(*dispatch.events)
            if dispatch.trouble is not None:
                self._landed.append(Result(dispatch.job, begun=False, kind=dispatch.kind, message=dispatch.trouble))
            else:
                jobs.append(dispatch.job)
        self._commit()
        for job in jobs if self._owned() else ():  # whoever took over may have gone back behind that frame already
            self._fly(job, outcome.cached(self.project, job))
        if jobs and all(job.task.kind == "call" for job in jobs):
            self._take(SHORT)
        return True

    def _fly(self, job: Job, known: Result | None) -> None:
        if job.wish is not None:
            _ = self.performer.desk  # made here, so that all workers hand in at the same one
        cancel = threading.Event()
        self._flying[job.key] = Flight(job.attempt, cancel)

        def work() -> Result:
            if known is not None and self.performer.adopt(known):
                return known
            return self.performer.perform(job, cancel, partial(self.watcher.said, job.key))

        self._crew.begin(f"smithers {job.key}", work)

    # -- persist

    def _land(self) -> bool:
        """Make events of everything that came back. It stays in `_landed` until a frame holds it.

        False when the disk is full: what came back is then for the last frame.
        """
        while self._take(0):
            pass
        full = next((result.full for result in self._landed if result.full), None)
        self.parked = self.parked or (ev.RunParked(reason=full) if full else None)
        if self.parked is not None:
            return False
        recover.mark_astray(self.project, self.chain.run, self._landed)
        for result in list(self._landed):
            if self._is_void(result):
                continue
            self._add(*outcome.events(self.chain, result, self.project.clock.now(), self.project.clock.jitter()))
            if self._landed[0].job.task.kind == "value":
                break  # each finished step is a frame of its own
        return True

    def _is_void(self, result: Result) -> bool:
        """Whether the run went on without this attempt; what came back is then dropped, and the person is told."""
        void = outcome.is_void(self.chain.state, result)
        if void:
            self._landed.remove(result)
            self.watcher.noted(f"{result.job.key}: attempt {result.job.attempt} ended, but the run went on without it")
        return void

    def _take(self, wait: float | None) -> bool:
        """Take in what came back within so many seconds; says whether anything did."""
        result = self._crew.take(wait)
        if result is None:
            return False
        if (flight := self._flying.get(result.job.key)) and flight.attempt == result.job.attempt:
            del self._flying[result.job.key]
        self._landed.append(result)
        return True

    def _add(self, *events: ev.Event) -> None:
        for event in events:
            held = self.chain.add(event, self.project.clock.now())
            self.renderer.note(held)
            self._told.append(held)

    def _commit(self) -> None:
        told = tuple(self._told)
        if not self.publisher.commit(told):
            return
        self._told = []
        done = {(e.node, e.iteration, e.attempt) for e in told if isinstance(e, outcome.ENDED)}
        ended = [r for r in self._landed if (*r.job.key, r.job.attempt) in done]
        for result in ended:
            self._landed.remove(result)
            self.performer.settle(result)
            for text in result.notes:
                self.watcher.noted(text)
        if any(result.astray for result in ended):
            recover.unmark(self.project, self.chain.run)
        for text in self.purse.unpriced(self.chain.state, told):
            self.watcher.noted(text)
        self.publisher.look()
        self.packer.look()

    def _reload(self) -> None:
        self._told = []
        self._landed = [result for result in self._landed if result.begun]  # the rest is decided anew
        self.chain.reload()
        self.renderer.forget()
        state = self.chain.state
        stays = self.parked or state.cancel_requested or state.pause_requested or not self._owned()
        if state.parked and not stays:  # by an engine that had lost the run to this one
            self._add(ev.RunResumed())

    # -- wait

    def _wait(self, wake_at: float | None) -> bool:
        """Until a result is there, a retry is due, or another process wrote a frame."""
        clock = self.project.clock
        while not self._stop:
            pause = POLL if wake_at is None else max(0.0, min(POLL, wake_at - clock.now()))
            self.publisher.show()
            if self._take(pause):
                return True
            if self.chain.moved():
                self._reload()
                return True
            if self._woken():
                return True
            why = self.performer.only_waits(len(self._flying)) if self._flying and wake_at is None else None
            if why is not None:
                self._stop = f"nothing can land: {why}"
                return True
            if wake_at is not None and wake_at <= clock.now():
                return True
        return True

    def _woken(self) -> bool:
        """Note which of the runs that this one waits for have moved on; whether any has."""
        found = children.woken(self.project, self.chain.state)
        self._add(*found)
        return bool(found)

    def _wind_down(self, reason: str) -> bool:
        """End what runs, keep what it left, then say so in a last frame."""
        if self.parked:
            self.watcher.noted(self.parked.reason + (": ending what runs and keeping its files" * bool(self._flying)))
        elif self._stop:
            self.watcher.noted(f"{self._stop}: ending what runs and keeping its files; once more to leave at once")
        for flight in self._flying.values():
            flight.cancel.set()
        self.publisher.show()
        while self._flying:
            self._take(None)
        told = ev.LOST if reason == ev.LOST else f"the engine was told to stop ({reason})"
        if self.parked:
            told = "the disk is full" if self.parked.kind == "disk" else self.parked.reason
        while not self._last_frame("cancelled" if self.chain.state.cancel_requested else told):
            self._reload()
        if self.chain.state.parked or not self.purse.is_raised(self.parked, self.chain.state):
            return False
        self.parked = None
        return True

    def _last_frame(self, text: str) -> bool:
        """Write what ended, and why; False when it has to be tried again on a newer state, or with more room."""
        owned, clock = self._owned(), self.project.clock
        try:
            recover.mark_astray(self.project, self.chain.run, self._landed if owned else [])
            for result in list(self._landed):
                if result.kind is not None and not owned:
                    result.kind = "cancelled"  # whoever takes a run over ends what is at work in it
                if not self._is_void(result):
                    self._add(*outcome.last_events(self.chain, result, text, clock.now(), clock.jitter()))
            if owned and self.chain.state.cancel_requested:  # else its owner says how the run stands
                self._add(ev.RunCancelled(by=self.chain.state.cancel_requested))
            elif owned and self.parked:
                self._add(self.purse.parking(self.parked, self.chain.state))
            self._commit()
        except RefMoved:
            return False
        except SmithersError as error:
            if not disk.is_why(self.project, error):
                raise
            self.parked = self.parked or ev.RunParked(reason=error.message)
            if disk.release(self.project, *disk.RESERVE):
                return False
            self._reload()
            self.watcher.noted("not even a frame could be written; what workspaces hold is kept by a resume")
        self._landed = []
        return True
