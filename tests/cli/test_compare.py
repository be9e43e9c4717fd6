"""diff and checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kit.repos import contents, git
from kit.runs import Shipped, Smithers

ODD = r"""
    return Task("make", run="mkdir -p bin && printf '#!/bin/sh\n' > bin/tool && chmod +x bin/tool"
                            " && ln -s tool bin/link && printf '\\0\\1\\377' > data.bin && rm README.md")
"""


def test_diff_of_a_run_is_its_main_workspace_since_the_start(shipped: Shipped) -> None:
    out = shipped.smithers("diff", shipped.run).out

    assert "+right" in out
    assert "side.txt" not in out
    assert "+side" in shipped.smithers("diff", shipped.run, "--space", "side").out


def test_diff_without_a_run_means_the_newest(shipped: Shipped) -> None:
    assert shipped.smithers("diff").out == shipped.smithers("diff", shipped.run).out


def test_diff_of_a_node_is_what_its_attempt_changed(shipped: Shipped) -> None:
    smithers, run = shipped.smithers, shipped.run

    (last,) = smithers.json("diff", run, "implement")["comparisons"]
    assert last["files"] == ["calc.txt"]
    assert "-wrong\n+right" in last["patch"]
    assert "+wrong" in smithers("diff", run, "implement@0").out


def test_diff_of_an_approval_is_what_it_asks_about(shipped: Shipped) -> None:
    spaces = shipped.smithers.json("diff", shipped.run, "ship")["comparisons"]

    assert [one["files"] for one in spaces] == [["calc.txt"], ["calc.txt", "side.txt"]]


def test_diff_of_two_frames_has_states_outputs_and_files(shipped: Shipped) -> None:
    state, *files = shipped.smithers.json("diff", shipped.run, "2..6")["comparisons"]

    assert "implement@1: not begun -> finished" in state["nodes"]
    assert state["files"] == ["outputs/000/implement@1.json", "outputs/000/test@0.json"]
    assert [one["files"] for one in files] == [["calc.txt"]]
    assert shipped.smithers.json("diff", "2..6")["run"] == shipped.run, "of the newest run"


def test_diff_stat_names_files_only(shipped: Shipped) -> None:
    out = shipped.smithers("diff", shipped.run, "--stat").out

    assert "calc.txt | 1 +" in out
    assert "+right" not in out


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("number", "worked without a folder"),
        ("last", "has no attempt of 'last'"),
        ("0..99", "does not name two frames"),
        ("a..b", "does not name two frames"),
    ],
)
def test_what_cannot_be_compared_is_refused(what: str, message: str, shipped: Shipped) -> None:
    assert message in shipped.smithers("diff", shipped.run, what, code=None).err


def test_old_files_come_into_a_new_folder_with_modes_links_and_bytes(smithers: Smithers, tmp_path: Path) -> None:
    run = smithers.up(body=ODD)
    before = contents(smithers.repo)

    document = smithers.json("checkout", run, "--into", str(tmp_path / "deep" / "old"))

    folder = tmp_path / "deep" / "old"
    assert document["files"] == [".gitignore", "bin/link", "bin/tool", "data.bin", "src/app.py"]
    assert os.access(folder / "bin" / "tool", os.X_OK)
    assert (folder / "bin" / "link").readlink() == Path("tool")
    assert (folder / "data.bin").read_bytes() == b"\x00\x01\xff"
    assert not (folder / "README.md").exists()
    assert not (folder / ".git").exists()
    assert contents(smithers.repo) == before


def test_old_files_of_an_earlier_frame_and_of_one_path(smithers: Smithers) -> None:
    run = smithers.ship()

    smithers("checkout", run, "calc.txt", "--frame", "2")

    assert (smithers.repo / f"{run}-frame-2" / "calc.txt").read_text() == "wrong\n"
    assert [path.name for path in (smithers.repo / f"{run}-frame-2").iterdir()] == ["calc.txt"]
    assert smithers("checkout", run, "calc.txt", "--frame", "2", "--print").out == "wrong\n"
    assert smithers("checkout", run, "side.txt", "--space", "side", "--print").out == "side\n"


def test_the_files_before_the_first_task_are_those_that_it_began_with(shipped: Shipped, tmp_path: Path) -> None:
    document = shipped.smithers.json("checkout", shipped.run, "--frame", "0", "--into", str(tmp_path / "old"))

    assert document["files"] == [".gitignore", "README.md", "src/app.py"]


@pytest.mark.parametrize("kind", ["file", "folder", "empty folder", "link"])
def test_what_exists_is_never_written_to(kind: str, shipped: Shipped, tmp_path: Path) -> None:
    target = tmp_path / "target"
    if kind == "file":
        target.write_text("mine")
    elif kind == "link":
        target.symlink_to("nowhere")
    else:
        target.mkdir()
        if kind == "folder":
            (target / "calc.txt").write_text("mine")
    before = contents(tmp_path)

    said = shipped.smithers("checkout", shipped.run, "--into", str(target), code=1)

    assert "is left alone" in said.err
    assert contents(tmp_path) == before


def test_a_path_that_is_not_there_leaves_nothing_behind(shipped: Shipped, tmp_path: Path) -> None:
    said = shipped.smithers("checkout", shipped.run, "nix", "--into", str(tmp_path / "old"), code=2)

    assert "there is no 'nix'" in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_cannot_be_printed(shipped: Shipped) -> None:
    assert "is a folder of 1 file" in shipped.smithers("checkout", shipped.run, "src", "--print", code=2).err


def test_old_files_pass_through_the_repositorys_filters(smithers: Smithers) -> None:
    git(smithers.repo, "config", "filter.shout.smudge", "tr a-z A-Z")
    git(smithers.repo, "config", "filter.shout.clean", "tr A-Z a-z")
    run = smithers.up(
        body='    return Task("a", run="echo \'*.txt filter=shout\' > .gitattributes; echo HELLO > a.txt")\n'
    )

    assert git(smithers.repo, "show", f"refs/smithers/runs/{run}:code/main/a.txt") == "hello"
    assert smithers("checkout", run, "--frame", "2").code == 0
    assert (smithers.repo / f"{run}-frame-2" / "a.txt").read_text() == "HELLO\n"
