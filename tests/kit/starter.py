"""Processes of `smithers` that begin with everything imported: most of a short life is importing Python."""

from __future__ import annotations

import fcntl
import gc
import importlib
import multiprocessing
import os
import pkgutil
import runpy
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing import forkserver, process
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from subprocess import TimeoutExpired

import smithers_git
from smithers_git import clock
from smithers_git.edge import process as edge
from smithers_git.edge.process.command import spawn_detached as _spawn_detached

_LAZY = ("jinja2", "sqlite_utils", "tomlkit", "rich.console", "rich.table", "questionary", "pexpect")
"""What our modules import only when they need it, and every run or every question needs."""


class Descriptor:
    """An open file that is handed to the process; there it is a number again."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[object, ...]:
        return _here, (DupFd(self._number),)


def _here(handed: forkserver.Popen) -> int:
    return handed.detach()


class Forked:
    """A process of its own, with the part of the interface of `subprocess.Popen` that the tests use.

    It is forked from a server without threads that has imported our modules, and then runs `python -m smithers_git`
    like any other: own session, own folder, environment and files, exit code and signals. `out` may also be the
    descriptor of a terminal, which then is its standard input, output and error.
    """

    def __init__(
        self,
        argv: tuple[str, ...],
        folder: Path,
        out: str | Descriptor = os.devnull,
        err: str = os.devnull,
        env: Mapping[str, str] | None = None,
    ) -> None:
        context = _server()
        told = (argv, str(folder), dict(os.environ if env is None else env), (out, err), _address())
        # A daemon is what multiprocessing ends, not waits for, when the test session ends.
        self._process: BaseProcess = context.Process(target=_live, args=told, daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it lives."""
        return self._process.exitcode

    def wait(self, seconds: float) -> int:
        self._process.join(seconds)
        code = self._process.exitcode
        if code is None:
            raise TimeoutExpired("smithers", seconds)
        return code

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def spawn_detached(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> int:
    """As `process.spawn_detached`, but what smithers starts of itself begins with everything imported."""
    if list(argv[:4]) != [sys.executable, "-P", "-m", "smithers_git"] or log.is_dir():
        return _spawn_detached(argv, cwd=cwd, env=env, log=log)
    return Forked(tuple(argv[4:]), cwd, str(log), str(log), env).pid


@cache
def _server() -> ForkServerContext:
    """The context whose server has imported our modules; the server ends with this process."""
    ours = [found.name for found in pkgutil.walk_packages(smithers_git.__path__, "smithers_git.")]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", *(name for name in ours if not name.endswith("__main__")), *_LAZY])
    return context


def _address() -> str:
    """Where the server listens."""
    forkserver.ensure_running()
    return str(forkserver._forkserver._forkserver_address)


def _live(
    argv: tuple[str, ...], folder: str, environ: dict[str, str], files: tuple[str | int, str], address: str
) -> None:
    """Be `python -m smithers_git`, in the forked process."""
    gc.freeze()  # what is shared with the server stays shared
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    out, err = files
    if isinstance(out, int):
        _take_terminal(out)
    else:
        _open_files(out, err)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    sys.argv = ["smithers", *argv]
    _share_server(address)
    _doctor(environ)
    sys.path.insert(0, folder)
    runpy.run_module("smithers_git", run_name="__main__")


def _take_terminal(number: int) -> None:
    fcntl.ioctl(number, termios.TIOCSCTTY, 0)
    for standard in (0, 1, 2):
        os.dup2(number, standard)
    os.close(number)


def _open_files(out: str, err: str) -> None:
    for number, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, out, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        (2, err, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        opened = os.open(name, flags, 0o666)
        os.dup2(opened, number)
        os.close(opened)


def _share_server(address: str) -> None:
    """What this process starts and leaves running comes from the same server, which is nobody's child here."""
    forkserver._forkserver._forkserver_address = address
    forkserver._forkserver.ensure_running = lambda: None
    process.current_process()._config["daemon"] = False  # or it may start nothing
    edge.spawn_detached = _leave


def _leave(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> int:
    pid = spawn_detached(argv, cwd=cwd, env=env, log=log)
    process._children.clear()  # it would be ended with this process
    return pid


def _doctor(environ: dict[str, str]) -> None:
    """What a test does to the process: a clock on the wall that is off, or a program that is broken on purpose."""
    if off := environ.get("SMITHERS_TEST_CLOCK"):  # a file with the seconds, which may change while the process runs
        clock.SystemClock.now = lambda _self: time.time() + float(Path(off).read_text() or 0)  # type: ignore[method-assign]
    if broken := environ.get("SMITHERS_TEST_BROKEN"):  # `module:function`
        module, _, function = broken.partition(":")
        getattr(importlib.import_module(module), function)()
