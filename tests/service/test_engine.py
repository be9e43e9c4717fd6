"""The wheel itself, where no verb of the command line can reach."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from kit.processes import marked
from kit.repos import commit, git

from smithers_git.core import endings
from smithers_git.core.describe import describe
from smithers_git.errors import DiskFull
from smithers_git.names import TaskKey
from smithers_git.service import drive, launch, recover
from smithers_git.service.project import Project

ENDLESS = """
from pydantic import BaseModel
from smithers_git import Context, NoInput, Sequence, Task, workflow

class N(BaseModel):
    n: int

@workflow
def endless(ctx: Context[NoInput]):
    done = 0
    while ctx.latest(N, f"t{done}") is not None:
        done += 1
    return Sequence([Task(f"t{i}", value=N(n=i)) for i in range(done + 1)])
"""


def test_a_plan_that_grows_for_ever_fails_at_the_ceiling_of_frames(repo: Path, monkeypatch):
    monkeypatch.setattr(endings, "MOST_FRAMES", 25)
    commit(repo, {"flow.py": ENDLESS})
    project = Project.open(repo)
    made = launch.begin(project, launch.Request("flow.py", cwd=repo))
    state = drive.go(project, made.chain.run, drive.Resume(), drive.Drive())
    assert state.end == "failed"
    assert state.error is not None
    assert "25 frames" in state.error
    assert len(state.done) == 25


SKIPPING = """
from smithers_git import Loop, Task, workflow

@workflow
def skipping(ctx):
    return Loop(Task("a", value=1, skip_if=True), until=False, max_iterations=10**7)
"""


def test_a_loop_that_only_skips_writes_frames_and_ends_at_their_ceiling(repo: Path, monkeypatch):
    monkeypatch.setattr(endings, "MOST_FRAMES", 4)
    commit(repo, {"flow.py": SKIPPING})
    project = Project.open(repo)
    made = launch.begin(project, launch.Request("flow.py", cwd=repo))
    state = drive.go(project, made.chain.run, drive.Resume(), drive.Drive())
    assert state.end == "failed"
    assert state.number >= 4


def test_a_loop_that_only_skips_can_be_stopped(repo: Path):
    commit(repo, {"flow.py": SKIPPING})
    project = Project.open(repo)
    made = launch.begin(project, launch.Request("flow.py", cwd=repo))
    driving = drive.Drive()
    driving.watcher.recorded = lambda _state, _events, _at: driving.stop("SIGTERM")
    state = drive.go(project, made.chain.run, drive.Resume(), driving)
    assert state.end is None
    assert state.loops["a.loop"].iteration > 0


def test_a_mark_that_a_full_disk_refuses_is_an_error_of_storage(repo: Path, monkeypatch):
    """Which parks the run; any other error would be a bug of the engine, in the middle of its last frame."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recover, "put", full)
    with pytest.raises(DiskFull):
        recover.mark(Project.open(repo), "run", ["main"])


FUNCTIONS = """
from smithers_git import Sequence, Task, workflow

@workflow
def functions(ctx):
    return Sequence(
        Task("said", run="echo hi"), Task("a", call=lambda: 1), Task("b", call=lambda: 2), Task("told", run="echo ho")
    )
"""


def test_a_function_begins_in_the_frame_in_which_one_ended_and_nothing_else_does(repo: Path):
    commit(repo, {"flow.py": FUNCTIONS})
    project = Project.open(repo)
    made = launch.begin(project, launch.Request("flow.py", cwd=repo))
    frames: list[list[str]] = []
    driving = drive.Drive()
    driving.watcher.recorded = lambda _state, events, _at: frames.append([describe(event) for event in events])
    assert drive.go(project, made.chain.run, drive.Resume(), driving).end == "finished"
    ours = [[said.partition(" in ")[0] for said in frame] for frame in frames]
    assert ours[-6:] == [
        ["said finished"], ["a started"], ["a finished", "b started"], ["b finished"],
        ["told started"], ["told finished", "run finished"],
    ]  # fmt: skip


LITTERING = """
from smithers_git import Task, workflow

@workflow
def littering(ctx):
    place = "cd $(git rev-parse --path-format=absolute --git-common-dir) && cd smithers/runs/$SMITHERS_RUN/pids"
    return Task("work", run=place + " && rm work@0.1.json && mkdir work@0.1.json && echo done")
"""


def test_an_attempt_whose_local_files_cannot_be_removed_ended_well(repo: Path):
    commit(repo, {"flow.py": LITTERING})
    project = Project.open(repo)
    made = launch.begin(project, launch.Request("flow.py", cwd=repo))
    state = drive.go(project, made.chain.run, drive.Resume(), drive.Drive())
    assert (project.run_dir(made.chain.run) / "pids" / "work@0.1.json").is_dir()
    assert state.end == "finished", state.error


CANCELLING = """
from smithers_git import Task, workflow
from smithers_git.service import control
from smithers_git.service.project import Project

def work(checkout):
    control.cancel(Project.open(checkout), "run", "Ada")
    raise ValueError("what it used is gone by then")

@workflow
def cancelling(ctx):
    return Task("work", call=work, retries=0)
"""


def test_a_step_that_fails_once_its_run_is_to_be_cancelled_leaves_a_cancelled_run(repo: Path):
    commit(repo, {"flow.py": CANCELLING})
    project = Project.open(repo)
    launch.begin(project, launch.Request("flow.py", cwd=repo, run="run"))
    state = drive.go(project, "run", drive.Resume(), drive.Drive())
    assert (state.end, state.node(TaskKey("work")).failures) == ("cancelled", 1)


KILLED = """
from smithers_git import Sequence, Task, workflow

@workflow
def killed(ctx):
    return Sequence(
        Task("red", run="test -e again || {{ touch again; {deed}; }}; echo fine", check=False, retries=1),
        Task("gated", value=1),
    )
"""


@pytest.mark.parametrize("deed", ["kill -9 $PPID; sleep 5", "kill -9 $$"], ids=["the process above it", "the command"])
def test_a_command_that_somebody_killed_has_said_nothing_even_where_red_is_data(repo: Path, deed: str, cold_reapers):
    commit(repo, {"flow.py": KILLED.format(deed=deed)})
    project = Project.open(repo)
    made = launch.begin(project, launch.Request("flow.py", cwd=repo))
    state = drive.go(project, made.chain.run, drive.Resume(), drive.Drive())
    node = state.node(TaskKey("red"))
    assert (state.end, node.attempt, node.failures) == ("finished", 2, 1)


def test_a_command_leaves_nothing_when_the_process_above_it_was_killed(repo: Path, cold_reapers):
    """The daemon's parent is that process by then; nobody else could know it by its descent."""
    commit(repo, {"flow.py": KILLED.format(deed="(setsid sleep 60 &); kill -9 $PPID; sleep 5")})
    project = Project.open(repo)
    made = launch.begin(project, launch.Request("flow.py", cwd=repo))
    state = drive.go(project, made.chain.run, drive.Resume(), drive.Drive())
    assert state.end == "finished"
    assert marked("SMITHERS_RUN", made.chain.run) == []


def test_the_last_words_of_a_command_that_somebody_killed_are_in_its_transcript(repo: Path, monkeypatch):
    monkeypatch.setenv("SERVICE_TOKEN", "words-of-one-secret")  # what may be the beginning of one is held back
    commit(repo, {"flow.py": KILLED.format(deed="printf words-of-one; kill -9 $$")})
    project = Project.open(repo)
    launch.begin(project, launch.Request("flow.py", cwd=repo, run="run"))
    drive.go(project, "run", drive.Resume(), drive.Drive())
    assert "words-of-one" in git(repo, "grep", "-h", "words-of", "refs/smithers/runs/run", "--", "transcripts")
