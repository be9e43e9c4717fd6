"""Folded runs: one ref for many, nothing lost, and whoever writes to one finds it as it was."""

from __future__ import annotations

import pytest
from kit.repos import commit, git

from smithers_git.core import events as ev
from smithers_git.core.codec import Owner
from smithers_git.edge.git.objects import Objects
from smithers_git.errors import RefMoved
from smithers_git.names import ARCHIVE, rewound_ref, run_ref
from smithers_git.service import archive
from smithers_git.service.frames import Chain

OWNER = Owner(1, "here")


@pytest.fixture
def objects(repo):
    return Objects(repo / ".git", sync=False)


@pytest.fixture
def begin(objects, repo):
    base = git(repo, "rev-parse", "HEAD")

    def make(run: str) -> Chain:
        chain = Chain(objects, run, OWNER)
        chain.add(ev.RunCreated(run=run, workflow="w", entry="w.py", input={}, base=base), 1.0)
        chain.commit()
        chain.add(ev.RunFinished(), 2.0)
        chain.commit()
        return chain

    return make


def fold(objects, *chains):
    archive.fold(objects, {chain.ref: chain.tip for chain in chains}, 3.0)


def refs(repo) -> list[str]:
    return git(repo, "for-each-ref", "--format=%(refname)", "refs/smithers").splitlines()


def test_many_runs_become_one_ref_and_git_keeps_them(repo, objects, begin):
    chains = [begin(f"r{number}") for number in range(70)]
    fold(objects, *chains)
    assert refs(repo) == [ARCHIVE]
    assert archive.tips(objects) == {chain.run: chain.tip for chain in chains}
    git(repo, "gc", "-q", "--prune=now")
    git(repo, "fsck", "--strict")
    for chain in chains:
        assert Chain.open(Objects(repo / ".git"), chain.run, OWNER).state == chain.state


def test_writing_to_a_folded_run_brings_its_refs_back(repo, objects, begin):
    chain = begin("a")
    tail = rewound_ref("a", 1)
    objects.advance(tail, None, chain.tip)
    archive.fold(objects, {chain.ref: chain.tip, tail: chain.tip}, 3.0)
    assert refs(repo) == [ARCHIVE]
    assert archive.tails(objects, "a") == {tail: chain.tip}
    found = Chain.open(objects, "a", OWNER)
    found.add(ev.RunResumed(), 4.0)
    found.commit()
    assert refs(repo) == [ARCHIVE, tail, chain.ref]
    assert objects.ref(chain.ref) == found.tip
    assert Chain.open(objects, "a", OWNER).state.number == 2
    fold(objects, found)
    assert archive.tip(objects, "a") == found.tip


def test_a_writer_that_looked_before_the_fold_goes_on_after_it(objects, begin):
    begin("a")
    writer = Chain.open(Objects(objects._git_dir), "a", OWNER)
    writer.add(ev.RunResumed(), 4.0)
    fold(objects, Chain.open(objects, "a", OWNER))
    with pytest.raises(RefMoved):
        writer.commit()
    writer.reload()
    assert writer.state.number == 1
    writer.add(ev.RunResumed(), 4.0)
    writer.commit()
    assert objects.ref(run_ref("a")) == writer.tip


def test_a_ref_that_moved_meanwhile_stays_and_counts(objects, begin):
    old = begin("a")
    tip = old.tip
    old.add(ev.RunResumed(), 4.0)
    old.commit()
    archive.fold(objects, {old.ref: tip}, 5.0)
    assert objects.ref(old.ref) == old.tip
    assert Chain.open(objects, "a", OWNER).tip == old.tip


def test_a_fold_that_was_cut_off_is_finished_by_the_next(repo, objects, begin, monkeypatch):
    chains = [begin("a"), begin("b")]
    with monkeypatch.context() as patch:
        patch.setattr(Objects, "delete_ref", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fold(objects, *chains)
    assert refs(repo) == [ARCHIVE, *(chain.ref for chain in chains)]
    once = objects.ref(ARCHIVE)
    fold(objects, *chains)
    assert refs(repo) == [ARCHIVE]
    assert objects.ref(ARCHIVE) == once, "what was listed is not listed again"


def test_two_folds_at_once_list_both(repo, objects, begin, monkeypatch):
    one, other = begin("a"), begin("b")
    second = Objects(repo / ".git")
    advance = Objects.advance

    def late(self, name, expected, new):
        monkeypatch.setattr(Objects, "advance", advance)
        fold(second, other)
        advance(self, name, expected, new)

    fold(objects, begin("c"))
    monkeypatch.setattr(Objects, "advance", late)
    fold(objects, one)
    assert set(archive.tips(objects)) == {"a", "b", "c"}


def test_what_is_dropped_is_let_go_and_the_rest_is_kept(repo, objects, begin):
    chains = [begin("a"), begin("b")]
    fold(objects, *chains)
    archive.drop(objects, {run_ref("a")}, 4.0)
    archive.drop(objects, {run_ref("a")}, 4.0)
    assert archive.tips(objects) == {"b": chains[1].tip}
    git(repo, "-c", "gc.reflogExpire=now", "gc", "-q", "--prune=now")
    assert not Objects(repo / ".git").has(chains[0].tip)
    assert Objects(repo / ".git").has(chains[1].tip)
    archive.drop(objects, {run_ref("b")}, 4.0)
    assert refs(repo) == []


def test_without_an_archive_nothing_is_folded_and_nothing_is_made(objects, begin, repo):
    assert archive.tips(objects) == archive.refs(objects) == {}
    assert archive.tip(objects, "a") is None
    archive.bring_back(objects, "a")
    archive.drop(objects, {"refs/smithers/runs/a"}, 1.0)
    commit(repo, {"x": "y"})
    assert refs(repo) == []
