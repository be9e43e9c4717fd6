"""A repository that has grown: a long run, many short ones, an agent that talked a lot, tickets, a full merge queue.

Made by the services themselves in this process, without flushes: 20,000 frames take about a minute.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from smithers_git.edge.git.objects import Objects
from smithers_git.names import BRANCHES, run_ref
from smithers_git.service import drive, gc, launch
from smithers_git.service.landing import desk, request
from smithers_git.service.landing.ledger import Ledger
from smithers_git.service.project import Project

LONG, TALK = "long", "talk"
"""The ids of the run with many frames, and of the one with the transcript."""
BRANCH = "smithers/integration"
ASKS = 5
"""Beside every so many runs that are over there is one that waits for a person."""

FLOW = """
from pydantic import BaseModel
from smithers_git import Approval, Context, Sequence, Task, workflow

class Request(BaseModel):
    n: int = 2
    ask: bool = False

@workflow(input=Request)
def flow(ctx: Context[Request]):
    steps = [Task(f"step-{i}", value={"n": i, "text": "x" * 212}) for i in range(ctx.input.n)]
    return Sequence([*steps, Approval("ship", title="Ship it?")] if ctx.input.ask else steps)
"""

POOLS = "[pools]\n" + "".join(f'{role} = ["script"]\n' for role in ("implement", "review", "smart", "fast"))

TALKER = """
from pydantic import BaseModel
from smithers_git import Context, Parallel, Sequence, Task, workflow

PART = 4_000_000

class Request(BaseModel):
    spoken: int

def says(count):
    return f"seq -f 'line %.0f of what is said, and some more' 999999999 | head -c {count}"

@workflow(input=Request)
def talk(ctx: Context[Request]):
    whole = ctx.input.spoken
    parts = [min(PART, whole - start) for start in range(0, whole, PART)]
    return Sequence([Task(f"part-{i}", run=says(one)) for i, one in enumerate(parts)], Task("all", run=says(whole)))
"""


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    frames: int
    """Of the long run."""
    runs: int
    """Short ones that have finished."""
    spoken: int
    """Bytes that commands say: in attempts of 4 MB, and in one once more."""
    tickets: int
    entries: int
    """Waiting in the merge queue."""

    def __mul__(self, by: int) -> Size:
        return Size(self.frames * by, self.runs * by, self.spoken * by, self.tickets * by, self.entries * by)


class World:
    """One repository, and what was put into it."""

    def __init__(self, repo: Path) -> None:
        self.repo = repo
        self._size = Size(0, 0, 0, 0, 0)
        (repo / "flow.py").write_text(FLOW)
        (repo / "talker.py").write_text(TALKER)
        (repo / ".smithers" / "tickets").mkdir(parents=True)
        (repo / ".smithers" / "config.toml").write_text('check = "true"\n[landing]\ngates = ["true"]\n' + POOLS)
        self.git("add", "-A")
        self.git("commit", "-qm", "workflows")
        self.git("branch", BRANCH)
        self.bare = repo.parent / "bare"
        self.git("init", "-q", "--bare", str(self.bare))
        self.git("remote", "add", "bare", str(self.bare))

    def git(self, *args: str, stdin: str | None = None) -> str:
        done = subprocess.run(["git", *args], cwd=self.repo, check=True, capture_output=True, text=True, input=stdin)
        return done.stdout.strip()

    def open(self) -> Project:
        """The repository as a fresh process would see it, but for flushes."""
        project = Project.open(self.repo)
        project.__dict__["objects"] = Objects(project.repository.common_dir, sync=False)
        return project

    def grow(self, to: Size) -> None:
        """Add what is missing. The long run and the one with the transcript are made anew under names of their own."""
        project = self.open()
        was, self._size = self._size, to
        self._forget(project, f"{LONG}-{was.frames}", f"{TALK}-{was.spoken}")
        self.up(project, LONG + f"-{to.frames}", "flow.py", {"n": to.frames})
        for number in range(was.runs, to.runs):
            self.up(project, f"run-{number}", "flow.py", {"n": 2})
            if number % ASKS == 0:
                self.up(project, f"asks-{number}", "flow.py", {"n": 1, "ask": True})
        self.up(project, f"{TALK}-{to.spoken}", "talker.py", {"spoken": to.spoken})
        for number in range(was.tickets, to.tickets):
            text = f"---\nid: t{number}\ntitle: Ticket number {number}\n---\n\n{'What is to be done. ' * 10}\n"
            (self.repo / ".smithers" / "tickets" / f"t{number}.md").write_text(text)
        self._line_up(project, range(was.entries, to.entries))

    @property
    def long(self) -> str:
        return f"{LONG}-{self._size.frames}"

    @property
    def talk(self) -> str:
        return f"{TALK}-{self._size.spoken}"

    def up(self, project: Project, run: str, flow: str, given: dict) -> None:
        made = launch.begin(project, launch.Request(flow, given, run=run, cwd=self.repo))
        state = drive.go(project, made.chain.run, drive.Resume(), drive.Drive())
        assert state.end == (None if given.get("ask") else "finished"), state.error

    def _forget(self, project: Project, *runs: str) -> None:
        """Remove runs: one of each size beside each other would grow as the square of it, all together."""
        gc.carry_out(project, gc.plan(project, gc.Wanted()), lambda _step: None)
        for run in runs:
            self.git("update-ref", "-d", run_ref(run))
            for branch in self.git("for-each-ref", "--format=%(refname)", f"{BRANCHES}{run}/").split():
                self.git("update-ref", "-d", branch)

    def _line_up(self, project: Project, numbers: range) -> None:
        base = self.git("rev-parse", "HEAD")
        text = "".join(
            f"commit refs/heads/b{number}\ncommitter growth <growth> {number + 1} +0000\ndata 4\nwork\nfrom {base}\n"
            f"M 100644 inline new/{number}.txt\ndata 2\nx\n\n"
            for number in numbers
        )
        self.git("fast-import", "--quiet", stdin=text)
        ledger = None
        for number in numbers:
            wish = request.make(project, request.Request(f"b{number}", onto=BRANCH, gates=("true",), by="growth"))
            ledger = ledger or Ledger(project.objects, wish.target, project.owner)
            desk.enter(project, ledger, wish, "growth")
