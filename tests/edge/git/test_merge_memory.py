"""The merges of the simulation (`kit.memory_merge`) give what git gives: candidates, conflicts, bases, by name."""

from __future__ import annotations

import random

import pytest
from kit import repos
from kit.memory_git import MemoryObjects, Store
from kit.memory_merge import MemoryMerger
from kit.repos import git

from smithers_git.core import commit_message
from smithers_git.edge.git.entries import BLOB, Entry
from smithers_git.edge.git.merge import Candidate, Merger
from smithers_git.edge.git.objects import Objects
from smithers_git.edge.git.repository import discover

MOMENT = 1_700_000_000
NAMES = ("a", "b", "c", "d")


def _grow(objects, chance, parent, number):
    """A commit on `parent` that writes some of a few files, each a text that no other file has, or removes one."""
    files = dict(objects.files(objects.read_commit(parent).tree))
    for name in chance.sample(NAMES, chance.randrange(1, 3)):
        if name in files and chance.random() < 0.2:
            del files[name]
        else:
            text = f"{name} {chance.randrange(3)}\n"
            files[name] = Entry(BLOB, objects.write_blob(text.encode()))
    files.setdefault("kept", Entry(BLOB, objects.write_blob(b"kept\n")))
    message = commit_message.snapshot("n1", number)
    return objects.write_commit(objects.write_tree(files), [parent], message, MOMENT + number)


def _history(objects, merger, chance):
    """A target on which heads have landed, and a head that wants to; the same of both kinds of objects."""
    base = objects.write_commit(objects.write_tree({}), [], "first", MOMENT)
    target, heads = base, []
    for number in range(1, 7):
        start = chance.choice([base, target, *heads])
        if chance.random() < 0.6 or not heads:
            heads.append(_grow(objects, chance, start, number))
        else:
            made = merger.candidate(target, chance.choice(heads), "merge", lambda tree, _: f"home\n\n{tree}\n", MOMENT)
            target = made.commit if isinstance(made, Candidate) else target
    return target, heads


def _told(objects, merger, seed):
    chance, found = random.Random(seed), []
    target, heads = _history(objects, merger, chance)
    for head in heads:
        found.append((merger.base(target, head), merger.contained(target, head)))
        for style in ("merge", "squash", "rebase"):
            made = merger.candidate(target, head, style, lambda tree, _: f"home\n\n{tree}\n", MOMENT)
            found.append(made if isinstance(made, Candidate) else made.paths)
            if isinstance(made, Candidate):
                found.append(merger.lost(head, target, made.commit))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_candidates_in_memory_are_those_of_git(tmp_path, seed):
    repo = repos.make_repo(tmp_path / "repo", {"README": "x\n"})
    author = git(repo, "var", "GIT_AUTHOR_IDENT").rsplit(" ", 2)[0]
    real, memory = Objects(repo / ".git"), MemoryObjects(Store())
    wanted = _told(real, Merger(discover(repo), real, commit_message.is_snapshot), seed)
    assert _told(memory, MemoryMerger(memory, author), seed) == wanted
