"""Starts reapers, and programs in Python below them, that begin with everything imported: kit/warm.py talks to it.

    python -I -S nursery.py CONTROL-DESCRIPTOR FOLDER-OF-THE-REAPER

It is small and has one thread, so a process of it costs 1 ms where the start of a Python costs 20. What it becomes is
the same: the reaper's own `main`, with the environment, folder and files that it was asked for; and where the reaper
would then start `python -I -S SCRIPT`, the script is run in the process that would have become it.
"""

from __future__ import annotations

import _signal as signal
import json
import os
import select
import socket
import sys
import traceback
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

_IMPORTED = ("ctypes", "fnmatch", "subprocess", "time", "tomllib", "uuid")
"""By the reaper and by the tests' agents."""

_FILES = 256  # more than are ever open here
_codes: dict[tuple[str, float], types.CodeType] = {}
_exec = os.execvpe


def _script(argv: Sequence[str]) -> str | None:
    """The path of the script when `argv` is this Python with `-I -S` and a script."""
    alike = list(argv[:3]) == [sys.executable, "-I", "-S"] and len(argv) > 3 and argv[3].endswith(".py")
    return argv[3] if alike and Path(argv[3]).is_file() else None


def _code(path: str) -> types.CodeType:
    key = (path, Path(path).stat().st_mtime)
    if key not in _codes:
        _codes[key] = compile(Path(path).read_text("utf-8"), path, "exec")
    return _codes[key]


def _become(file: str, argv: Sequence[str], environ: Mapping[str, str]) -> None:
    """In the place of `os.execvpe`: never returns unless it could not be started."""
    path = _script(argv)
    if path is None:
        _exec(file, argv, environ)
    os.closerange(3, _FILES)  # as exec does: who waits for that goes on
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    main = types.ModuleType("__main__")
    main.__file__ = path
    sys.modules["__main__"], sys.argv = main, list(argv[3:])
    code = 0
    try:
        exec(_code(str(path)), main.__dict__)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 - what the interpreter does with it
        traceback.print_exc()
        code = 1
    _leave(code)


def _leave(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or 120
    finally:
        os._exit(code)


def _reap(asked: dict[int, int]) -> None:
    while asked:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if (reply := asked.pop(pid, None)) is not None:
            _tell(reply, os.waitstatus_to_exitcode(status))
            os.close(reply)


def _tell(reply: int, number: int) -> None:
    try:
        os.write(reply, number.to_bytes(4, "big", signed=True))
    except BrokenPipeError:
        return  # nobody wants to know any more


def _received(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next wish and its files; None at the end."""
    head, files, _, _ = socket.recv_fds(control, 8, 4)
    if not head:
        return None
    left, parts = int.from_bytes(head, "big"), []
    while left:
        parts.append(control.recv(left))
        left -= len(parts[-1])
    return json.loads(b"".join(parts)), files


def _child(wish: dict[str, Any], files: list[int], reaper: types.ModuleType) -> NoReturn:
    for standard, number in enumerate(files[:3]):
        os.dup2(number, standard)
    os.closerange(3, _FILES)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(wish["folder"])
    os.environ.clear()
    os.environ.update(wish["environ"])
    code = 1
    try:
        code = reaper.main(wish["words"])
    finally:
        os._exit(code)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    sys.path.append(sys.argv[2])
    import reaper

    for name in _IMPORTED:
        __import__(name)
    os.execvpe = _become
    wake, write = os.pipe()
    for end in (wake, write):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    asked: dict[int, int] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while True:
        ready = [number for number, _ in poll.poll()]
        if wake in ready:
            os.read(wake, 4096)
            _reap(asked)
        if control.fileno() not in ready:
            continue
        got = _received(control)
        if got is None:
            return
        wish, files = got
        if path := _script(wish["program"]):
            _code(path)  # compiled once, here
        pid = os.fork()
        if pid == 0:
            _child(wish, files, reaper)
        *rest, asked[pid] = files
        for number in rest:
            os.close(number)
        _tell(asked[pid], pid)


if __name__ == "__main__":
    main()
