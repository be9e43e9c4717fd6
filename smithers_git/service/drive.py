"""Own a run and drive it: take the lock, take over, turn the wheel, let go, and look once more."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from smithers_git.core import events as ev
from smithers_git.core.fold_tasks import kept_out
from smithers_git.core.state import State
from smithers_git.edge.lock import FileLock
from smithers_git.edge.process import temporary
from smithers_git.errors import ExitCode, RunBusy, RunRefused
from smithers_git.service import budget, children, disk, pools, reboot, recover, source
from smithers_git.service.engine import Engine
from smithers_git.service.frames import Chain, source_files
from smithers_git.service.project import Project
from smithers_git.service.recover import Recovery
from smithers_git.service.source import Source
from smithers_git.service.watcher import Watcher


@dataclass(frozen=True, slots=True)
class Resume:
    """How to go on with an existing run."""

    accept_change: bool = False
    input: Mapping[str, Any] | None = None
    """What the user gave as input; refused when it is not the run's own."""
    revive: bool = True
    """Go on although the run failed, was cancelled or is paused. A background engine does not: whoever started it
    said so in a frame, and a cancel that came after that stands."""


@dataclass(slots=True)
class Drive:
    """Who watches, and how to stop from a signal handler."""

    watcher: Watcher = field(default_factory=Watcher)
    engine: Engine | None = None
    reason: str | None = None

    def stop(self, reason: str) -> None:
        """End what runs and return. May be called from a signal handler, before the engine exists too."""
        self.reason = reason
        if self.engine is not None:
            self.engine.interrupt(reason)


@contextmanager
def owning(project: Project, run: str, doing: str) -> Any:
    """Hold the run's lock for a `with` block; raises RunBusy when another live process has it."""
    lock = project.lock(run)
    if not lock.try_acquire({"doing": doing}):
        raise busy(project, run)
    try:
        reboot.note(project.state_dir)  # it was looked at when this process opened it
        project.settle()
        yield lock
    finally:
        lock.release()


def busy(project: Project, run: str) -> RunBusy:
    """That the run has a live owner, and whether that one is stopped."""
    stopped = project.stopped_owner(run)
    if stopped is not None:
        return RunBusy(
            f"run {run} is owned by process {stopped}, which is stopped (Ctrl-Z, or a signal)",
            hint=f"kill -CONT {stopped} lets it go on; kill -9 {stopped} ends it, then: smithers up --resume {run}",
        )
    holder = project.lock(run).holder() or {}
    who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
    return RunBusy(
        f"run {run} is owned by {who}, which is alive ({holder.get('doing', 'working')})",
        hint=f"watch it with: smithers logs -f {run}; stop it with: smithers cancel {run}",
    )


def go(project: Project, run: str, resume: Resume, drive: Drive) -> State:
    """Drive a run until it is over or waits; returns the state it is in then.

    What arrives while we let go of the lock found the engine alive and relies on it, so the ref is looked at once
    more after the lock is free. A stop that came after this call is honoured, not taken for what is to be revived.
    """
    project.require_writable()
    chain = project.chain(run)
    with owning(project, run, "up") as lock:
        chain.reload()
        if resume.revive:
            still = budget.look_again(project, chain)
            budget.refuse(project, chain.state, still)
        held_up = stopped(chain.state) or chain.state.interrupted or bool(kept_out(chain.state))
        revive = resume.revive and held_up
        _drive(project, chain, replace(resume, revive=revive), drive, lock)
    seen = None
    while drive.reason is None and chain.state.end is None and _has_news(project, chain, seen):
        seen = chain.tip
        try:
            with owning(project, run, "up") as lock:
                _drive(project, chain, Resume(revive=False), drive, lock)
        except RunBusy:  # whoever wrote that frame was quicker and goes on with the run
            chain.reload()
            break
    return chain.state


def _has_news(project: Project, chain: Chain, seen: str | None) -> bool:
    """Whether something happened. What an engine that found the run at `seen` left alone, as in a pause, did not."""
    return chain.moved() or (chain.tip != seen and bool(children.woken(project, chain.state)))


def go_through(project: Project, run: str, resume: Resume, drive: Drive) -> State:
    """Drive a run, and then each run that it continues as; returns the state of the last one."""
    state = go(project, run, resume, drive)
    while (after := state.successor) is not None and drive.reason is None:
        drive.watcher.noted(f"run {state.run} is finished and goes on as {after}")
        try:
            state = go(project, after, Resume(revive=False), drive)
        except RunBusy:  # somebody else drives it already
            return project.chain(after).state
    return state


def ready(project: Project, run: str, resume: Resume) -> None:
    """Raise what `go` would refuse: before a background engine is started, whose words nobody reads."""
    project.require_writable()
    chain = project.chain(run)
    if chain.state.end != "finished":
        _source(project, chain, resume)
        disk.require_room(project)
        budget.require(project, chain.state)


def stopped(state: State) -> bool:
    """Whether somebody or something stopped the run before its end."""
    return state.end in ("failed", "cancelled") or state.pause_requested or state.cancel_requested is not None


def _drive(project: Project, chain: Chain, resume: Resume, drive: Drive, lock: FileLock) -> None:
    chain.reload()
    if chain.state.end == "finished" or (chain.state.end is not None and not resume.revive):
        return
    if budget.look_again(project, chain) is not None:
        return  # a person was told so before; a background engine has nobody to tell
    loaded = _source(project, chain, resume)
    disk.require_room(project)
    disk.reserve(project)
    temporary.clear_left()
    found = None
    while found is None:
        found = _take_over(project, chain, loaded, resume, drive)
        if not lock.holds():  # we were stopped, somebody removed its file, and a new owner is at work
            raise busy(project, chain.run)
    recover.settle(project, chain, project.workspaces(chain.run), found)
    engine = drive.engine = Engine(project, chain, loaded, drive.watcher, lock.holds)
    if drive.reason is not None:
        engine.interrupt(drive.reason)
    with closing(engine.packer):
        with closing(engine.admission):
            engine.run()
        if engine.parked is None:
            engine.packer.finish()


def _source(project: Project, chain: Chain, resume: Resume) -> Source:
    state = chain.state
    assert chain.tip is not None
    files = source_files(project.objects, project.objects.read_commit(chain.tip).tree)
    loaded = project.source(chain.run, state, files)
    if not resume.accept_change:
        source.refuse_changes(chain.run, loaded, files)
    if resume.input is not None:
        given = loaded.workflow.accept(resume.input).model_dump(mode="json")
        if given != state.input:
            raise RunRefused(
                f"run {chain.run} was started with another input",
                hint=f"leave --input out, or start a variant: smithers fork {chain.run} --input '…'",
            )
    return loaded


def _take_over(project: Project, chain: Chain, loaded: Source, resume: Resume, drive: Drive) -> Recovery | None:
    """Write the frame that says what this owner found, if there is anything to say; None: somebody wrote one first."""
    found = recover.examine(project, chain, project.workspaces(chain.run))
    if found.ended:
        drive.watcher.noted(f"ended {len(found.ended)} process(es) that a killed engine had left running")
    accepted = _accept(project, chain, loaded) if resume.accept_change else []
    agents = kept_out(chain.state) if resume.revive else []
    pools.let_in(project, agents)
    goes_on = resume.revive or accepted or chain.state.parked or (found.events and not stopped(chain.state))
    more: list[ev.Event] = [ev.RunResumed(accepted=accepted, agents=agents)] if goes_on else []
    if resume.revive or not stopped(chain.state):
        more += children.freed(project, chain.state)
    return found if recover.keep(project, chain, found, more) else None


def _accept(project: Project, chain: Chain, loaded: Source) -> list[str]:
    assert chain.tip is not None
    files = source_files(project.objects, project.objects.read_commit(chain.tip).tree)
    accepted = source.changes(loaded, files)
    if accepted:
        for path in source.pinned(files):
            if path not in loaded.files:
                chain.drop(f"source/{source.PACK}{path}")
        for path, data in loaded.files.items():
            chain.put(f"source/{source.PACK}{path}", data)
    return accepted


def exit_code(state: State, drive: Drive) -> ExitCode:
    """What `up` returns for a run in this state."""
    if drive.reason == "SIGINT":
        return ExitCode.INTERRUPTED
    if drive.reason == "SIGTERM":
        return ExitCode.TERMINATED
    ends = {"finished": ExitCode.DONE, "failed": ExitCode.FAILED, "cancelled": ExitCode.CANCELLED}
    return ends[state.end] if state.end else ExitCode.WAITING
