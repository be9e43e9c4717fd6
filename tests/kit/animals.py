"""The fake-agent zoo: one real program that behaves like the species that its first argument names.

    python -I -S animals.py SPECIES [WORD...]

The prompt comes on standard input. What it prints is JSONL: `session`, `text`, `tool`, `result`. Imports only the
standard library: it is a program, not a part of the tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROMPT = ""


def tell(kind: str, **fields: object) -> None:
    sys.stdout.buffer.write(json.dumps({"type": kind, **fields}).encode() + b"\n")
    sys.stdout.buffer.flush()


def answer(summary: str = "done") -> None:
    tell("result", answer=json.dumps({"summary": summary}))


def write(text: str = "tame") -> None:
    Path("wild.txt").write_text(text + "\n", "utf-8")


def for_ever() -> None:
    """A minute, at the end of which no test still looks."""
    time.sleep(60)
    sys.exit(7)


def tame() -> None:
    """Does what it is asked."""
    tell("text", text="Writing the file.")
    write()
    answer()


def scribe() -> None:
    """Writes down what it was asked."""
    Path("prompt.txt").write_text(PROMPT, "utf-8")
    tame()


def waits_on_stdin() -> None:
    """Asks a person, who is not there: the end of its input does not stop it."""
    tell("text", text="Paste the code that the page shows:")
    with contextlib.suppress(OSError):
        sys.stdin.buffer.read()
        Path("/dev/tty").read_bytes()
    for_ever()


def silent() -> None:
    for_ever()


def falls_silent() -> None:
    tell("text", text="I begin with a look at the files.")
    for_ever()


def loops() -> None:
    """The same two calls again and again."""
    for _ in range(6000):
        tell("tool", name="read", detail="wild.txt")
        tell("tool_done", name="read", output="no such file")
        time.sleep(0.01)


def busy() -> None:
    """Says the same a hundred times, and each time its file is another one."""
    for number in range(120):
        write(f"draft {number}")
        tell("tool", name="edit", detail="wild.txt")
        tell("tool_done", name="edit", output="the file has been updated")
        time.sleep(0.015)
    answer()


def retries() -> None:
    for _ in range(6000):
        tell("retry", text="529 overloaded")
        time.sleep(0.01)


def lies() -> None:
    """Says that it is done, and has done nothing."""
    answer("I have written wild.txt")


def lies_once() -> None:
    """Does it when it is told that nothing has changed."""
    if "no file in the current folder differs" in PROMPT:
        write("at last")
    answer()


def daemon() -> None:
    """Leaves a process behind that has a session of its own and a scrubbed environment."""
    code = "import os, time, pathlib; pathlib.Path(os.sys.argv[1]).write_text(str(os.getpid())); time.sleep(60)"
    note = sys.argv[2]
    words = [sys.executable, "-I", "-S", "-c", code, note]
    subprocess.Popen(
        words, start_new_session=True, env={}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not Path(note).exists():
        time.sleep(0.01)
    tame()


def ignores_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    tell("text", text="Nobody stops me now, nobody.")
    for_ever()


def limit() -> None:
    tell("error", message=" ".join(sys.argv[2:]))
    sys.exit(1)


def resets() -> None:
    """Throws away what the tasks before it have committed in the workspace, and says that all is well."""
    subprocess.run(["git", "reset", "--quiet", "--hard", "HEAD~1"], check=True)
    answer()


def resets_and_stays() -> None:
    """The same, and goes on with something else."""
    subprocess.run(["git", "reset", "--quiet", "--hard", "HEAD~1"], check=True)
    for_ever()


def checks_out() -> None:
    """Leaves its branch for an older commit, works there, and crashes."""
    subprocess.run(["git", "checkout", "--quiet", "--detach", "HEAD~1"], check=True)
    write("on the wrong files")
    sys.exit(1)


def outside() -> None:
    """Writes into the folder of its second argument, which is not its own."""
    for place in sys.argv[2:]:
        with contextlib.suppress(OSError):
            (Path(place) / "outside.txt").write_text("outside\n", "utf-8")
    tame()


def fills() -> None:
    """Writes until nothing fits any more, and a little of its own work before that."""
    write("half of it")
    with contextlib.suppress(OSError), Path(sys.argv[2]).open("wb", buffering=0) as file:
        while True:
            file.write(b"z" * (64 << 10))
    with contextlib.suppress(OSError), Path(sys.argv[2]).open("ab", buffering=0) as file:
        while True:
            file.write(b"z")
    tell("error", message="ENOSPC: no space left on device")
    sys.exit(1)


def hundred_megabytes() -> None:
    for number in range(int(sys.argv[2]) * 16):
        sys.stdout.buffer.write(json.dumps({"type": "text", "text": f"{number} {'x' * 65000}"}).encode() + b"\n")
    sys.stdout.buffer.write(b"y" * (9 << 20))  # and a line that never ends
    sys.exit(0)


def not_utf8() -> None:
    sys.stdout.buffer.write(
        b'\xff\xfe{"type": "result", "answer": "\xc3\x28"\n\x00\x80\x81{"type": \xf0\x28\x8c\xbc}\n'
    )
    sys.exit(0)


def half_a_line() -> None:
    tell("text", text="All is well so far, now the answer.")
    sys.stdout.buffer.write(b'{"type": "result", "answer": "{\\"summary\\": \\"don')
    sys.exit(0)


def nothing() -> None:
    """Exits with 0 and has said nothing."""


def empty_answer() -> None:
    tell("result", answer="  ")


def refuses() -> None:
    tell("error", message="I can't help with that: usage policy")


def bad_key() -> None:
    tell("error", message="401 Unauthorized: Invalid API key")
    sys.exit(1)


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


OWN = [(name, one) for name, one in globals().items() if callable(one) and one.__module__ == __name__]
SPECIES: dict[str, Callable[[], None]] = {name.replace("_", "-"): one for name, one in OWN}

if __name__ == "__main__":
    kind = sys.argv[1]
    if kind != "waits-on-stdin":
        PROMPT = sys.stdin.read()
    SPECIES[kind]()
