"""Files of a workspace, and of nothing outside it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from smithers_git.edge.sdk.folder import MOST, Folder, Refused


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A workspace `work` beside a folder `outside` with a secret."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    work = tmp_path / "work"
    (work / "src").mkdir(parents=True)
    (work / "src" / "a.py").write_text("a = 1\n")
    return work


def test_reads_and_writes_below_the_top(top: Path):
    folder = Folder(top)
    assert folder.read("src/a.py") == b"a = 1\n"
    assert folder.read(str(top / "src" / ".." / "src" / "a.py")) == b"a = 1\n"
    assert folder.read(".") == ["src/"]
    assert folder.write("new/deep/b.py", b"b") is True
    assert folder.write("new/deep/b.py", b"c") is False
    assert (top / "new" / "deep" / "b.py").read_bytes() == b"c"
    assert folder.read("new/deep") == ["b.py"]


@pytest.mark.parametrize(
    "path",
    [
        "../outside/secret",
        "src/../../outside/secret",
        "/etc/passwd",
        "up/secret",
        "deep/link",
        "src/../up/secret",
        "..",
    ],
)
def test_what_lies_outside_is_refused_however_it_is_spelled(top: Path, path: str):
    (top / "up").symlink_to("../outside")
    (top / "deep").mkdir()
    (top / "deep" / "link").symlink_to(top.parent / "outside" / "secret")
    folder = Folder(top)
    with pytest.raises(Refused, match="outside of the workspace"):
        folder.read(path)
    with pytest.raises(Refused, match="outside of the workspace"):
        folder.write(f"{path}/x" if path == ".." else path, b"gone")
    assert (top.parent / "outside" / "secret").read_text() == "secret"
    assert [path.name for path in (top.parent / "outside").iterdir()] == ["secret"]


def test_a_path_beside_the_top_with_the_same_beginning_is_outside(top: Path):
    (top.parent / "work2").mkdir()
    with pytest.raises(Refused, match="outside"):
        Folder(top).write(str(top.parent / "work2" / "x"), b"")


def test_links_inside_are_followed(top: Path):
    (top / "here").symlink_to("src")
    (top / "abs").symlink_to(top / "src")
    (top / "src" / "back").symlink_to("../src/a.py")
    folder = Folder(top)
    assert folder.read("here/a.py") == folder.read("abs/a.py") == folder.read("src/back") == b"a = 1\n"
    folder.write("here/back", b"a = 2\n")
    assert (top / "src" / "a.py").read_bytes() == b"a = 2\n"
    assert (top / "src" / "back").is_symlink()


def test_links_in_a_circle_are_refused(top: Path):
    (top / "one").symlink_to("two")
    (top / "two").symlink_to("one")
    with pytest.raises(Refused, match="too many links"):
        Folder(top).read("one")


def test_a_link_that_leads_nowhere_is_written_where_it_points_only_inside(top: Path):
    (top / "new").symlink_to("src/new.py")
    (top / "bad").symlink_to("../outside/new.py")
    folder = Folder(top)
    folder.write("new", b"n")
    assert (top / "src" / "new.py").read_bytes() == b"n"
    with pytest.raises(Refused, match="outside"):
        folder.write("bad", b"n")


@pytest.mark.parametrize("kind", ["parent", "file"])
def test_a_link_that_takes_the_place_of_what_was_looked_at_is_not_followed(
    top: Path, kind: str, monkeypatch: pytest.MonkeyPatch
):
    """Somebody swaps the folder, or the file, between the look and the step."""
    look = os.stat

    def swap(path: object, **options: object) -> os.stat_result:
        found = look(path, **options)  # type: ignore[arg-type]
        if kind == "parent" and path == "src":
            (top / "src").rename(top / "gone")
            (top / "src").symlink_to("../outside")
        elif kind == "file" and path == "a.py" and not (top / "src" / "a.py").is_symlink():
            (top / "src" / "a.py").unlink()
            (top / "src" / "a.py").symlink_to("../../outside/secret")
        return found

    monkeypatch.setattr(os, "stat", swap)
    with pytest.raises(Refused):
        Folder(top).read("src/a.py")


def test_a_file_with_a_second_name_outside_is_replaced_and_not_written_into(top: Path):
    os.link(top.parent / "outside" / "secret", top / "twin")
    Folder(top).write("twin", b"mine")
    assert (top / "twin").read_bytes() == b"mine"
    assert (top.parent / "outside" / "secret").read_text() == "secret"


def test_the_mode_of_a_file_stays(top: Path):
    tool = top / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o750)
    Folder(top).write("tool", b"#!/bin/sh\ntrue\n")
    assert stat.S_IMODE(tool.stat().st_mode) == 0o750


@pytest.mark.parametrize("path", [".git", ".git/config", "src/.GIT/hooks/pre-commit", "link/config"])
def test_what_belongs_to_git_is_not_written(top: Path, path: str):
    (top / ".git").mkdir()
    (top / "link").symlink_to(".git")
    with pytest.raises(Refused, match=r"belongs to git|is a folder"):
        Folder(top).write(path, b"x")
    assert list((top / ".git").iterdir()) == []


def test_pipes_large_files_and_missing_ones_are_refused_at_once(top: Path):
    os.mkfifo(top / "pipe")
    (top / "large").touch()
    os.truncate(top / "large", MOST + 1)
    folder = Folder(top)
    for path, why in (("pipe", "neither a file"), ("large", "larger"), ("none", "no none"), ("a\0b", "NUL")):
        with pytest.raises(Refused, match=why):
            folder.read(path)
    with pytest.raises(Refused, match="neither a file"):
        folder.write("pipe", b"x")
    with pytest.raises(Refused, match="is a folder"):
        folder.write("src", b"x")
    with pytest.raises(Refused, match="Not a directory"):
        folder.read("src/a.py/x")


def test_nothing_stays_open(top: Path):
    before = len(list(Path("/dev/fd").iterdir()))
    folder = Folder(top)
    for path in ("src/a.py", "../x", "src/a.py/x", "none/deep"):
        try:
            folder.read(path)
        except Refused:
            continue
    assert len(list(Path("/dev/fd").iterdir())) == before
