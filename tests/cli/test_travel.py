"""rewind, fork, replay and retry-task as commands."""

from __future__ import annotations

import json

import pytest
from kit.repos import contents, git
from kit.runs import Smithers

THREE = """\
    return Sequence(
        Task("a", run="echo a > a.txt"),
        Task("b", run="echo b > b.txt"),
        Task("c", run="echo c > c.txt"),
    )
"""
FAILS = """\
    return Sequence(
        Task("a", run="echo a >> a.txt"),
        Task("flaky", run="test -e ../../ready || exit 7", retries=0),
        Task("c", run="echo c >> c.txt"),
    )
"""


def _ref(smithers: Smithers, run: str) -> str:
    return git(smithers.repo, "rev-parse", f"refs/smithers/runs/{run}")


def test_a_rewind_needs_a_yes_where_there_is_no_terminal(smithers: Smithers) -> None:
    run = smithers.up(body=THREE)
    before = _ref(smithers, run)

    said = smithers("rewind", run, "--frame", "2", "--json", code=2)

    assert said.json["error"]["hint"].endswith(f"smithers rewind {run} --frame 2 --yes")
    assert _ref(smithers, run) == before


def test_a_rewind_keeps_the_tail_and_the_run_can_go_on(smithers: Smithers) -> None:
    run = smithers.up(body=THREE)
    tail = _ref(smithers, run)

    document = smithers.json("rewind", run, "--frame", "2", "--yes")

    assert (document["frame"], document["left"], document["restored"]) == (2, 4, ["main"])
    assert git(smithers.repo, "rev-parse", document["kept"]) == tail
    line = smithers("timeline", run).out.splitlines()[-1]
    assert "4 frames up to 6 left by a rewind" in line
    assert document["kept"] in line
    assert smithers("up", "--resume", run).code == 0


def test_a_frame_that_is_not_there_is_refused(smithers: Smithers) -> None:
    run = smithers.up(body=THREE)

    assert "its frames are 0 to 6" in smithers("rewind", run, "--frame", "99", "--yes", code=2).err
    assert "its frames are 0 to 6" in smithers("fork", run, "--frame", "99", code=2).err


def test_a_fork_is_a_run_of_its_own_and_shows_in_its_parents_timeline(smithers: Smithers) -> None:
    run = smithers.up(body=THREE)
    before = _ref(smithers, run)

    document = smithers.json("fork", run, "--frame", "4", "--run-id", "other", "--input", '{"prompt": "else"}')

    assert (document["run"], document["parent_frame"], document["input"]) == ("other", 4, {"prompt": "else"})
    assert document["next"] == ["smithers up --resume other"]
    assert "fork other, now at frame 5" in smithers("timeline", run).out
    smithers("up", "--resume", "other")
    assert git(smithers.repo, "show", "smithers/other/main:c.txt") == "c"
    assert _ref(smithers, run) == before
    frames = smithers.json("timeline", "other")["frames"]
    assert [frame["run"] for frame in frames][:6] == [run] * 5 + ["other"]


def test_a_fork_prints_nothing_but_its_id(smithers: Smithers) -> None:
    run = smithers.up(body=THREE)

    said = smithers("fork", run, "--run-id", "other")

    assert said.out == "other\n"
    assert "smithers up --resume other" in said.err


def test_a_reset_node_and_what_follows_it_run_again_in_the_fork(smithers: Smithers) -> None:
    run = smithers.up(body=THREE)

    smithers("fork", run, "--reset", "b", "--run-id", "other")
    smithers("up", "--resume", "other")

    started = [event["node"] for event in smithers.json("events", "other", "--type", "task.started")["events"]]
    assert started == ["a", "b", "c", "b", "c"]


def test_a_replay_does_everything_again_in_a_run_of_its_own(smithers: Smithers) -> None:
    run = smithers.up(body=THREE)

    said = smithers("replay", run, "--run-id", "again", "--json")

    assert (said.json["run"], said.json["status"], said.json["parent"]) == ("again", "finished", run)
    assert f"a fork of {run} at frame 0" in said.err
    started = [event["node"] for event in smithers.json("events", "again", "--type", "task.started")["events"]]
    assert started == ["a", "b", "c"]
    assert git(smithers.repo, "rev-parse", "smithers/again/main^{tree}") == git(
        smithers.repo, "rev-parse", f"smithers/{run}/main^{{tree}}"
    )


def test_a_retried_task_goes_on_from_there_and_nothing_before_it_runs_twice(smithers: Smithers) -> None:
    run = smithers.up(body=FAILS, code=1)
    folder = next(space["path"] for space in smithers.json("inspect", run)["workspaces"])
    (smithers.repo / folder / ".." / ".." / "ready").touch()

    said = smithers("retry-task", run, "flaky", "--json")

    assert said.json["status"] == "finished"
    assert "reset: flaky, c" in said.err
    assert git(smithers.repo, "show", f"smithers/{run}/main:a.txt") == "a"


def test_a_retried_task_can_wait_for_a_resume(smithers: Smithers) -> None:
    run = smithers.up(body=FAILS, code=1)

    assert smithers.json("retry-task", run, "flaky", "--no-resume")["reset"] == ["flaky@0", "c@0"]
    assert smithers.json("inspect", run)["status"] == "interrupted"


@pytest.mark.parametrize("argv", [("rewind", "--frame", "2", "--yes"), ("fork", "--frame", "2"), ("replay",)])
def test_the_users_checkout_does_not_change(argv: tuple[str, ...], smithers: Smithers) -> None:
    run = smithers.up(body=THREE)

    def seen() -> str:
        files = {name: entry for name, entry in contents(smithers.repo).items() if not name.startswith(".git/")}
        refs = git(smithers.repo, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads/main", "refs/tags")
        own = (smithers.repo / ".git" / "config").read_text() + (smithers.repo / ".git" / "HEAD").read_text()
        index = (smithers.repo / ".git" / "index").read_bytes().hex()
        return json.dumps([sorted(map(repr, files.items())), refs, own, index])

    before = seen()
    smithers(argv[0], run, *argv[1:])

    assert seen() == before
