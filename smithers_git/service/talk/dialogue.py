"""A conversation that outlives its attempt: gone on with where that can be, else begun anew, and told which."""

from __future__ import annotations

from abc import ABC, abstractmethod

from smithers_git.core.reply import Reply
from smithers_git.service.job import Result
from smithers_git.service.talk.memory import Memory
from smithers_git.service.talk.seat import Seat


class Dialogue(ABC):
    """What every transport does with the conversation of the attempt before."""

    def __init__(self, seat: Seat, result: Result) -> None:
        self._seat, self._result = seat, result
        self._session = seat.job.session if self.keeps_conversations else None
        self._memory = Memory(seat, result)
        self._recalled = self._session is None
        self.correction = 0

    @property
    def keeps_conversations(self) -> bool:
        return self._seat.profile.session.scope != "none"

    def summary(self) -> str:
        return self._memory.summary() if self._seat.job.former else ""

    def ask(self, prompt: str) -> Reply:
        """One turn; a conversation that the agent no longer knows begins anew, once."""
        if not self._recalled and self._session is not None:
            self._recalled = True
            if not self._memory.recall(self._session):
                self._session, prompt = None, self._memory.anew(prompt)
        reply = self._turn(prompt)
        if reply.error is not None and reply.error.lost_session and self._session is not None:
            self._seat.watch.live.report("other", "the conversation is gone; a new one begins")
            self._session = None
            self._result.conversation = "new"
            reply = self._turn(self._memory.anew(prompt))
        return reply

    @abstractmethod
    def _turn(self, prompt: str) -> Reply:
        """Say `prompt` in the conversation `_session`, or in a new one when that is None."""
