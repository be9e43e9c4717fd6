"""The tests' own short cut (kit/warm.py) ends like the real thing: other tests rest on it."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
from kit import warm
from pexpect import popen_spawn

from smithers_git.edge.process import Launch, StopStep, run

SCRIPTS = {
    "says what it was given": "import os, sys; print(sys.argv[1:], sys.stdin.read(), os.getcwd(), os.environ['GIVEN'])",
    "exits": "import sys; print('x'); sys.exit(7)",
    "exits with words": "import sys; sys.exit('no')",
    "raises": "import sys; print('half', end=''); raise ValueError('broken')",
    "is killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "hears signals as ever": (
        "import os, signal\n"
        "print([signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE)])\n"
        "print(signal.getsignal(signal.SIGINT).__name__, os.getsid(0) == os.getpid(), len(os.listdir('/proc/self/fd')))"
    ),
    "leaves a child": "import subprocess; subprocess.Popen(['sleep', '60'], stdout=-3); print('left')",
}


@pytest.mark.parametrize("what", SCRIPTS)
def test_a_program_ends_alike_whoever_starts_it(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "program.py"
    script.write_text(SCRIPTS[what])
    argv = [sys.executable, "-I", "-S", str(script), "one", "two"]
    launch = Launch(argv, tmp_path, {"PATH": os.environ["PATH"], "GIVEN": "value"}, stdin=b"words")
    seen = []
    for started in (popen_spawn.subprocess, warm):
        monkeypatch.setattr(popen_spawn, "subprocess", started)
        said = bytearray()
        end = run(launch, on_output=said.extend, cancel=threading.Event())
        seen.append((end.code, end.signal, end.reason, end.message, bytes(said), end.stderr.splitlines()[-1:]))
    assert seen[0] == seen[1]
    assert seen[0][2] == "exited"


def test_a_shell_is_stopped_and_what_cannot_start_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(popen_spawn, "subprocess", warm)
    stop = (StopStep("INT", 5.0),)
    words = ["sh", "-c", "trap 'echo asked; exit 3' INT; echo on; while :; do sleep 0.01; done"]
    said, cancel = bytearray(), threading.Event()

    def hear(chunk: bytes) -> None:
        said.extend(chunk)
        cancel.set()

    end = run(Launch(words, tmp_path, dict(os.environ), stop=stop), on_output=hear, cancel=cancel)
    assert (end.code, end.reason, bytes(said)) == (3, "cancelled", b"on\nasked\n")
    end = run(Launch(["nowhere"], tmp_path, dict(os.environ)), on_output=hear, cancel=threading.Event())
    assert (end.reason, end.message) == ("unstartable", "cannot start nowhere: No such file or directory")
