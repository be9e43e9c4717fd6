"""Hand a task's conversation to the person, and take it back: they talk with the agent in its own interface."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from smithers_git.core import commit_message
from smithers_git.core import events as ev
from smithers_git.core.command_line import Turn, build_interactive, constants
from smithers_git.core.profile import Profile
from smithers_git.core.settings import AgentSettings
from smithers_git.core.state import State
from smithers_git.edge import player, process
from smithers_git.errors import AgentError, RefMoved, RunRefused
from smithers_git.names import TaskKey
from smithers_git.service import conversations, live, pools, recover
from smithers_git.service.append import append
from smithers_git.service.drive import busy
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project
from smithers_git.service.travel import key_of
from smithers_git.service.workspaces import Workspaces

_PATIENCE: Final = 60.0
"""Seconds that a live engine has to end what runs and to keep it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    key: TaskKey
    ended: process.Exit
    changed: bool
    """Whether the person changed a file."""
    chain: Chain


@dataclass(frozen=True, slots=True)
class _Seat:
    """The conversation that is handed over."""

    key: TaskKey
    profile: Profile
    own: AgentSettings
    session: str
    folder: Path
    environ: dict[str, str]


def hijack(project: Project, run: str, node: str, by: str, note: Callable[[str], None]) -> Outcome:
    """Let the person at the terminal go on with the conversation of a task, and keep what they changed.

    The run is paused first and stays so: `up --resume` goes on with it. A live engine ends what runs and keeps it.
    While the person works nobody else can own the run.

    Raises:
        UsageError: there is no such node.
        RunRefused: the node is over, or no agent has said anything there.
        AgentError: the agent has no interface for people, is not installed, or does not know the conversation here.
        RunBusy: another process owns the run and does not let go of it.
    """
    state = project.chain(run).state
    _require(project, run, state, key_of(state, node))
    append(project, run, lambda chain: _pause(chain, by))
    with _owning(project, run, note):
        chain = project.chain(run)
        workspaces = project.workspaces(run)
        _take_over(project, chain, workspaces)
        key = key_of(chain.state, node)
        profile, session = _require(project, run, chain.state, key)
        space = chain.state.spaces[chain.state.nodes[key].space]
        folder = workspaces.ensure(chain.state.nodes[key].space, space.branch, space.commit)
        seat = _seat(project, chain, key, (profile, session), folder)
        launch = _launch(project, seat)
        note(f"{profile.name} goes on with you in {folder}; leave it, or type Ctrl-], to hand it back")
        ended = process.interact(launch)
        if ended.reason == "unstartable":
            raise AgentError(ended.message, hint=f"the run is left paused; smithers up --resume {run} goes on with it")
        changed = _take_back(project, chain, workspaces, seat, (by, ended.seconds))
    return Outcome(key, ended, changed, chain)


def _require(project: Project, run: str, state: State, key: TaskKey) -> tuple[Profile, str]:
    """The agent and the conversation of a node that can be handed over."""
    node = state.nodes[key]
    if node.status in ("finished", "skipped"):
        raise RunRefused(
            f"{key} of run {run} is {node.status}: its conversation is over",
            hint=f"smithers retry-task {run} {key} does it again; smithers chat {run} {key} shows what was said",
        )
    session, agent = node.session, node.session_agent
    if key in state.running:
        talks = live.talks(project.run_dir(run))
        session, agent = talks.get(live.job_name(key, state.running[key]), session), node.agent
    if session is None or agent is None:
        raise RunRefused(
            f"there is no conversation at {key} of run {run} yet", hint=f"smithers chat {run} {key} shows what there is"
        )
    profile = pools.profile(project, agent)
    if profile.interactive is None:
        raise AgentError(
            f"{agent} cannot go on with a conversation in a terminal: its profile has no [interactive]",
            hint=f"read it with smithers chat {run} {key}, or add [interactive] argv to .smithers/agents/{agent}.toml",
        )
    return profile, session


def _pause(chain: Chain, by: str) -> Sequence[ev.Event]:
    """In a frame first, so that nobody goes on with the run when its engine has ended, or we were killed."""
    return [] if chain.state.end or chain.state.pause_requested else [ev.PauseRequested(by=by)]


@contextmanager
def _owning(project: Project, run: str, note: Callable[[str], None]) -> Iterator[None]:
    """Hold the run's lock for a `with` block; a live engine on this machine is told to stop, and waited for."""
    lock, told, pause = project.lock(run), set[int](), threading.Event()
    until = project.clock.monotonic() + _PATIENCE
    while not lock.try_acquire({"doing": "hijack"}):
        holder = lock.holder() or {}
        pid = int(holder.get("pid") or 0)
        ours = holder.get("doing") == "up" and holder.get("host") == socket.gethostname() and pid != os.getpid()
        if not ours or project.stopped_owner(run) or project.clock.monotonic() > until:
            raise busy(project, run)
        if pid not in told and project.is_owned(run):
            note(f"the engine of run {run} ends what runs, and keeps its files")
            told.add(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        pause.wait(0.05)
    try:
        yield
    finally:
        lock.release()


def _take_over(project: Project, chain: Chain, workspaces: Workspaces) -> None:
    """As an engine that takes over: what a killed one left is kept in a frame, and its workspaces put in order."""
    while not recover.keep(project, chain, found := recover.examine(project, chain, workspaces)):
        pass  # somebody wrote a frame meanwhile
    recover.settle(project, chain, workspaces, found)


def _seat(project: Project, chain: Chain, key: TaskKey, talk: tuple[Profile, str], folder: Path) -> _Seat:
    profile, session = talk
    own = pools.settings_of(project, profile.name)
    env = process.agent_env(project.environ, [*profile.env.passed, *own.pass_env])
    env = {**env, **constants(profile), **project.secrets.environ(profile.name)}
    assert chain.tip is not None
    kept = conversations.find(project.objects, project.objects.read_commit(chain.tip).tree, session)
    ready = conversations.ready(conversations.Asked(profile, env, session, folder), kept)
    if ready.lost:
        raise AgentError(
            f"the conversation of {key} cannot go on here: {ready.lost}",
            hint=f"smithers up --resume {chain.run} goes on in a new one, with a summary",
        )
    space = chain.state.spaces[chain.state.nodes[key].space]
    address = project.workspaces(chain.run).address(chain.state.nodes[key].space, space.port)
    env |= {**address.environ(), "SMITHERS_RUN": chain.run, "SMITHERS_NODE": key.node}
    return _Seat(key, profile, own, session, folder, env)


def _launch(project: Project, seat: _Seat) -> process.Launch:
    program = pools.program(project, seat.profile)
    if program is None:
        raise AgentError(f"{seat.profile.name} is not installed", hint=seat.profile.install or "install it")
    turn = Turn(
        program=program,
        prompt="",
        cwd=str(seat.folder),
        scratch=str(seat.folder),
        python=sys.executable,
        player=str(Path(player.__file__)),
        model=seat.own.model,
        session=seat.session,
    )
    call = build_interactive(seat.profile, turn)
    stop = tuple(process.StopStep(step.signal, step.wait) for step in seat.profile.stop)
    return process.Launch(call.argv, seat.folder, {**seat.environ, **call.env_set}, stop=stop)


def _take_back(project: Project, chain: Chain, workspaces: Workspaces, seat: _Seat, how: tuple[str, float]) -> bool:
    """Keep in a frame what the person and the agent have done; says whether a file was changed."""
    by, seconds = how
    name = chain.state.nodes[seat.key].space
    while True:
        chain.reload()
        space = chain.state.spaces[name]
        saved = workspaces.save(name, space.branch, space.commit, commit_message.by_hand(str(seat.key)))
        now = project.clock.now()
        if saved.changed:
            chain.add(ev.SpaceSaved(space=name, commit=saved.commit, reason=f"{seat.key}: by hand"), now)
        chain.add(
            ev.TaskHijacked(
                node=seat.key.node,
                iteration=seat.key.iteration,
                agent=seat.profile.name,
                session=seat.session,
                seconds=round(seconds, 3),
                by=by,
            ),
            now,
        )
        kept = conversations.gather(
            conversations.Asked(seat.profile, seat.environ, seat.session, seat.folder),
            lambda: project.secrets.redactor(seat.environ),
        )
        if kept is not None:
            conversations.put(chain, kept)
        try:
            chain.commit()
        except RefMoved:
            continue
        return bool(saved.changed)
