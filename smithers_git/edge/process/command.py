"""Short trusted programs (git, above all) and processes that outlive us."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from smithers_git.errors import SmithersError


@dataclass(frozen=True, slots=True)
class Captured:
    """What a finished program said. `code` is 128 + n when signal n ended it, as in a shell."""

    code: int
    stdout: bytes
    stderr: bytes


def capture(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    input: bytes | None = None,
    timeout: float | None = None,
) -> Captured:
    """Run a program that is known to end, and wait for it. Any exit code is returned, none is an error.

    It has a session of its own, so a Ctrl-C for us does not interrupt it half-way, and it cannot ask on the terminal.

    Args:
        argv: program and arguments.
        cwd: its folder.
        env: its whole environment.
        input: its standard input; None is an empty one.
        timeout: seconds after which it is killed.

    Raises:
        SmithersError: it cannot be started, or did not end within `timeout`.
    """
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=env,
            input=input or b"",
            capture_output=True,
            timeout=timeout,
            check=False,
            start_new_session=True,
        )
    except OSError as reason:
        raise _unstartable(argv[0], cwd, reason) from reason
    except subprocess.TimeoutExpired as reason:
        raise SmithersError(
            f"{' '.join(argv[:2])} did not end within {timeout:g} s in {cwd}",
            hint="see whether something else holds the repository, then try again",
        ) from reason
    return Captured(done.returncode if done.returncode >= 0 else 128 - done.returncode, done.stdout, done.stderr)


def spawn_detached(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> int:
    """Start a process that outlives this one: own session, no input, all output appended to `log`.

    Returns:
        Its pid.

    Raises:
        SmithersError: the program cannot be started, or the log cannot be written.
    """
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as reason:
        raise _unstartable(argv[0], cwd, reason) from reason
    threading.Thread(target=process.wait, daemon=True).start()  # else it stays a zombie of ours when it ends
    return process.pid


def _unstartable(program: str, cwd: Path, reason: OSError) -> SmithersError:
    if not cwd.is_dir():
        return SmithersError(f"cannot run {program} in {cwd}: no such folder", hint="check the path")
    if isinstance(reason, FileNotFoundError) and reason.filename == program:
        return SmithersError(
            f"{program} was not found on PATH", hint=f"install {program}, or add its folder to PATH, and try again"
        )
    what = reason.filename or program
    return SmithersError(f"cannot run {program}: {what}: {reason.strerror}", hint=f"check {what}")
