"""The journal of an engine's frames: one flush a frame, and no acknowledged frame is lost by a kill or a power cut."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from kit.perms import python_bound_by_modes
from kit.repos import git

from smithers_git.edge.git import journal, journaled, loose, ref_file
from smithers_git.edge.git.entries import BLOB, TREE, Entry
from smithers_git.edge.git.journaled import Journaled
from smithers_git.edge.git.objects import Objects
from smithers_git.errors import RefMoved, StorageError

REF = "refs/smithers/runs/r1"

OPEN = """
import sys
from pathlib import Path
from smithers_git.edge.git.objects import Objects
from smithers_git.errors import RepositoryError

try:
    print(Objects(Path(sys.argv[1])).ref("refs/smithers/runs/r1"))
except RepositoryError as error:
    print(error.message)
"""


class Died(BaseException):
    """What a kill looks like from inside: nobody handles it."""


class Writer:
    """An engine's half of the repository: frames of a run, one after the other."""

    def __init__(self, repo: Path) -> None:
        self.repo, self.common = repo, repo / ".git"
        plain = Objects(self.common)
        self.acked = [self.make(plain, 0, [])]
        plain.advance(REF, None, self.acked[0])
        self.objects = Journaled(self.common, "r1", REF)

    @staticmethod
    def make(objects: Objects, number: int, parents: list[str], size: int = 0) -> str:
        blob = objects.write_blob(f"frame {number}\n".encode() + os.urandom(size))
        inner = objects.write_tree({f"f{number}": Entry(BLOB, blob)})
        return objects.write_commit(objects.write_tree({"d": Entry(TREE, inner)}), parents, f"frame {number}", number)

    def frame(self, size: int = 0, *, late: bool = False) -> str:
        commit = self.make(self.objects, len(self.acked), [self.acked[-1]], size)
        self.objects.advance(REF, self.acked[-1], commit, late=late)
        self.acked.append(commit)
        return commit

    @classmethod
    def again(cls, repo: Path, acked: list[str]) -> Writer:
        """The same in a copy of the repository."""
        made = cls.__new__(cls)
        made.repo, made.common, made.acked = repo, repo / ".git", list(acked)
        made.objects = Journaled(made.common, "r1", REF)
        return made

    def die(self) -> None:
        """As the kernel does it: what was open is closed."""
        self.objects.leave()

    def unsettled(self) -> list[Path]:
        return sorted((self.common / "smithers" / "journal").glob("*"))


@pytest.fixture
def writer(repo: Path) -> Writer:
    return Writer(repo)


def whole(repo: Path, tip: str) -> None:
    """The repository is sound, and the run is at `tip` with all its frames, for git and for us."""
    objects = Objects(repo / ".git")
    assert git(repo, "fsck", "--full", "--strict", "--no-dangling") == ""
    assert git(repo, "rev-parse", REF) == tip
    for commit in git(repo, "log", "--format=%H", REF).split():
        for _, entry in objects.files(objects.read_commit(commit).tree):
            objects.read_blob(entry.oid)


def test_a_frame_is_there_for_git_and_for_others_at_once_and_costs_one_flush(writer, monkeypatch):
    other = Objects(writer.common)
    writer.frame()
    flushes: list[str] = []
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda fd, real=real: flushes.append("") or real(fd))
    tip = writer.frame()
    assert len(flushes) == 1
    assert other.ref(REF) == tip
    assert other.read_commit(tip).parents == (writer.acked[1],)
    whole(writer.repo, tip)


def test_of_two_who_move_the_ref_one_is_refused_whoever_it_is(writer):
    plain = Objects(writer.common)
    writer.frame()
    theirs = Writer.make(plain, 9, [writer.acked[-1]])
    plain.advance(REF, writer.acked[-1], theirs)
    with pytest.raises(RefMoved):
        writer.frame()
    writer.acked.append(theirs)
    mine = writer.frame()
    with pytest.raises(RefMoved):
        plain.advance(REF, theirs, Writer.make(plain, 10, [theirs]))
    writer.die()
    whole(writer.repo, mine)
    assert not writer.unsettled()


def test_the_journal_of_a_living_engine_is_left_alone(writer):
    writer.frame()
    code = (
        "import sys; from pathlib import Path; from smithers_git.edge.git.objects import Objects; Objects(Path('.git'))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=writer.repo, check=True)
    assert len(writer.unsettled()) == 1
    writer.die()
    subprocess.run([sys.executable, "-c", code], cwd=writer.repo, check=True)
    assert not writer.unsettled()
    whole(writer.repo, writer.acked[-1])


def test_many_objects_are_settled_as_one_pack_and_few_stay_loose(writer, monkeypatch):
    for _ in range(5):
        writer.frame()
    writer.objects.last().settle()
    assert not list((writer.common / "objects" / "pack").glob("*.pack"))
    monkeypatch.setattr(journal, "_FEW", 10)
    for size in (0, 5000, 60_000, 70_000, 3):
        writer.frame(size)
    segment = writer.objects.last()
    packed = {one.oid for record in segment.records for one in record.objects}
    made = segment.settle()
    assert not writer.unsettled()
    rows = git(writer.repo, "verify-pack", "-v", f".git/objects/pack/pack-{made}.idx").splitlines()
    assert {row.split()[0] for row in rows if len(row.split()) == 5} == packed
    assert not any((writer.common / "objects" / oid[:2] / oid[2:]).exists() for oid in packed)
    whole(writer.repo, writer.acked[-1])


def test_a_full_journal_is_handed_over_while_frames_go_on(writer, monkeypatch):
    monkeypatch.setattr(journal, "FULL", 8)
    writer.frame()
    assert writer.objects.turn() is None
    writer.frame()
    first = writer.objects.turn()
    writer.frame()
    assert len(writer.unsettled()) == 2
    first.settle()
    assert len(writer.unsettled()) == 1
    writer.die()
    whole(writer.repo, writer.acked[-1])


# -- power cuts


def published(writer: Writer) -> list[str]:
    """The frames that git has seen, the first one first."""
    return git(writer.repo, "rev-list", "--reverse", REF).split()


def lose_power(writer: Writer, chance: random.Random, to: Path) -> Path:
    """A copy of the repository in which what was not flushed is whole, empty, zeros, half or gone."""
    shutil.copytree(writer.repo, to, symlinks=True)
    records = [record for path in writer.unsettled() for record in journal.read(path.read_bytes())]
    files = {f"objects/{one.oid[:2]}/{one.oid[2:]}" for record in records for one in record.objects}
    if records and records[-1].commit == writer.acked[-1]:  # else a person's frame, flushed by libgit2
        files.add(REF)
        if chance.random() < 0.5:
            (to / ".git" / REF).write_text(f"{chance.choice(published(writer))}\n")
    lock = to / ".git" / f"{REF}.lock"
    if lock.exists():
        os.utime(lock, (0, 0))
    there = (file for name in sorted({*files, f"{REF}.lock"}) if (file := to / ".git" / name).exists())
    for file in there:  # what is late is not there
        fate, size = chance.choice(["whole", "empty", "zeros", "half", "gone"]), file.stat().st_size
        data = {"empty": b"", "zeros": bytes(size), "half": file.read_bytes()[: size // 2]}.get(fate)
        if fate == "gone":
            file.unlink()
        elif data is not None:
            file.chmod(0o644)
            file.write_bytes(data)
    return to


@pytest.mark.parametrize("seed", range(12))
def test_after_a_power_cut_every_acknowledged_frame_is_there(writer, tmp_path, seed):
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 6)):
        writer.frame(chance.choice([0, 0, 5000]), late=chance.random() < 0.4)
    if chance.random() < 0.5:
        plain = Objects(writer.common)
        writer.objects.publish()
        theirs = Writer.make(plain, 99, [writer.acked[-1]])
        plain.advance(REF, writer.acked[-1], theirs)
        writer.acked.append(theirs)
        if chance.random() < 0.5:
            writer.frame()
    writer.die()
    whole(lose_power(writer, chance, tmp_path / "after"), writer.acked[-1])


def test_the_check_fails_when_nothing_is_replayed(writer, tmp_path, monkeypatch):
    for _ in range(4):
        writer.frame()
    writer.die()
    place = lose_power(writer, random.Random(3), tmp_path / "after")
    monkeypatch.setattr(journal, "recover", lambda *_: None)
    with pytest.raises((AssertionError, subprocess.CalledProcessError)):
        whole(place, writer.acked[-1])


def test_a_torn_end_of_the_journal_is_no_frame(writer):
    writer.frame()
    tip = writer.frame()
    writer.die()
    data = writer.unsettled()[0].read_bytes().rstrip(b"\0")
    records = list(journal.read(data))
    assert [record.commit for record in records] == writer.acked[1:]
    rng = random.Random(1)
    for cut in [*rng.sample(range(len(data)), 60), len(data) - 1]:
        assert list(journal.read(data[:cut])) == records[: len(list(journal.read(data[:cut])))]
        torn = bytearray(data)
        torn[cut] ^= 0x41
        assert list(journal.read(bytes(torn))) in ([], records[:1], records) or cut < len(data)
        assert len(list(journal.read(bytes(torn)))) < 2
    for end in (b"\0" * 512, b"frame x", b"frame a b 10 1\nabc", os.urandom(64)):
        assert list(journal.read(data + end)) == records
    writer.unsettled()[0].write_bytes(data + b"\0" * 4096)
    whole(writer.repo, tip)


def test_what_was_taken_back_on_purpose_stays_taken_back(writer):
    writer.frame()
    writer.frame()
    writer.die()
    long_open = Objects(writer.common)
    assert not writer.unsettled()
    long_open.advance(REF, writer.acked[2], writer.acked[1])
    whole(writer.repo, writer.acked[1])


# -- kills


def die() -> None:
    raise Died


def deeds(monkeypatch: pytest.MonkeyPatch, at: int, happens: Callable[[], None] = die) -> Callable[[], int]:
    """Have something happen, the death of the process, before deed number `at` and all later ones; tells how many."""
    count = 0

    def wrap(name: str) -> None:
        real = getattr(os, name)

        def deed(*args: object, **named: object) -> object:
            nonlocal count
            if name == "open" and not int(str(args[1])) & os.O_CREAT:
                return real(*args, **named)
            count += 1
            if count > at:
                happens()
            return real(*args, **named)

        monkeypatch.setattr(os, name, deed)

    for name in ("open", "write", "pwrite", "rename", "mkdir", "fdatasync", "fsync", "unlink", "ftruncate"):
        wrap(name)
    return lambda: count


def lives(writer: Writer) -> None:
    """Two frames, each for itself."""
    writer.frame()
    writer.frame()
    writer.objects.last().settle()


def lives_late(writer: Writer) -> None:
    """Frames that are published together: by the one who asks for it, and by one that is not late."""
    for late in (True, True):
        writer.frame(late=late)
    writer.objects.publish()
    for late in (True, True, False, True):
        writer.frame(late=late)
    while (segment := writer.objects.last()) is not None:
        segment.settle()


@pytest.mark.parametrize("few", [500, 2])
@pytest.mark.parametrize("life", [lives, lives_late])
def test_killed_before_any_deed_the_run_is_where_it_was_or_one_frame_further(repo, tmp_path, monkeypatch, few, life):
    monkeypatch.setattr(journal, "_FEW", few)
    monkeypatch.setattr(journaled, "MANY", few)
    template = tmp_path / "template"
    first = Writer(repo)
    shutil.copytree(repo, template)
    at = over = 0
    while not over:
        place = tmp_path / f"k{at}"
        shutil.copytree(template, place)
        one = Writer.again(place, first.acked)
        with monkeypatch.context() as patch:
            done = deeds(patch, at)
            try:
                life(one)
                over = 1
            except Died:
                assert done() > at
        one.die()
        lock = place / ".git" / f"{REF}.lock"
        if lock.exists() and not lock.read_bytes().startswith(b"smithers journal"):
            os.utime(lock, (0, 0))  # two seconds of patience else
        Objects(place / ".git")
        tip = git(place, "rev-parse", REF)
        assert tip in one.acked[-1:] or git(place, "rev-parse", f"{REF}^") == one.acked[-1]
        whole(place, tip)
        assert not one.unsettled()
        if lock.exists():  # of a frame that nothing came of
            os.utime(lock, (0, 0))
            plain = Objects(place / ".git")
            plain.advance(REF, tip, Writer.make(plain, 9, [tip]))
        at += 1
    assert at > 30


@pytest.mark.parametrize("late", [False, True])
def test_whoever_settles_may_be_killed_before_any_deed_too(repo, tmp_path, monkeypatch, late):
    first = Writer(repo)
    for _ in range(3):
        first.frame(late=late)
    first.die()
    at = over = 0
    while not over:
        place = tmp_path / f"s{at}"
        shutil.copytree(repo, place)
        with monkeypatch.context() as patch:
            deeds(patch, at)
            try:
                Objects(place / ".git")
                over = 1
            except Died:
                pass
        lock = place / ".git" / f"{REF}.lock"
        if lock.exists():
            os.utime(lock, (0, 0))
        whole(place, first.acked[-1])
        assert not lock.exists()
        at += 1
    assert at > 10


# -- frames that are published together


def test_a_late_frame_is_safe_and_nobody_else_sees_it_before_it_is_published(writer, monkeypatch):
    other = Objects(writer.common)
    writer.frame(late=True)
    flushes: list[str] = []
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda fd, real=real: flushes.append("") or real(fd))
    tip = writer.frame(late=True)
    assert len(flushes) == 1
    assert git(writer.repo, "rev-parse", REF) == other.ref(REF) == writer.acked[0]
    assert not other.has(tip)
    assert writer.objects.ref(REF) == tip
    writer.objects.publish()
    assert other.ref(REF) == tip
    whole(writer.repo, tip)
    assert len(flushes) == 1


READS: dict[str, Callable[[Objects, str], object]] = {
    "commit": lambda objects, tip: objects.read_commit(tip).message == "frame 1",
    "has": lambda objects, tip: objects.has(tip),
    "refs": lambda objects, tip: objects.refs("refs/smithers/") == {REF: tip},
    "resolve": lambda objects, tip: objects.resolve(REF) == tip,
    "ancestor": lambda objects, tip: objects.is_ancestor(tip, tip) or True,
}


@pytest.mark.parametrize("read", READS)
def test_whoever_writes_late_frames_reads_them_and_shows_them_by_that(writer, read):
    tip = writer.frame(late=True)
    assert READS[read](writer.objects, tip)
    assert git(writer.repo, "rev-parse", REF) == tip


def test_a_ref_of_somebody_else_is_moved_behind_what_was_late(writer):
    tip = writer.frame(late=True)
    writer.objects.advance("refs/smithers/runs/other", None, tip)
    assert git(writer.repo, "rev-parse", REF, "refs/smithers/runs/other").split() == [tip, tip]


def test_many_late_objects_are_published_as_a_pack_that_has_those_before_it_too(writer, monkeypatch):
    monkeypatch.setattr(journaled, "MANY", 10)
    writer.frame()
    for _ in range(3):
        writer.frame(late=True)
    writer.objects.publish()
    whole(writer.repo, writer.acked[-1])
    assert len(list((writer.common / "objects/pack").glob("*.pack"))) == 1
    segment = writer.objects.turn()
    packed = {one.oid for record in segment.records for one in record.objects}
    assert len(packed) == 16
    assert not any((writer.common / "objects" / oid[:2] / oid[2:]).exists() for oid in packed)
    tip = writer.frame(late=True)
    assert segment.settle() is not None
    assert len(writer.unsettled()) == 1
    writer.die()
    whole(writer.repo, tip)


def test_a_frame_with_a_large_object_is_never_late(writer):
    """It is in no journal, and a gc would take it."""
    writer.frame(late=True)
    tip = writer.frame(100_000, late=True)
    git(writer.repo, "gc", "-q", "--prune=now")
    assert git(writer.repo, "rev-parse", REF) == tip
    writer.frame(late=True)
    writer.die()
    whole(writer.repo, writer.acked[-1])


def test_who_writes_from_outside_waits_for_what_is_late_and_comes_behind_it(writer):
    plain = Objects(writer.common)
    writer.frame(late=True)
    writer.frame(late=True)
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(lambda: plain.advance(REF, writer.acked[0], Writer.make(plain, 9, [writer.acked[0]])))
        time.sleep(0.1)
        assert not theirs.done()
        writer.objects.publish()
        with pytest.raises(RefMoved):
            theirs.result()
    plain.advance(REF, writer.acked[-1], Writer.make(plain, 9, [writer.acked[-1]]))


def test_who_writes_from_outside_gets_a_turn_beside_an_engine_that_is_never_done(writer):
    plain, over = Objects(writer.common), threading.Event()

    def work() -> None:
        while not over.is_set():
            try:
                for _ in range(20):
                    writer.frame(late=True)
                writer.objects.publish()
                time.sleep(0.001)
            except RefMoved:
                return

    with ThreadPoolExecutor(1) as pool:
        engine = pool.submit(work)
        try:
            for _ in range(1000):
                tip = plain.ref(REF)
                with suppress(RefMoved):
                    plain.advance(REF, tip, Writer.make(plain, 9, [tip]))
                    break
            else:
                pytest.fail("it never got in")
        finally:
            over.set()
        engine.result()


@pytest.mark.parametrize("waits", [True, False], ids=["it was open before", "it is opened now"])
def test_late_frames_of_a_dead_engine_come_before_what_anybody_else_writes(writer, waits):
    plain = Objects(writer.common)
    writer.frame(late=True)
    tip = writer.frame(late=True)
    writer.die()
    plain = plain if waits else Objects(writer.common)
    with pytest.raises(RefMoved):
        plain.advance(REF, writer.acked[0], Writer.make(plain, 9, [writer.acked[0]]))
    whole(writer.repo, tip)
    assert not writer.unsettled()


def test_nobody_gets_the_ref_while_an_earlier_journal_of_the_dead_engine_is_settled(writer, monkeypatch):
    monkeypatch.setattr(journaled, "MANY", 10)
    for _ in range(3):
        writer.frame(late=True)
    writer.objects.publish()
    tip = writer.frame(late=True)
    writer.die()
    assert len(writer.unsettled()) == 2
    locked, settle = [], ref_file.settle

    def look(*args: Any) -> None:
        settle(*args)
        locked.append((writer.common / f"{REF}.lock").exists())

    monkeypatch.setattr(ref_file, "settle", look)
    whole(writer.repo, tip)
    assert locked == [True, False]


def test_late_frames_are_published_although_somebody_removed_the_lock_by_hand(writer):
    writer.frame(late=True)
    writer.frame(late=True)
    (writer.common / f"{REF}.lock").unlink()
    writer.objects.publish()
    whole(writer.repo, writer.acked[-1])
    writer.frame(late=True)
    (writer.common / f"{REF}.lock").unlink()
    writer.frame()
    whole(writer.repo, writer.acked[-1])


def test_what_somebody_wrote_behind_a_removed_lock_stands(writer):
    writer.frame(late=True)
    lost = writer.frame(late=True)
    (writer.common / f"{REF}.lock").unlink()
    plain = Objects(writer.common)
    theirs = Writer.make(plain, 9, [writer.acked[0]])
    plain.advance(REF, writer.acked[0], theirs)
    with pytest.raises(RefMoved):
        writer.objects.publish()
    assert writer.objects.ref(REF) == theirs
    writer.acked[-1] = theirs
    tip = writer.frame(late=True)
    writer.die()
    whole(writer.repo, tip)
    assert lost not in git(writer.repo, "rev-list", REF)


def test_on_a_full_disk_late_frames_stay_and_are_published_when_there_is_room(writer, monkeypatch):
    writer.frame(late=True)
    for late in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            with pytest.raises(StorageError):
                writer.objects.publish() if late else writer.frame()
    assert writer.objects.ref(REF) == writer.acked[-1]
    assert git(writer.repo, "rev-parse", REF) == writer.acked[0]
    writer.frame()
    whole(writer.repo, writer.acked[-1])
    writer.frame(late=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(StorageError):
            writer.frame(late=True)
    writer.frame(late=True)
    writer.die()
    whole(writer.repo, writer.acked[-1])


def test_a_gc_beside_late_frames_takes_nothing(writer, monkeypatch):
    writer.frame(late=True)
    write = loose.write

    def collect(*args: Any) -> None:
        write(*args)
        git(writer.repo, "gc", "-q", "--prune=now")

    monkeypatch.setattr(loose, "write", collect)
    tip = writer.frame()
    monkeypatch.undo()
    whole(writer.repo, tip)


# -- what a person does meanwhile


def test_a_gc_that_throws_away_a_fresh_frame_harms_nobody(writer):
    writer.frame()
    lost = writer.frame()
    git(writer.repo, "update-ref", REF, writer.acked[1])  # as prune saw it, just before the ref moved
    git(writer.repo, "gc", "-q", "--prune=now")
    (writer.common / REF).parent.mkdir(parents=True, exist_ok=True)
    (writer.common / REF).write_text(f"{lost}\n")
    other = Objects(writer.common)
    assert [other.read_blob(entry.oid) for _, entry in other.files(other.read_commit(lost).tree)] == [b"frame 2\n"]
    writer.frame()
    writer.objects.last().settle()
    whole(writer.repo, writer.acked[-1])


def test_a_gc_between_the_objects_and_the_ref_of_a_dead_engine_takes_nothing(writer, monkeypatch):
    """It was killed with the lock of the ref, which whoever comes next waits for, seconds behind the objects."""
    writer.frame()
    tip = writer.frame()
    writer.die()
    git(writer.repo, "update-ref", REF, writer.acked[1])
    settle = ref_file.settle

    def late(*args: Any) -> None:
        git(writer.repo, "gc", "-q", "--prune=now")
        settle(*args)

    monkeypatch.setattr(ref_file, "settle", late)
    assert Objects(writer.common).ref(REF) == tip
    assert writer.unsettled() == []
    whole(writer.repo, tip)


@pytest.mark.parametrize("moved", [True, False, None], ids=["the ref was moved", "it was not", "late"])
def test_a_gc_before_any_deed_of_whoever_settles_a_dead_engines_journal_takes_nothing(
    repo, tmp_path, monkeypatch, moved
):
    first = Writer(repo)
    first.frame(late=moved is None)
    tip = first.frame(late=moved is None)
    first.die()
    if moved is False:
        git(repo, "update-ref", REF, first.acked[1])
    at = over = 0
    while not over:
        place = tmp_path / f"g{at}"
        shutil.copytree(repo, place)

        @cache
        def collect(place: Path = place) -> None:
            subprocess.run(["git", "gc", "-q", "--prune=now"], cwd=place, capture_output=True)  # a ref may be locked

        with monkeypatch.context() as patch:
            done = deeds(patch, at, collect)
            assert Objects(place / ".git").ref(REF) == tip
            over = done() <= at
        whole(place, tip)
        assert not list((place / ".git/smithers/journal").iterdir())
        at += 1
    assert at > 10


def test_a_frame_that_nobody_has_seen_does_not_come_to_be_without_its_large_object(writer):
    """That one is not in the journal, and a gc took it before any ref held it."""
    writer.frame()
    tip = writer.frame()
    writer.frame(size=100_000)
    writer.die()
    git(writer.repo, "update-ref", REF, tip)
    git(writer.repo, "gc", "-q", "--prune=now")
    assert Objects(writer.common).ref(REF) == tip
    assert writer.unsettled() == []
    whole(writer.repo, tip)


def test_a_frame_whose_ref_a_power_loss_filled_with_zeros_is_found_again(writer):
    tip = writer.frame()
    writer.die()
    (writer.common / REF).write_bytes(bytes(41))
    assert Objects(writer.common).ref(REF) == tip
    whole(writer.repo, tip)


def test_packed_refs_are_gone_on_from(writer):
    writer.frame()
    for _ in range(3):
        git(writer.repo, "pack-refs", "--all", "--prune")
        tip = writer.frame()
    writer.die()
    whole(writer.repo, tip)


@pytest.mark.parametrize("late", [False, True])
def test_a_copy_made_while_the_engine_lives_is_settled_by_itself(writer, tmp_path, late):
    writer.frame(late=late)
    shutil.copytree(writer.repo, tmp_path / "copy")
    whole(tmp_path / "copy", writer.acked[-1])
    assert len(writer.unsettled()) == 1
    whole(writer.repo, writer.frame())


def test_a_clone_needs_no_journal(writer, tmp_path):
    tip = writer.frame()
    git(tmp_path, "clone", "-q", "--mirror", str(writer.repo), "mirror.git")
    assert git(tmp_path / "mirror.git", "rev-parse", REF) == tip


def test_where_nothing_can_be_written_it_is_said_only_when_something_is_missing(writer):
    writer.frame()
    writer.die()
    folders = [path for path in (writer.common, *writer.common.rglob("*")) if path.is_dir()]
    try:
        for folder in folders:
            folder.chmod(0o555)
        assert python_bound_by_modes(OPEN, writer.common).strip() == writer.acked[-1]
        (writer.common / REF).write_text(f"{writer.acked[0]}\n")
        assert "cannot be put in order" in python_bound_by_modes(OPEN, writer.common)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert len(writer.unsettled()) == 1
    whole(writer.repo, writer.acked[-1])


def test_on_a_full_disk_the_frame_is_not_written_and_the_next_one_is(writer, monkeypatch):
    writer.frame()
    for name in ("fdatasync", "rename"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            with pytest.raises(StorageError):
                writer.frame()
        assert git(writer.repo, "rev-parse", REF) == writer.acked[-1]
        assert len(list(journal.read(writer.unsettled()[0].read_bytes()))) == len(writer.acked) - 1
        writer.frame()
    writer.die()
    whole(writer.repo, writer.acked[-1])


@pytest.mark.parametrize("setting", ["core.logAllRefUpdates=always", "core.sharedRepository=group"])
def test_where_git_wants_more_frames_go_the_ordinary_way(writer, setting):
    assert writer.objects.is_usable
    git(writer.repo, "config", *setting.split("="))
    assert not Journaled(writer.common, "r1", REF).is_usable


@pytest.mark.parametrize("size", [0, 1, 3999, 4000, 4001, 100_000])
def test_a_loose_object_is_read_by_git_and_libgit2(repo, size):
    found = loose.make("blob", os.urandom(size))
    for _ in range(2):
        loose.write(str(repo / ".git" / "objects"), found)
    assert git(repo, "hash-object", "--stdin", stdin=found.data) == found.oid
    assert int(git(repo, "cat-file", "-s", found.oid)) == size
    assert Objects(repo / ".git").read_blob(found.oid) == found.data
    git(repo, "fsck", "--full")
