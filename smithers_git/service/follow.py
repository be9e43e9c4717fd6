"""What is new in a run since the last look: frames that were written, and what attempts say while they run."""

from __future__ import annotations

from dataclasses import dataclass, field

from smithers_git.core.attempts import Attempt, Attempts
from smithers_git.service.frames import Frame, walk
from smithers_git.service.project import Project
from smithers_git.service.transcripts import live_path, read_live, stored


@dataclass(frozen=True, slots=True)
class Saying:
    """The next bytes of what an attempt says."""

    attempt: Attempt
    data: bytes
    last: bool
    """Nothing more will come: the attempt is over."""


@dataclass(slots=True)
class News:
    """What one look found."""

    frames: list[Frame] = field(default_factory=list)
    sayings: list[Saying] = field(default_factory=list)
    rewound: int | None = None
    """The frame that the run was put back to since the last look."""


class Follower:
    """Looks at one run again and again. It writes nothing and holds no lock."""

    def __init__(self, project: Project, run: str) -> None:
        self.project = project
        self.chain = project.chain(run)
        self.driven = False
        """Whether an engine held the run at the last look."""
        self.attempts = Attempts()
        self._run = run
        self._known: set[str] = set()
        self._tip: str | None = None
        self._tree = ""
        self._heard: dict[str, int] = {}
        """Bytes of each running attempt's transcript that were told already."""
        self._over: set[str] = set()

    def look(self) -> News:
        """Everything that happened since the last look; the first one tells all frames and transcripts."""
        # Before the frames: what an engine writes on its way out must not be missed.
        self.driven = self.project.is_owned(self._run)
        news = News()
        self._frames(news)
        blobs = stored(self.project, self._tree) if news.frames else {}
        for attempt in self.attempts.all:
            name = attempt.transcript
            if name in self._over:
                continue
            if attempt.status != "running" and news.frames:
                self._end(news, attempt, blobs.get(name, []))
            elif attempt.status == "running":
                self._listen(news, attempt)
        return news

    def _frames(self, news: News) -> None:
        tip = self.project.tip(self._run)
        if tip is None or tip == self._tip:
            return
        for frame in walk(self.project.objects, tip):
            if frame.commit in self._known:
                if frame.commit != self._tip:
                    news.rewound = frame.data.number
                    self._begin_again(frame)
                break
            news.frames.append(frame)
        news.frames.reverse()
        self._known.update(frame.commit for frame in news.frames)
        self._tip = tip
        self._tree = self.project.objects.read_commit(tip).tree
        self.chain.reload()
        for frame in news.frames:
            self.attempts.take(frame.data)

    def _begin_again(self, frame: Frame) -> None:
        """After a rewind to `frame` the same attempts are made once more; those up to it were told."""
        kept = reversed(list(walk(self.project.objects, frame.commit)))
        self.attempts = Attempts(one.data for one in kept)
        self._over = {attempt.transcript for attempt in self.attempts.all if attempt.status != "running"}
        self._heard.clear()

    def _listen(self, news: News, attempt: Attempt) -> None:
        path, offset = live_path(self.project, self._run, attempt), self._heard.get(attempt.transcript, 0)
        data = read_live(path, offset)
        if data:
            self._heard[attempt.transcript] = offset + len(data)
            news.sayings.append(Saying(attempt, data, last=False))

    def _end(self, news: News, attempt: Attempt, blobs: list[str]) -> None:
        name = attempt.transcript
        data = b"".join(self.project.objects.read_blob(blob) for blob in blobs)
        news.sayings.append(Saying(attempt, data[self._heard.get(name, 0) :], last=True))
        self._over.add(name)
