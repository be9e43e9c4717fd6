"""A user's repository as smithers works in it: git, objects, index, settings and the folder for local state."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Condition, Event, Thread
from typing import TYPE_CHECKING, Any

from smithers_git.clock import Clock, SystemClock
from smithers_git.edge import user_state
from smithers_git.edge.git.repository import Repository, discover
from smithers_git.edge.index import Index
from smithers_git.edge.lock import FileLock, is_held
from smithers_git.names import RUNS, run_ref
from smithers_git.service import archive, reboot

if TYPE_CHECKING:  # pydantic and all that stands on it: 150 ms that `ps` on a current index does without
    from smithers_git.core.codec import Owner
    from smithers_git.core.redact import Redactor
    from smithers_git.core.settings import Settings
    from smithers_git.core.state import State
    from smithers_git.edge.git.journaled import Journaled
    from smithers_git.edge.git.objects import Objects
    from smithers_git.edge.process import Exit, Launch, Started
    from smithers_git.service.crew import Crew
    from smithers_git.service.detach import Detached
    from smithers_git.service.frames import Chain
    from smithers_git.service.job import Result
    from smithers_git.service.landing.site import Site
    from smithers_git.service.secrets import Secrets
    from smithers_git.service.slots import Slots
    from smithers_git.service.source import Source
    from smithers_git.service.talk.seat import Seat
    from smithers_git.service.talk.talker import Talker
    from smithers_git.service.workspaces import Workspaces


@dataclass
class Project:
    """One repository. Nothing is written before a command asks for it, but for what `reboot.look` puts in order.

    It is all that services know of the outside, so that a test can put another outside in its place.
    """

    repository: Repository
    environ: Mapping[str, str]
    clock: Clock = field(default_factory=SystemClock)

    @classmethod
    def open(cls, start: Path, environ: Mapping[str, str] | None = None) -> Project:
        """The repository around the folder `start`; raises RepositoryError.

        The first one after a start of the machine puts in order what a power loss may have left.
        """
        project = cls(discover(start), os.environ if environ is None else environ)
        reboot.look(project)
        return project

    def apart(self) -> Project:
        """The same repository for another thread: git and SQLite are not shared."""
        return Project(self.repository, self.environ, self.clock)

    @property
    def worktree(self) -> Path:
        return self.repository.worktree

    @cached_property
    def state_dir(self) -> Path:
        """Local, disposable state inside the git folder: index, locks, logs. Never anything that only stands here."""
        return self.repository.common_dir / "smithers"

    @property
    def user_state(self) -> Path:
        """Local state of the user that all repositories share: `$XDG_STATE_HOME/smithers`."""
        return user_state.folder(self.environ)

    @cached_property
    def objects(self) -> Objects:
        from smithers_git.edge.git.objects import Objects

        return Objects(self.repository.common_dir)

    def journaled(self, run: str) -> Journaled | None:
        """The objects as the one owner of a run writes its frames, for its thread; None: the ordinary way."""
        from smithers_git.edge.git.journaled import Journaled
        from smithers_git.edge.git.objects import Objects

        if not isinstance(self.objects, Objects):  # a test's, which has no disk
            return None
        made = Journaled(self.repository.common_dir, run, run_ref(run), sync=self.objects.sync)
        return made if made.is_usable else None

    def settle(self) -> None:
        """Settle what engines that have died left in journals, before a run of theirs is taken back."""
        from smithers_git.edge.git import journal
        from smithers_git.edge.git.objects import Objects

        if isinstance(self.objects, Objects):
            journal.recover(self.repository.common_dir, self.objects)

    @cached_property
    def index(self) -> Index:
        return Index(self.state_dir / "index.sqlite")

    @cached_property
    def settings(self) -> Settings:
        from smithers_git.edge import config

        return config.load(self.worktree, self.environ)

    @cached_property
    def owner(self) -> Owner:
        from smithers_git.core.codec import Owner

        return Owner(os.getpid(), os.uname().nodename)

    @cached_property
    def secrets(self) -> Secrets:
        from smithers_git.service.secrets import Secrets

        return Secrets(self)

    def redactor(self) -> Redactor:
        """Takes every known secret, and what looks like one, out of what a frame is going to hold."""
        return self.secrets.redactor()

    def tips(self) -> dict[str, str]:
        """Run to the commit of its newest frame: every run, folded ones too. The one home of this list."""
        found = archive.all_tips(self.repository.common_dir) if self._is_quick() else None
        if found is not None:
            return found
        # Refs first: what is folded in between is then found at least once.
        own = {name.removeprefix(RUNS): tip for name, tip in self.objects.refs(RUNS).items()}
        return archive.tips(self.objects) | own

    def _is_quick(self) -> bool:
        """Whether git may be asked for the refs: pygit2 is not loaded yet, and no journal may have to be settled."""
        return "objects" not in vars(self) and not any((self.state_dir / "journal").glob("*"))

    def tip(self, run: str) -> str | None:
        """The commit of the newest frame of a run; None when there is no such run."""
        return self.objects.ref(run_ref(run)) or archive.tip(self.objects, run)

    def workspaces(self, run: str) -> Workspaces:
        """The workspaces of a run."""
        from smithers_git.service.workspaces import Making, Workspaces

        settings = self.settings
        making = Making(settings.worktree, settings.ports, self.secrets.redactor, settings.disk.file_bytes)
        return Workspaces(self.repository, run, making)

    def chain(self, run: str) -> Chain:
        """The frames of a run; raises RunNotFound."""
        from smithers_git.service.frames import Chain

        return Chain.open(self.objects, run, self.owner, self.index, self.redactor)

    def new_chain(self, run: str) -> Chain:
        """The frames of a run that has none yet."""
        from smithers_git.service.frames import Chain

        return Chain(self.objects, run, self.owner, self.index, self.redactor)

    def lock(self, run: str) -> FileLock:
        """The lock that the live owner of a run holds."""
        return FileLock(self.lock_path(run))

    def claim(self, run: str) -> None:
        """Note that the run is worked on here: `supervise` goes on with it even if its first engine dies at once.

        That is what a lock's last holder says; the lock of a run that was fetched, or made by a fork, had none.
        """
        lock = self.lock(run)
        if lock.try_acquire({"doing": "up"}):
            lock.release()

    def is_owned(self, run: str) -> bool:
        """Whether the run has a live owner, this process included."""
        return is_held(self.lock_path(run))

    def stopped_owner(self, run: str) -> int | None:
        """The pid of the live owner of a run that is owned, if it is stopped (Ctrl-Z, SIGSTOP) and does nothing."""
        from smithers_git.edge import process

        pid = self.lock(run).holder_here()
        return pid if pid is not None and process.is_stopped(pid) else None

    def turn(self, run: str) -> FileLock:
        """Held by who decides something of a run from outside: its engine lets them come in between two frames.

        Without it they would be too late each time, where steps take no time.
        """
        return FileLock(self.turn_path(run))

    def is_turn_taken(self, run: str) -> bool:
        return is_held(self.turn_path(run))

    def turn_path(self, run: str) -> Path:
        return self.state_dir / "locks" / "turn" / f"{run}.lock"

    def lock_path(self, run: str) -> Path:
        return self.state_dir / "locks" / f"{run}.lock"

    def run_dir(self, run: str) -> Path:
        """Local, disposable files of one run: live transcripts, pids, the log of a detached engine."""
        return self.state_dir / "runs" / run

    def workflow(self, argument: str, cwd: Path) -> Source:
        """The workflow that `argument` names, for a run that is to begin; raises as `source.locate` and `load` do."""
        from smithers_git.service import source

        return source.load(source.locate(argument, self.worktree, cwd))

    def source(self, run: str, state: State, files: Mapping[str, bytes]) -> Source:
        """The workflow of an existing run, of which `files` are pinned; raises as `source.reload` does."""
        from smithers_git.service import source

        return source.reload(state.workflow, state.entry, files, self.worktree, self.run_dir(run) / "source")

    def crew(self) -> Crew[Any]:
        """Workers for one engine, or for whoever drives a merge queue."""
        from smithers_git.service.crew import Threads

        return Threads()

    def talker(self, seat: Seat, result: Result) -> Talker:
        """Who talks with the agent of one attempt; raises AgentError."""
        from smithers_git.service.talk import transport

        return transport.talker(seat, result)

    def slots(self) -> Slots:
        """The right to have an agent at work, which all runs of the user on this machine share."""
        from smithers_git.edge import memory
        from smithers_git.service.slots import Slots

        return Slots(self.user_state / "slots", memory.available, self.clock)

    def background(self, name: str, work: Callable[[], None]) -> None:
        """Have `work` done in a thread that ends with the process at the latest."""
        Thread(target=work, name=name, daemon=True).start()

    def condition(self) -> Condition:
        """Something that threads of this process wait for."""
        return Condition()

    def site(self, target: str) -> Site:
        """A branch (full name) as the merge queue reaches it."""
        from smithers_git.service.landing.site import Site

        return Site(self, target)

    def run_program(
        self,
        launch: Launch,
        on_output: Callable[[bytes], None],
        cancel: Event,
        on_start: Callable[[Started], None] | None = None,
    ) -> Exit:
        """Run a program to its end, see `process.run`."""
        from smithers_git.edge import process

        return process.run(launch, on_output=on_output, cancel=cancel, on_start=on_start)

    def begin_engine(self, run: str, *, accept_change: bool) -> Detached:
        """Start an engine in the background, see `detach.begin`."""
        from smithers_git.service import detach

        return detach.begin(self, run, accept_change=accept_change)

    def is_alive(self, pid: int, began: str) -> bool:
        """Whether the process that was started at that moment still lives."""
        from smithers_git.edge import process

        return process.is_alive(pid, began)

    def end_orphans(self, run: str) -> list[int]:
        """End the processes that a killed engine of the run left; returns the pids that were ended."""
        from smithers_git.service import live

        return live.end_orphans(self.run_dir(run))

    def ancestry(self, names: Collection[str]) -> list[dict[str, str]]:
        """What this process, and those that began it, were started with of some variables, nearest first."""
        from smithers_git.edge import process

        return [{name: self.environ[name] for name in names if name in self.environ}, *process.inherited(names)]

    def require_writable(self) -> None:
        """Raise RepositoryError or StorageError where nothing can be written."""
        from smithers_git.edge.git.repository import require_writable

        require_writable(self.repository)

    def free(self, place: Path) -> int:
        """Bytes that may still be written to the file system of `place`."""
        from smithers_git.edge import disk

        return disk.free(place)

    def who(self) -> str:
        """The person at the keyboard: `Name <mail>` as git has it, else the login name."""
        from smithers_git.edge.git.command import git

        name = git(self.worktree, "config", "--get", "user.name", check=False).strip()
        mail = git(self.worktree, "config", "--get", "user.email", check=False).strip()
        if name or mail:
            return f"{name} <{mail}>" if name and mail else name or mail
        return self.environ.get("USER") or self.environ.get("LOGNAME") or "unknown"

    def signer(self) -> Callable[[str, list[str], str, int], str] | None:
        """Writes a commit (tree, parents, message, Unix seconds) with the user's signature; None: they sign none."""
        from smithers_git.edge.git import sign

        folder = self.worktree
        if not sign.signs(folder):
            return None
        return lambda tree, parents, message, moment: sign.write_signed(folder, tree, parents, message, moment)

    def python(self) -> list[str]:
        """How to start this very smithers again, as words of a command.

        Safe path: it starts in the user's repository, whose `click.py` or `rich/` must not stand in for the library.
        """
        return [sys.executable, "-P", "-m", "smithers_git"]
