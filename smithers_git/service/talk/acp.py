"""Turns with an agent that speaks the Agent Client Protocol: one process for the attempt, one conversation in it."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from smithers_git import __version__
from smithers_git.core import command_line
from smithers_git.core.acp import failure, policy
from smithers_git.core.acp.client import Client, Opening
from smithers_git.core.acp.minutes import Minutes
from smithers_git.core.acp.read import Scribe
from smithers_git.core.acp.usage import Meter
from smithers_git.core.command_line import Turn
from smithers_git.core.lines import Lines, strip_escapes
from smithers_git.core.profile_rules import Acp as Protocol
from smithers_git.core.reply import AgentEvent, Failure, Reply
from smithers_git.edge import player, process
from smithers_git.edge.git.leavings import sweep
from smithers_git.errors import RunNotFound, RunRefused
from smithers_git.service import inquire, pools
from smithers_git.service.inquire import Inquiry
from smithers_git.service.job import Result
from smithers_git.service.talk.dialogue import Dialogue
from smithers_git.service.talk.seat import Seat
from smithers_git.service.talk.talker import account
from smithers_git.service.talk.vigil import Stalled, Vigil

_SILENT: Final = 120.0
"""Seconds in which an agent says its first word, for which it needs no model: some wait for a login for ever."""
_LEAVE: Final = 3.0
"""Seconds that it has, once its input has ended, before it is stopped. Six CLIs took 0.02 to 1.1."""
_DEAF: Final = 16 << 20
"""Bytes that an agent does not read of what it is told, before it is given up."""


class Acp(Dialogue):
    """A conversation with one agent in one folder. Corrections go on in it, in the same process."""

    def __init__(self, seat: Seat, result: Result) -> None:
        super().__init__(seat, result)
        counts = (seat.profile.acp or Protocol()).counts
        self._meter = Meter(counts, seat.job.session_total if self._session else None)
        self._cost = 0.0
        self._line: _Line | None = None

    @property
    def can_go_on(self) -> bool:
        return self._session is not None or (self._line is not None and self._line.ready)

    def say(self, prompt: str) -> Reply:
        """One turn."""
        reply = self.ask(prompt)
        sweep(self._seat.folder, self._seat.profile.leaves)
        account(self._result, reply)
        return reply

    def _turn(self, prompt: str) -> Reply:
        if self._line is None or not self._line.ready:
            self.close()
            program = self._program()
            if program is None:
                return self._seat.missing()
            if self._session is None:
                self._meter.total = None
            self._line = _Line(self._seat, program, self._session, self.correction)
            self._cost = 0.0
        line = self._line
        trouble = line.open()
        self._result.model = self._seat.own.model or line.client.model
        if line.client.session is not None:
            self._result.session = line.client.session
            if self.keeps_conversations:
                self._seat.watch.live.conversing(line.client.session)
        if trouble is None:
            trouble = line.say(prompt)
        return self._reply(line, trouble)

    def _program(self) -> str | None:
        profile, own = self._seat.profile, self._seat.profile.acp
        if own is None or not own.program:
            return self._seat.program()
        return pools.program(self._seat.project, profile.model_copy(update={"program": own.program}))

    def _reply(self, line: _Line, trouble: Failure | None) -> Reply:
        client = line.client
        if self.keeps_conversations and client.session is not None:
            self._session = client.session
        spent = None if client.cost is None else max(0.0, client.cost - max(self._cost, client.cost_before))
        self._cost = client.cost or self._cost
        usage = self._meter.turn(client.turn.usage)
        if usage is not None:
            self._seat.watch.live.report("usage", f"{usage.input} in, {usage.output} out")
        self._result.session_total = self._meter.total if self._meter.counts == "conversation" else None
        answer = "" if trouble else line.clean(client.turn.answer)
        if trouble is None and not answer.strip():
            trouble = Failure("empty", f"{self._seat.profile.name} gave an empty answer")
        return Reply(answer, client.session, usage, spent, trouble, self._result.session_total)

    def close(self) -> None:
        """The agent's input ends, and with it the agent."""
        if self._line is not None:
            self._line.close()
            self._line = None
            sweep(self._seat.folder, self._seat.profile.leaves)


class _Line:
    """One process, and the conversation with it."""

    def __init__(self, seat: Seat, program: str, session: str | None, correction: int) -> None:
        self._seat, self._profile = seat, seat.profile
        default = seat.profile.permission.default if seat.profile.permission else "edit"
        self._level: policy.Level = seat.own.permission or default
        self._lines, self._scribe = Lines(), Scribe()
        self._vigil: Vigil | None = None
        with ExitStack() as held:
            self._begin(program, session, correction, held.enter_context(seat.scratch()))
            held.callback(self._talk.close)
            self._held = held.pop_all()

    def _begin(self, program: str, session: str | None, correction: int, scratch: Path) -> None:
        """Start the process; the conversation begins with `open`."""
        seat, own = self._seat, self._seat.own
        turn = Turn(
            program=program,
            prompt="",
            cwd=str(seat.folder),
            scratch=str(scratch),
            python=sys.executable,
            player=str(Path(player.__file__)),
            model=own.model,
            permission=self._level,
            extra=tuple(own.args),
        )
        call = command_line.build_acp(self._profile, turn)
        env = seat.environ(call, correction)
        self._redactor = seat.redactor(env)
        self._minutes = Minutes(lambda: seat.redactor(env))
        self.client = Client(
            Opening(
                cwd=str(seat.folder),
                client=__version__,
                session=session,
                mode=self._profile.acp.mode if self._profile.acp else None,
                model=None if command_line.names_model(self._profile) else own.model,
            )
        )
        launch = seat.launch(call, env)
        first = min(launch.first_output or _SILENT, _SILENT)
        launch = replace(launch, terminal=None, first_output=first)
        self._talk = process.Talk(launch, cancel=seat.watch.cancel, on_start=seat.watch.live.started, leave=_LEAVE)

    @property
    def ready(self) -> bool:
        """Whether a turn can begin."""
        return self.client.phase == "ready" and not self._talk.leaving

    def clean(self, text: str) -> str:
        """`text` without secrets. A message comes in pieces, so a secret of it may not have been seen before."""
        return self._redactor.text(text)

    def open(self) -> Failure | None:
        """Begin or load the conversation; a second time does nothing. Returns why that is impossible."""
        self._follow("opening")
        trouble = self.client.trouble
        if trouble is None:
            return None if self.client.phase == "ready" else self._ended("before the conversation began", opening=True)
        if trouble.error is None:
            found = Failure("crash" if trouble.lost_session else "bad_request", f"{self._profile.name} {trouble.text}")
        else:
            found = failure.of_error(self._profile, trouble.error, "")
        return replace(found, lost_session=found.lost_session or trouble.lost_session)

    def say(self, prompt: str) -> Failure | None:
        """One turn. Returns why it failed."""
        self.client.prompt(prompt)
        self._vigil = self._seat.vigil()
        try:
            self._follow("turn")
        except Stalled as stalled:
            self._talk.finish(self.client.cancel())
            return Failure(stalled.stall.kind, stalled.stall.message)
        self._tell(self._minutes.end())
        if self.client.trouble is not None:
            return failure.of_error(self._profile, self.client.trouble.error, "")
        if self.client.phase == "turn" or self._talk.stopped:  # what it says when it has to end is no answer
            return self._ended("before its turn was over")
        stop, answer = self.client.turn.stop or "", self.client.turn.answer
        if stop != "end_turn":
            return failure.of_stop(self._profile, stop)
        pattern = self._profile.acp.error if self._profile.acp else None
        wrong = pattern is not None and pattern.search(answer)
        return failure.of_error(self._profile, {"message": self.clean(answer)}, "") if wrong else None

    def close(self) -> None:
        """End the conversation and the process."""
        with self._held:
            self._talk.finish()

    def _follow(self, phase: str) -> None:
        """Go on with the conversation while it is in `phase`, and the process is there."""
        while self.client.phase == phase:
            self._talk.send(self.client.unsent())
            self._talk.farewell(self.client.cancel())
            if self.client.asked:
                self._decide(self.client.asked[0])
                continue
            chunk = self._talk.receive()
            lines = self._lines.feed(chunk) if chunk else self._lines.flush()
            for line in lines:
                self._take(line)
            if not chunk or self._talk.unsent > _DEAF:
                break
        self._talk.send(self.client.unsent())

    def _take(self, line: str) -> None:
        clean = self._redactor.text(line)
        wanted = self.client.is_news(clean)
        self.client.take(clean)
        events = self._tell(self._minutes.take(clean)) if wanted else []
        if self._vigil is not None:
            self._vigil.look(events)

    def _tell(self, lines: list[str]) -> list[AgentEvent]:
        live, told = self._seat.watch.live, list[AgentEvent]()
        for line in lines:
            live.write(line.encode("utf-8", "replace") + b"\n")
            told += self._scribe.line(line)
        for event in told:
            self._report(event)
        return told

    def _report(self, event: AgentEvent) -> None:
        self._seat.watch.live.report(event.kind, event.text)

    def _ended(self, when: str, *, opening: bool = False) -> Failure:
        """Why the process is gone, or does not listen."""
        deaf = self._talk.unsent > _DEAF
        ended = self._talk.finish()
        if deaf:
            return Failure("idle", f"{self._profile.name} does not read what it is told")
        if ended.reason != "exited":
            return Failure(ended.reason, ended.message)
        said = self.clean(strip_escapes(ended.stderr.decode("utf-8", "replace"))).strip() or self.client.noise.strip()
        words = f"it {ended.message} {when}" + (f": {' '.join(said[-1000:].split())}" if said else "")
        found = failure.of_error(self._profile, {"message": words}, said)
        # Before the conversation its last words say why it cannot begin; half-way they may be about anything.
        return found if opening or found.kind in ("limit", "auth") else replace(found, kind="crash")

    def _decide(self, request: policy.Request) -> None:
        option, by = request.reject, "policy"
        isolated = self._seat.job.isolated
        may = policy.allowed(request.call, self._level, self._inside, isolated=isolated)
        if may and request.allow is not None:
            option = request.allow
        elif self._seat.own.ask and request.options:
            option, by = self._ask(request)
        self.client.asked.popleft()
        line = self.client.answer(request, option, by)
        self._tell([*self._minutes.end(), line])

    def _ask(self, request: policy.Request) -> tuple[policy.Option | None, str]:
        """Ask a person; returns the option, and who chose it."""
        seat, choices = self._seat, request.choices()
        # A project of its own for this thread: the environment is that of the task, as for `smithers ask`.
        here = replace(seat.project, environ={**seat.project.environ, **seat.watch.live.environ})
        text = policy.question(self._profile.name, request, str(seat.folder))
        self._report(AgentEvent("other", f"a person is asked: {request.call.text}"))
        try:
            _, wait = inquire.ask(here, Inquiry(text, tuple(choices)), self._talk.waits)
        except (RunNotFound, RunRefused) as error:  # no run, as in `smithers agents test`, or one that is over
            self._report(AgentEvent("other", f"nobody can be asked: {error.message}"))
            return request.reject, "policy"
        if self._vigil is not None:
            self._vigil = seat.vigil()  # a person took the time, not the agent
        if wait.end == "resolved" and wait.reply in choices:
            return choices[wait.reply], wait.by or "a person"
        return request.reject, "nobody"

    def _inside(self, path: str) -> bool:
        """Whether a path lies in the workspace, links followed, and is not git's."""
        if path.startswith("file://"):
            path = unquote(urlsplit(path).path)
        if path.startswith("~") or "://" in path or "\0" in path:
            return False
        root = os.path.realpath(self._seat.folder)
        real = Path(os.path.realpath(Path(root, path)))
        return real.is_relative_to(root) and ".git" not in real.relative_to(root).parts
