"""Rewind, fork, replay and retry: everything of a frame comes back, byte for byte, and nothing is ever dropped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from kit import engines as kit
from kit import proofs, repos, runs
from kit.engines import Engines
from kit.repos import git

from smithers_git.core import events as ev
from smithers_git.core.state import State
from smithers_git.edge.git.objects import Objects
from smithers_git.names import TaskKey
from smithers_git.service import approvals, recover, travel
from smithers_git.service.approvals import Answer
from smithers_git.service.project import Project
from smithers_git.service.workspaces import Workspaces

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
        return kit.state_of(self.repo, run)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    found = repos.make_repo(tmp_path / "repo", FILES)
    (found / ".git" / "info").mkdir(exist_ok=True)
    (found / ".git" / "info" / "exclude").write_text("/flow.py\n")
    (found / "flow.py").write_text(FLOW, "utf-8")
    return found


@pytest.fixture
def stage(repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Stage:
    monkeypatch.chdir(repo)
    return Stage(repo, runs.Smithers(repo, capsys))


def approval_frame(stage: Stage, run: str) -> int:
    """The number of the frame at which the run asked."""
    frames = kit.frames(stage.repo, run)
    return next(f.data.number for f in frames for e in f.data.events if isinstance(e, ev.ApprovalRequested))


# -- rewind


def test_a_rewind_to_any_frame_brings_back_state_outputs_and_the_bytes_of_every_workspace(stage: Stage) -> None:
    run = stage.finished()
    tails: dict[str, str] = {}
    for frame in reversed(kit.frames(stage.repo, run)):
        tails = _rewind_to(stage, run, frame.commit, frame.data.number, tails)
    assert stage.folders(run) == {}, "before the first step there was no workspace"
    proofs.sound(stage.repo)


def _rewind_to(stage: Stage, run: str, commit: str, number: int, tails: dict[str, str]) -> dict[str, str]:
    left = kit.tip(stage.repo, run)
    expected = stage.project.chain(run).at(commit)
    stage.smithers("rewind", run, "--frame", str(number), "--yes")
    assert kit.tip(stage.repo, run) == commit
    assert asdict(stage.state(run)) == asdict(expected)
    assert stage.folders(run).keys() == expected.spaces.keys()
    if expected.spaces:
        proofs.files_are_the_frames(stage.repo, run)
    kept = proofs.refs(stage.repo, f"refs/smithers/rewound/{run}/")
    assert tails.items() <= kept.items(), "a kept tail moved"
    if left != commit:
        # With a frame of its own on top, if the one that was left has attempts in flight.
        holds = git(stage.repo, "for-each-ref", f"--contains={left}", "--format=%(refname)", "refs/smithers/rewound/")
        assert holds, "the tail that was left is reachable"
    return kept


def test_a_rewind_brings_back_what_lay_on_the_disk_at_that_moment(stage: Stage) -> None:
    run = stage.up()
    then, outputs, state = stage.folders(run), stage.outputs(run), stage.state(run)
    assert then["main"]["link"] == (0o120000, b"plain.txt")
    assert then["main"]["run.sh"][0] == 0o100755
    assert "gone.txt" not in then["main"]
    assert "run.sh" not in then["side"]
    assert then["main"]["new\nline"] == (0o100644, b"new\nline")
    stage.approve(run)
    stage.resume(run)
    assert stage.folders(run)["main"]["link"] == (0o100644, b"a file now")
    stage.smithers("rewind", run, "--frame", str(state.number), "--yes")
    assert (stage.folders(run), stage.outputs(run)) == (then, outputs)
    assert asdict(stage.state(run)) == asdict(state)


def test_what_follows_a_rewind_ends_in_the_same_bytes_as_the_first_time(stage: Stage) -> None:
    """Every step appends to a file, so files of the tail that was left would show."""
    run = stage.finished()
    then, outputs = stage.folders(run), stage.outputs(run)
    asked = approval_frame(stage, run)
    for number in (asked + 1, 3, 0):
        stage.smithers("rewind", run, "--frame", str(number), "--yes")
        if number <= asked:
            stage.resume(run, code=3)
            stage.approve(run)
        stage.resume(run)
        assert stage.folders(run) == then
        assert stage.outputs(run).keys() == outputs.keys()
    proofs.sound(stage.repo)


def test_a_rewind_behind_an_approval_asks_again(stage: Stage) -> None:
    run = stage.finished()
    asked = approval_frame(stage, run)
    assert stage.state(run).approvals[TaskKey("ship")].approved is True
    stage.smithers("rewind", run, "--frame", str(asked), "--yes")
    assert stage.state(run).waiting() == [TaskKey("ship")]
    stage.resume(run, code=3)
    stage.smithers("rewind", run, "--frame", str(asked - 1), "--yes")
    assert stage.state(run).approvals == {}
    stage.resume(run, code=3)
    assert stage.state(run).waiting() == [TaskKey("ship")]


def test_a_rewind_takes_loops_and_attempts_back(stage: Stage) -> None:
    run = stage.finished()
    frames = kit.frames(stage.repo, run)
    advanced = next(f.data.number for f in frames for e in f.data.events if isinstance(e, ev.LoopAdvanced))
    stage.smithers("rewind", run, "--frame", str(advanced - 1), "--yes")
    state = stage.state(run)
    assert state.loop("loop").iteration == 0
    assert set(state.latest.values()) == {0}
    assert TaskKey("work", 1) not in state.nodes
    stage.resume(run, code=3)
    assert stage.state(run).loop("loop").iteration == 1
    assert stage.state(run).node(TaskKey("work", 1)).attempt == 1
    assert stage.folders(run)["main"]["work.txt"][1] == b"word\nword\n"


def test_rewinding_twice_keeps_both_tails(stage: Stage) -> None:
    run = stage.finished()
    first = kit.tip(stage.repo, run)
    stage.smithers("rewind", run, "--frame", "0", "--yes")
    stage.resume(run, code=3)
    second = kit.tip(stage.repo, run)
    left = stage.state(run).number - 2
    assert stage.smithers.json("rewind", run, "--frame", "2", "--yes")["left"] == left
    kept = proofs.refs(stage.repo, f"refs/smithers/rewound/{run}/")
    assert list(kept.values()) == [first, second]


def test_a_rewind_to_the_newest_frame_puts_edits_aside_in_a_frame(stage: Stage) -> None:
    run = stage.up()
    number = stage.state(run).number
    then = stage.folders(run)
    repos.write(stage.path(run), {"plain.txt": "edited by a person\n", "new by a person": "new\n"})
    stage.smithers("rewind", run, "--frame", str(number), "--yes")
    assert stage.folders(run) == then
    kept = proofs.refs(stage.repo, f"refs/smithers/rewound/{run}/")
    assert _in_history(stage.repo, kept, b"edited by a person\n")
    assert _in_history(stage.repo, kept, b"new\n")


def _in_history(repo: Path, refs: dict[str, str], data: bytes) -> bool:
    """Whether these bytes are a file of some commit that the refs reach."""
    oid = git(repo, "hash-object", "--stdin", stdin=data)
    return oid in git(repo, "rev-list", "--objects", "--no-object-names", *refs).split()


@pytest.mark.parametrize("branch", ["feature/side", None])
def test_a_worktree_with_a_branch_of_its_own_name_can_be_rewound_before_it_was_made(
    stage: Stage, branch: str | None
) -> None:
    body = f"""\
    return Sequence(
        Task("before", value=1),
        Worktree("side", Task("a", run="echo a >> a.txt"), Task("b", run="echo b >> a.txt"), branch={branch!r}),
    )
"""
    stage.smithers.write(body)
    run = stage.smithers.up()
    then = stage.folders(run)
    stage.smithers("rewind", run, "--frame", "1", "--yes")
    stage.resume(run)
    assert stage.folders(run) == then
    name = branch or f"smithers/{run}/side"
    assert proofs.tree(stage.repo, f"refs/heads/{name}")["a.txt"][1] == b"a\nb\n"
    proofs.files_are_the_frames(stage.repo, run)


def test_a_rewind_of_a_fork_does_not_go_back_into_its_parent(stage: Stage) -> None:
    run = stage.up()
    child = stage.smithers.json("fork", run)["run"]
    before = (proofs.refs(stage.repo), stage.folders(run), stage.folders(child))
    stage.smithers("rewind", child, "--frame", "1", "--yes", code=1)
    assert (proofs.refs(stage.repo), stage.folders(run), stage.folders(child)) == before


def test_a_rewind_is_refused_while_an_engine_works(stage: Stage) -> None:
    run = stage.up()
    before = proofs.refs(stage.repo)
    with stage.project.lock(run) as lock:
        assert lock.holder()
        said = stage.smithers("rewind", run, "--frame", "0", "--yes", "--json", code=1)
    assert said.json["error"]["code"] == "run-busy"
    assert proofs.refs(stage.repo) == before


# -- a rewind that dies half-way


class _Crash(BaseException):
    """What a kill looks like from inside: nobody handles it."""


def _crashing(function: Callable[..., Any], at: int, *, after: bool) -> Callable[..., Any]:
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at and not after:
            raise _Crash
        found = function(*args, **kwargs)
        if calls == at:
            raise _Crash
        return found

    return wrapped


CRASHES: dict[str, tuple[Any, str, int, bool]] = {
    "before the edits are in a frame": (Objects, "advance", 1, False),
    "behind the frame of the edits": (Objects, "advance", 1, True),
    "before the tail is kept": (Objects, "advance", 2, False),
    "behind the tail's ref": (Objects, "advance", 2, True),
    "behind the mark": (recover, "mark", 1, True),
    "before the ref moves": (Objects, "advance", 3, False),
    "behind the move": (Objects, "advance", 3, True),
    "before the first workspace": (Workspaces, "restore", 1, False),
    "between two workspaces": (Workspaces, "restore", 1, True),
    "behind the last workspace": (Workspaces, "restore", 2, True),
    "before the mark is gone": (recover, "unmark", 1, False),
}


@pytest.mark.parametrize("where", CRASHES)
def test_a_rewind_that_dies_is_completed_by_the_next_resume_and_loses_no_byte(
    stage: Stage, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stage.finished()
    asked = approval_frame(stage, run)
    tip = kit.tip(stage.repo, run)
    _edit(stage, run)
    before = stage.folders(run)
    owner, name, at, after = CRASHES[where]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _crashing(getattr(owner, name), at, after=after))
        with pytest.raises(_Crash):
            travel.rewind(stage.project, run, asked)
    moved = stage.state(run).number == asked
    stage.resume(run, code=3 if moved else 0)
    if kit.tip(stage.repo, run) == tip:  # nothing happened, and a resume does nothing to a finished run
        assert stage.folders(run) == before
        return
    _nothing_lost(stage, before)
    proofs.files_are_the_frames(stage.repo, run)
    proofs.index_is_a_rebuild(stage.repo)
    refs = proofs.refs(stage.repo, "refs/smithers/")
    assert git(stage.repo, "for-each-ref", "--contains", str(tip), *refs), "the tail is reachable"
    if moved:
        assert stage.state(run).waiting() == [TaskKey("ship")]
        assert "last.txt" not in stage.folders(run)["main"]
        stage.approve(run)
        stage.resume(run)
        assert stage.folders(run)["late"]["late.txt"][1] == b"late\n"
        assert stage.folders(run)["main"]["last.txt"][1] == b"last\n"


def _edit(stage: Stage, run: str) -> None:
    repos.write(stage.path(run), {"plain.txt": "edited by a person\n", "mine/new": b"\0new\n"})
    repos.write(stage.path(run, "late"), {"late.txt": "edited late\n"})
    (stage.path(run) / "crlf.txt").unlink(missing_ok=True)


def _nothing_lost(stage: Stage, before: dict[str, proofs.Files]) -> None:
    """Every file that was on the disk is in the history of the run, as it was."""
    refs = proofs.refs(stage.repo, "refs/smithers/")
    known = set(git(stage.repo, "rev-list", "--objects", "--no-object-names", *refs).split())
    for space, files in before.items():
        for name, (_, data) in files.items():
            oid = git(stage.repo, "hash-object", "--stdin", stdin=data)
            assert oid in known, f"{name} of {space} is in no frame"


def test_a_rewind_killed_at_any_moment_is_completed_and_loses_no_byte(stage: Stage, engines: Engines) -> None:
    run = stage.finished()
    chance = kit.chance("rewind")
    asked = approval_frame(stage, run)
    for _ in range(4):
        _edit(stage, run)
        before, mark = stage.folders(run), stage.repo / f".git/smithers/runs/{run}/restore"
        tip = kit.tip(stage.repo, run)
        process = engines.start("rewind", run, "--frame", str(asked), "--yes")
        kit.until_moved(process, run, tip)
        kit.pause(chance.uniform(0, 0.15))
        process.kill()
        moved = stage.state(run).number == asked
        stage.resume(run, code=3 if moved else 0)
        if kit.tip(stage.repo, run) == tip:
            assert stage.folders(run) == before
            continue
        _nothing_lost(stage, before)
        proofs.files_are_the_frames(stage.repo, run)
        assert not mark.exists()
        if moved:
            stage.approve(run)
            stage.resume(run)
    proofs.sound(stage.repo)


# -- edits of a person


def test_edits_while_a_run_waits_are_kept_and_gone_on_from(stage: Stage) -> None:
    run = stage.up()
    repos.write(stage.path(run), {"work.txt": "by hand\n", "brand new": "new\n"})
    (stage.path(run) / "crlf.txt").unlink()
    stage.approve(run)
    stage.resume(run)
    main = stage.folders(run)["main"]
    assert main["work.txt"][1] == b"by hand\n"
    assert main["brand new"][1] == b"new\n"
    assert "crlf.txt" not in main
    output = json.loads(stage.outputs(run)[stage.state(run).nodes[TaskKey("last")].output or ""])
    assert output["tail"] == "by hand\n", "the next step saw the edit"
    proofs.files_are_the_frames(stage.repo, run)


def test_a_commit_made_by_hand_while_a_run_waits_is_kept(stage: Stage) -> None:
    run = stage.up()
    made = repos.commit(stage.path(run), {"by hand": "yes\n"}, "by hand")
    stage.approve(run)
    stage.resume(run)
    assert stage.folders(run)["main"]["by hand"][1] == b"yes\n"
    assert git(stage.repo, "merge-base", "--is-ancestor", made, f"smithers/{run}/main") == ""
    proofs.files_are_the_frames(stage.repo, run)


# -- fork


def _of(stage: Stage, run: str) -> Iterator[tuple[str, Any]]:
    """Everything that belongs to a run, byte for byte."""
    yield "refs", {name: oid for name, oid in proofs.refs(stage.repo).items() if f"/{run}" in name}
    yield "folders", repos.contents(stage.path(run).parent)
    for place in sorted((stage.repo / ".git" / "worktrees").iterdir()):
        if f"/{run}/" in (place / "gitdir").read_text():
            yield place.name, repos.contents(place)
    yield "index", [row for row in proofs.index_rows(stage.repo) if row.get("run") == run]
    yield "reflogs", repos.contents(stage.repo / ".git" / "logs" / "refs" / "heads" / "smithers" / run)


@pytest.mark.parametrize("frame", [None, 0, 4])
def test_a_fork_and_all_that_it_does_leave_the_parent_as_it_is(stage: Stage, frame: int | None) -> None:
    run = stage.up()
    before = dict(_of(stage, run))
    own = proofs.users_own(stage.repo)
    argv = () if frame is None else ("--frame", str(frame))
    child = stage.smithers.json("fork", run, *argv)["run"]
    assert dict(_of(stage, run)) == before
    stage.resume(child, code=3)
    stage.approve(child)
    stage.resume(child)
    assert dict(_of(stage, run)) == before
    assert proofs.users_own(stage.repo) == own
    parent = stage.finished("again")
    assert _code(stage, child) == _code(stage, parent), "the fork ends where the run would have ended"
    proofs.files_are_the_frames(stage.repo, child)
    proofs.index_is_a_rebuild(stage.repo)


def _code(stage: Stage, run: str) -> proofs.Files:
    """The files of every workspace as the newest frame has them."""
    return proofs.tree(stage.repo, f"refs/smithers/runs/{run}:code")


def test_a_fork_begins_with_the_bytes_of_its_frame(stage: Stage) -> None:
    run = stage.finished()
    for frame in kit.frames(stage.repo, run):
        child = stage.smithers.json("fork", run, "--frame", str(frame.data.number))["run"]
        state = stage.state(child)
        assert (state.parent, state.parent_frame) == (run, frame.data.number)
        parent = stage.project.chain(run).at(frame.commit)
        assert (state.loops, state.latest, state.done) == (parent.loops, parent.latest, parent.done)
        assert state.approvals == parent.approvals
        for name, space in state.spaces.items():
            assert space.branch == f"refs/heads/smithers/{child}/{name}"
            then = proofs.tree(stage.repo, f"{frame.commit}:code/{name}")
            assert proofs.tree(stage.repo, space.commit) == then
            assert proofs.tree(stage.repo, f"refs/smithers/runs/{child}:code/{name}") == then


def test_a_fork_of_a_fork_goes_on_by_itself(stage: Stage) -> None:
    run = stage.up()
    child = stage.smithers.json("fork", run, "--run-id", "child")["run"]
    stage.approve(child)
    stage.resume(child)
    before = {**dict(_of(stage, run)), **{f"child {k}": v for k, v in _of(stage, child)}}
    number = approval_frame(stage, run)
    grandchild = stage.smithers.json("fork", child, "--frame", str(number), "--run-id", "grandchild")["run"]
    stage.resume(grandchild, code=3)
    stage.approve(grandchild)
    stage.resume(grandchild)
    assert {**dict(_of(stage, run)), **{f"child {k}": v for k, v in _of(stage, child)}} == before
    assert _code(stage, grandchild) == _code(stage, child)
    assert stage.state(grandchild).parent in (run, child)


def test_a_fork_with_another_input_takes_it_from_there_on(stage: Stage) -> None:
    run = stage.up()
    first = next(f.data.number for f in kit.frames(stage.repo, run) for e in f.data.events if _finished(e, "work"))
    child = stage.smithers.json("fork", run, "--frame", str(first), "--input", '{"word": "other"}')["run"]
    stage.resume(child, code=3)
    assert stage.folders(child)["main"]["work.txt"][1] == b"word\nother\n"
    assert stage.folders(run)["main"]["work.txt"][1] == b"word\nword\n"
    assert stage.state(run).input == {"word": "word"}
    wrong = stage.smithers("fork", run, "--input", '{"word": []}', "--json", code=2)
    assert wrong.json["error"]["code"] == "usage"


def _finished(event: ev.Event, node: str) -> bool:
    return isinstance(event, ev.TaskFinished) and event.node == node


def test_a_fork_with_a_reset_runs_that_node_and_what_follows_again(stage: Stage) -> None:
    run = stage.finished()
    before = dict(_of(stage, run))
    child = stage.smithers.json("fork", run, "--reset", "late")["run"]
    assert stage.state(child).node(TaskKey("late")).status == "pending"
    assert stage.state(child).node(TaskKey("last")).status == "pending"
    assert stage.state(child).node(TaskKey("odder")).status == "finished"
    stage.resume(child)
    assert stage.folders(child)["late"]["late.txt"][1] == b"late\nlate\n", "on the files as they are"
    assert dict(_of(stage, run)) == before


def test_a_fork_that_is_refused_leaves_nothing_half_made(stage: Stage) -> None:
    run = stage.up()
    before = repos.contents(stage.repo / ".git" / "refs"), repos.contents(stage.path(run).parent.parent)
    for argv in (
        ("--frame", "99"),
        ("--run-id", run),
        ("--reset", "nothing"),
        ("--input", '{"word": 1}'),
        ("--run-id", "Not Good"),
    ):
        stage.smithers("fork", run, *argv, code=None)
        assert (repos.contents(stage.repo / ".git" / "refs"), repos.contents(stage.path(run).parent.parent)) == before


# -- replay and retry


def test_a_replay_does_everything_again_in_a_run_of_its_own(stage: Stage) -> None:
    run = stage.finished()
    before = dict(_of(stage, run))
    child = stage.smithers.json("replay", run, code=3)["run"]
    stage.approve(child)
    stage.resume(child)
    assert _code(stage, child) == _code(stage, run)
    assert dict(_of(stage, run)) == before


def test_a_retried_task_runs_again_with_all_that_follows_on_the_files_as_they_are(stage: Stage) -> None:
    run = stage.finished()
    others = {k: v for k, v in stage.state(run).nodes.items() if k.node not in ("late", "last")}
    stage.smithers("retry-task", run, "late")
    state = stage.state(run)
    assert state.end == "finished"
    assert {k: v for k, v in state.nodes.items() if k.node not in ("late", "last")} == others
    assert (state.nodes[TaskKey("late")].attempt, state.nodes[TaskKey("last")].attempt) == (2, 2)
    assert stage.folders(run)["late"]["late.txt"][1] == b"late\nlate\n"
    assert stage.folders(run)["main"]["last.txt"][1] == b"last\nlast\n"
    proofs.files_are_the_frames(stage.repo, run)
