"""A process that has imported `smithers` and becomes a command of it by a fork, as often as it is told.

It runs under the preload library of `shim.py`; the test on the other side of its pipes does not. Started as a program
it is that process, imported it is the test's side.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LAZY = ("jinja2", "sqlite_utils", "tomlkit", "rich.console", "rich.table")
"""What our modules import only when they need it, and every run needs."""

_PARENT_DEATH = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended; `code` is negative for a signal, None when it hung and was killed."""

    code: int | None
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


class CaseServer:
    """The test's side. `env` is what all commands get; `folder` holds what they print."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._out, self._err = folder / "out", folder / "err"
        path = os.pathsep.join(str(place) for place in map(Path, sys.path) if place.is_dir())
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**env, "PYTHONPATH": path},
            start_new_session=True,
        )
        self._heard = b""
        assert self._hear(60.0) == {"ready": True}

    def begin(self, cwd: Path, *argv: str, doctor: str = "") -> int:
        """Start a command in a session of its own; returns its pid. `finish` has to be called before the next.

        `doctor`: a name in `sweep_doctored`, a way in which the product is broken first.
        """
        self._tell({"argv": argv, "cwd": str(cwd), "out": str(self._out), "err": str(self._err), "doctor": doctor})
        heard = self._hear(60.0)
        assert heard is not None
        return int(heard["pid"])

    def finish(self, seconds: float, end: Callable[[], object]) -> Said:
        """Wait for the command; `end()` is called when it takes longer, and has to kill it."""
        heard = self._hear(seconds)
        hung = heard is None
        if heard is None:
            end()
            heard = self._hear(60.0)
        assert heard is not None, "a command that was killed has not ended"
        code = None if hung else int(heard["code"])
        return Said(code, self._out.read_text("utf-8", "replace"), self._err.read_text("utf-8", "replace"))

    def run(self, cwd: Path, *argv: str, seconds: float = 60.0) -> Said:
        """A command that is not disturbed."""
        pid = self.begin(cwd, *argv)
        return self.finish(seconds, lambda: os.killpg(pid, signal.SIGKILL))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def _tell(self, what: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()

    def _hear(self, seconds: float) -> dict[str, Any] | None:
        """The next line that the server says; None when none comes. Two may come at once."""
        assert self._process.stdout is not None
        until = time.monotonic() + seconds
        while b"\n" not in self._heard:
            if not select.select([self._process.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                return None
            data = os.read(self._process.stdout.fileno(), 1 << 16)
            assert data, "the server of the cases has ended"
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        heard: dict[str, Any] = json.loads(line)
        return heard


# -- the process


def _serve() -> None:
    import smithers_git
    from smithers_git import cli

    for found in pkgutil.walk_packages(smithers_git.__path__, "smithers_git."):
        if not found.name.endswith("__main__") and not found.name.startswith("smithers_git._"):
            importlib.import_module(found.name)
    for name in _LAZY:
        importlib.import_module(name)
    ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL, 0, 0, 0)  # the test may be killed while a command hangs
    gc.collect()
    gc.freeze()
    _say({"ready": True})
    for line in sys.stdin.buffer:
        told = json.loads(line)
        pid = os.fork()
        if not pid:
            _become(told, cli.run)
        _say({"pid": pid})
        _, status = os.waitpid(pid, 0)
        _say({"code": os.waitstatus_to_exitcode(status)})


def _say(what: Mapping[str, Any]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def _become(told: Mapping[str, Any], run: Callable[[list[str]], int]) -> None:
    """Be the command, in the forked process, and end as a Python program does."""
    os.setsid()
    os.chdir(told["cwd"])
    for number, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, told["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, told["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(name, flags, 0o666)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    sys.argv = ["smithers", *told["argv"]]
    code = 70
    try:
        if told["doctor"]:
            getattr(importlib.import_module("reliability.sweep_doctored"), told["doctor"])()
        code = run(list(told["argv"]))
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter itself would: it is printed, and the process ends
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
