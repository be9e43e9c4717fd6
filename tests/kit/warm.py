"""Reapers that begin with everything imported (kit/nursery.py), for tests in which starting them proves nothing."""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.util import spawnv_passfds
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any

from smithers_git.edge import process
from smithers_git.edge.process import runner

_BOOT = [sys.executable, "-I", "-S", "-c", runner._BOOT, str(Path(process.__file__).parent)]
_LONGEST = 100_000  # bytes of arguments; what the system refuses, it is to refuse as ever
_lock = threading.Lock()


class Warm:
    """A reaper, with the part of the interface of `subprocess.Popen` that pexpect and the product use."""

    def __init__(self, words: Sequence[str], environ: Mapping[str, str]) -> None:
        self.returncode: int | None = None
        ours, theirs = [], []
        for reading in (False, True):
            read, write = os.pipe()
            ours.append(os.fdopen(read if reading else write, "rb" if reading else "wb", buffering=0))
            theirs.append(write if reading else read)
        self.stdin, self.stdout = ours
        self._status, reply = os.pipe()
        wish = {
            "words": words,
            "program": words[words.index("--") + 1 :],
            "environ": dict(environ),
            "folder": str(Path.cwd()),
        }
        try:
            with _lock:
                text = json.dumps(wish).encode("utf-8")
                control = _control()
                socket.send_fds(control, [len(text).to_bytes(8, "big")], [*theirs, theirs[1], reply])
                control.sendall(text)
        finally:
            for number in (*theirs, reply):
                os.close(number)
        self.pid = self._next()

    def _next(self) -> int:
        said = os.read(self._status, 4)
        assert len(said) == 4, "the nursery has ended"
        return int.from_bytes(said, "big", signed=True)

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            return self.wait()
        return self.returncode

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = self._next()
            os.close(self._status)
        return self.returncode


def Popen(command: Sequence[str], **options: Any) -> Warm | subprocess.Popen[bytes]:  # noqa: N802 - stands for it
    """What pexpect's `popen_spawn` finds in the place of `subprocess.Popen`."""
    words, environ = list(command), options["env"]
    every = [*words, *environ, *environ.values()]
    plain = "--" in words and all(word.isascii() and "\0" not in word for word in every)
    if words[: len(_BOOT)] != _BOOT or not plain or sum(map(len, every)) > _LONGEST:
        return subprocess.Popen(words, **options)
    return Warm(words[len(_BOOT) :], environ)


@cache
def _control() -> socket.socket:
    """Where the nursery listens; it ends with this process."""
    ours, theirs = socket.socketpair()
    atexit.register(ours.close)
    with theirs:
        script = str(Path(__file__).with_name("nursery.py"))
        argv = [sys.executable, "-I", "-S", script, str(theirs.fileno()), _BOOT[-1]]
        spawnv_passfds(os.fsencode(sys.executable), argv, [theirs.fileno()])
    return ours


__all__ = ["PIPE", "STDOUT", "Popen", "Warm"]
