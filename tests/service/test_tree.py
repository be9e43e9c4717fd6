"""The tree of the next frame, compared with what git itself makes of the same files."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kit import repos
from kit.repos import git

from smithers_git.edge.git.entries import TREE, Entry
from smithers_git.edge.git.objects import Objects
from smithers_git.service.tree import FrameTree


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return repos.make_repo(tmp_path_factory.mktemp("tree") / "repo")


@pytest.fixture(scope="module")
def objects(place):
    return Objects(place / ".git")


# Names that sort differently as files and as folders: git puts `a-` before the folder `a` and `a0` behind it.
names = st.sampled_from(
    ["a", "a-", "a.", "a0", "a/b", "a/b/c", "a/b/d", "a-/x", "b", "b/c/d/e", "b/c/d", "z@0.json", "ü"]
)
steps = st.lists(st.tuples(st.sampled_from(["put", "put", "put", "remove", "write", "reopen"]), names), max_size=25)


def put(model: dict[str, str], path: str, oid: str) -> None:
    """As a file system would, were it to make room: what stands in the way goes."""
    remove(model, path)
    for parent in [path[:at] for at, letter in enumerate(path) if letter == "/"]:
        model.pop(parent, None)
    model[path] = oid


def remove(model: dict[str, str], path: str) -> None:
    for known in [known for known in model if known == path or known.startswith(path + "/")]:
        del model[known]


def reference(place, model: dict[str, str]) -> str:
    """The tree that git makes of these files, through an index."""
    lines = "".join(f"100644 {oid}\t{path}\n" for path, oid in model.items())
    git(place, "read-tree", "--empty")
    git(place, "update-index", "--index-info", stdin=lines.encode())
    return git(place, "write-tree")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
@example(steps=[("put", "a/b/c"), ("put", "a/b")])
@example(steps=[("put", "a/b/c"), ("put", "a")])
@example(steps=[("put", "a/b/c"), ("write", ""), ("remove", "a"), ("put", "a/b/d")])
@example(steps=[("put", "a/b/c"), ("remove", "a/b"), ("put", "a0")])
@example(steps=[("put", "b/c/d"), ("put", "b/c/d/e")])
@example(steps=[("put", "a/b/c"), ("write", ""), ("remove", "a/b/c")])
def test_a_tree_is_the_one_that_git_would_make(steps, place, objects):
    tree, model = FrameTree(objects), {}
    for number, (deed, path) in enumerate(steps):
        if deed == "put":
            oid = objects.write_blob(b"%d" % number)
            tree.put(path, oid)
            put(model, path, oid)
        elif deed == "remove":
            tree.remove(path)
            remove(model, path)
        elif deed == "write":
            tree.write()
        else:
            tree = FrameTree(objects, tree.write())
        for known, oid in model.items():
            assert tree.get(known) == Entry(0o100644, oid)
    assert tree.write() == reference(place, model)


def test_git_finds_nothing_wrong_with_what_was_written(place, objects):
    tree = FrameTree(objects)
    for number in range(200):
        tree.put(f"outputs/{number // 64:03d}/node-{number}@0.json", objects.write_blob(b"%d" % number))
        tree.put("frame.json", objects.write_blob(b"{}"))
        root = tree.write()
    git(place, "update-ref", "refs/heads/proof", git(place, "commit-tree", "-m", "proof", root))
    assert git(place, "fsck", "--strict", "--full", "--no-dangling") == ""
    listed = git(place, "ls-tree", "-r", "--name-only", root).splitlines()
    assert len(listed) == 201
    assert listed[0] == "frame.json"


def test_a_whole_tree_can_be_put_and_looked_into(objects):
    inner = FrameTree(objects)
    inner.put("src/app.py", objects.write_blob(b"x"))
    tree = FrameTree(objects)
    tree.put("code/main", inner.write(), TREE)
    assert tree.get("code/main/src/app.py") is not None
    tree.put("code/main/new", objects.write_blob(b"y"))
    again = FrameTree(objects, tree.write())
    assert {path for path, _ in objects.files(again.write())} == {"code/main/src/app.py", "code/main/new"}


def test_a_tree_that_is_put_again_replaces_what_was_looked_into(objects):
    old, new = FrameTree(objects), FrameTree(objects)
    old.put("a/old", objects.write_blob(b"x"))
    new.put("a/new", objects.write_blob(b"x"))
    tree = FrameTree(objects)
    tree.put("code/main", old.write(), TREE)
    assert tree.get("code/main/a/old")
    tree.put("code/main", new.write(), TREE)
    assert tree.get("code/main/a/old") is None
    assert [path for path, _ in objects.files(tree.write())] == ["code/main/a/new"]


def test_modes_of_entries_that_nobody_touched_stay(place, objects):
    repos.write(place, {"run.sh": "#!/bin/sh\n"})
    (place / "run.sh").chmod(0o755)
    (place / "link").symlink_to("run.sh")
    git(place, "read-tree", "HEAD")
    git(place, "add", "-A")
    tree = FrameTree(objects, git(place, "write-tree"))
    tree.put("other", objects.write_blob(b"z"))
    listed = git(place, "ls-tree", tree.write())
    assert "100755 blob" in listed
    assert "120000 blob" in listed


def test_a_step_reads_and_writes_only_the_folders_that_it_touches(place, objects, monkeypatch):
    tree = FrameTree(objects)
    for number in range(300):
        tree.put(f"outputs/{number // 64:03d}/n{number}.json", objects.write_blob(b"%d" % number))
    root = tree.write()
    counts = {"read": 0, "write": 0}
    read, write = objects.read_tree, objects.write_tree

    def counted(kind, function):
        def call(*arguments):
            counts[kind] += 1
            return function(*arguments)

        return call

    monkeypatch.setattr(objects, "read_tree", counted("read", read))
    monkeypatch.setattr(objects, "write_tree", counted("write", write))
    again = FrameTree(objects, root)
    again.put("outputs/004/n300.json", objects.write_blob(b"300"))
    again.write()
    assert counts == {"read": 3, "write": 3}
    again.put("outputs/004/n301.json", objects.write_blob(b"301"))
    again.write()
    assert counts == {"read": 3, "write": 6}


def test_an_empty_tree_is_the_one_that_git_knows(objects):
    assert FrameTree(objects).write() == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def test_nothing_is_found_below_a_file(objects):
    tree = FrameTree(objects)
    tree.put("a", objects.write_blob(b"x"))
    assert tree.get("a/b") is None
    tree.remove("a/b")
    assert tree.get("a") is not None
