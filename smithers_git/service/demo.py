"""The stage of the demo: a scratch repository, sealed off, and a shell in it that knows this very `smithers`."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

from smithers_git.clock import Clock
from smithers_git.edge import content, process
from smithers_git.errors import SmithersError, StorageError, UsageError

_GITCONFIG: Final = """\
[user]
\tname = Demo
\temail = demo@example.invalid
[init]
\tdefaultBranch = main
"""
_LIMIT: Final = 120.0
"""Seconds that one command may take: a hundred times what it does."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command line printed, standard error included, and its exit code."""

    code: int
    said: str


class Stage:
    """A folder with the repository `bill` and all that the demo writes."""

    def __init__(self, folder: Path, environ: Mapping[str, str], clock: Clock) -> None:
        self.folder = folder
        self.repo = folder / "bill"
        self._clock = clock
        inherited = ("GIT_", "SMITHERS_", "XDG_")
        kept = {name: value for name, value in environ.items() if not name.startswith(inherited)}
        own_python = str(Path(sys.executable).parent)  # its python3 runs the project's tests
        path = os.pathsep.join([str(folder / "bin"), own_python, environ.get("PATH", os.defpath)])
        self._env = kept | {
            "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "NO_COLOR": "1",
            "PATH": path,
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_STATE_HOME": str(folder / "state"),
        }

    def build(self) -> None:
        """Write the project, make it a repository with one commit, and put `smithers` on the PATH."""
        source = content.builtin_root() / "packs" / "_demo"
        try:
            shutil.copytree(source / "project", self.repo)
            shutil.copytree(source / "smithers", self.repo / ".smithers")
            shutil.copyfile(source / "gitignore", self.repo / ".gitignore")
            (self.folder / "gitconfig").write_text(_GITCONFIG, encoding="utf-8")
            program = self.folder / "bin" / "smithers"
            program.parent.mkdir()
            program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m smithers_git "$@"\n', "utf-8")
            program.chmod(0o755)
        except OSError as error:
            raise StorageError(f"{error.filename or self.folder}: {error.strerror}", hint="free some space") from error
        done = self.shell("git init -q && git add -A && git commit -qm 'A bill, with a bug'")
        if done.code:
            raise SmithersError(f"the scratch repository cannot be made: {done.said}", hint=self._look)

    def shell(self, line: str) -> Ended:
        """Run one command line as a person would type it."""
        argv = ["/bin/sh", "-c", f"exec 2>&1\n{line}"]
        done = process.capture(argv, cwd=self.repo, env=self._env, timeout=_LIMIT)
        return Ended(done.code, done.stdout.decode("utf-8", "replace"))

    def background(self, line: str) -> tuple[int, Path]:
        """Start a command line that goes on by itself; returns the pid of its program, and the file it prints to."""
        log = self.folder / "background.log"
        argv = ["/bin/sh", "-c", f"exec {line}"]
        return process.spawn_detached(argv, cwd=self.repo, env=self._env, log=log), log

    def until(self, log: Path, text: str, pid: int) -> str:
        """What `log` holds once `text` is in it; raises SmithersError when the program ends, or takes too long."""
        began = process.start_time(pid)

        def there() -> bool:
            alive = process.is_alive(pid, began)
            if text in log.read_text("utf-8", "replace"):
                return True
            if not alive:
                raise SmithersError(f"{text!r} was never said:\n{log.read_text('utf-8', 'replace')}", hint=self._look)
            return False

        self.wait(there, f"{text!r} to be said")
        return log.read_text("utf-8", "replace")

    def wait(self, there: Callable[[], bool], what: str) -> None:
        """Return once `there` holds; raises SmithersError, which says `what` was waited for, when it takes too long."""
        end, pause = self._clock.monotonic() + _LIMIT, Event()
        while not there():
            if self._clock.monotonic() > end:
                raise SmithersError(f"waited for {what}, in vain", hint=self._look)
            pause.wait(0.02)

    def holds(self, run: str, name: str, text: str) -> bool:
        """Whether the file `name` in the workspace of `run` holds `text`."""
        found = (self.folder / "state").glob(f"smithers/worktrees/*/{run}/main/{name}")
        return any(text in path.read_text("utf-8", "replace") for path in found)

    @property
    def _look(self) -> str:
        return f"it is all in {self.folder}"


def choose_folder(keep: Path | None) -> Path:
    """The folder for the stage: `keep`, or a new one below the folder for temporary files.

    Raises UsageError when `keep` holds something, StorageError when the folder cannot be made.
    """
    try:
        if keep is None:
            return Path(tempfile.mkdtemp(prefix="smithers-demo-")).resolve()
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise UsageError(f"{keep} is not empty", hint="give a folder that does not exist yet")
        return keep.resolve()
    except OSError as error:
        where = error.filename or keep
        raise StorageError(f"{where}: {error.strerror}", hint="give another folder with --keep DIR") from error
