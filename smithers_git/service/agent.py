"""One attempt of an agent: a conversation with its CLI until the answer fits, or it is clear that it will not."""

from __future__ import annotations

import shutil
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Final

from smithers_git.core import command_line, parse
from smithers_git.core import events as ev
from smithers_git.core.command_line import Turn
from smithers_git.core.profile import Profile
from smithers_git.core.redact import Redactor, secrets_of
from smithers_git.core.reply import Failure, Reply
from smithers_git.core.stream import Reader, result_files
from smithers_git.edge import player, process
from smithers_git.service import pools
from smithers_git.service.job import Job, Result
from smithers_git.service.live import Watch
from smithers_git.service.project import Project

CORRECTIONS: Final = 3
"""Times that an answer which does not fit its model goes back to the same conversation; not counted as retries."""


def converse(project: Project, job: Job, result: Result, folder: Path, watch: Watch) -> None:
    """Ask the agent, and ask again in the same conversation while its answer does not fit the output model.

    Fills in `result`: value, or kind and message; session, usage and cost in any case.
    """
    assert job.agent is not None
    assert job.task.output is not None
    talk = Conversation(project, job, result, folder, watch)
    prompt = opening(job, talk.profile)
    for turn in range(CORRECTIONS + 1):
        talk.correction = turn
        reply = talk.say(prompt)
        if reply.error is not None:
            result.kind, result.message = reply.error.kind, reply.error.message
            result.retry_at = _retry_at(project, reply.error)
            return
        found = parse.validate(reply.answer, job.task.output)
        if isinstance(found, parse.Parsed):
            result.value = found.value.model_dump(mode="json")
            return
        wrong = "; ".join(found.issues) if found.found else "there is no JSON in it"
        result.kind, result.message = "invalid", f"the answer does not fit {job.task.output.__name__}: {wrong}"
        if turn == CORRECTIONS or watch.cancel.is_set():
            return
        watch.live.report("other", f"the answer does not fit: {wrong}")
        prompt = parse.correction(found, job.task.output)
        if not talk.can_go_on:  # the CLI cannot resume: it needs the whole task again
            prompt = f"{opening(job, talk.profile)}\n\n{prompt}"
        result.kind, result.message = None, ""


def _retry_at(project: Project, error: Failure) -> float | None:
    if error.retry_at is not None:
        return error.retry_at
    return None if error.retry_after is None else project.clock.now() + error.retry_after


def opening(job: Job, profile: Profile) -> str:
    """The first prompt of an attempt."""
    assert job.task.output is not None
    wanted = parse.instructions(job.task.output)
    goes_on = job.session is not None and profile.session.scope != "none"
    if job.trouble is None and (job.new_pass or not goes_on):
        return f"{job.prompt}\n\n{wanted}"
    trouble = (
        f"The last attempt at this task did not succeed: {job.trouble}" if job.trouble else "You were interrupted."
    )
    if goes_on and not job.new_pass:
        return f"{trouble}\n\nThe files are as you left them. Go on until the task is done.\n\n{wanted}"
    return f"{job.prompt}\n\n{trouble}\nThe files are as that attempt left them.\n\n{wanted}"


class Conversation:
    """Turns with one agent CLI in one folder."""

    def __init__(self, project: Project, job: Job, result: Result, folder: Path, watch: Watch) -> None:
        assert job.agent is not None
        self._project, self._job, self._result = project, job, result
        self._folder, self._watch = folder, watch
        self.profile = pools.profile(project, job.agent)
        self._own = pools.settings_of(project, job.agent)
        self._session = job.session if self.profile.session.scope != "none" else None
        self._total = job.session_total
        self.correction = 0
        """How often the answer has gone back to the agent in this attempt."""

    @property
    def can_go_on(self) -> bool:
        """Whether the next turn continues this conversation."""
        return self._session is not None

    def say(self, prompt: str) -> Reply:
        """One turn; a conversation that the CLI no longer knows begins anew, once."""
        reply = self._turn(prompt)
        if reply.error is not None and reply.error.lost_session and self._session is not None:
            self._watch.live.report("other", "the conversation is gone; a new one begins")
            self._session = None
            reply = self._turn(f"{self._job.prompt}\n\n{prompt}")
        self._account(reply)
        return reply

    def _turn(self, prompt: str) -> Reply:
        found = pools.program(self._project, self.profile)
        if found is None:
            install = f"; {self.profile.install}" if self.profile.install else ""
            why = f"{self.profile.name} is not installed (looked for {', '.join(self.profile.program)}{install})"
            return Reply("", None, None, None, Failure("unstartable", why))
        # Below the run's own folder, so that what a killed engine leaves there is cleared away with the rest.
        place = self._project.run_dir(self._job.run) / "scratch"
        place.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=place))
        try:
            return self._run(found, prompt, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _run(self, program: str, prompt: str, scratch: Path) -> Reply:
        turn = Turn(
            program=program,
            prompt=prompt,
            cwd=str(self._folder),
            scratch=str(scratch),
            python=sys.executable,
            player=str(Path(player.__file__)),
            model=self._own.model,
            session=self._session,
            new_session=None if self._session else str(uuid.uuid4()),
            permission=self._own.permission,
            extra=tuple(self._own.args),
        )
        call = command_line.build(self.profile, turn)
        if call.prompt_file is not None:
            (scratch / call.prompt_file[0]).write_text(call.prompt_file[1], "utf-8")
        env = process.agent_env(self._project.environ, [*call.env_pass, *self._own.pass_env])
        env |= {**call.env_set, **self._own.env, **self._watch.live.environ}
        env["SMITHERS_CORRECTION"] = str(self.correction)
        reader, redactor = Reader(self.profile, self._total if self._session else None), Redactor(secrets_of(env))

        def output(chunk: bytes) -> None:
            take(redactor.feed(chunk))

        def take(clean: bytes) -> None:
            self._watch.live.write(clean)
            for event in reader.feed(clean):
                self._watch.live.report(event.kind, event.text)

        ended = process.run(
            self._launch(call, env), on_output=output, cancel=self._watch.cancel, on_start=self._watch.live.started
        )
        take(redactor.finish())
        paths = {name: scratch / name for name in result_files(self.profile)}
        files = {name: redactor.text(_read(path)) for name, path in paths.items() if path.is_file()}
        said = redactor.text(ended.stderr.decode("utf-8", "replace")).encode()
        return reader.finish(ended.code, said, files, ended=ended.reason, message=ended.message)

    def _launch(self, call: command_line.Invocation, env: dict[str, str]) -> process.Launch:
        task, watchdog, screen = self._job.task, self.profile.watchdog, self.profile.terminal
        idle = task.idle_timeout if task.idle_timeout is not None else watchdog.idle
        first = task.idle_timeout if task.idle_timeout is not None else watchdog.first_output
        return process.Launch(
            call.argv,
            self._folder,
            env,
            stdin=call.stdin,
            terminal=process.Terminal(columns=screen.columns, rows=screen.rows) if screen else None,
            timeout=task.timeout,
            idle_timeout=idle,
            first_output=first,
            stop=tuple(process.StopStep(step.signal, step.wait) for step in self.profile.stop),
        )

    def _account(self, reply: Reply) -> None:
        result = self._result
        result.model = self._own.model
        if reply.session:
            result.session = self._session = reply.session
            result.session_total = self._total = reply.total
        if self.profile.session.scope == "none":
            self._session = None
        if reply.usage is not None:
            old = result.usage or ev.Usage()
            result.usage = ev.Usage(
                input=old.input + reply.usage.input,
                output=old.output + reply.usage.output,
                cached=old.cached + reply.usage.cached,
            )
        if reply.cost is not None:
            result.cost = (result.cost or 0.0) + reply.cost


def _read(path: Path) -> str:
    return path.read_bytes()[-(4 << 20) :].decode("utf-8", "replace")
