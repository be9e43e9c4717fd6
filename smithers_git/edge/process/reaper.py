"""The parent of one process tree: nothing that the program starts outlives it.

    python -I -S reaper.py [OPTIONS] -- PROGRAM [ARGUMENT...]      (or `main` of the imported module)

    --stdin PATH      the program's standard input (default /dev/null); without effect with --terminal
    --stderr PATH     append standard error to this file or FIFO (default: inherited)
    --status PATH     file or FIFO for the report, one line each:
                      `started PID`, then `exit CODE`, `signal NUMBER` or `error TEXT`, and `left PID...`
                      when something could not be killed. No last line means that this process was killed.
    --cwd PATH        start the program there
    --unset NAME      drop this environment variable; may be repeated
    --stop NAME:SEC   on a stop: send this signal to the program, wait so long; may be repeated
    --below N         the stop list's signals are for the process so many levels below PROGRAM, as under bubblewrap,
                      which would take the signal itself and kill what is in it; PROGRAM gets them when there is none
    --terminal        standard input, output and error are a terminal, which becomes the controlling one

Standard input is a lifeline: when it ends (the owner died, kill -9 included) or a line arrives, the tree is
stopped: first the --stop list, then SIGKILL for every descendant. SIGTERM, SIGHUP and SIGINT do the same; with
--terminal, closing the master side does (the kernel sends SIGHUP). When the program ends by itself, whatever it
left behind is killed too. Killing its process group would not do: agents start their tools in new sessions.

Exit code: the program's, 128 + n when a signal ended it, 125 when it could not be started (the report tells a
program's own 125 from that). It runs apart from the package, so it imports the standard library only, and as
little of it as possible: every agent and command waits for it.
"""

from __future__ import annotations

# The public signal module builds enums: 8 of 25 ms from start to exec (CPython 3.11).
import _signal as signal  # type: ignore[import-not-found]
import os
import select
import sys
from time import monotonic

UNSTARTABLE = 125
_GIVE_UP = 5.0  # seconds in which nothing dies: what is left then cannot be killed (disk sleep, another user)
_ASKS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_SUBREAPER, _PARENT_DEATH = 36, 1  # PR_SET_CHILD_SUBREAPER and PR_SET_PDEATHSIG of <linux/prctl.h>


class Options:
    """The command line."""

    def __init__(self, words: list[str]) -> None:
        self.paths = {"--stdin": os.devnull, "--stderr": "", "--status": "", "--cwd": ""}
        self.unset: list[str] = []
        self.stop: list[tuple[int, float]] = []
        self.terminal = False
        self.below = 0
        rest = iter(words)
        for word in rest:
            if word == "--":
                break
            if word == "--terminal":
                self.terminal = True
            elif word == "--below":
                self.below = int(next(rest))
            elif word == "--unset":
                self.unset.append(next(rest))
            elif word == "--stop":
                name, _, seconds = next(rest).partition(":")
                self.stop.append((int(getattr(signal, "SIG" + name)), float(seconds)))
            else:
                self.paths[word] = next(rest)
        self.argv = list(rest)


Row = tuple[int, str, str]
"""A process: its parent's pid, its state's letter, its start time in a form that only compares."""


def process_row(pid: int) -> Row | None:
    """What the system knows of one process; None when there is none."""
    if not sys.platform.startswith("linux"):
        return _table_from_ps().get(pid)
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib costs 10 ms to import
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    words = text[text.rindex(b")") + 2 :].decode().split()  # the name before it may hold anything
    return int(words[1]), words[0], words[19]


def process_table() -> dict[int, Row]:
    """Every process by pid."""
    if not sys.platform.startswith("linux"):
        return _table_from_ps()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    return {pid: row for pid in pids if (row := process_row(pid))}


def _table_from_ps() -> dict[int, Row]:
    import subprocess

    command = ["ps", "-A", "-o", "pid=", "-o", "ppid=", "-o", "stat=", "-o", "lstart="]
    text = subprocess.run(command, env={**os.environ, "LC_ALL": "C"}, stdout=subprocess.PIPE, check=True).stdout
    rows = (line.decode().split(None, 3) for line in text.splitlines())
    return {int(pid): (int(parent), state[0], start.strip()) for pid, parent, state, start in rows}


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, parents first."""
    found = [pid]
    if os.path.exists("/proc/thread-self/children"):  # noqa: PTH110 - needs CONFIG_PROC_CHILDREN
        for one in found:
            found += _children(one)
    else:
        table = process_table()
        for one in found:
            found += [child for child, (parent, _, _) in table.items() if parent == one and child not in found]
    return list(dict.fromkeys(found[1:]))


def _children(pid: int) -> list[int]:
    """The kernel's own list, read in 20 us: a scan of /proc is too slow to catch what forks on and on."""
    children: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123
                children += map(int, file.read().split())
    except OSError:
        pass  # it ended meanwhile
    return children


class Tree:
    """The program, everything below it, and the ways to hear of them without polling."""

    def __init__(self, options: Options) -> None:
        self._stop = options.stop
        self._below = options.below
        self._own = os.getpid()
        self.code: int | None = None
        self.signal: int | None = None
        self._asked = False
        self._childless = False
        self._wake, write = os.pipe()
        for end in (self._wake, write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (*_ASKS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # the wake-up pipe tells
        self._poll = select.poll()
        self._poll.register(self._wake, select.POLLIN)
        self.pid = _start(options)
        if not options.terminal:
            self._poll.register(0, select.POLLIN)

    def ask(self) -> None:
        """Have `watch` stop the program."""
        self._asked = True

    def watch(self) -> None:
        """Return when the program has ended, by itself or because a stop was asked for."""
        while self.code is None and not self._asked:
            self._wait(None)
        for number, seconds in self._stop:
            if self.code is not None:
                return
            self._signal(number)
            until = monotonic() + seconds
            while self.code is None and (rest := until - monotonic()) > 0:
                self._wait(rest)

    def _signal(self, number: int) -> None:
        """Send a signal of the stop list."""
        pid = self.pid
        for _ in range(self._below):
            children = [child for child, row in process_table().items() if row[0] == pid]
            pid = min(children, default=self.pid)
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return  # it ended at this moment

    def end(self) -> list[int]:
        """Kill all that is left; returns the processes that could not be killed."""
        waited, pause = 0.0, 0.001
        while True:
            if self._reap():
                waited = 0.0
            if self._childless:
                return []
            left = descendants(self._own)
            if waited > _GIVE_UP:  # by our own waits: a clock also runs while the machine keeps us from killing
                return left
            for pid in left:
                _kill(pid)
            self._wait(pause)
            waited += pause
            pause = min(pause * 2, 0.1)

    def _wait(self, seconds: float | None) -> None:
        """Sleep until a signal arrives or the lifeline ends, at most `seconds`."""
        for fd, _ in self._poll.poll(None if seconds is None else seconds * 1000 + 1):
            if fd == 0:
                self._asked = True
                self._poll.unregister(0)  # an ended lifeline stays readable
            elif any(number in _ASKS for number in os.read(self._wake, 4096)):
                self._asked = True
        self._reap()

    def _reap(self) -> bool:
        """Collect the dead, adopted ones too; true when there was one."""
        found = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._childless = True
                return found
            if pid == 0:
                return found
            found = True
            if pid == self.pid:
                self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
                self.code = 128 + self.signal if self.signal else os.WEXITSTATUS(status)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # it ended meanwhile, or is another user's: then it is reported as left


def _start(options: Options) -> int:
    """Start the program; OSError says why it cannot be."""
    stdin = None if options.terminal else os.open(options.paths["--stdin"], os.O_RDONLY)
    for name in options.unset:
        os.environ.pop(name, None)
    failed, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(options, stdin, tell)
    os.close(tell)
    if stdin is not None:
        os.close(stdin)
    with open(failed, "rb") as file:  # noqa: PTH123 - ends at exec, which closes the other side
        reason = file.read()
    if reason:
        os.waitpid(pid, 0)
        number = int(reason)
        raise OSError(number, os.strerror(number), options.argv[0])
    return pid


def _become(options: Options, stdin: int | None, tell: int) -> None:
    """In the child: turn into the program, or tell the error number. Never returns."""
    try:
        if stdin is None:
            os.setpgid(0, 0)
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # else taking the foreground stops us
            os.tcsetpgrp(0, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        else:
            os.setsid()
            os.dup2(stdin, 0)
        for name in ("SIGPIPE", "SIGXFSZ"):  # ignored by every Python, and inherited through exec
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        os.execvpe(options.argv[0], options.argv, os.environ)
    except OSError as error:
        os.write(tell, str(error.errno).encode())
    finally:
        os._exit(UNSTARTABLE)


def _open_to_write(path: str) -> int:
    """A file or FIFO to append to; a FIFO that nobody reads any more is an error, not a wait."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600)
    os.set_blocking(fd, True)
    return fd


def _settle(options: Options) -> None:
    """Own session (the terminal's Ctrl-C is for the owner), adoption of orphans, standard error, folder."""
    if os.getsid(0) != os.getpid():
        os.setsid()
    if options.terminal:
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    if sys.platform.startswith("linux"):
        import ctypes

        prctl = ctypes.CDLL(None).prctl
        prctl(_SUBREAPER, 1, 0, 0, 0)
        # Beside the lifeline, whose other end a process forked from the owner (multiprocessing) may hold open.
        prctl(_PARENT_DEATH, int(signal.SIGTERM), 0, 0, 0)
    if options.paths["--stderr"]:
        os.dup2(_open_to_write(options.paths["--stderr"]), 2)
    if options.paths["--cwd"]:
        os.chdir(options.paths["--cwd"])


def _tell(report: int, text: str) -> bool:
    """Whether somebody still reads the report."""
    try:
        os.write(report, text.encode())
    except BrokenPipeError:
        return False
    return True


def main(words: list[str]) -> int:
    """Run the program of the command line `words`; returns the exit code."""
    options = Options(words)
    try:
        report = _open_to_write(options.paths["--status"] or os.devnull)
    except OSError:
        return UNSTARTABLE  # the owner is gone, so nobody wants the program any more
    try:
        _settle(options)
        tree = Tree(options)
    except OSError as error:
        reason = f"{error.filename or options.argv[0]}: {error.strerror}".replace("\n", " ")
        os.write(report, f"error {reason}\n".encode(errors="surrogateescape"))
        return UNSTARTABLE
    try:
        if not _tell(report, f"started {tree.pid}\n"):
            tree.ask()  # the owner died since: its output can be heard, and it be killed, before this line is read
        tree.watch()
    finally:
        left = tree.end()
    how = f"signal {tree.signal}" if tree.signal else f"exit {tree.code}"
    tail = f"left {' '.join(map(str, left))}\n" if left else ""
    _tell(report, f"{how}\n{tail}")
    return UNSTARTABLE if tree.code is None else tree.code


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
