"""The reaper on its own: no process of its tree outlives it, whoever dies first."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kit.processes import DAEMON, PYTHON, alive, eventually, marked, pid_in

from smithers_git.edge.process import reaper

MARK = "REAPER_TEST"


class Reaped:
    """A program under the reaper, with its lifeline and its report."""

    def __init__(self, folder: Path, *argv: str, options: tuple[str, ...] = ()) -> None:
        self.folder, self.report = folder, folder / "report"
        self.mark = str(folder)
        words = [sys.executable, "-I", "-S", reaper.__file__, "--status", str(self.report), *options, "--", *argv]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, MARK: self.mark}
        )

    def wait(self) -> int:
        code = self.process.wait(timeout=20)
        self.output = self.process.stdout.read()
        self.close()
        return code

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()

    def lines(self) -> list[str]:
        """The report without its first line, which names the pid."""
        first, *rest = self.report.read_text().splitlines()
        assert first.startswith("started "), first
        return rest


@pytest.fixture
def reaped(tmp_path: Path) -> Iterator[type]:
    made: list[Reaped] = []

    def make(*argv: str, options: tuple[str, ...] = ()) -> Reaped:
        made.append(Reaped(tmp_path, *argv, options=options))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.wait()
        one.close()
    for pid in marked(MARK, str(tmp_path)):
        os.kill(pid, signal.SIGKILL)


def test_exits_with_the_programs_code_and_passes_its_output(reaped):
    one = reaped("sh", "-c", "echo hello; exit 7")
    assert (one.wait(), one.output, one.lines()) == (7, b"hello\n", ["exit 7"])


def test_exits_with_128_and_the_signal_that_ended_the_program(reaped):
    one = reaped("sh", "-c", "kill -USR1 $$")
    assert (one.wait(), one.lines()) == (128 + signal.SIGUSR1, [f"signal {signal.SIGUSR1:d}"])


def test_a_program_that_cannot_be_started_is_told_from_one_that_exits_with_the_same_code(reaped, tmp_path):
    missing = reaped("no-such-program")
    assert missing.wait() == reaper.UNSTARTABLE
    assert missing.report.read_text() == "error no-such-program: No such file or directory\n"
    assert missing.output == b""
    missing.report.unlink()
    own = reaped("sh", "-c", f"exit {reaper.UNSTARTABLE}")
    assert own.wait() == reaper.UNSTARTABLE
    assert own.lines() == ["exit 125"]


def test_a_file_without_permission_and_a_missing_folder_are_named(reaped, tmp_path):
    (tmp_path / "plain").write_text("text")
    one = reaped(str(tmp_path / "plain"))
    assert (one.wait(), one.report.read_text()) == (125, f"error {tmp_path}/plain: Permission denied\n")
    one.report.unlink()
    two = reaped("true", options=("--cwd", str(tmp_path / "gone")))
    assert (two.wait(), two.report.read_text()) == (125, f"error {tmp_path}/gone: No such file or directory\n")


def test_stdin_is_empty_or_the_given_file_and_never_the_lifeline(reaped, tmp_path):
    assert reaped("cat").wait() == 0
    (tmp_path / "prompt").write_bytes(b"what is wanted")
    one = reaped("cat", options=("--stdin", str(tmp_path / "prompt")))
    assert (one.wait(), one.output) == (0, b"what is wanted")


def test_stderr_is_appended_to_the_given_file(reaped, tmp_path):
    (tmp_path / "err").write_text("before\n")
    one = reaped("sh", "-c", "echo out; echo err >&2", options=("--stderr", str(tmp_path / "err")))
    assert (one.wait(), one.output) == (0, b"out\n")
    assert (tmp_path / "err").read_text() == "before\nerr\n"


def test_the_program_gets_ordinary_signals_and_only_three_open_files(reaped):
    look = 'import os; print(open("/proc/self/status").read()); print(*os.listdir("/proc/self/fd"))'
    one = reaped(*PYTHON, look)
    one.wait()
    lines = one.output.decode().splitlines()
    blocked = next(line for line in lines if line.startswith("SigBlk"))
    assert int(blocked.split()[1], 16) == 0
    assert set(lines[-1].split()) == {"0", "1", "2", "3"}  # 3 is the listing itself
    shell = reaped("sh", "-c", "kill -PIPE $$; echo survived")  # a Python parent would have it ignored
    assert (shell.wait(), shell.output) == (128 + signal.SIGPIPE, b"")


def test_a_program_that_signals_its_own_group_does_not_reach_the_reaper(reaped):
    one = reaped("sh", "-c", "trap '' TERM; kill -TERM 0; sleep 0.2; echo survived; exit 4")
    assert (one.wait(), one.output, one.lines()) == (4, b"survived\n", ["exit 4"])


@pytest.mark.parametrize("ask", ["close the lifeline", "write a line", "SIGTERM", "SIGHUP", "SIGINT"])
def test_every_way_to_ask_stops_the_tree(reaped, ask):
    one = reaped("sh", "-c", "setsid sleep 60 & sleep 60", options=("--stop", "TERM:10"))
    assert eventually(lambda: len(marked(MARK, one.mark)) == 4)
    if ask == "close the lifeline":
        one.process.stdin.close()
    elif ask == "write a line":
        os.write(one.process.stdin.fileno(), b"stop\n")
    else:
        one.process.send_signal(getattr(signal, ask))
    assert one.wait() == 128 + signal.SIGTERM
    assert marked(MARK, one.mark) == []


def test_the_stop_list_is_walked_in_order_and_ends_in_a_kill(reaped, tmp_path):
    stubborn = """
import os, signal, sys, time
def note(number, _): os.write(1, signal.Signals(number).name.encode() + b"\\n")
signal.signal(signal.SIGINT, note); signal.signal(signal.SIGTERM, note)
os.write(1, b"ready\\n")
for _ in range(60): time.sleep(1)
"""
    one = reaped(*PYTHON, stubborn, options=("--stop", "INT:0.2", "--stop", "TERM:0.2"))
    assert one.process.stdout.readline() == b"ready\n"
    one.process.stdin.close()
    assert one.wait() == 128 + signal.SIGKILL
    assert one.output == b"SIGINT\nSIGTERM\n"


def test_a_program_that_ends_in_time_is_not_sent_the_next_signal(reaped):
    polite = "trap 'echo bye; exit 3' INT; trap 'echo rude' TERM; echo ready; while :; do sleep 0.05; done"
    one = reaped("sh", "-c", polite, options=("--stop", "INT:10", "--stop", "TERM:10"))
    assert one.process.stdout.readline() == b"ready\n"
    one.process.stdin.close()
    assert (one.wait(), one.output) == (3, b"bye\n")


def test_daemons_are_ended_when_the_program_ends_by_itself(reaped, tmp_path):
    started = tmp_path / "daemon"
    wait = f'"$@"; while [ ! -s {started} ]; do sleep 0.01; done'
    assert reaped("sh", "-c", wait, "sh", *PYTHON, DAEMON, str(started)).wait() == 0
    assert not alive(pid_in(started))


@pytest.mark.parametrize("escape", ["", "os.setsid()", "os.setpgid(0, 0)"])
def test_a_process_that_forks_on_and_on_is_caught(reaped, escape):
    """Each process lives only until it has a child, so a listed pid is stale at once."""
    fugitive = f"""
import os, time
until = time.monotonic() + 30
print("running", flush=True)
while time.monotonic() < until:
    if os.fork(): os._exit(0)
    {escape or "pass"}
"""
    one = reaped("sh", "-c", '"$@" & "$@" & sleep 60', "sh", *PYTHON, fugitive)
    assert one.process.stdout.readline() == b"running\n"
    one.process.stdin.close()
    assert one.wait() == 128 + signal.SIGKILL
    assert one.lines() == ["signal 9"]
    assert marked(MARK, one.mark) == []


def test_what_cannot_be_killed_is_reported_and_not_waited_for_for_ever(tmp_path):
    unable = """
import os, sys
sys.path.append(sys.argv.pop(1))
import reaper
reaper._GIVE_UP = 0.2
reaper._kill = lambda pid: None
os._exit(reaper.main(sys.argv[1:]))
"""
    here, report = str(Path(reaper.__file__).parent), tmp_path / "report"
    words = [*PYTHON, unable, here, "--status", str(report), "--", "sh", "-c", "sleep 60 & echo $!"]
    with (tmp_path / "out").open("wb") as out:  # a pipe would be held open
        done = subprocess.run(words, stdin=subprocess.PIPE, stdout=out, timeout=20)
    pid = int((tmp_path / "out").read_text())
    os.kill(pid, signal.SIGKILL)
    assert done.returncode == 0
    assert report.read_text().splitlines()[1:] == ["exit 0", f"left {pid}"]


def test_waiting_costs_no_processor_time(reaped):
    """Neither for the program, nor, with an ended lifeline, for the end of a stop."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    one = reaped("sh", "-c", "trap '' TERM; echo ready; sleep 60", options=("--stop", "TERM:0.7"))
    assert one.process.stdout.readline() == b"ready\n"
    time.sleep(0.5)
    one.process.stdin.close()
    assert one.wait() == 128 + signal.SIGKILL
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime < 0.3


def test_a_report_that_nobody_reads_any_more_starts_nothing(tmp_path):
    """The owner died before the reaper came up: its FIFO has no reader."""
    os.mkfifo(tmp_path / "status")
    touch = ["touch", str(tmp_path / "started")]
    words = [sys.executable, "-I", "-S", reaper.__file__, "--status", str(tmp_path / "status"), "--", *touch]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    assert done.returncode == reaper.UNSTARTABLE
    assert not (tmp_path / "started").exists()


def test_an_owner_that_dies_while_the_program_starts_leaves_nothing_of_it(reaped, tmp_path):
    """Between the start and the report of it, which then nobody reads."""
    for name in ("status", "stdin"):
        os.mkfifo(tmp_path / name)
    owner = os.open(tmp_path / "status", os.O_RDONLY | os.O_NONBLOCK)
    options = ("--status", str(tmp_path / "status"), "--stdin", str(tmp_path / "stdin"))
    one = reaped("sh", "-c", "setsid sleep 60 & sleep 60", options=options)
    assert eventually(lambda: tmp_path / "status" in _open_files(one.process.pid)), "its start waits for the input"
    os.close(owner)
    with (tmp_path / "stdin").open("wb"):
        one.process.wait(20)
    assert eventually(lambda: marked(MARK, one.mark) == [])


def _open_files(pid: int) -> list[Path]:
    found = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(file.readlink())
    return found


def test_the_portable_process_table_agrees_with_the_kernels(reaped):
    one = reaped("sleep", "60")
    assert eventually(lambda: one.report.exists() and one.report.read_text())
    child = int(one.report.read_text().split()[1])
    assert eventually(lambda: reaper.process_row(child)[1] == "S")
    kernel, portable = reaper.process_table(), reaper._table_from_ps()
    assert portable[child][:2] == kernel[child][:2] == (one.process.pid, "S")
    assert portable[child][2] == reaper._table_from_ps()[child][2]
    assert set(reaper.descendants(one.process.pid)) == {child}
