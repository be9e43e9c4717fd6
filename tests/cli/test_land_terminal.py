"""`smithers land` at a terminal: the plan is shown, the person is asked, and giving up changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pexpect
import pytest
from kit import queues
from kit.queues import GATE, branch
from kit.repos import git
from kit.terminal import Terminal


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    made = queues.make_repo(tmp_path / "repo")
    branch(made, "fix", {"new.txt": "x\n"})
    return made


def at_terminal(repo: Path, *argv: str, columns: int = 80) -> Terminal:
    env = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(columns)}
    return Terminal(repo, "land", "fix", *GATE, *argv, env=env, size=(40, columns))


@pytest.mark.parametrize("columns", [80, 30])
def test_the_plan_is_shown_before_anything_is_asked_and_yes_lands(repo: Path, columns: int):
    child = at_terminal(repo, columns=columns)
    child.expect("fix .*onto main")
    child.expect("new.txt")
    child.expect("sh gate.sh")
    child.expect("Land it")
    child.send("y")
    child.expect("landed on main as")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert (repo / "new.txt").exists()


@pytest.mark.parametrize(("keys", "code"), [("n", 130), ("\r", 130), ("\x03", 130)])
def test_whatever_is_not_yes_changes_nothing(repo: Path, keys: str, code: int):
    before = git(repo, "for-each-ref")
    child = at_terminal(repo)
    child.expect("Land it")
    child.send(keys)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == code
    assert git(repo, "for-each-ref") == before


def test_yes_is_not_asked_twice(repo: Path):
    child = at_terminal(repo, "--yes")
    child.expect("landed on main as")
    child.expect(pexpect.EOF)
    assert "Land it" not in (child.before or "")
