"""Rewind: everything of a frame comes back, byte for byte, and nothing is ever dropped."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from kit import engines as kit
from kit import proofs, repos, runs
from kit.journeys import Stage, make_repo
from kit.repos import git

from smithers_git.core import events as ev
from smithers_git.names import TaskKey


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repo(tmp_path / "repo")


@pytest.fixture
def stage(repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Stage:
    monkeypatch.chdir(repo)
    return Stage(repo, runs.Smithers(repo, capsys))


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
    asked = stage.approval_frame(run)
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
    asked = stage.approval_frame(run)
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


# -- edits of a person


def test_edits_while_a_run_waits_are_kept_and_gone_on_from(stage: Stage) -> None:
    run = stage.up()
    repos.write(stage.path(run), {"work.txt": "by hand\n", "brand new": "new\n"})
    (stage.path(run) / "crlf.txt").unlink()
    stage.resume(run, code=3)  # it takes the edits in, and asks about them
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
    stage.resume(run, code=3)
    stage.approve(run)
    stage.resume(run)
    assert stage.folders(run)["main"]["by hand"][1] == b"yes\n"
    assert git(stage.repo, "merge-base", "--is-ancestor", made, f"smithers/{run}/main") == ""
    proofs.files_are_the_frames(stage.repo, run)
