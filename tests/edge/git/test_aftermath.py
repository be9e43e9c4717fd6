"""What a power loss tears in a git folder is put in order, and nothing of a living process goes."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from kit import repos
from kit.repos import git

from smithers_git.edge.git import aftermath, worktree
from smithers_git.edge.git.checkout import index_is_damaged, sound_index
from smithers_git.edge.git.differs import differing_paths
from smithers_git.edge.git.heal import heal
from smithers_git.edge.git.repository import Repository, discover
from smithers_git.edge.git.restore import restore

BRANCH = "refs/heads/smithers/r/main"
SINCE = time.time() + 86_400
"""A start of the machine behind all that the tests write."""


@pytest.fixture
def place(tmp_path: Path) -> Repository:
    return discover(repos.make_repo(tmp_path / "repo"))


@pytest.fixture
def space(place: Repository, tmp_path: Path) -> Path:
    """A workspace, as the first commit has it."""
    head = git(place.worktree, "rev-parse", "HEAD")
    checkout = worktree.add(place, tmp_path / "root" / "r" / "main", BRANCH, head)
    restore(checkout, BRANCH, head)
    return checkout.path


def loose(place: Repository) -> list[Path]:
    return [path for path in (place.common_dir / "objects").glob("??/*") if len(path.parent.name) == 2]


def tear(path: Path, data: bytes = b"") -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_an_object_that_is_empty_or_cut_off_can_be_written_again(place: Repository) -> None:
    repo = place.worktree
    blob = git(repo, "rev-parse", "HEAD:README.md")
    other = git(repo, "rev-parse", "HEAD:src/app.py")
    files = {name: place.common_dir / "objects" / name[:2] / name[2:] for name in (blob, other)}
    whole = files[other].read_bytes()
    tear(files[blob])
    tear(files[other], whole[:-4])
    git(repo, "hash-object", "-w", "README.md")
    assert files[blob].stat().st_size == 0, "git takes it for written"
    assert aftermath.clear_objects(place.common_dir, 0.0) == [], "they are younger than the machine's start"
    assert sorted(aftermath.clear_objects(place.common_dir, SINCE)) == sorted([blob, other])
    git(repo, "hash-object", "-w", "README.md", "src/app.py")
    assert git(repo, "fsck", "--strict") == ""
    assert aftermath.clear_objects(place.common_dir, SINCE) == []
    assert (place.common_dir / "smithers" / "torn" / other).read_bytes() == whole[:-4]


def test_locks_from_before_the_start_go_and_younger_ones_stay(place: Repository) -> None:
    old, young = place.common_dir / "refs/heads/main.lock", place.common_dir / "index.lock"
    old.touch()
    young.touch()
    os.utime(old, (1.0, 1.0))
    assert aftermath.clear_locks(place.common_dir, time.time() - 60) == [old]
    assert young.exists()
    assert not old.exists()


@pytest.mark.parametrize("torn", ["gitdir", "commondir", "HEAD", "locked", "gitdir commondir HEAD locked"])
def test_a_torn_record_of_a_workspace_is_made_whole(place: Repository, space: Path, tmp_path: Path, torn: str) -> None:
    record = place.common_dir / "worktrees" / "main"
    for name in torn.split():
        tear(record / name, b"\0" * 7 if name == "HEAD" else b"")
    if torn == "commondir":
        done = subprocess.run(["git", "-C", str(place.worktree), "worktree", "list"], capture_output=True)
        assert done.returncode == 128, "plain git fails everywhere in the repository"
    assert aftermath.mend_records(place.common_dir, tmp_path / "root", SINCE) == []
    assert worktree.find(place, space) is not None
    (info,) = [one for one in worktree.listing(place) if one.path == space]
    assert (info.ours, info.branch) == (True, BRANCH)
    assert git(space, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("head", "rest"),
    [(b"", b""), (b"0" * 40 + b"\n", bytes(46))],
    ids=["nothing", "the first HEAD of a `git worktree add`, and zeros"],
)
def test_a_workspace_of_which_nothing_is_known_any_more_is_set_aside_whole(
    place: Repository, space: Path, tmp_path: Path, head: bytes, rest: bytes
) -> None:
    record = place.common_dir / "worktrees" / "main"
    for path in (record / "gitdir", record / "commondir", record / "locked", space / ".git"):
        tear(path, rest)
    tear(record / "HEAD", head)
    (shelf,) = aftermath.mend_records(place.common_dir, tmp_path / "root", SINCE)
    assert (shelf / "src/app.py").read_bytes() == repos.FILES["src/app.py"].encode()  # type: ignore[union-attr]
    commit = git(place.worktree, "rev-parse", "HEAD")
    restore(worktree.add(place, space, BRANCH, commit), BRANCH, commit)
    assert (space / "src/app.py").exists()
    git(place.worktree, "log", "--oneline", "--all")


def test_a_workspace_without_its_link_and_its_record_is_set_aside_too(
    place: Repository, space: Path, tmp_path: Path
) -> None:
    (space / ".git").unlink()
    tear(place.common_dir / "worktrees" / "main" / "gitdir")
    assert aftermath.mend_records(place.common_dir, tmp_path / "root", 1.0) == [], "it is younger than the start"
    (shelf,) = aftermath.mend_records(place.common_dir, tmp_path / "root", SINCE)
    assert (shelf / "src/app.py").exists()
    assert not space.exists()


def test_worktrees_of_the_user_keep_what_they_have(place: Repository, tmp_path: Path) -> None:
    git(place.worktree, "worktree", "add", "-q", str(tmp_path / "mine"))
    record = place.common_dir / "worktrees" / "mine"
    before = repos.contents(record)
    tear(record / "commondir")
    aftermath.mend_records(place.common_dir, tmp_path / "root", SINCE)
    assert repos.contents(record) == before
    tear(record / "gitdir")
    aftermath.mend_records(place.common_dir, tmp_path / "root", SINCE)
    git(place.worktree, "worktree", "repair", str(tmp_path / "mine"))
    assert git(tmp_path / "mine", "status", "--porcelain") == ""


def test_files_that_are_a_part_of_what_they_were_come_back_and_edits_stay(place: Repository, space: Path) -> None:
    big = bytes(range(1, 251)) * 20
    first = git(space, "rev-parse", "HEAD")
    commit = repos.commit(space, {"big": big, "cut": big, "README.md": "newer\n", "edited": "yes\n", "gone": "yes\n"})
    tear(space / "big", big[:512] + bytes(512) + big[1024:2048])
    tear(space / "cut", b"")
    tear(space / "README.md", repos.FILES["README.md"].encode())  # type: ignore[union-attr]
    tear(space / "edited", b"no\n")
    (space / "gone").unlink()
    (space / "new").write_text("mine\n", "utf-8")
    checkout = worktree.find(place, space)
    assert checkout is not None
    assert heal(checkout, commit, ["cut"]) == ["cut"]
    assert heal(checkout, commit) == ["README.md", "big", "gone"]
    assert git(space, "status", "--porcelain").split("\n") == [" M edited", "?? new"]
    assert heal(checkout, commit) == []
    assert heal(checkout, first, ["README.md"]) == [], "what a later commit has is no part of an earlier one"


TORN = {
    "zeros": lambda whole: bytes(len(whole)),
    "nothing": lambda whole: b"",
    "cut off": lambda whole: whole[:100],
    "zeros behind": lambda whole: whole[:100] + bytes(len(whole) - 100),
    "zeros within": lambda whole: whole[:100] + bytes(120) + whole[220:],
}


@pytest.mark.parametrize(("kind", "skips"), [*((kind, "") for kind in TORN), ("zeros within", "index.skipHash")])
def test_a_torn_index_of_a_workspace_is_none(place: Repository, space: Path, kind: str, skips: str) -> None:
    first = git(space, "rev-parse", "HEAD")
    commit = repos.commit(space, {f"more/{number}": "x\n" for number in range(9)})
    checkout = worktree.find(place, space)
    assert checkout is not None
    index = checkout.git_dir / "index"
    whole = index.read_bytes()
    if skips:
        git(space, "config", skips, "true")
        whole = whole[:-20] + bytes(20)
    repos.write(space, {"README.md": "edited\n"})
    tear(index, TORN[kind](whole))
    found = sorted(["README.md", *(f"more/{number}" for number in range(9))])
    assert differing_paths(checkout, first) == found
    assert differing_paths(checkout, commit) == ["README.md"]
    assert index.read_bytes() == TORN[kind](whole), "that was only a look"
    sound_index(checkout)
    assert git(space, "status", "--porcelain") == " M README.md"


def test_an_index_is_whole_without_a_checksum_where_git_is_told_to_write_none(place: Repository) -> None:
    index = place.common_dir / "index"
    assert not index_is_damaged(place.checkout)
    index.write_bytes(index.read_bytes()[:-20] + bytes(20))
    assert index_is_damaged(place.checkout)
    git(place.worktree, "config", "feature.manyFiles", "true")
    assert not index_is_damaged(place.checkout)
    git(place.worktree, "config", "index.skipHash", "false")
    assert index_is_damaged(place.checkout)
    index.unlink()
    assert not index_is_damaged(place.checkout)


def test_zeros_in_place_of_a_commit_name_nothing(place: Repository) -> None:
    assert place.checkout.resolve("\0" * 40) is None
