"""Turns with an agent CLI that is started anew for each: prompt in, output read by the rules of its profile."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

from smithers_git.core import command_line
from smithers_git.core.command_line import Invocation, Turn
from smithers_git.core.liveness import Stall
from smithers_git.core.profile import Profile
from smithers_git.core.reply import AgentEvent, Reply
from smithers_git.core.stream import Reader
from smithers_git.edge import player, process
from smithers_git.edge.git.leavings import sweep
from smithers_git.service.job import Result
from smithers_git.service.talk.dialogue import Dialogue
from smithers_git.service.talk.seat import Seat
from smithers_git.service.talk.state import Additions
from smithers_git.service.talk.talker import account
from smithers_git.service.talk.vigil import Stalled


class _Waiting(Exception):
    """The agent waits for a person; raised where its output is taken, so that its processes are ended."""


class Cli(Dialogue):
    """Turns with one agent CLI in one folder."""

    def __init__(self, seat: Seat, result: Result) -> None:
        super().__init__(seat, result)
        self._total = seat.job.session_total

    @property
    def can_go_on(self) -> bool:
        return self._session is not None

    def say(self, prompt: str) -> Reply:
        """One turn."""
        reply = self.ask(prompt)
        self._account(reply)
        return reply

    def _turn(self, prompt: str) -> Reply:
        program = self._seat.program()
        if program is None:
            return self._seat.missing()
        with self._seat.scratch() as scratch:
            reply = self._run(program, prompt, scratch)
        sweep(self._seat.folder, self._seat.profile.leaves)
        return reply

    def _run(self, program: str, prompt: str, scratch: Path) -> Reply:
        seat = self._seat
        profile, live = seat.profile, seat.watch.live
        turn = Turn(
            program=program,
            prompt=prompt,
            cwd=str(seat.folder),
            scratch=str(scratch),
            python=sys.executable,
            player=str(Path(player.__file__)),
            model=seat.own.model,
            session=self._session,
            new_session=None if self._session else str(uuid.uuid4()),
            permission=seat.own.permission,
            extra=tuple(seat.own.args),
        )
        call = self.invocation(turn)
        if call.prompt_file is not None:
            (scratch / call.prompt_file[0]).write_text(call.prompt_file[1], "utf-8")
        env = seat.environ(call, self.correction)
        reader = Reader(profile, self._total if self._session else None, call.session)
        additions = Additions(profile, env, self._session)
        redactor = seat.redactor(env)

        vigil = seat.vigil()

        def output(chunk: bytes) -> None:
            vigil.look(take(redactor.feed(chunk)))
            if reader.waits:
                raise _Waiting

        def take(clean: bytes) -> list[AgentEvent]:
            live.write(clean)
            self.heard(clean)
            events = reader.feed(clean)
            if self.keeps_conversations and reader.session:
                live.conversing(reader.session)
            for event in events:
                live.report(event.kind, event.text)
            return events

        stall: Stall | None = None
        try:
            ended = process.run(
                seat.launch(call, env), on_output=output, cancel=seat.watch.cancel, on_start=live.started
            )
        except Stalled as stalled:
            stall = stalled.stall
        except _Waiting:
            ended = process.Exit(None, None, "exited", "", 0.0, b"")  # its failure rules say what it waits for
        take(redactor.finish())
        files = {**_results(profile, scratch), **additions.read(reader.session)}
        files = {source: redactor.text(text) for source, text in files.items()}
        if stall is not None:
            return reader.finish(None, files=files, ended=stall.kind, message=stall.message)
        said = redactor.text(ended.stderr.decode("utf-8", "replace")).encode()
        return reader.finish(ended.code, said, files, ended=ended.reason, message=ended.message)

    def invocation(self, turn: Turn) -> Invocation:
        """What is run for one turn."""
        return command_line.build(self._seat.profile, turn)

    def heard(self, clean: bytes) -> None:
        """Told of the next piece of standard output, secrets taken out, in the order in which it came."""

    def _account(self, reply: Reply) -> None:
        result = self._result
        result.model = self._seat.own.model
        if reply.session:
            result.session = self._session = reply.session
            result.session_total = self._total = reply.total
        if not self.keeps_conversations:
            self._session = None
        account(result, reply)

    def close(self) -> None:
        """Nothing: every process has ended with its turn."""


def _results(profile: Profile, scratch: Path) -> dict[str, str]:
    """What the CLI wrote into the files that it was told to write, by the rules' source."""
    paths = {
        source: scratch / source.removeprefix("file:") for source in profile.sources() if source.startswith("file:")
    }
    return {
        source: path.read_bytes()[-(4 << 20) :].decode("utf-8", "replace")
        for source, path in paths.items()
        if path.is_file()
    }
