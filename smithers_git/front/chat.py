"""What `smithers chat` prints: what agents and commands said, attempt by attempt."""

from __future__ import annotations

from typing import Any

from smithers_git.clock import local
from smithers_git.core.attempts import Attempt
from smithers_git.edge import output
from smithers_git.front.logs import watch
from smithers_git.front.words import said
from smithers_git.service.follow import Follower, News, Saying
from smithers_git.service.history import is_meant, select
from smithers_git.service.live import talks
from smithers_git.service.project import Project
from smithers_git.service.transcripts import Interpreter, profile_of


class Chat:
    """One reader of a run's transcripts.

    Args:
        project: the repository.
        run: id of the run.
        node: `NODE` or `NODE@ITERATION`, commands too; None for what agents said in every node.
        raw: show the bytes as the program wrote them.
    """

    def __init__(self, project: Project, run: str, node: str | None, *, raw: bool) -> None:
        self.project, self.run, self.node, self.raw = project, run, node, raw
        self.follower = Follower(project, run)
        self._speakers: dict[str, Interpreter] = {}
        self._last: str | None = None
        """The attempt whose words stand above."""

    def show(self) -> None:
        """Print everything that was said so far."""
        news = self._first()
        self.tell(news)
        if self._last is None:
            output.note(f"nothing was said yet in run {self.run}: smithers inspect {self.run}")

    def follow(self) -> int:
        """Print what was said, then what is said; returns the exit code of design section 9."""
        self.tell(self._first())
        return watch(self.follower, self.tell)

    def document(self) -> dict[str, Any]:
        """Everything that was said, for `--json`."""
        spoken: dict[str, dict[str, Any]] = {}
        for saying in self._first().sayings:
            if self._wanted(saying.attempt):
                spoken[saying.attempt.transcript] = self._spoken(saying)
        return {"run": self.run, "attempts": list(spoken.values())}

    def tell(self, news: News) -> None:
        """Print the wanted part of the news."""
        for saying in news.sayings:
            if self._wanted(saying.attempt) and saying.data:
                self._tell(saying)

    def _first(self) -> News:
        news = self.follower.look()
        if self.node is not None:
            select(self.run, [frame.data for frame in news.frames], self.node)  # a misspelled node is refused
        return news

    def _wanted(self, attempt: Attempt) -> bool:
        if self.node is None:
            return attempt.agent is not None
        return is_meant(attempt.key, self.node)

    def _tell(self, saying: Saying) -> None:
        attempt = saying.attempt
        if self._last != attempt.transcript:
            self._head(attempt)
        if self.raw:
            output.binary(saying.data)
            return
        for event in self._events(saying):
            for line in said(event):
                style = "" if event.kind == "text" else "dim"
                output.emit(output.paint(line, style))

    def _head(self, attempt: Attempt) -> None:
        blank, self._last = self._last is not None, attempt.transcript
        if self.raw:
            return
        when = local(attempt.started, self.project.clock.now())
        who = f", {attempt.agent}" if attempt.agent else ""
        if blank:
            output.emit()
        output.emit(output.paint(f"-- {attempt.key}, attempt {attempt.number}{who}, {when} --", "bold"))
        session = self._session(attempt)
        if session:
            kind = f", {attempt.conversation}" if attempt.conversation else ""
            output.emit(output.paint(f"session {session}{kind}", "dim"))

    def _session(self, attempt: Attempt) -> str | None:
        """The conversation; of an attempt that runs, what it has said itself."""
        live = talks(self.project.run_dir(self.run)) if attempt.status == "running" else {}
        return live.get(attempt.transcript, attempt.session)

    def _events(self, saying: Saying) -> list[Any]:
        attempt = saying.attempt
        speaker = self._speakers.get(attempt.transcript)
        if speaker is None:
            tip = self.follower.chain.tip
            assert tip is not None
            tree = self.project.objects.read_commit(tip).tree
            profile = profile_of(self.project, tree, attempt.agent) if attempt.agent else None
            speaker = self._speakers[attempt.transcript] = Interpreter(profile)
        return speaker.feed(saying.data) + (speaker.finish() if saying.last else [])

    def _spoken(self, saying: Saying) -> dict[str, Any]:
        attempt = saying.attempt
        about = {
            "node": attempt.key.node,
            "iteration": attempt.key.iteration,
            "attempt": attempt.number,
            "agent": attempt.agent,
            "status": attempt.status,
            "session": self._session(attempt),
            "conversation": attempt.conversation,
        }
        if self.raw:
            return {**about, "raw": saying.data.decode("utf-8", "replace")}
        return {**about, "said": [{"kind": event.kind, "text": event.text} for event in self._events(saying)]}
