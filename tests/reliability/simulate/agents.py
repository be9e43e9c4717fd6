"""Agents that are talked with: they cost something, meet limits, answer what does not fit, and may forget it all.

What is real: the conversation around the turns (`service.talk.converse`, `dialogue`, `memory`, `conversations`), who is
asked (`pools`, `core.chain`), the limits of accounts, and what may be spent. Only the turns are simulated. The files
in which an agent keeps its conversations lie in a real folder.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.memory_git import files_of
from reliability.simulate.rules import Violation
from reliability.simulate.scenario import Talking, Trouble
from reliability.simulate.spending import used_of

from smithers_git.core import events as ev
from smithers_git.core.reply import Failure, Reply
from smithers_git.names import TaskKey
from smithers_git.service.job import Result
from smithers_git.service.slots import Slot
from smithers_git.service.talk.dialogue import Dialogue
from smithers_git.service.talk.seat import Seat
from smithers_git.service.talk.talker import account

if TYPE_CHECKING:
    from reliability.simulate.world import Process, World

Attempt = tuple[str, TaskKey, int]
_LATE = 0.5
"""Virtual seconds after which an engine must know of a limit that another one has met."""
_QUICK = 0.3
"""Virtual seconds in which a service says no."""
_WRONG = "I think that it is done."
_FAILURES: dict[str, ev.FailureKind] = {"exit": "exit", "timeout": "timeout", "refusal": "refusal"}


class Agents:
    """All agents of the machine, and what they remember."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.talking = world.scenario.talking or Talking()
        self.home = world.folder / "home"
        self._ids = count(1)
        self._began: dict[str, SimTalker] = {}
        """By conversation: who began it."""
        self._owner: dict[str, str] = {}
        self._last: dict[Attempt, SimTalker] = {}
        self._limits: dict[str, tuple[float, float]] = {}
        """By agent: until when it is at its limit, in Unix seconds, and the virtual moment at which it said so."""

    def begins(self) -> None:
        """From now on there are agents: some forget everything at times."""
        for at in self.talking.forgets:
            self.world.at(at, self._forget)

    def _forget(self) -> None:
        self.world.tell(None, "the files of all conversations are gone")
        shutil.rmtree(self.home, ignore_errors=True)

    def trouble(self, agent: str) -> Trouble | None:
        """What keeps the service of an agent from answering at this moment."""
        world = self.world
        found = (one for one in self.talking.troubles if one.agent == agent and one.begin <= world.now < one.end)
        return None if world.calm else next(found, None)

    def attend(self, talker: SimTalker, attempt: Attempt) -> bool:
        """Note who makes an attempt; says whether this is its first turn."""
        first = self._last.get(attempt) is not talker
        self._last[attempt] = talker
        return first

    def limited(self, agent: str, until: float) -> None:
        """An agent says that it is at its limit until that moment."""
        self._limits[agent] = (until, self.world.now)

    def works(self, agents: Iterable[str]) -> None:
        """These agents have answered, or a person says that they will."""
        for agent in agents:
            self._limits.pop(agent, None)

    def converse(self, talker: SimTalker, agent: str, session: str | None) -> str:
        """The conversation in which a turn takes place: `session`, or a new one."""
        if session is None:
            session = f"{agent}-{next(self._ids)}"
            self._began[session], self._owner[session] = talker, agent
        elif self._owner.get(session) != agent:
            raise Violation(f"P3: {agent} is to go on with {session}, a conversation of {self._owner.get(session)}")
        return session

    def rewound(self, run: str) -> None:
        """What attempts of a run have used and heard behind that frame is no more."""
        self._last = {attempt: talker for attempt, talker in self._last.items() if attempt[0] != run}

    def started(self, process: Process, event: ev.TaskStarted, at: float) -> None:
        """Nobody asks an agent that is at its limit and has said for how long."""
        until, since = self._limits.get(event.agent or "", (0.0, 0.0))
        knows = not self.world.scenario.jumps and self.world.now - max(since, process.woke) > _LATE
        if at < until and knows:
            raise Violation(f"{event.agent} is asked {until - at:g} s before its limit ends")

    def said(self, attempt: Attempt, event: ev.Event) -> None:
        """P3: an attempt says truly what its turns have used, and whether they were those of a new conversation."""
        talker, session = self._last.get(attempt), getattr(event, "session", None)
        told, usage = getattr(event, "conversation", None), getattr(event, "usage", None)
        if self.world.robbed or talker is None:
            return
        used = used_of(usage)
        if used != talker.used:
            raise Violation(f"budget: {attempt[1]} says that it has used {used} tokens; its agent said {talker.used}")
        if session is None or told is None:
            return
        fresh = self._began[session] is talker
        if fresh != (told in ("new", "summary")):
            raise Violation(f"P3: {attempt[1]} says that its conversation is {told}; {session} is new: {fresh}")


class SimTalker(Dialogue):
    """The turns of one attempt."""

    def __init__(self, process: Process, seat: Seat, result: Result) -> None:
        super().__init__(seat, result)
        self._process = process
        self._agents = process.world.agents
        self._forgot = False
        self.used = 0
        """Tokens, as the agent said after each turn."""

    @property
    def can_go_on(self) -> bool:
        return self._session is not None

    def say(self, prompt: str) -> Reply:
        reply = self.ask(prompt)
        if reply.session:
            self._result.session = self._session = reply.session
        account(self._result, reply)
        self.used += used_of(reply.usage)
        return reply

    def close(self) -> None:
        pass

    def _turn(self, prompt: str) -> Reply:
        world, job, agents = self._process.world, self._seat.job, self._agents
        options = world.programs.tasks[job.key.node].options
        attempt = (job.run, job.key, job.attempt)
        if agents.attend(self, attempt):
            world.checker.program_begins(self._process, *attempt)
        trouble = agents.trouble(str(job.agent))
        if trouble is not None:
            self._process.park(world.now + _QUICK, self._cancelled)
            until = world.wall() + trouble.end - world.now
            if trouble.kind == "limit" and trouble.told and not self._cancelled():
                agents.limited(str(job.agent), until)
            return self._failed(trouble.kind, retry_at=until if trouble.told else None)
        if self._session is not None and (options["loses"] or not self._knows(self._session)) and not self._forgot:
            self._forgot = True
            return Reply("", None, None, None, Failure("error", "no such conversation", lost_session=True))
        end, takes = world.programs.fate(job.run, job.key)
        session = agents.converse(self, str(job.agent), self._session)
        self._seat.watch.live.conversing(session)
        self._remember(session, prompt)
        return self._work(session, end, takes)

    def _work(self, session: str, end: str, takes: float) -> Reply:
        """What a turn does to the files, and what the agent says of it."""
        world, job, process = self._process.world, self._seat.job, self._process
        folder = tuple(self._seat.folder.parts[-2:])
        half = process.work((job.run, job.key, job.attempt), folder, takes, self._cancelled)
        if self._cancelled():
            return self._failed("cancelled", session)
        words = {"message": {"content": [{"type": "text", "text": f"{job.key} {end}"}]}, "type": "assistant"}
        self._seat.watch.live.write(json.dumps(words).encode() + b"\n")  # as claude says it
        if end in _FAILURES:
            return self._failed(_FAILURES[end], session)
        self._agents.works([str(job.agent)])
        if end == "astray":
            self._throw_back(folder)
        world.folders[folder].pop(half, None)
        if end == "invalid" or (end == "slip" and self.correction == 0):
            return self._reply(_WRONG, session)
        if not (end == "idle" and self.correction == 0):  # says that it is done, and has done nothing
            world.folders[folder][str(job.key)] = f"made by {job.key}".encode()
        return self._reply(json.dumps({"n": len(job.key.node)}), session)

    def _throw_back(self, folder: tuple[str, ...]) -> None:
        """`git reset --hard HEAD~1` in a workspace: what git does not know stays."""
        world, space = self._process.world, self._seat.job.space
        assert space is not None
        objects = self._seat.project.objects
        tip = world.filled[folder]
        older = objects.read_commit(tip).parents
        if older:
            files, known = world.folders[folder], files_of(objects, tip)
            there = {name: data for name, data in files.items() if name not in known}
            world.folders[folder] = files_of(objects, older[0]) | there
            world.thrown[folder] = older[0]

    def _cancelled(self) -> bool:
        return self._seat.watch.cancel.is_set()

    def _failed(self, kind: Any, session: str | None = None, retry_at: float | None = None) -> Reply:
        kind = "cancelled" if self._cancelled() else kind
        return self._reply("", session, Failure(kind, f"{self._seat.job.agent}: {kind}", retry_at=retry_at))

    def _reply(self, answer: str, session: str | None, error: Failure | None = None) -> Reply:
        talking, job = self._agents.talking, self._seat.job
        if session is None:
            return Reply(answer, session, None, None, error)
        price = None if job.agent in talking.unpriced else talking.tokens / 10_000
        return Reply(answer, session, ev.Usage(input=talking.tokens - 1, output=1), price, error)

    def _files(self, session: str) -> list[Path]:
        state = self._seat.profile.state
        assert state is not None
        names = [glob.replace("{session}", session).replace("*", "x") for glob in state.sessions]
        return [self._agents.home / state.folder / name for name in names]

    def _knows(self, session: str) -> bool:
        return all(path.exists() for path in self._files(session))

    def _remember(self, session: str, prompt: str) -> None:
        for path in self._files(session):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(f"{len(prompt)}\n")


class SimSlots:
    """A machine with room for every agent."""

    def take(self, *_: object) -> Slot:
        return _Free()


class _Free(Slot):
    def __init__(self) -> None:
        pass

    def give_back(self) -> None:
        pass
