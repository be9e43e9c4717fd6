"""An engine in the background: started, and known to have taken over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

from smithers_git.core import events as ev
from smithers_git.core.fold_tasks import kept_out
from smithers_git.edge import process
from smithers_git.names import run_ref
from smithers_git.service import children, pools
from smithers_git.service.append import append
from smithers_git.service.drive import stopped
from smithers_git.service.frames import Chain
from smithers_git.service.preview import preview
from smithers_git.service.project import Project

_PATIENCE: Final = 10.0
"""Seconds to wait for the new engine's first sign of life: importing takes about half a second on a busy machine."""


@dataclass(frozen=True, slots=True)
class Detached:
    """A background engine. `log` holds what it printed."""

    pid: int
    log: Path
    began: str = ""
    """When the process was started, to tell a recycled pid."""


@dataclass(frozen=True, slots=True)
class GoesOn:
    """Whether a run goes on by itself now that somebody decided, answered or signalled."""

    began: Detached | None = None
    """The engine that was started; None when one is alive already, or the run stands still."""
    why: str = ""
    """Why the run stands still; empty when it goes on."""


def go_on(project: Project, chain: Chain, *, leave: bool = False) -> GoesOn:
    """Let the run go on after a frame from outside its engine, in the background; with `leave`, only by a live engine.

    What a new engine would refuse is refused here, where the person reads it, and not in a log.
    """
    run = chain.run
    if project.is_owned(run):
        return GoesOn()  # its engine hears of the frame
    by_hand = f"go on with: smithers up --resume {run}"
    if leave:
        return GoesOn(why=f"the run was left alone; {by_hand}")
    if chain.state.paused:
        return GoesOn(why=f"the run is paused; {by_hand}")
    if not driven_here(project, chain):
        push = f"git push REMOTE {run_ref(run)}"
        return GoesOn(why=f"the run was never driven here; hand it back with: {push}; or {by_hand}")
    seen, told = preview(project, chain), f"smithers why {run} says what to type"
    if seen.trouble is not None:
        return GoesOn(why=f"the run cannot go on by itself: {seen.trouble.message}; {told}")
    if seen.changed:
        changed = ", ".join(seen.changed)
        return GoesOn(why=f"the run cannot go on by itself: its workflow was changed ({changed}); {told}")
    return GoesOn(began=resume(project, run))


def driven_here(project: Project, chain: Chain) -> bool:
    """Whether somebody here has let the run, or the one that it was forked from, run its code.

    One that came with a fetch was not: its engine, if it has one, is elsewhere.
    """
    return any(project.lock_path(name).exists() for name in (chain.run, chain.state.parent) if name)


def resume(project: Project, run: str, *, accept_change: bool = False, revive: bool = False) -> Detached | None:
    """Let a background engine go on with the run; None when a live engine has it already.

    For a run that another one uses, that one goes on, and so both do.

    Args:
        accept_change: go on although the workflow's files have changed.
        revive: go on although the run failed, was cancelled or is paused. It is said in a frame now, not half a second
            later by the engine: a cancel that comes in between must stand.
    """
    if not revive:
        run = children.top(project, run)
    if project.is_owned(run):
        return None
    if revive:
        append(project, run, lambda chain: _revival(project, chain))
    return project.begin_engine(run, accept_change=accept_change)


def begin(project: Project, run: str, *, accept_change: bool) -> Detached:
    """Start a background engine for the run, and wait until it has taken over, or has ended."""
    log = project.run_dir(run) / "engine.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    before = project.objects.ref(run_ref(run))
    argv = [*project.python(), "-C", str(project.worktree), "up", "--resume", run, "--background"]
    argv += ["--accept-change"] if accept_change else []
    pid = process.spawn_detached(argv, cwd=project.worktree, env=process.clean_env(project.environ), log=log)
    began = process.start_time(pid)
    until = project.clock.monotonic() + _PATIENCE
    pause = Event()
    while project.clock.monotonic() < until:
        moved = project.objects.ref(run_ref(run)) != before
        if moved or project.is_owned(run) or not process.is_alive(pid, began):
            break
        pause.wait(0.02)
    return Detached(pid, log, began)


def _revival(project: Project, chain: Chain) -> list[ev.Event]:
    """What a person says who has the run go on: that it does, and that agents which were kept out work again."""
    agents = kept_out(chain.state)
    pools.let_in(project, agents)
    return [ev.RunResumed(agents=agents)] if agents or stopped(chain.state) else []
