"""The local files of an attempt while it runs: what it says, and which process it is.

Both are disposable. The transcript goes into the frame that ends the attempt; the pid file lets a later engine end
the processes of an engine that was killed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from smithers_git.core.events import Usage
from smithers_git.edge import process
from smithers_git.names import TaskKey, file_name
from smithers_git.service.job import Job

MARK: Final = "SMITHERS_MARK"
MOST: Final = 4 << 20
"""Bytes of one attempt's transcript that are kept: the first half and the last half of what it said."""


def mark(run_dir: Path, job_name: str) -> str:
    """A value that only the processes of one attempt carry in their environment."""
    return hashlib.sha256(f"{run_dir.resolve()}\0{job_name}".encode()).hexdigest()[:32]


def job_name(key: TaskKey, attempt: int) -> str:
    """What the local files of an attempt are called, and its transcript in a frame."""
    return f"{file_name(key.node)}@{key.iteration}.{attempt}"


class Reported(BaseModel):
    """What an attempt has used."""

    usage: Usage | None = None
    cost: float | None = None


def _spent(run_dir: Path, name: str) -> Path:
    return run_dir / "live" / f"{name}.spent"


def _put(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text, "utf-8")
    fresh.replace(path)


class Live:
    """What one running attempt leaves beside the repository while it runs."""

    def __init__(self, run_dir: Path, job: Job, report: Callable[[str, str], None]) -> None:
        self._run_dir = run_dir
        self._name = job_name(job.key, job.attempt)
        self._session = ""
        self.report = report
        self.reason: str | None = None
        """How the last process of the attempt ended."""
        self.environ = {
            "SMITHERS_RUN": job.run,
            "SMITHERS_NODE": job.key.node,
            "SMITHERS_ITERATION": str(job.key.iteration),
            "SMITHERS_ATTEMPT": str(job.attempt),
        }
        self._lock = threading.Lock()
        # A function starts no process that we could end, and says nothing: a third of its attempt would go into this.
        self._file = None if job.task.kind == "call" and not job.task.gates else self._open()

    @property
    def path(self) -> Path:
        """What the attempt says, as it grows."""
        return self._run_dir / "live" / f"{self._name}.jsonl"

    @property
    def _pid(self) -> Path:
        return self._run_dir / "pids" / f"{self._name}.json"

    def _open(self) -> FileIO:
        self.environ[MARK] = mark(self._run_dir, self._name)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._pid.parent.mkdir(parents=True, exist_ok=True)
        _spent(self._run_dir, self._name).unlink(missing_ok=True)  # of an attempt that a rewind took back
        # The mark stands on the disk before the process exists: a kill between the two must not hide it.
        self._note(None, None)
        return self.path.open("wb", buffering=0)

    def _note(self, pid: int | None, start: str | None) -> None:
        self._pid.write_text(json.dumps({"pid": pid, "start": start, "mark": self.environ[MARK]}))

    def started(self, started: process.Started) -> None:
        self._note(started.pid, started.start_time)

    def conversing(self, session: str) -> None:
        """Note which conversation this is as soon as the agent has said so: after a kill it is gone on with."""
        if session != self._session:
            _put(self.path.with_suffix(".session"), session)
            self._session = session

    def spent(self, usage: Usage | None, cost: float | None) -> None:
        """Note what the attempt has used so far: after a kill that counts against budgets, too."""
        if usage is not None or cost is not None:
            _put(_spent(self._run_dir, self._name), Reported(usage=usage, cost=cost).model_dump_json())

    def write(self, chunk: bytes) -> None:
        """Keep what was said; followers (`smithers chat -f`) read it as it grows."""
        with self._lock:
            file = self._file = self._file or self._open()
            if file.tell() >= 4 * MOST:
                chunk = _ends(self.path.read_bytes()) + chunk
                file.seek(0)
                file.truncate()
            file.write(chunk)

    def close(self) -> bytes:
        """End of the attempt: returns what was said, at most MOST bytes, and removes the local files.

        What it has spent stays noted until `settled`: a kill may come before the frame that says so.
        """
        if self._file is None:
            return b""
        self._file.close()
        data = self.path.read_bytes()
        for path in (self.path, self.path.with_suffix(".session"), self._pid):
            with suppress(OSError):  # what is left says nothing any more, and the next engine clears it away
                path.unlink()
        return _ends(data)


@dataclass(frozen=True, slots=True)
class Watch:
    """How an attempt is ended early, and where it leaves what it says."""

    cancel: threading.Event
    live: Live


def _ends(data: bytes) -> bytes:
    if len(data) <= MOST:
        return data
    return data[: MOST // 2] + b"\n[%d bytes left out]\n" % (len(data) - MOST) + data[-MOST // 2 :]


def salvage(run_dir: Path) -> dict[str, bytes]:
    """What attempts of a killed engine had said, by the name of the attempt (`NODE@ITERATION.ATTEMPT`)."""
    files = sorted((run_dir / "live").glob("*.jsonl"))
    return {path.stem: _ends(path.read_bytes().rstrip(b"\0")) for path in files}  # zeros: of a power loss


def talks(run_dir: Path) -> dict[str, str]:
    """The conversations that attempts of a killed engine were in, by the name of the attempt."""
    said = {path.stem: path.read_text("utf-8", "replace") for path in sorted((run_dir / "live").glob("*.session"))}
    return {name: session for name, session in said.items() if session and "\0" not in session}  # a power loss


def reported(run_dir: Path) -> dict[str, Reported]:
    """What attempts of a killed engine had used, as far as their agents had said, by the name of the attempt."""
    found = {}
    for path in sorted((run_dir / "live").glob("*.spent")):
        with suppress(ValueError):  # torn by a power loss
            found[path.stem] = Reported.model_validate_json(path.read_bytes())
    return found


def settled(run_dir: Path, key: TaskKey, attempt: int) -> None:
    """A frame says what the attempt has used."""
    with suppress(OSError):  # as in `close`
        _spent(run_dir, job_name(key, attempt)).unlink()


def forget(run_dir: Path) -> None:
    """Remove the local files of attempts of a killed engine, once what they hold is in a frame."""
    for path in (run_dir / "live").glob("*.*"):
        path.unlink(missing_ok=True)
    shutil.rmtree(run_dir / "scratch", ignore_errors=True)


def orphans(run_dir: Path) -> list[int]:
    """The processes that a killed engine left running. Only means something while nobody holds the run's lock."""
    return [pid for _path, tree in _recorded(run_dir) for pid in process.find_tree(*tree)]


def end_orphans(run_dir: Path) -> list[int]:
    """End the processes that a killed engine left running; returns the pids that were ended."""
    ended: list[int] = []
    for path, tree in _recorded(run_dir):
        ended += process.end_tree(*tree)
        path.unlink(missing_ok=True)
    return ended


def _recorded(run_dir: Path) -> Iterator[tuple[Path, tuple[int, str, tuple[str, str]]]]:
    """Each pid file with the root of its tree: pid, start time and mark."""
    for path in sorted((run_dir / "pids").glob("*.json")):
        try:
            known = json.loads(path.read_text())
        except (ValueError, FileNotFoundError):
            known = {}  # torn by the kill; the mark can be worked out again from the name
        marker = (MARK, known.get("mark") or mark(run_dir, path.stem))
        yield path, (known.get("pid") or 0, known.get("start") or "", marker)
