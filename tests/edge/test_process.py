"""Running one program: what goes in, what comes out, how it is stopped."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from kit.processes import PYTHON, eventually, marked

from smithers_git.edge import process
from smithers_git.edge.process import Launch, StopStep, Terminal
from smithers_git.errors import ConfigError, StorageError, UsageError

BUSY = (0.3, 3, 30)
"""Seconds in which a program begins to speak; the later ones are for a machine that has much else to do."""


class Runner:
    """Runs programs in a folder, with an environment that marks what it started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {"PATH": os.environ["PATH"], "RUN_TEST": str(folder)}
        self.chunks: list[bytes] = []
        self.cancel = threading.Event()
        self.started: list[process.Started] = []

    @property
    def output(self) -> bytes:
        return b"".join(self.chunks)

    def __call__(self, *argv: str, on_output=None, **options) -> process.Exit:
        self.chunks.clear()
        launch = Launch(argv, options.pop("cwd", self.folder), options.pop("env", self.env), **options)
        return process.run(
            launch,
            on_output=on_output or self.chunks.append,
            cancel=self.cancel,
            on_start=self.started.append,
        )

    def left(self) -> list[int]:
        return marked("RUN_TEST", str(self.folder))


def open_files() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before = open_files()
    one = Runner(tmp_path)
    yield one
    assert one.left() == []
    assert list(scratch.iterdir()) == [], "temporary files are left"
    assert open_files() <= before, "descriptors are left open"  # fewer: what an earlier test had left to the collector


# What goes in


def test_the_environment_is_exactly_what_was_given(runner, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/somewhere/else")
    given = {"PATH": os.environ["PATH"], "ONE": "1", "UTF8": "naïve ✓"}
    runner(*PYTHON, "import os; os.write(1, open('/proc/self/environ', 'rb').read())", env=given)
    assert runner.output == b"".join(f"{name}={value}\0".encode() for name, value in given.items())


def test_a_large_prompt_arrives_whole(runner):
    prompt = os.urandom(300_000)
    assert runner("sha256sum", stdin=prompt).code == 0
    assert runner.output.split()[0].decode() == hashlib.sha256(prompt).hexdigest()


def test_a_prompt_that_nobody_reads_harms_nothing(runner):
    assert runner("true", stdin=b"x" * 300_000).code == 0


def test_standard_input_is_empty_when_there_is_none(runner):
    assert (runner("cat").code, runner.output) == (0, b"")


def test_arguments_and_folder_arrive_as_they_are(runner, tmp_path):
    folder = tmp_path / "spaced nämé"
    folder.mkdir()
    words = ["-x", "--", "", "two words", '"$HOME" `id`', "line\nline", "ünï"]
    runner("sh", "-c", 'pwd; for word; do printf "<%s>" "$word"; done', "sh", *words, cwd=folder)
    assert runner.output.decode() == f"{folder}\n" + "".join(f"<{word}>" for word in words)


# What comes out


def test_bytes_that_are_no_text_pass_unchanged(runner):
    assert runner("printf", r"\377\376 \300\200\n").code == 0
    assert runner.output == b"\xff\xfe \xc0\x80\n"


def test_standard_error_is_kept_apart_and_its_end_is_kept(runner):
    script = "echo out; head -c 200000 /dev/zero | tr '\\0' e >&2; echo end >&2"
    end = runner("sh", "-c", script)
    assert runner.output == b"out\n"
    assert len(end.stderr) == 65536
    assert end.stderr.endswith(b"eeeend\n")


def test_standard_error_can_be_merged(runner):
    end = runner("sh", "-c", "echo one; echo two >&2; echo three", merge_stderr=True)
    assert (runner.output, end.stderr) == (b"one\ntwo\nthree\n", b"")


def test_output_comes_as_it_is_written(runner):
    seen: list[float] = []
    go = runner.folder / "go"

    def note(chunk: bytes) -> None:
        seen.append(time.monotonic())
        go.touch()  # the second line waits for the first to have arrived

    script = f"echo first; while [ ! -e {go} ]; do sleep 0.01; done; echo second"
    assert runner("sh", "-c", script, on_output=note, timeout=10).reason == "exited"
    assert len(seen) == 2


def test_fifty_megabytes_cost_little_memory(tmp_path):
    """In a process of its own, because the peak of this one says nothing."""
    script = """
import resource, sys, threading
from pathlib import Path
from smithers_git.edge.process import Launch, run
total = largest = 0
def note(chunk):
    global total, largest
    total, largest = total + len(chunk), max(largest, len(chunk))
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
def go(size):
    flood = f"head -c {size} /dev/zero; head -c {size} /dev/zero >&2"
    return run(Launch(["sh", "-c", flood], Path("/"), {"PATH": sys.argv[1]}), on_output=note, cancel=threading.Event())
go(100_000)
total, before = 0, peak()
end = go(50_000_000)
print(total, largest, len(end.stderr), peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, os.environ["PATH"]], capture_output=True, text=True, timeout=60, check=True
    )
    total, largest, stderr, grown = map(int, done.stdout.split())
    assert (total, stderr) == (50_000_000, 65536)
    assert largest <= 65536
    assert grown < 4096, f"{grown} KiB more than for a short stream"


# How it ends


def test_exit_codes_and_signals_are_reported(runner):
    end = runner("sh", "-c", "exit 3")
    assert (end.code, end.signal, end.reason, end.message) == (3, None, "exited", "exited with code 3")
    end = runner("sh", "-c", "kill -USR1 $$")
    assert (end.code, end.signal, end.reason) == (None, 10, "exited")
    assert end.message == "ended by signal 10 (User defined signal 1)"


@pytest.mark.parametrize("terminal", [None, Terminal()])
def test_what_cannot_be_started_says_why(runner, tmp_path, terminal):
    (tmp_path / "plain").write_text("text")
    end = runner("no-such-agent", terminal=terminal)
    assert (end.code, end.signal, end.reason) == (None, None, "unstartable")
    assert end.message == "cannot start no-such-agent: No such file or directory"
    assert runner(f"{tmp_path}/plain", terminal=terminal).message.endswith("/plain: Permission denied")
    assert runner("x" * 200_000, terminal=terminal).message.endswith("xxx: Argument list too long")
    assert runner("true", "a\0b", terminal=terminal).message == "cannot start true: embedded null byte"
    end = runner("true", cwd=tmp_path / "gone", terminal=terminal)
    assert end.message == f"cannot start true: {tmp_path}/gone: No such file or directory"
    assert runner.output == b""


def test_a_program_that_exits_with_the_reapers_own_code_has_exited(runner):
    end = runner("sh", "-c", "exit 125")
    assert (end.code, end.reason) == (125, "exited")


def test_the_time_limit_ends_it_and_keeps_what_it_said(runner):
    for limit in BUSY:
        end = runner("sh", "-c", "echo begun; echo trouble >&2; sleep 60", timeout=limit)
        assert (end.reason, end.signal, end.message) == ("timeout", 15, f"did not end within {limit:g} s")
        if end.stderr:
            break
    assert (runner.output, end.stderr) == (b"begun\n", b"trouble\n")


def test_silence_ends_it(runner):
    for limit in BUSY:
        end = runner("sh", "-c", "echo begun; sleep 60", idle_timeout=limit)
        if runner.output:
            break
    assert (end.reason, end.message) == ("idle", f"silent for {limit:g} s")


def test_standard_error_counts_as_life(runner):
    script = "for i in 1 2 3 4 5 6; do echo $i >&2; sleep 0.1; done"
    assert runner("sh", "-c", script, first_output=30, idle_timeout=0.4).reason == "exited"


def test_the_first_output_has_a_limit_of_its_own(runner):
    end = runner("sleep", "60", first_output=0.2, idle_timeout=30)
    assert (end.reason, end.message) == ("idle", "no output at all for 0.2 s")
    end = runner("sh", "-c", "sleep 0.5; echo late", first_output=10, idle_timeout=0.2)
    assert (end.reason, runner.output) == ("exited", b"late\n")


def test_a_cancel_from_another_thread_ends_it(runner):
    threading.Timer(0.2, runner.cancel.set).start()
    end = runner("sleep", "60")
    assert (end.reason, end.signal) == ("cancelled", 15)


def test_a_cancelled_run_is_not_even_started(runner, tmp_path):
    runner.cancel.set()
    assert runner("touch", str(tmp_path / "started")).reason == "cancelled"
    assert not (tmp_path / "started").exists()
    assert runner.started == []


def test_the_stop_list_gives_time_to_finish_and_then_kills(runner):
    polite = "trap 'echo saved; exit 9' INT; echo ready; while :; do sleep 0.02; done"
    for limit in BUSY:
        end = runner("sh", "-c", polite, timeout=limit, stop=(StopStep("INT", 10.0), StopStep("TERM", 10.0)))
        if runner.output:
            break
    assert (end.reason, end.code, runner.output) == ("timeout", 9, b"ready\nsaved\n")
    end = runner("sh", "-c", "trap '' INT TERM; sleep 60; sleep 60", timeout=0.2, stop=(StopStep("TERM", 0.2),))
    assert (end.reason, end.signal) == ("timeout", 9)
    assert runner("sleep", "60", timeout=0.2, stop=()).signal == 9


def test_a_stop_signal_that_does_not_exist_is_refused(runner):
    with pytest.raises(UsageError, match="no signal 'QUIETLY'"):
        runner("true", stop=(StopStep("QUIETLY", 1.0),))


def test_an_exception_of_the_reader_ends_the_tree_and_goes_on(runner):
    def fail(_: bytes) -> None:
        raise RuntimeError("full")

    with pytest.raises(RuntimeError, match="full"):
        runner("sh", "-c", "setsid sleep 60 & yes", on_output=fail)
    assert runner.left() == []


def test_a_reaper_that_does_not_answer_is_ended_with_its_tree(runner, monkeypatch):
    monkeypatch.setattr("smithers_git.edge.process.watch._PATIENCE", 0.2)

    def freeze(_: bytes) -> None:
        os.kill(runner.started[0].pid, signal.SIGSTOP)
        runner.cancel.set()

    end = runner("sh", "-c", "setsid sleep 60 & echo begun; sleep 60", on_output=freeze, stop=())
    assert (end.reason, end.message) == ("cancelled", "cancelled")
    assert runner.left() == []


def test_a_full_or_missing_temporary_folder_is_explained(runner, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(StorageError, match="cannot write temporary files for true") as caught:
        runner("true")
    assert "TMPDIR" in caught.value.hint


def test_runs_in_several_threads_do_not_disturb_each_other(runner):
    ends: dict[int, tuple[int | None, bytes]] = {}

    def go(number: int) -> None:
        mine: list[bytes] = []
        argv = ["sh", "-c", f"cat; sleep 0.1; exit {number}"]
        launch = Launch(argv, Path("/"), runner.env, stdin=b"%d" % number * 50_000)
        if number % 3 == 0:
            launch = Launch(["sh", "-c", f"exit {number}"], Path("/"), runner.env, terminal=Terminal())
        end = process.run(launch, on_output=mine.append, cancel=threading.Event())
        ends[number] = (end.code, b"".join(mine))

    threads = [threading.Thread(target=go, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == {n: (n, b"" if n % 3 == 0 else b"%d" % n * 50_000) for n in range(1, 9)}


# On a terminal


def test_a_terminal_has_the_given_size_and_name_and_is_the_controlling_one(runner):
    script = "stty size; echo $TERM; test -t 0 && test -t 1 && test -t 2 && echo yes > /dev/tty; ps -o stat= -p $$"
    end = runner("sh", "-c", script, terminal=Terminal(columns=132, rows=50, name="screen"))
    assert end.code == 0
    *lines, state = runner.output.decode().split("\r\n")[:-1]
    assert lines == ["50 132", "screen", "yes"]
    assert "+" in state, "it is not in the foreground, so reading would stop it"


def test_dialogs_are_answered_each_time(runner):
    script = r"""
printf '\033[1mDo you\033[1Ctrust\033[0m this folder? '; read answer; echo "first: $answer"
sleep 0.1; printf 'Really? '; read answer; echo "second: $answer"
sleep 0.1; printf 'Really? '; read answer; echo "third: $answer"
"""
    dialogs = ((r"Do you trust", "1\r"), (r"Really\?", "ja\r"))
    end = runner("sh", "-c", script, terminal=Terminal(dialogs=dialogs), timeout=10)
    assert end.reason == "exited"
    assert [line for line in runner.output.decode().split("\r\n") if ": " in line] == [
        "first: 1",
        "second: ja",
        "third: ja",
    ]


def test_a_broken_dialog_names_the_expression(runner):
    with pytest.raises(ConfigError, match=r"dialog '\(' is not a regular expression"):
        runner("true", terminal=Terminal(dialogs=(("(", "x"),)))


def test_a_terminal_program_is_stopped_with_its_tree(runner):
    end = runner("sh", "-c", "setsid sleep 60 & echo begun; sleep 60", terminal=Terminal(), idle_timeout=0.3)
    assert (end.reason, end.signal) == ("idle", 15)
    assert runner.left() == []


def test_much_output_on_a_terminal_arrives_whole(runner):
    assert runner("seq", "100000", terminal=Terminal()).code == 0
    assert runner.output.split() == [b"%d" % n for n in range(1, 100_001)]


# Talking with it

ECHO = "import sys\nfor line in sys.stdin: print('you said', line, end='', flush=True)\nprint('bye', flush=True)"


@pytest.fixture
def talk(runner):
    open_ones: list[process.Talk] = []

    def begin(*argv: str, leave: float = 5.0, **options) -> process.Talk:
        launch = Launch(argv, runner.folder, runner.env, **options)
        open_ones.append(process.Talk(launch, cancel=runner.cancel, on_start=runner.started.append, leave=leave))
        return open_ones[-1]

    yield begin
    for one in open_ones:
        one.close()


def heard(one: process.Talk) -> bytes:
    return b"".join(iter(one.receive, b""))


def test_a_program_is_talked_with_until_its_input_ends(talk):
    one = talk(*PYTHON, ECHO, stdin=b"first\n")
    assert one.receive() == b"you said first\n"
    one.send(b"second\n")
    assert one.receive() == b"you said second\n"
    assert one.ended is None
    one.end_input()
    assert heard(one) == b"bye\n"
    assert (one.ended.reason, one.ended.code) == ("exited", 0)
    one.send(b"nobody reads this")
    assert (one.receive(), one.finish()) == (b"", one.ended)


def test_a_program_that_does_not_read_holds_nobody_up_and_one_that_reads_late_gets_all(talk, runner):
    one = talk("sh", "-c", "echo begun; while [ ! -e go ]; do sleep 0.01; done; wc -c")
    assert one.receive() == b"begun\n"
    for _ in range(20):
        one.send(b"x" * 100_000)
    assert one.unsent > 1_000_000
    assert one.waits()
    (runner.folder / "go").touch()
    one.end_input()
    assert heard(one) == b"2000000\n"
    deaf = talk("sh", "-c", "exec <&-; echo deaf; sleep 0.1")
    assert deaf.receive() == b"deaf\n"
    deaf.send(b"x" * 1_000_000)
    assert heard(deaf) == b""
    assert (deaf.ended.reason, deaf.unsent) == ("exited", 0)


def test_both_can_say_more_than_a_pipe_holds_at_once(talk):
    flood = "import sys\nprint('x' * 1_000_000, flush=True)\nprint(len(sys.stdin.read()), flush=True)"
    one = talk(*PYTHON, flood)
    one.send(b"y" * 1_000_000)
    one.end_input()
    assert heard(one) == b"x" * 1_000_000 + b"\n1000000\n"


@pytest.mark.parametrize("how", ["cancelled", "timeout", "idle"])
def test_a_program_that_has_to_end_is_told_first(talk, runner, how):
    limits = {"timeout": {"timeout": 0.3}, "idle": {"idle_timeout": 0.3}}.get(how, {})
    one = talk(*PYTHON, ECHO, **limits)
    one.farewell(b"stop\n")
    one.send(b"go\n")
    assert one.receive() == b"you said go\n"
    if how == "cancelled":
        runner.cancel.set()
    assert one.receive() == b"you said stop\n"
    one.end_input()
    assert heard(one) == b"bye\n"
    assert (one.ended.reason, one.ended.code) == (how, 0)


def test_a_program_that_does_not_leave_is_stopped_with_its_tree(talk, runner):
    one = talk(
        "sh", "-c", "trap '' TERM; setsid sleep 60 & echo begun; sleep 60", leave=0.1, stop=(StopStep("TERM", 0.1),)
    )
    assert one.receive() == b"begun\n"
    assert one.finish().signal == 9
    assert runner.left() == []
    again = talk("sh", "-c", "setsid sleep 60 & echo begun; sleep 60", leave=0.1)
    again.farewell(b"stop\n")
    assert again.receive() == b"begun\n"
    runner.cancel.set()
    assert heard(again) == b""
    assert (again.ended.reason, runner.left()) == ("cancelled", [])


def test_silence_does_not_count_while_the_program_waits_for_us(talk):
    one = talk("cat", idle_timeout=0.3)
    until = time.monotonic() + 0.6
    while time.monotonic() < until:
        assert one.waits()
        time.sleep(0.02)
    one.send(b"on\n")
    assert one.receive() == b"on\n"
    assert one.receive() == b""
    assert one.ended.reason == "idle"


def test_a_program_to_talk_with_that_cannot_be_started_says_why(talk):
    one = talk("no-such-agent")
    one.send(b"hello")
    assert one.receive() == b""
    assert (one.ended.reason, one.waits()) == ("unstartable", False)


def test_a_program_that_is_talked_with_ends_when_we_are_killed(tmp_path):
    script = """
import sys, threading
from pathlib import Path
from smithers_git.edge.process import Launch, Talk
env = {"PATH": sys.argv[1], "RUN_TEST": sys.argv[2]}
launch = Launch(["sh", "-c", "setsid sleep 60 & echo begun; sleep 60"], Path("/"), env)
talk = Talk(launch, cancel=threading.Event())
print(talk.receive().decode(), flush=True)
threading.Event().wait()
"""
    command, own = [sys.executable, "-c", script, os.environ["PATH"], str(tmp_path)], {"TMPDIR": str(tmp_path)}
    us = subprocess.Popen(command, stdout=subprocess.PIPE, env=own)
    assert us.stdout.readline() == b"begun\n"
    us.kill()
    us.communicate()
    assert eventually(lambda: marked("RUN_TEST", str(tmp_path)) == [], 30)
