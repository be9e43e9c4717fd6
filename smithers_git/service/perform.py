"""Make one attempt: prepare its workspace, run the agent, command or function, look at the gates, save the files.

Runs in a worker thread. Whatever happens to the attempt becomes a Result, never an exception: a failed task is data.
"""

from __future__ import annotations

import queue
import shlex
import threading
import traceback
from collections import defaultdict
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from smithers_git.core import commit_message
from smithers_git.core import events as ev
from smithers_git.core.board import Survey
from smithers_git.core.nodes import Command, takes, wants_workspace
from smithers_git.core.records import CommandResult
from smithers_git.core.workflow import first_issue
from smithers_git.edge import process
from smithers_git.edge.git.snapshot import Snapshot
from smithers_git.errors import SetupFailed, SmithersError, is_full
from smithers_git.service import disk, live
from smithers_git.service.crew import Pool
from smithers_git.service.job import Job, Result, Space
from smithers_git.service.live import MARK, Live, Watch
from smithers_git.service.project import Project
from smithers_git.service.talk.converse import converse

if TYPE_CHECKING:
    from smithers_git.core.redact import Redactor
    from smithers_git.service.landing.desk import Desk

_PATIENCE: Final = 2.0
"""Seconds after which a queue that cannot go on by itself is left: a run that waits has no process."""

TAIL: Final = 16 << 10
"""Bytes of a command's output that its result holds; the whole of it is in the transcript."""


def _clean(result: Result, redactor: Redactor) -> None:
    """Take secrets out of what did not come through a stream, messages of exceptions; the frame does it for values."""
    result.notes = redactor.value(result.notes)
    result.message, result.hint = redactor.text(result.message), redactor.text(result.hint)
    result.full = result.full and redactor.text(result.full)


_ANY: Final = TypeAdapter[Any](Any)

Report = Callable[[str, str], None]
"""Told (kind, text) of what an agent does while it works."""


class Performer:
    """What every attempt of one run shares."""

    def __init__(self, project: Project, run: str, note: Callable[[str], None] = lambda _text: None) -> None:
        self.project = project
        self.run = run
        self.note = note
        self.workspaces = project.workspaces(run)
        # Attempts side by side in one workspace take turns at its git index; different workspaces do not wait.
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._tips: dict[str, str] = {}
        self._calls = Pool()

    @cached_property
    def desk(self) -> Desk:
        """Where what wants to land is handed in. Made, and imported, for the first Land task: most runs have none.

        Of one thread, the engine's, before any worker asks for it.
        """
        from smithers_git.service.landing.desk import Desk

        return Desk(self.project, self.note)

    def only_waits(self, flying: int) -> str | None:
        """Why nothing goes on, when all that is in flight waits to land and nothing of that gets on."""
        return self.desk.stuck(flying, _PATIENCE) if "desk" in self.__dict__ else None

    def perform(self, job: Job, cancel: threading.Event, report: Report) -> Result:
        """Make the attempt that `job` describes; `cancel` ends it early."""
        began = self.project.clock.monotonic()
        result = Result(job, agent=job.agent)
        try:
            self._attempt(job, result, cancel, report)
        except SmithersError as error:
            result.kind, result.message = "bug", f"{error.message}; {error.hint}" if error.hint else error.message
            result.full = error.message if disk.is_why(self.project, error) else None
        except Exception as error:  # noqa: BLE001 - a worker that brings nothing back would be waited for for ever
            result.kind, result.message = "bug", _told(error)
            result.full = str(error) if disk.is_why(self.project, error) else None
        if result.kind not in (None, "cancelled") and result.full is None and disk.spent(self.project):
            result.full = f"the disk is full, and {job.key} failed: {result.message}"
        result.seconds = self.project.clock.monotonic() - began
        _clean(result, self.project.redactor())
        return result

    def _attempt(self, job: Job, result: Result, cancel: threading.Event, report: Report) -> None:
        live = Live(self.project.run_dir(self.run), job, report)
        filled = False
        try:
            folder = self._enter(job, live, cancel)
            filled = True
            self._work(job, result, folder, Watch(cancel, live))
        except SetupFailed as error:
            filled = True
            result.kind, result.message = ("cancelled" if cancel.is_set() else "setup"), error.message
        except _CutOff as error:
            result.kind, result.message = "crash", str(error)
        finally:
            if filled:  # in a folder that could not be filled, what is missing would count as deleted
                self._save(job, result)
            result.transcript = live.close()

    def _enter(self, job: Job, live: Live, cancel: threading.Event) -> Path:
        if job.space is None or job.wish is not None or job.child is not None:
            return self.project.worktree
        live.environ |= self.workspaces.address(job.space.name, job.space.port).environ()
        with self._turns[job.space.name]:
            return self.workspaces.ensure(job.space.name, job.space.branch, job.space.commit, cancel=cancel)

    def adopt(self, known: Result) -> bool:
        """Put the files of a result that was taken over into the workspace; False when that cannot be done."""
        space = known.job.space
        if space is None or known.commit is None:
            return True
        try:
            with self._turns[space.name]:
                self.workspaces.ensure(space.name, space.branch, space.commit)
                self.workspaces.restore(space.name, space.branch, known.commit)
                self._tips[space.name] = known.commit
        except SmithersError as error:
            known.notes.append(f"{known.job.key}: the cached files could not be put back: {error.message}")
            return False
        return True

    def _work(self, job: Job, result: Result, folder: Path, watch: Watch) -> None:
        kind = job.task.kind
        if job.wish is not None:
            from smithers_git.service.landing import task as landing

            landing.land(self.desk, job.wish, job, result, watch)
        elif job.child is not None:
            from smithers_git.service import subflow

            subflow.use(self.project, job, result, watch)
        elif kind == "agent":
            converse(self.project, job, result, folder, watch)
        elif kind == "run":
            _command(self.project, job, result, folder, watch)
        else:
            self._call(job, result, folder, watch)
        if result.kind is None:
            _gates(self.project, job, result, folder, watch)

    def _call(self, job: Job, result: Result, folder: Path, watch: Watch) -> None:
        """Run the function in a thread of its own: Python cannot end one, but the attempt can stop waiting for it."""
        call, arguments = job.task.call, dict(job.arguments)
        assert call is not None
        if job.space is not None and wants_workspace(job.task):
            arguments["workspace"] = folder
        if takes(call, "checkout"):
            arguments["checkout"] = self.project.worktree
        ended: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()
        self._calls.begin(f"smithers {job.key} call", partial(_called, call, arguments), ended.put)
        clock, limit = self.project.clock, job.task.timeout
        began = clock.monotonic()
        while True:
            try:
                value, error = ended.get(timeout=0.05)
            except queue.Empty:
                if watch.cancel.is_set():
                    result.kind, result.message = "cancelled", "cancelled; the function itself cannot be ended"
                    return
                if limit is not None and clock.monotonic() - began > limit:
                    result.kind, result.message = "timeout", f"the function took over {limit:g} s"
                    return
                continue
            if error is not None:
                result.kind, result.message = "error", _told(error)
                result.full = str(error) if is_full(error) else None
            else:
                check_output(job, result, value)
                if isinstance(value, Survey):
                    result.notes += value.notes  # tickets that changed while nobody looked
            return

    def _save(self, job: Job, result: Result) -> None:
        """After every attempt, failed ones included: what it wrote is a commit before anything can touch it."""
        if job.space is None or job.wish is not None or job.child is not None:  # those never enter the folder
            return
        message = commit_message.snapshot(str(job.key), job.attempt, result.kind)
        try:
            saved = self._snapshot(job.space, result, message)
        except SmithersError as error:
            if result.kind is None:
                result.kind, result.message = "bug", f"the files could not be saved: {error.message}"
                result.hint = error.hint
            result.notes.append(f"{job.key}: the files could not be saved: {error.message}")
            return
        result.commit = saved.commit
        result.notes += [f"{job.key}: {path} is a repository of its own, in no frame" for path in saved.uncovered]

    def _snapshot(self, space: Space, result: Result, message: str) -> Snapshot:
        """Commit the workspace; on a full disk with the room that was kept for this."""
        with self._turns[space.name]:
            parent = self._tips.get(space.name, space.commit)
            if result.job.task.kind == "agent":
                self._look_for_home(space, parent, result)
            try:
                saved = self.workspaces.save(space.name, space.branch, parent, message)
            except SmithersError as error:
                if not disk.is_why(self.project, error):
                    raise
                result.full = error.message
                if not disk.release(self.project, "work"):
                    raise
                saved = self.workspaces.save(space.name, space.branch, parent, message)
            self._tips[space.name] = parent if result.astray else saved.commit
        return saved

    def _look_for_home(self, space: Space, parent: str, result: Result) -> None:
        """An agent that threw away what the tasks before it have done has failed, whatever it says."""
        head = self.workspaces.thrown_back(space.name, parent)
        if head is None:
            return
        result.astray = True
        did = f"{result.agent} took its workspace back to {head[:12]}, by git reset or git checkout"
        if result.kind is None:
            result.kind, result.message = "astray", did
        else:
            result.message = f"{result.message}; {did}"

    def settle(self, result: Result) -> None:
        """What is done when a frame holds the result."""
        if result.usage is not None or result.cost is not None:
            live.settled(self.project.run_dir(self.run), result.job.key, result.job.attempt)
        self.put_back(result)

    def put_back(self, result: Result) -> None:
        """Give the workspace of an attempt that went astray the files that the attempt began with."""
        space = result.job.space
        if result.astray and space is not None:
            with self._turns[space.name]:
                commit = self._tips.get(space.name, space.commit)
                self.workspaces.restore(space.name, space.branch, commit)


class _CutOff(Exception):
    """Somebody, or the kernel for want of memory, killed a command: that is neither red nor green."""


def words(command: Command) -> list[str]:
    """A command as words; one line is for the shell, as in a Makefile."""
    return ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)


def _run(project: Project, job: Job, command: Command, folder: Path, watch: Watch) -> CommandResult:
    tail = bytearray()
    env = process.clean_env(project.environ) | watch.live.environ
    redactor = project.secrets.redactor(env)

    def output(chunk: bytes) -> None:
        clean = redactor.feed(chunk)
        watch.live.write(clean)
        tail.extend(clean)
        watch.live.report("text", clean[-300:].decode("utf-8", "replace"))
        if len(tail) > 4 * TAIL:
            del tail[: -2 * TAIL]

    task = job.task
    launch = process.Launch(
        words(command),
        folder,
        env,
        merge_stderr=True,
        timeout=task.timeout,
        idle_timeout=task.idle_timeout,
        mark=MARK,
    )
    ended = project.run_program(launch, output, watch.cancel, watch.live.started)
    rest = redactor.finish()
    watch.live.write(rest)
    if ended.cut_off:
        raise _CutOff(f"{shown(command)}: {ended.message}; something else than smithers ended it, so it has no verdict")
    tail.extend(rest)
    said = ended.message if ended.reason != "exited" else ""
    text = bytes(tail[-TAIL:]).decode("utf-8", "replace") + (f"\n[{said}]\n" if said else "")
    code = ended.code if ended.code is not None or ended.signal is None else 128 + ended.signal
    watch.live.reason = ended.reason
    return CommandResult(
        command=words(command) if isinstance(command, str) else list(command),
        exit_code=code if ended.reason == "exited" else None,
        passed=ended.reason == "exited" and code == 0,
        seconds=round(ended.seconds, 3),
        tail=text,
    )


_ENDS: Final[dict[str, ev.FailureKind]] = {
    "timeout": "timeout",
    "idle": "idle",
    "cancelled": "cancelled",
    "unstartable": "unstartable",
}


def _command(project: Project, job: Job, result: Result, folder: Path, watch: Watch) -> None:
    assert job.task.run is not None
    found = _run(project, job, job.task.run, folder, watch)
    result.value = found.model_dump(mode="json")
    kind = _ENDS.get(watch.live.reason or "")
    if kind in ("timeout", "idle") and not job.task.check:
        return  # a check that hangs is as red as one that fails
    if kind is not None:
        result.kind, result.message = kind, _last_line(found.tail) or kind
    elif not found.passed and job.task.check:
        result.kind = "exit"
        result.message = f"{shown(job.task.run)} exited with {found.exit_code}: {_last_line(found.tail)}"


def _called(call: Callable[..., Any], arguments: dict[str, Any]) -> tuple[Any, Exception | None]:
    try:
        return call(**arguments), None
    except Exception as error:  # noqa: BLE001 - code of the user: whatever it raises is the attempt's failure
        return None, error


def _told(error: Exception) -> str:
    if isinstance(error, SmithersError):  # it says itself what happened to what, and what to type
        return f"{error.message}; {error.hint}" if error.hint else error.message
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{where.filename}:{where.lineno}: {type(error).__name__}: {error}"


def constant(job: Job) -> Result:
    """What a task comes to whose output stands in the plan."""
    result = Result(job, begun=False)
    check_output(job, result, job.task.value)
    return result


def check_output(job: Job, result: Result, value: Any) -> None:
    """Put `value` into the result as JSON, or make the attempt fail because it does not fit the output model."""
    try:
        if job.task.output is not None:
            plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
            result.value = job.task.output.model_validate(plain).model_dump(mode="json")
        else:
            result.value = _ANY.dump_python(value, mode="json")
    except ValidationError as error:
        result.kind = "invalid"
        result.message = f"the output does not fit {error.title}: {first_issue(error)}"
    except ValueError as error:  # PydanticSerializationError is one: not JSON
        result.kind, result.message = "invalid", f"the output is not JSON: {error}"


def _gates(project: Project, job: Job, result: Result, folder: Path, watch: Watch) -> None:
    for gate in job.task.gates:
        found = _run(project, job, gate, folder, watch)
        if not found.passed:
            result.kind = "gate"
            result.message = f"gate {shown(gate)} is red (exit {found.exit_code}):\n{found.tail[-4000:]}"
            return
        result.gates.append(shown(gate))


def shown(command: Command) -> str:
    """A command as a person would type it."""
    return command if isinstance(command, str) else shlex.join(command)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
