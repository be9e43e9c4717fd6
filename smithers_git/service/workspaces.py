"""The folders in which the tasks of a run work: git worktrees, made ready as `[worktree]` says."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from smithers_git.core import amounts
from smithers_git.core.redact import Redactor, secrets_of
from smithers_git.core.settings import PortSettings, WorktreeSettings
from smithers_git.edge import process, user_state
from smithers_git.edge.git import changes, worktree
from smithers_git.edge.git.checkout import Checkout
from smithers_git.edge.git.command import storage_errors
from smithers_git.edge.git.differs import differing_paths
from smithers_git.edge.git.heal import heal
from smithers_git.edge.git.ignore import ignored
from smithers_git.edge.git.repository import Repository
from smithers_git.edge.git.restore import restore
from smithers_git.edge.git.snapshot import Snapshot, snapshot
from smithers_git.errors import ConfigError, SetupFailed, StorageError
from smithers_git.names import REWOUND, slug
from smithers_git.service.furnish import furnish
from smithers_git.service.ports import Address, Registry

# In git's own folder about the worktree: it goes when the worktree goes, and no agent finds it among its files.
_FILLED = "smithers-filled"
"""Holds the commit at which we left it. Without it, what is missing there was never written, not deleted."""
_READY = "smithers-ready"
_LOG = "smithers-{}.log"
_TAIL = 4000  # bytes of a failed command's output that the error shows
_LIMIT = 3600.0  # seconds; an hour for a cold build, and an end for a command that waits for input


def _redactor_of(environ: Mapping[str, str]) -> Redactor:
    return Redactor(secrets_of(environ))


@dataclass(frozen=True, slots=True)
class Making:
    """How new workspaces are made."""

    settings: WorktreeSettings
    """How they are made ready."""
    ports: PortSettings = field(default_factory=PortSettings)
    """Which blocks of ports they may have."""
    redactor: Callable[[Mapping[str, str]], Redactor] = _redactor_of
    """Takes secrets out of what a command with that environment says."""
    max_file: int = amounts.FILE
    """Bytes of the largest file that is saved."""


@storage_errors
def _leave(checkout: Checkout, commit: str) -> None:
    (checkout.git_dir / _FILLED).write_text(commit, "ascii")


class Workspaces:
    """The workspaces of one run.

    Args:
        repo: the user's repository.
        run: id of the run.
        making: how new ones are made.
    """

    def __init__(self, repo: Repository, run: str, making: Making) -> None:
        self.repo = repo
        self.run = run
        self.settings = making.settings
        self.ports = Registry(user_state.folder(os.environ), making.ports)
        self._redactor = making.redactor
        self._max_file = making.max_file

    def path(self, space: str) -> Path:
        """Folder of a workspace: the same for the same run and space, as agents know conversations by their folder."""
        return self.root / self.run / space

    @property
    def root(self) -> Path:
        """Folder of all workspaces of this repository."""
        base = user_state.folder(os.environ) / "worktrees"
        if self.settings.root:
            base = self.main.path / Path(self.settings.root).expanduser()
        common = self.repo.common_dir.resolve()
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", common.parent.name if common.name == ".git" else common.stem)
        return base.resolve() / f"{name.strip('-.') or 'repo'}-{hashlib.sha256(os.fsencode(common)).hexdigest()[:8]}"

    def address(self, space: str, wanted: int | None = None) -> Address:
        """The name and the ports of a workspace on this machine; `wanted` is the block it has elsewhere, or had.

        Raises ConfigError when all ports are taken, StorageError when what is taken cannot be read or written.
        """
        lock = self.repo.smithers_dir / "locks" / f"{self.run}.lock"
        return Address(slug(self.run, space), self.ports.claim(self.path(space), lock, wanted))

    @property
    def main(self) -> Checkout:
        """The main checkout, even when the user works in a linked worktree: `.env` and the like are there."""
        return worktree.main_checkout(self.repo)

    @storage_errors
    def ensure(self, space: str, branch: str, commit: str, *, cancel: threading.Event | None = None) -> Path:
        """The folder of a workspace; made at `commit` when it is missing.

        An existing one is returned as it is. One whose setup did not succeed is brought to `commit` and set up again.

        Args:
            space: id of the workspace.
            branch: full name of its branch.
            commit: what a new one holds.
            cancel: setting it ends the setup command.

        Raises:
            SetupFailed: the setup command failed; the message has the end of its output.
            ConfigError: a rule in [worktree] cannot be followed.
            RepositoryError, StorageError, GitError: see `worktree.add`.
        """
        path = self.path(space)
        checkout = worktree.find(self.repo, path)
        if checkout is not None and (checkout.git_dir / _READY).exists():
            return path
        if checkout is None:
            self.refuse_visible(path)
            checkout = worktree.add(self.repo, path, branch, commit, kept=f"{REWOUND}{self.run}/")
        (checkout.git_dir / _FILLED).unlink(missing_ok=True)
        restore(checkout, branch, commit)
        _leave(checkout, commit)
        self.make_ready(space, checkout, cancel)
        (checkout.git_dir / _READY).touch()
        return path

    def make_ready(self, space: str, checkout: Checkout, cancel: threading.Event | None) -> None:
        """Copy, link and run the setup command in a new worktree; raises as `ensure` does."""
        furnish(self.main, checkout, self.settings)
        self._command("setup", space, checkout, cancel)

    def save(self, space: str, branch: str, parent: str, message: str) -> Snapshot:
        """Commit what is in the workspace, see `snapshot`. Raises StorageError when there is no such workspace."""
        checkout = self._existing(space)
        saved = snapshot(checkout, parent, message, branch, limit=self._max_file)
        _leave(checkout, saved.commit)
        return saved

    def keep(self, space: str, branch: str, parent: str, message: str) -> Snapshot | None:
        """As `save`; None when there is no such workspace, or one that was never filled: nothing worked in it."""
        checkout = worktree.find(self.repo, self.path(space))
        if checkout is None or not any((checkout.git_dir / name).exists() for name in (_FILLED, _READY)):
            return None
        return self.save(space, branch, parent, message)

    def heal(self, space: str, commit: str) -> list[str]:
        """Write anew the files that a power loss emptied or cut off, see `heal`; none when there is no workspace."""
        checkout = worktree.find(self.repo, self.path(space))
        return heal(checkout, commit) if checkout is not None else []

    def edited(self, space: str, commit: str) -> list[str]:
        """The files of the workspace that differ from `commit`; none when there is no such workspace."""
        checkout = worktree.find(self.repo, self.path(space))
        return differing_paths(checkout, self.left_at(space, commit) or commit) if checkout is not None else []

    def changed(self, space: str, commit: str) -> list[str]:
        """The files that an attempt has changed since `commit`, see `changes.changed_files`."""
        return changes.changed_files(self.path(space), commit)

    def thrown_back(self, space: str, start: str) -> str | None:
        """The older commit to which an attempt took the workspace, see `changes.thrown_back`."""
        return changes.thrown_back(self.path(space), start)

    def left_at(self, space: str, commit: str) -> str | None:
        """Where the workspace stands, when the run has come to `commit` elsewhere and was fetched; else None.

        It then lacks what was done there, and nobody here has deleted that. One that is ahead of `commit` is of an
        engine that was killed before its frame.
        """
        checkout = worktree.find(self.repo, self.path(space))
        there = checkout.git_dir / _FILLED if checkout is not None else None
        if checkout is None or there is None or not there.exists():
            return None
        at = there.read_text("ascii", "replace")
        if at == commit or not at or checkout.resolve(f"{at}^{{commit}}") != at:
            return None
        return at if checkout.try_git("merge-base", "--is-ancestor", commit, at).code else None

    def restore(self, space: str, branch: str, commit: str) -> None:
        """Bring the workspace to the bytes of `commit`, ignored files excepted; makes it when it is missing."""
        self.ensure(space, branch, commit)
        checkout = self._existing(space)
        restore(checkout, branch, commit)
        _leave(checkout, commit)

    @storage_errors
    def remove(self, space: str, branch: str, commit: str) -> bool:
        """Run the teardown command and delete the workspace, unless it holds something that `commit` does not.

        Returns:
            Whether it is gone. The branch stays.

        Raises:
            SetupFailed: the teardown command failed; the workspace stays, and `ensure` will set it up again.
        """
        path = self.path(space)
        checkout = worktree.find(self.repo, path)
        if checkout is None:
            return not path.exists() and self._gone(path)
        if not worktree.holds_only(checkout, branch, commit):
            return False
        (checkout.git_dir / _READY).unlink(missing_ok=True)
        self._command("teardown", space, checkout, None)
        if not worktree.remove(self.repo, path, branch, commit):
            return False
        return self._gone(path)

    def _gone(self, path: Path) -> bool:
        self.ports.release(path)
        with suppress(OSError):  # other workspaces of the run are still there
            path.parent.rmdir()
        return True

    def drop_unknown(self, known: Collection[str]) -> None:
        """Remove the workspaces of this run that are not among `known`: a rewind went to before they existed.

        Their bytes are in a frame. One that holds something else stays, yet `ensure` will not take it as it is.
        """
        folder = self.root / self.run
        for info in worktree.listing(self.repo) if folder.is_dir() else ():
            unknown = info.ours and info.path.parent == folder and info.path.name not in known
            checkout = worktree.find(self.repo, info.path) if unknown else None
            if checkout is not None and info.branch and info.head:
                (checkout.git_dir / _READY).unlink(missing_ok=True)
                self.remove(info.path.name, info.branch, info.head)

    def _existing(self, space: str) -> Checkout:
        checkout = worktree.find(self.repo, self.path(space))
        if checkout is None:
            raise StorageError(
                f"the workspace {self.path(space)} is missing, or git does not know it any more",
                hint=f"smithers up --resume {self.run} makes it again from the last frame",
            )
        return checkout

    def refuse_visible(self, path: Path) -> None:
        """A root inside the user's checkout must be ignored there, or `git status` would show it."""
        top = self.repo.worktree.resolve()
        if path.is_relative_to(top) and not path.is_relative_to(self.repo.common_dir.resolve()):
            name = str(path.relative_to(top))
            if not ignored(self.repo.checkout, [name]):
                folder = Path(self.settings.root or "").as_posix()
                raise ConfigError(
                    f"[worktree] root = {self.settings.root!r} is inside the checkout, and git does not ignore it",
                    hint=f"add the line /{folder}/ to .gitignore or .git/info/exclude",
                )

    def _command(self, which: str, space: str, checkout: Checkout, cancel: threading.Event | None) -> None:
        """Run the setup or teardown command, if there is one."""
        command = self.settings.setup if which == "setup" else self.settings.teardown
        if not command:
            return
        main = str(self.main.path)
        env = process.clean_env(os.environ) | {
            "SMITHERS_RUN": self.run,
            "SMITHERS_SPACE": space,
            "SMITHERS_MAIN": main,
            **self.address(space).environ(),
        }
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else command
        log = checkout.git_dir / _LOG.format(which)
        launch = process.Launch(argv, checkout.path, env, merge_stderr=True, timeout=_LIMIT)
        clean = self._redactor(env)
        with log.open("w+b") as output:

            def write(chunk: bytes) -> None:
                output.write(clean.feed(chunk))

            ended = process.run(launch, on_output=write, cancel=cancel or threading.Event())
            output.write(clean.finish())
            output.seek(max(0, output.tell() - _TAIL))
            tail = output.read().decode("utf-8", "replace").strip()
        if ended.code != 0 or ended.reason != "exited":
            raise SetupFailed(
                f"[worktree] {which} for {space} {ended.message}" + (f":\n{tail}" if tail else ""),
                hint=f"run it by hand in {checkout.path}; its whole output is in {log}",
            )
