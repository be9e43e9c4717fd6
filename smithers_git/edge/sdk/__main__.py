"""The program: arguments and standard input in, JSON lines out. Its lines go out by a descriptor of their own."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

from smithers_git.core.sdk_agent import PREFIX, SdkJob, parse
from smithers_git.edge import sdk


class _Lines:
    """Writes lines. What a library prints to standard output meanwhile goes to standard error."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._fd: Final = os.dup(1)
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def tell(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        with self._lock:
            while data:
                data = data[os.write(self._fd, data) :]


def main(words: list[str]) -> int:
    """Have one turn; returns the exit code, 0 for success."""
    parser = argparse.ArgumentParser(prog="smithers-sdk", description=sdk.__doc__)
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--model", metavar="PROVIDER/MODEL", default="")
    parser.add_argument("--permission", choices=("read", "edit", "full"), default="read")
    parser.add_argument("--session", help="the conversation to go on with; its messages are in the job")
    given = parser.parse_args(words)
    if given.version:
        print(f"pydantic-ai {sdk.installed()}" if sdk.installed() else f"pydantic-ai is missing: {sdk.INSTALL}")
        return 0
    lines = _Lines()
    job = SdkJob.model_validate_json(sys.stdin.buffer.read())
    # At once: what follows loads for a second or two.
    lines.tell({"type": "session", "session": job.session, "model": given.model})
    from smithers_git.edge.sdk.turn import Turn

    turn = Turn(parse(PREFIX + given.model), given.permission, job, Path.cwd(), lines.tell)
    return 0 if turn.run() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
