"""Deltas for what smithers packed without them: the user's own `git gc` would never look for any."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.repos import git

from smithers_git.edge.git import pack
from smithers_git.edge.git.entries import BLOB, Entry
from smithers_git.edge.git.objects import Objects
from smithers_git.service.tree import FrameTree


@pytest.fixture
def packed(repo: Path) -> Path:
    """Two packs of ours, with thirty commits each of which adds a line to a list of many."""
    objects, tip, lines = Objects(repo / ".git", sync=False), git(repo, "rev-parse", "HEAD"), []
    for half in range(2):
        objects.written.clear()
        for number in range(30):
            lines.append(f"{half} {number} {(half + 2) * (number + 3) ** 5}\n" * 4)
            tree = objects.write_tree({"list": Entry(BLOB, objects.write_blob("".join(lines).encode()))})
            tip = objects.write_commit(tree, [tip], f"step {half} {number}", 1)
        pack.pack(repo / ".git", objects.written)
    git(repo, "update-ref", "refs/smithers/runs/long", tip)
    return repo


def size(repo: Path) -> int:
    return sum(path.stat().st_size for path in (repo / ".git/objects/pack").glob("*.pack"))


def compress(repo: Path) -> None:
    pack.compress(repo / ".git", [git(repo, "rev-parse", "refs/smithers/runs/long")], [git(repo, "rev-parse", "HEAD")])


def packs(repo: Path) -> int:
    return len(list((repo / ".git/objects/pack").glob("*.pack")))


def test_compressed_frames_are_whole_and_stay_small_in_the_users_own_gc(packed):
    log, before = git(packed, "log", "-p", "refs/smithers/runs/long"), size(packed)
    assert packs(packed) == 2
    assert pack.uncompressed(packed / ".git") == before
    compress(packed)
    assert packs(packed) == 1
    assert size(packed) < 0.7 * before
    git(packed, "gc", "-q", "--prune=now")
    assert size(packed) < 0.7 * before
    assert git(packed, "log", "-p", "refs/smithers/runs/long") == log
    assert pack.uncompressed(packed / ".git") == 0


@pytest.mark.parametrize("deed", ["_take_away", "_remember"])
def test_whoever_is_killed_while_compressing_is_followed_by_one_who_finishes(packed, monkeypatch, deed):
    log = git(packed, "log", "-p", "refs/smithers/runs/long")
    with monkeypatch.context() as patch:
        patch.setattr(pack, deed, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            compress(packed)
    assert git(packed, "log", "-p", "refs/smithers/runs/long") == log
    compress(packed)
    assert pack.uncompressed(packed / ".git") == 0
    assert git(packed, "log", "-p", "refs/smithers/runs/long") == log
    assert "error" not in git(packed, "fsck", "--strict")


def test_what_stands_at_one_path_is_compared_in_frame_after_frame(repo: Path):
    """As in a run: by size alone git would find little, among folders that all have another one."""
    objects, tip = Objects(repo / ".git", sync=False), git(repo, "rev-parse", "HEAD")
    tree = FrameTree(objects)
    for number in range(900):
        tree.put(f"outputs/{number // 64:03d}/step-{number}@0.json", objects.write_blob(f"{number}\n".encode()))
        tree.put("frame.json", objects.write_blob(f"{number} {'x' * 200}\n".encode()))
        tip = objects.write_commit(tree.write(), [tip], f"step {number}", 1)
    pack.pack(repo / ".git", objects.written)
    git(repo, "update-ref", "refs/smithers/runs/long", tip)
    compress(repo)
    named = size(repo)
    git(repo, "repack", "-adfq")
    assert named < 1.2 * size(repo)
