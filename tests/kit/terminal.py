"""`smithers` at a terminal, as a person types it, in a process that begins with everything imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

import pexpect
import ptyprocess
from kit.starter import Descriptor, Forked

_LEAVE = 0.5  # seconds that a program has to end by itself when its terminal goes away
_PATIENCE = 60.0


class Terminal(pexpect.spawn):
    """`smithers ARGV` in the folder `repo`, at a terminal of `size` (rows, columns), expected of as pexpect does it."""

    def __init__(
        self,
        repo: Path,
        *argv: str,
        env: Mapping[str, str] | None = None,
        size: tuple[int, int] = (40, 100),
    ) -> None:
        self._argv = argv
        super().__init__(
            sys.executable,
            list(argv),
            cwd=str(repo),
            env=dict(os.environ if env is None else env),
            dimensions=size,
            encoding="utf-8",
            timeout=30,
        )

    def _spawnpty(self, args: list[str], **options: Any) -> ptyprocess.PtyProcess:
        master, slave = os.openpty()
        os.set_inheritable(master, False)
        ptyprocess.ptyprocess._setwinsize(slave, *options["dimensions"])
        try:
            forked = Forked(self._argv, Path(options["cwd"]), Descriptor(slave), env=options["env"])
        finally:
            os.close(slave)
        return _Pty(forked, master)


class _Pty(ptyprocess.PtyProcess):
    """One whose process is a child of the server, not of ours."""

    def __init__(self, forked: Forked, master: int) -> None:
        super().__init__(forked.pid, master)
        self._forked = forked

    def isalive(self) -> bool:
        code = self._forked.poll()
        if code is None:
            return True
        self.terminated = True
        self.status = code
        self.exitstatus, self.signalstatus = (code, None) if code >= 0 else (None, -code)
        return False

    def wait(self) -> int | None:
        self._forked.wait(_PATIENCE)
        self.isalive()
        return self.exitstatus

    def close(self, force: bool = True) -> None:
        """Take the terminal away; who does not end with it is killed."""
        if self.closed:
            return
        self.fileobj.close()
        try:
            self._forked.wait(_LEAVE)
        except TimeoutExpired:
            assert force, "it goes on without its terminal"
            self._forked.kill()
        self.wait()
        self.fd, self.closed = -1, True
