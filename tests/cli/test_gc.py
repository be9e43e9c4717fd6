"""`smithers gc` as a person and a program use it."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.repos import git
from kit.runs import Smithers

BODY = '    return Task("write", run="echo done > done.txt")\n'


def test_a_dry_run_prints_exactly_what_then_is_done(smithers: Smithers) -> None:
    run = smithers.up(body=BODY)
    said = smithers("gc", "--dry-run", "--fold-after", "0s")
    promised = [line.removeprefix("would ") for line in said.out.splitlines() if line.startswith("would ")]
    assert [line.split()[0] for line in promised] == ["remove", "fold"]
    assert f"{run}  finished" in said.out
    done = smithers("gc", "--fold-after", "0s").out.splitlines()[: len(promised)]
    assert done == [line.replace("remove", "removed").replace("fold", "folded") for line in promised]
    again = smithers("gc", "--fold-after", "0s")
    assert "nothing to clear away" in again.err
    assert f"{run}  finished, folded" in again.out


def test_a_program_gets_one_document(smithers: Smithers) -> None:
    run = smithers.up(body=BODY)
    dry = smithers.json("gc", "--dry-run", "--fold-after", "0s")
    done = smithers.json("gc", "--fold-after", "0s")
    assert dry["steps"] == done["steps"]
    assert [(step["action"], step["run"]) for step in done["steps"]] == [("remove worktree", run), ("fold", run)]
    assert (dry["dry_run"], done["dry_run"]) == (True, False)
    assert (done["kept"], done["refused"], done["unreadable"]) == ([], [], {})
    assert [(one["run"], one["folded"]) for one in done["runs"]] == [(run, True)]


def test_what_stays_is_named(smithers: Smithers) -> None:
    run = smithers.up(body=BODY)
    (path,) = [space["path"] for space in smithers.json("inspect", run)["workspaces"]]
    Path(path, "mine.txt").write_text("mine\n", "utf-8")
    said = smithers("gc")
    assert f"kept {path}: its files differ from the run's last frame" in said.err
    assert smithers.json("gc")["kept"][0]["target"] == path


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--fold-after", "soon", "--fold-after: 'soon' is not a span of time: write it like 90d, 12h or 30m"),
        ("--prune-after", "90", "--prune-after: '90' is not a span of time"),
        ("--keep-size", "lots", "--keep-size: 'lots' is not a size: write it like 2 GiB, 500 MB or 2G"),
    ],
)
def test_an_amount_that_is_none_is_refused(smithers: Smithers, option: str, value: str, message: str) -> None:
    assert message in smithers("gc", option, value, code=2).err


def test_pruning_says_what_frees_the_space(smithers: Smithers) -> None:
    run = smithers.up(body=BODY)
    said = smithers("gc", "--prune-after", "0s")
    assert f"pruned {run}" in said.out
    assert "git gc frees" in said.err
    assert smithers.json("ps", "--all")["runs"] == []


def test_an_empty_repository_has_nothing_to_clear(smithers: Smithers) -> None:
    assert "nothing to clear away" in smithers("gc").err
    assert smithers.json("gc", "--costs") == {"runs": []}


def test_what_a_folded_run_made_can_still_be_landed(smithers: Smithers) -> None:
    run = smithers.up(body=BODY)
    smithers("gc", "--fold-after", "0s")
    smithers("land", run, "--gate", "true", "--yes")
    assert git(smithers.repo, "show", "main:done.txt") == "done"
