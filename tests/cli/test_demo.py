"""`smithers demo`, played for real: it checks itself, and leaves behind what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kit import repos, runs

from smithers_git.errors import SmithersError
from smithers_git.front.demo import Story
from smithers_git.service.demo import Ended

STEPS = ("kill -9", "up --resume demo", "approve demo", "fork demo", "up --resume fork", "git diff --stat")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The JSON document, and the story as it is told."""
    folder = tmp_path_factory.mktemp("demo") / "here"
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = runs.program(elsewhere, "demo", "--keep", str(folder), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(elsewhere.iterdir())
    return json.loads(done.stdout), done.stderr


def test_every_part_of_the_story_is_there(played: tuple[dict[str, Any], str]) -> None:
    document, story = played
    typed = [step["command"] for step in document["steps"]]
    assert [part for part in STEPS if not any(part in line for line in typed)] == []
    assert f"cd {document['folder']}" in story


def test_it_fits_a_terminal_of_80_columns(played: tuple[dict[str, Any], str]) -> None:
    document, story = played
    folder = document["folder"]  # as long as the one who starts it wants
    assert [line for line in story.splitlines() if len(line) > 80 and folder not in line] == []


def test_what_it_leaves_behind_is_whole(played: tuple[dict[str, Any], str]) -> None:
    document, _ = played
    repo = Path(document["folder"])
    repos.git(repo, "fsck", "--full", "--strict")
    assert repos.git(repo, "for-each-ref", "--format=%(refname)", "refs/smithers").split() == [
        "refs/smithers/runs/demo",
        "refs/smithers/runs/fork",
    ]
    for line in document["look"]:
        assert subprocess.run(line, shell=True, cwd=repo, capture_output=True).stdout, line


def test_its_result_can_be_merged_and_its_tests_pass(played: tuple[dict[str, Any], str]) -> None:
    repo = Path(played[0]["folder"])
    for branch in ("smithers/fork/main", "smithers/demo/main"):
        repos.git(repo, "checkout", "-q", "--detach", branch)
        done = subprocess.run([sys.executable, "-m", "unittest"], cwd=repo, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    repos.git(repo, "checkout", "-q", "main")
    repos.git(repo, "merge", "-q", "--ff-only", "smithers/demo/main")


def test_a_folder_that_holds_something_is_refused(tmp_path: Path, smithers: runs.Smithers) -> None:
    repos.write(tmp_path, {"full/mine": ""})
    assert smithers.json("demo", "--keep", str(tmp_path / "full"), code=2)["error"]["code"] == "usage"
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


class Stage:
    """Says what it is told to say."""

    folder = Path("/there")

    def shell(self, line: str) -> Ended:
        return Ended(3 if "fails" in line else 0, "one\ntwo\n")


@pytest.mark.parametrize(
    ("line", "expected", "told"),
    [
        ("fails", {}, "exit code 3 instead of 0"),
        ("works", {"says": ["three"]}, "'three' is missing"),
        ("works", {"never": ["two"]}, "'two' is there"),
    ],
)
def test_a_step_that_is_not_as_the_story_says_ends_it(line: str, expected: dict[str, Any], told: str) -> None:
    story = Story(Stage(), as_json=True)  # type: ignore[arg-type]
    with pytest.raises(SmithersError, match=told) as raised:
        story.run(line, **expected)
    assert "/there" in raised.value.hint
