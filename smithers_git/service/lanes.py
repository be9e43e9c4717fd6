"""Lanes: worktrees of ours in which a merge queue runs gates and hooks on exact trees, reused from gate to gate."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from smithers_git.core.landing.entry import Gate, Style
from smithers_git.core.settings import Settings
from smithers_git.edge import memory, process
from smithers_git.edge.git import hooks, worktree
from smithers_git.edge.git.checkout import Checkout
from smithers_git.edge.git.command import storage_errors
from smithers_git.edge.git.place import place
from smithers_git.edge.lock import FileLock, is_held
from smithers_git.edge.process.evidence import Evidence, gather
from smithers_git.errors import SmithersError, StorageError
from smithers_git.names import slug
from smithers_git.service.furnish import items
from smithers_git.service.live import MARK, end_orphans, mark
from smithers_git.service.perform import words
from smithers_git.service.ports import Address
from smithers_git.service.project import Project
from smithers_git.service.workspaces import Making, Workspaces

_FOLDER: Final = Path("queue", ".lanes")
"""Below the root of all workspaces. The dot keeps it apart from the spaces of a run that is called `queue`."""
_READY: Final = "smithers-lane"
"""In git's own folder about the worktree: what it was made ready for, see `Lanes.purpose`."""
_GIB: Final = 1 << 30
_PROCESS: Final = "gate"

Sink = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """What a gate said of a tree.

    Attributes:
        outcome: `broken` is the machine's fault or our own doing (cancelled), and proves nothing.
        exit_code: None when there was none.
        seconds: how long it ran.
        tail: the end of its output, secrets taken out.
        message: one line, what happened.
    """

    outcome: Literal["passed", "failed", "broken"]
    exit_code: int | None
    seconds: float
    tail: str
    message: str


class Lane:
    """One worktree, held by this process until it is given back."""

    def __init__(self, lanes: Lanes, number: int, lock: FileLock) -> None:
        self.number = number
        self.path = lanes.root / str(number)
        self.lanes = lanes
        self._lock = lock

    @property
    def checkout(self) -> Checkout:
        """The worktree; raises StorageError before the first `put`."""
        found = worktree.find(self.lanes.project.repository, self.path)
        if found is None:
            raise StorageError(f"there is no worktree at {self.path}", hint="smithers makes it again by itself")
        return found

    def put(self, commit: str, cancel: threading.Event | None = None) -> None:
        """Make the files equal to those of `commit`; the worktree is made, and made ready, when that is due.

        One that cannot be brought there is deleted and made anew, once.

        Raises:
            SetupFailed: the setup command failed.
            SmithersError: git or the disk refuses.
        """
        lanes = self.lanes
        found = worktree.find(lanes.project.repository, self.path)
        if found is not None and lanes.ready(found):
            try:
                lanes.fill(self, found, commit, cancel)
            except SmithersError:
                if cancel is not None and cancel.is_set():
                    raise
            else:
                return
        lanes.fill(self, lanes.make(self, commit), commit, cancel)

    def give_back(self) -> None:
        """Let others take it. The files stay, for the next one to start from."""
        self.lanes.release(self.number, self._lock)

    def __enter__(self) -> Lane:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()


class Lanes:
    """The lanes of a repository. Safe for threads, and beside other processes: each lane has a lock of the system."""

    def __init__(self, project: Project) -> None:
        self.project = project
        settings = project.settings
        redactor = project.secrets.redactor
        self._spaces = Workspaces(project.repository, "queue", Making(settings.worktree, settings.ports, redactor))
        self._guard = threading.Lock()
        self._held: set[int] = set()

    @cached_property
    def root(self) -> Path:
        """Folder of all lanes."""
        return self._spaces.root / _FOLDER

    @cached_property
    def purpose(self) -> str:
        """What a lane must have been made ready for to be used as it is."""
        repo = self.project.repository
        patterns = repo.git_dir / "info" / "sparse-checkout"
        sparse = repo.checkout.try_git("config", "--type=bool", "core.sparseCheckout").stdout
        parts = [env_digest(self.project).encode(), sparse, patterns.read_bytes() if patterns.exists() else b""]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()

    def take(self) -> Lane:
        """A lane that nobody works in, the first that is free. What a killed process left running there is ended."""
        with self._guard:
            number = 1
            while number in self._held or not (lock := self._try(number)):
                number += 1
            self._held.add(number)
        try:
            end_orphans(self.state_dir(number))
        except BaseException:
            self.release(number, lock)
            raise
        return Lane(self, number, lock)

    def idle(self) -> list[Path]:
        """Folders of the lanes that nobody holds. A look: nothing is changed."""
        found = sorted(self.root.glob("[0-9]*"))
        return [path for path in found if not is_held(self.state_dir(int(path.name)).with_suffix(".lock"))]

    def clear(self) -> list[Path]:
        """Delete the lanes that nobody holds, for their disk space; returns their folders."""
        gone = []
        for path in self.idle():
            number = int(path.name)
            with self._guard:
                lock = None if number in self._held else self._try(number)
                if lock is None:
                    continue
                self._held.add(number)
            try:
                worktree.discard(self.project.repository, path)
                self._spaces.ports.release(path)
                gone.append(path)
            finally:
                self.release(number, lock)
        return gone

    def _try(self, number: int) -> FileLock | None:
        path = self.state_dir(number).with_suffix(".lock")
        lock = FileLock(path)
        return lock if not is_held(path) and lock.try_acquire() else None

    def release(self, number: int, lock: FileLock) -> None:
        with self._guard:
            lock.release()
            self._held.discard(number)

    def address(self, number: int) -> Address:
        """The name and the ports of a lane on this machine, so that gates side by side do not meet."""
        folder = self.root / str(number)
        port = self._spaces.ports.claim(folder, self.state_dir(number).with_suffix(".lock"))
        return Address(slug(self._spaces.root.name, f"lane-{number}"), port)

    def state_dir(self, number: int) -> Path:
        """Local, disposable files about a lane, as a run has them."""
        return self.project.state_dir / "lanes" / str(number)

    # -- what a queue asks for

    def verify(self, tree: str, commit: str | None, gate: Gate, cancel: threading.Event) -> GateOutcome:
        """Run a gate on an exact tree, in a lane of its own; whatever goes wrong is an outcome.

        Args:
            tree: what is tested.
            commit: one that has the tree; None when none is known.
            gate: the command.
            cancel: setting it ends the gate.
        """
        try:
            with self.take() as lane:
                lane.put(commit or self._commit_of(tree), cancel)
                return run_gate(lane, gate, cancel)
        except SmithersError as error:
            return GateOutcome(
                "broken", None, 0.0, "", f"{error.message}; {error.hint}" if error.hint else error.message
            )

    def hooks(self, before: str, commit: str, style: Style, cancel: threading.Event) -> hooks.HookOutcome:
        """Run the user's hooks on a commit that is to come after `before`; whatever goes wrong is an outcome."""
        project = self.project
        limits = hooks.Limits(project.environ, _seconds(project.settings), cancel)
        try:
            if not hooks.find(project.repository, style):
                return hooks.HookOutcome(True, "", "")
            with self.take() as lane:
                lane.put(commit, cancel)
                return hooks.run(project.repository, lane.checkout, hooks.Landing(before, commit, style), limits)
        except SmithersError as error:
            return hooks.HookOutcome(False, "", f"{error.message}; {error.hint}\n", broken=True)

    def _commit_of(self, tree: str) -> str:
        """A commit of `tree` that no ref will ever hold, the same each time."""
        env = {f"GIT_{who}_{what}": "smithers" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        env |= {f"GIT_{who}_DATE": "@0 +0000" for who in ("AUTHOR", "COMMITTER")}
        return self.project.repository.checkout.git("commit-tree", "--no-gpg-sign", "-m", "a tree", tree, env=env)

    # -- making and filling

    def ready(self, checkout: Checkout) -> bool:
        """Whether a worktree was made ready, and for what is wanted now."""
        try:
            return (checkout.git_dir / _READY).read_text("ascii") == self.purpose
        except OSError:
            return False

    def make(self, lane: Lane, commit: str) -> Checkout:
        """The worktree of a lane, without files; one that is there is deleted."""
        repo = self.project.repository
        self._spaces.refuse_visible(lane.path)
        worktree.discard(repo, lane.path)
        return worktree.add_detached(repo, lane.path, commit, "a lane of the merge queue, made again when needed")

    @storage_errors
    def fill(self, lane: Lane, checkout: Checkout, commit: str, cancel: threading.Event | None) -> None:
        """Place the files, and what `[worktree]` says where that is not there."""
        clean = self.project.settings.landing.clean == "all"
        place(checkout, commit, ignored_too=clean)
        if clean or not self.ready(checkout):  # it took what setup had made as well
            (checkout.git_dir / _READY).unlink(missing_ok=True)
            self._spaces.make_ready(f"lane-{lane.number}", checkout, cancel)
            place(checkout, commit)  # a setup command may touch what is tracked
            (checkout.git_dir / _READY).write_text(self.purpose, "ascii")


@storage_errors
def run_gate(lane: Lane, gate: Gate, cancel: threading.Event, sink: Sink | None = None) -> GateOutcome:
    """Run a gate in a lane; when it returns, nothing that it started runs any more.

    Args:
        lane: it holds the tree that is tested.
        gate: the command.
        cancel: setting it ends the gate.
        sink: gets the output as it comes, secrets taken out.
    """
    project = lane.lanes.project
    folder = lane.lanes.state_dir(lane.number)
    value = mark(folder, _PROCESS)
    env = process.clean_env(project.environ) | lane.lanes.address(lane.number).environ() | {MARK: value}
    launch = process.Launch(
        words(gate if isinstance(gate, str) else list(gate)),
        lane.path,
        env,
        merge_stderr=True,
        timeout=_seconds(project.settings),
        mark=MARK,
        secrets=project.secrets.known(),
    )
    record = folder / "pids" / f"{_PROCESS}.json"
    record.parent.mkdir(parents=True, exist_ok=True)

    def started(one: process.Started) -> None:
        record.write_text(json.dumps({"pid": one.pid, "start": one.start_time, "mark": value}))

    # The mark stands on the disk before the process exists: a kill between the two must not hide it.
    record.write_text(json.dumps({"pid": None, "start": None, "mark": value}))
    found = gather(launch, cancel, sink, started)
    record.unlink(missing_ok=True)
    return _outcome(found)


def _outcome(found: Evidence) -> GateOutcome:
    outcome = "broken" if found.verdict == "cancelled" else found.verdict
    return GateOutcome(outcome, found.exit_code, found.seconds, found.tail, found.message)


def _seconds(settings: Settings) -> float:
    return settings.landing.gate_minutes * 60


# -- this machine


def carries(settings: Settings) -> int:
    """How many gates this machine carries at once: one for each core and each GiB of free memory, at least one."""
    most = [_cores(), _free_memory() // _GIB]
    if settings.landing.lanes is not None:
        most.append(settings.landing.lanes)
    return max(1, min(most))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _free_memory() -> int:
    return memory.available()


def env_digest(project: Project) -> str:
    """16 hex digits that change when a verdict on the same tree may change: machine, PATH, what lanes are furnished
    with. Raises ConfigError when a rule in [worktree] cannot be followed."""
    settings = project.settings.worktree
    main = worktree.main_checkout(project.repository)
    copied = {item.name: _content(item.source) for item in items(main, settings) if not item.link}
    facts = {
        "platform": [sys.platform, platform.machine()],
        "path": project.environ.get("PATH", ""),
        "worktree": [settings.setup, settings.copy_, settings.symlink],
        "copied": dict(sorted(copied.items())),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@storage_errors
def _content(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
