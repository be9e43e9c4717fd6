"""What every release wrote can be read, and gone on with, by this one: repositories in bundles that they made."""

from __future__ import annotations

import json
import re
import typing
from pathlib import Path
from typing import Any

import pytest
from kit import repos
from kit.repos import git
from kit.runs import Smithers
from pydantic import BaseModel
from reliability.releases.facts import facts

from smithers_git.core import events
from smithers_git.core.landing import events as queue_events

FOLDER = Path(__file__).parent / "releases"
BUNDLES = sorted(FOLDER.glob("*.bundle"))


def open_bundle(path: Path, bundle: Path) -> Path:
    """A repository with all refs of `bundle`, as one has it who fetches them from somebody else."""
    repo = repos.make_repo(path, {})
    git(repo, "fetch", "-q", "--update-head-ok", str(bundle), "+refs/*:refs/*")
    git(repo, "reset", "-q", "--hard", "main")
    return repo


@pytest.fixture(params=BUNDLES, ids=lambda path: path.stem)
def bundle(request: pytest.FixtureRequest) -> Path:
    found = request.param
    assert isinstance(found, Path)
    return found


@pytest.fixture
def smithers(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Smithers:
    repo = open_bundle(tmp_path / "repo", bundle)
    monkeypatch.chdir(repo)
    return Smithers(repo, capsys)


def kinds(union: Any) -> set[str]:
    """The types of all events of an annotated union."""
    models: tuple[type[BaseModel], ...] = typing.get_args(typing.get_args(union)[0])
    return {str(model.model_fields["type"].default) for model in models}


def test_this_program_says_of_an_older_repository_what_that_one_said(smithers: Smithers, bundle: Path) -> None:
    said = json.loads(json.dumps(facts(smithers.json)))
    told = json.loads(bundle.with_suffix(".json").read_text())
    assert said["queues"] == told["queues"]
    assert list(said["runs"]) == list(told["runs"])
    for run, about in told["runs"].items():
        assert said["runs"][run] == about, run


def test_its_history_is_sound_and_its_index_can_be_made_again(smithers: Smithers, bundle: Path) -> None:
    smithers("ps", "--all")
    smithers("reindex")
    broken = [one["text"] for one in smithers.json("doctor", code=None)["findings"] if one["standing"] == "needs you"]
    assert [text for text in broken if not text.startswith(("parked", "interrupted"))] == []
    git(smithers.repo, "fsck", "--strict", "--no-dangling")
    if json.loads(bundle.with_suffix(".json").read_text())["queues"]:
        assert smithers.json("verify", "main")["ok"] is True


def test_a_run_that_waits_there_goes_on_here(smithers: Smithers) -> None:
    smithers("approve", "open", "--no-resume")
    assert smithers.json("up", "--resume", "open")["status"] == "finished"
    assert git(smithers.repo, "show", "smithers/open/main:calc.txt") == "right"
    assert git(smithers.repo, "show", "smithers/open/main:done.txt") == "done"


def test_a_run_that_ended_there_can_be_rewound_and_forked_here(smithers: Smithers) -> None:
    last = smithers.json("inspect", "ship")["frame"]
    smithers("fork", "ship", "--frame", str(last - 1), "--run-id", "anew")
    assert smithers.json("up", "--resume", "anew")["status"] == "finished"
    smithers("rewind", "ship", "--frame", str(last - 1), "--yes")
    assert smithers.json("up", "--resume", "ship")["status"] == "finished"
    assert git(smithers.repo, "show", "smithers/ship/main:done.txt") == "done"
    assert git(smithers.repo, "show", "smithers/anew/main:done.txt") == "done"


def test_every_kind_of_event_is_in_some_release(tmp_path: Path) -> None:
    """A new kind needs a fixture of its own before anybody writes it: `make release-fixture NAME=<version>.<what>`."""
    written = set[str]()
    for number, bundle in enumerate(BUNDLES):
        repo = open_bundle(tmp_path / str(number), bundle)
        wanted = "".join(f"{commit}:frame.json\n" for commit in git(repo, "rev-list", "--all").split())
        written |= set(
            re.findall(r'"type": "([a-z]+\.[a-z-]+)"', git(repo, "cat-file", "--batch", stdin=wanted.encode()))
        )
    assert kinds(events.Event) | kinds(queue_events.QueueEvent) == written
