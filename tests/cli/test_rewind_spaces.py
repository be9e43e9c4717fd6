"""A rewind to before a workspace existed."""

from __future__ import annotations

from kit.repos import git
from kit.runs import Smithers

BODY = """\
    return Sequence(
        Task("first", run="echo 1 > first.txt"),
        Worktree("side", Task("extra", run="date +%N > $SMITHERS_ATTEMPT-$(ls | wc -l).txt")),
        Task("last", run="echo 3 > last.txt"),
    )
"""


def test_a_workspace_that_a_rewind_left_behind_begins_anew_without_its_old_files(smithers: Smithers) -> None:
    run = smithers.up(body=BODY)
    before = git(smithers.repo, "ls-tree", "-r", "--name-only", f"refs/smithers/runs/{run}:code/side")

    smithers("rewind", run, "--frame", "2", "--yes")
    smithers("up", "--resume", run)

    after = git(smithers.repo, "ls-tree", "-r", "--name-only", f"refs/smithers/runs/{run}:code/side")
    assert after == before
