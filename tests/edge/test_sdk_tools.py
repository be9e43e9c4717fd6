"""What a model can do in a workspace, each tool by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from kit.repos import git
from pydantic_ai.exceptions import ToolFailed

from smithers_git.core.sdk_agent import SdkJob
from smithers_git.edge.sdk import tools as room
from smithers_git.edge.sdk.tools import Tools


class Hands:
    """The tools of one workspace, called as the library calls them."""

    def __init__(self, top: Path) -> None:
        self.heard = 0
        job = SdkJob(prompt="", session="", shell=[])
        self._tools = {one.__name__: one for one in Tools(top, job, "full", self._hear).functions()}

    def __call__(self, name: str, *args: Any, **kwargs: Any) -> str:
        return asyncio.run(self._tools[name](*args, **kwargs))  # type: ignore[arg-type]

    def refused(self, name: str, *args: Any, **kwargs: Any) -> str:
        with pytest.raises(ToolFailed) as caught:
            self(name, *args, **kwargs)
        return caught.value.message

    def _hear(self) -> None:
        self.heard += 1


@pytest.fixture
def hands(repo: Path) -> Hands:
    (repo / "lib").mkdir()
    (repo / "lib" / "a.py").write_text("one = 1\ntwo = 2\nthree = 3\n")
    (repo / "data").write_bytes(b"\0\1\2")
    (repo / "notes.log").write_text("one\n")
    (repo / ".gitignore").write_text("*.log\n")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "files")
    (repo / "new.py").write_text("ONE = one()\n")
    return Hands(repo)


def test_read_gives_lines_and_says_how_many_are_left(hands: Hands):
    assert hands("read", "lib/a.py") == "one = 1\ntwo = 2\nthree = 3\n"
    assert hands("read", "lib/a.py", start=2, lines=1) == "two = 2\n[2 more lines]"
    assert hands("read", "lib") == "a.py"
    assert hands.refused("read", "data") == "data is no text; it has 3 bytes"
    assert hands.refused("read", "none") == "there is no none"
    assert "outside of the workspace" in hands.refused("read", "/etc/passwd")


def test_read_gives_no_more_than_a_model_can_take(hands: Hands, repo: Path):
    (repo / "wide").write_text("x" * 200_000)
    said = hands("read", "wide")
    assert len(said) < 51_000
    assert said.endswith("[cut: this part is too long]")


def test_edit_wants_text_that_is_there_once(hands: Hands, repo: Path):
    assert hands("edit", "lib/a.py", "two = 2", "two = 22") == "replaced 1 in lib/a.py"
    assert (repo / "lib" / "a.py").read_text() == "one = 1\ntwo = 22\nthree = 3\n"
    assert "does not hold that text" in hands.refused("edit", "lib/a.py", "four", "4")
    assert "2 times" in hands.refused("edit", "lib/a.py", "2", "3")
    assert hands("edit", "lib/a.py", "2", "3", everywhere=True) == "replaced 2 in lib/a.py"
    assert "old is empty" in hands.refused("edit", "lib/a.py", "", "x")
    assert hands.refused("edit", "lib", "a", "b") == "lib is a folder"


def test_edit_keeps_line_ends_and_bytes_that_are_no_text(hands: Hands, repo: Path):
    (repo / "dos").write_bytes(b"a\r\nb\xff\r\n")
    hands("edit", "dos", "a\r\n", "c\r\n")
    assert (repo / "dos").read_bytes() == b"c\r\nb\xff\r\n"


def test_grep_finds_in_known_and_new_files_and_not_in_ignored_ones(hands: Hands):
    assert hands("grep", "one") == "lib/a.py:1: one = 1\nnew.py:1: ONE = one()"
    assert hands("grep", "^one", ignore_case=True, glob="*.py") == "lib/a.py:1: one = 1\nnew.py:1: ONE = one()"
    assert hands("grep", "one", path="lib") == "lib/a.py:1: one = 1"
    assert hands("grep", "one", path="lib/../lib/a.py") == "lib/a.py:1: one = 1"
    assert hands("grep", "nowhere") == "no match"
    assert "is not a regular expression" in hands.refused("grep", "(")
    assert "outside" in hands.refused("grep", "one", path="..")
    assert "there is no" in hands.refused("grep", "one", path="none")


def test_grep_does_not_read_through_a_link_that_leads_out(hands: Hands, repo: Path):
    (repo.parent / "secret").write_text("one secret\n")
    (repo / "link").symlink_to("../secret")
    git(repo, "add", "link")
    assert "secret" not in hands("grep", "one")


def test_grep_stops_after_enough(hands: Hands, repo: Path):
    (repo / "many").write_text("hit\n" * 1000)
    said = hands("grep", "hit").splitlines()
    assert (len(said), said[-1]) == (201, "[stopped after 200 matches]")


def test_a_search_that_would_take_for_ever_is_ended(hands: Hands, repo: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(room, "_SEARCH", 0.2)
    (repo / "hard").write_text("a" * 40 + "\n")
    assert "use a simpler expression" in hands.refused("grep", "(a+)+b")


def test_a_command_works_in_the_workspace_and_its_output_is_a_sign_of_life(hands: Hands, repo: Path):
    assert hands("bash", "pwd; echo oops >&2; exit 4") == f"{repo}\noops\n[exited with code 4]"
    assert hands("bash", "true") == "[no output]"
    assert hands.heard > 0


def test_a_command_is_ended_in_time_with_what_it_began(hands: Hands):
    said = hands("bash", "echo before; sleep 60 & sleep 60", timeout=1)
    assert said == "before\n[did not end within 1 s]"
