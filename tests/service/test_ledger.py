"""The frames of a queue: racing writers, refs that go back, and the file that spares folding them all."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from kit import queues
from kit.repos import git

from smithers_git.core.landing import events as ev
from smithers_git.core.landing.entry import Entry
from smithers_git.edge.git.objects import Objects
from smithers_git.errors import FormatError, RefMoved
from smithers_git.service.landing import ledger as module
from smithers_git.service.landing import shelf
from smithers_git.service.landing.ledger import Ledger, record, walk
from smithers_git.service.landing.line import open_ledger
from smithers_git.service.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.open(queues.make_repo(tmp_path / "repo"))


def fill(project: Project, count: int, first: int = 0) -> Ledger:
    """A queue of `count` frames with an entry, a verdict and a flake among them."""
    ledger = open_ledger(project, queues.MAIN)
    head = project.objects.ref(queues.MAIN)
    assert head is not None
    for number in range(first, first + count):
        entry = Entry(id=f"{number:016x}", name=f"e{number}", head=head, gates=("a", ("b", "c")))
        ledger.add(ev.EntryEntered(entry=entry, by="me"), float(number))
        for outcome in ("failed", "passed"):
            ledger.add(ev.GateRan(tree="t" * 40, gate=("b", "c"), env="e", outcome=outcome), float(number))
        ledger.commit()
    return ledger


def test_a_ledger_reads_what_another_wrote(project: Project):
    written = fill(project, 3)
    read = open_ledger(project, queues.MAIN)
    assert read.state == written.state
    assert read.passes == written.passes


def test_the_file_beside_the_frames_gives_the_same_as_the_frames(project: Project, monkeypatch):
    monkeypatch.setattr(module, "_MANY", 2)
    fill(project, 4)
    open_ledger(project, queues.MAIN)
    assert (project.state_dir / "queue" / "main.json").exists()
    fill(project, 2, first=4)
    monkeypatch.setattr(module, "walk", lambda objects, tip, stop=None: _short(objects, tip, stop))
    quick = open_ledger(project, queues.MAIN)
    monkeypatch.undo()
    whole = Ledger(project.objects, queues.MAIN, project.owner)
    assert quick.state == whole.state
    assert quick.passes == whole.passes
    assert quick.state.flakes == {("b", "c"): 1}


def _short(objects: Objects, tip: str, stop: str | None):
    found = list(walk(objects, tip, stop))
    assert len(found) <= 2, "the frames that the file holds are not read again"
    return iter(found)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"version": 99}', b'{"version": 1, "tip": "x"}'])
def test_a_file_that_is_torn_or_of_another_make_is_passed_over(project: Project, data: bytes):
    written = fill(project, 3)
    path = project.state_dir / "queue" / "main.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    assert open_ledger(project, queues.MAIN).state == written.state


def test_a_file_of_a_history_that_was_left_is_passed_over(project: Project, monkeypatch):
    monkeypatch.setattr(module, "_MANY", 2)
    fill(project, 4)
    open_ledger(project, queues.MAIN)
    git(project.worktree, "update-ref", "refs/smithers/queue/main", "refs/smithers/queue/main~2")
    assert open_ledger(project, queues.MAIN).state == Ledger(project.objects, queues.MAIN, project.owner).state
    assert len(open_ledger(project, queues.MAIN).state.entries) == 2


def test_a_ledger_whose_ref_goes_back_reads_it_anew(project: Project):
    ledger = fill(project, 3)
    git(project.worktree, "update-ref", "refs/smithers/queue/main", "refs/smithers/queue/main~1")
    assert ledger.reload() is True
    assert len(ledger.state.entries) == 2


def test_where_no_file_can_be_written_the_frames_are_read(project: Project, monkeypatch):
    monkeypatch.setattr(module, "_MANY", 0)
    written = fill(project, 3)
    project.state_dir.mkdir(exist_ok=True)
    (project.state_dir / "queue").write_text("a file in the way")
    assert open_ledger(project, queues.MAIN).state == written.state
    assert shelf.load(project.state_dir / "queue" / "main.json") is None


def test_a_writer_that_was_slower_is_told_and_loses_nothing_of_the_other(project: Project):
    fill(project, 1)
    one, two = open_ledger(project, queues.MAIN), open_ledger(project, queues.MAIN)
    one.add(ev.EntryHeld(by="one"), 1.0)
    two.add(ev.EntryHeld(by="two"), 1.0)
    one.commit()
    with pytest.raises(RefMoved):
        two.commit()
    two.reload()
    assert two.state.held is not None
    assert two.state.held.by == "one"


def test_racing_writers_are_all_recorded(project: Project):
    fill(project, 1)
    clock = project.clock

    def hold(name: str) -> None:
        mine = open_ledger(project, queues.MAIN, Objects(project.repository.common_dir))
        record(mine, clock, lambda _now: [ev.EntryHeld(by=name)])

    threads = [threading.Thread(target=hold, args=(f"w{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    frames = list(walk(project.objects, project.objects.ref("refs/smithers/queue/main") or ""))
    by = [event.by for frame in frames for event in frame.data.events if isinstance(event, ev.EntryHeld)]
    assert sorted(by) == [f"w{n}" for n in range(6)]


def test_a_commit_that_is_no_frame_is_named(project: Project):
    git(project.worktree, "update-ref", "refs/smithers/queue/main", "main")
    with pytest.raises(FormatError, match="is not a frame"):
        open_ledger(project, queues.MAIN)


def test_heads_of_entries_stay_reachable(project: Project):
    head = queues.branch(project.worktree, "fix", {"x": "x"})
    ledger = open_ledger(project, queues.MAIN)
    ledger.add(ev.EntryEntered(entry=Entry(id="1", name="fix", head=head)), 1.0)
    ledger.commit()
    git(project.worktree, "branch", "-qD", "fix")
    git(project.worktree, "reflog", "expire", "--expire=all", "--all")
    git(project.worktree, "gc", "-q", "--prune=now")
    assert git(project.worktree, "cat-file", "-t", head) == "commit"
