"""A run over files that people stumble over, and `smithers` in this process to travel in its time."""

from __future__ import annotations

from pathlib import Path

from kit import engines, proofs, repos, runs

from smithers_git.core import events as ev
from smithers_git.core.state import State
from smithers_git.service import approvals
from smithers_git.service.approvals import Answer
from smithers_git.service.project import Project

FILES: dict[str, str | bytes] = {
    **repos.FILES,
    "run.sh": "#!/bin/sh\necho hi\n",
    "plain.txt": "plain\n",
    "gone.txt": "soon gone\n",
    "dir/sub/leaf.txt": "leaf\n",
    "kind.txt": "a file\n",
}

FLOW = """\
from pydantic import BaseModel
from smithers_git import Approval, CommandResult, Context, Loop, Parallel, Sequence, Task, Worktree, workflow


class Request(BaseModel):
    word: str = "word"


def odd(workspace):
    # What git can record and people stumble over: modes, links, deletions, bytes, empty, odd names, changed kinds.
    (workspace / "run.sh").chmod(0o755)
    (workspace / "link").symlink_to("plain.txt")
    (workspace / "dangling").symlink_to("nowhere/at all")
    (workspace / "gone.txt").unlink()
    (workspace / "binary").write_bytes(bytes(range(256)) * 40)
    (workspace / "empty").touch()
    (workspace / "deep/er/and deeper").mkdir(parents=True)
    for name in ("deep/er/and deeper/grüße", " leading", "-dash", "quo\\"te", "tab\\there", "new\\nline", "日本語.txt"):
        (workspace / name).write_text(name)
    (workspace / "crlf.txt").write_bytes(b"a\\r\\nb\\r\\n")


def odder(workspace):
    (workspace / "run.sh").chmod(0o644)
    (workspace / "link").unlink()
    (workspace / "link").write_text("a file now")
    (workspace / "kind.txt").unlink()
    (workspace / "kind.txt/is a folder").mkdir(parents=True)
    (workspace / "kind.txt/is a folder/now").write_text("yes")
    (workspace / "dir/sub/leaf.txt").unlink()
    (workspace / "dir/sub").rmdir()
    (workspace / "dir/sub").symlink_to("..")
    with (workspace / "binary").open("ab") as file:
        file.write(b"\\0more")
    (workspace / "日本語.txt").unlink()


@workflow(input=Request)
def flow(ctx: Context[Request]):
    checks = ctx.all(CommandResult, "check")
    return Sequence(
        Task("odd", call=odd),
        Worktree("side", Task("side", run="echo side >> plain.txt; echo new > 'only here'; rm run.sh")),
        Loop(
            Task("work", run=f"echo {ctx.input.word} >> work.txt"),
            Task("check", run="wc -l < work.txt", check=False),
            until=len(checks) >= 2,
            max_iterations=4,
            id="loop",
        ),
        Approval("ship", title="Ship it?"),
        Task("odder", call=odder),
        Worktree("late", Task("late", run="echo late >> late.txt")),
        Task("last", run="echo last >> last.txt; cat work.txt"),
    )
"""


class Stage:
    """A repository with the flow above, and `smithers` in this process."""

    def __init__(self, repo: Path, smithers: runs.Smithers) -> None:
        self.repo = repo
        self.smithers = smithers

    @property
    def project(self) -> Project:
        return Project.open(self.repo)

    def up(self, run: str = "first") -> str:
        """A run that waits for its approval."""
        self.smithers("up", "flow.py", "--run-id", run, code=3)
        return run

    def approve(self, run: str) -> None:
        """Decide, and nothing else."""
        project = self.project
        approvals.decide(project, approvals.choose(project, run, None), Answer(approved=True, by="Ada"))

    def resume(self, run: str, code: int = 0) -> None:
        self.smithers("up", "--resume", run, code=code)

    def finished(self, run: str = "first") -> str:
        """A run that is over."""
        self.up(run)
        self.approve(run)
        self.resume(run)
        return run

    def path(self, run: str, space: str = "main") -> Path:
        return proofs.space_path(self.repo, run, space)

    def folders(self, run: str) -> dict[str, proofs.Files]:
        """The bytes of every workspace of a run that is on the disk."""
        root = self.path(run).parent
        return {path.name: proofs.folder(path) for path in sorted(root.iterdir())} if root.is_dir() else {}

    def outputs(self, run: str) -> dict[str, bytes]:
        """What every step has brought, as it stands in the newest frame."""
        tree = proofs.tree(self.repo, f"refs/smithers/runs/{run}")
        return {name: data for name, (_, data) in tree.items() if name.startswith("outputs/")}

    def state(self, run: str) -> State:
        return engines.state_of(self.repo, run)

    def approval_frame(self, run: str) -> int:
        """The number of the frame at which the run asked."""
        frames = engines.frames(self.repo, run)
        return next(f.data.number for f in frames for e in f.data.events if isinstance(e, ev.ApprovalRequested))

    def code(self, run: str) -> proofs.Files:
        """The files of every workspace as the newest frame has them."""
        return proofs.tree(self.repo, f"refs/smithers/runs/{run}:code")


def make_repo(path: Path) -> Path:
    """A repository with FILES, and FLOW as a workflow that git does not see."""
    found = repos.make_repo(path, FILES)
    (found / ".git" / "info").mkdir(exist_ok=True)
    (found / ".git" / "info" / "exclude").write_text("/flow.py\n")
    (found / "flow.py").write_text(FLOW, "utf-8")
    return found
