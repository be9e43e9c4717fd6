"""The chain of frames: written whole, published by one swap, folded to the same state by everyone."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import textwrap

import pytest
from kit.repos import git, write

from smithers_git.core import events as ev
from smithers_git.core.codec import Owner
from smithers_git.core.state import State
from smithers_git.edge.git.objects import Objects
from smithers_git.edge.index import Index
from smithers_git.errors import FormatError, GitError, RefMoved, RunNotFound, StorageError
from smithers_git.names import TaskKey
from smithers_git.service import frames
from smithers_git.service.frames import Chain, read_frame, source_files, walk

OWNER = Owner(4711, "here")
REF = "refs/smithers/runs/r"


@pytest.fixture
def objects(repo):
    return Objects(repo / ".git", sync=False)


@pytest.fixture
def base(repo):
    return git(repo, "rev-parse", "HEAD")


@pytest.fixture
def begin(objects, base):
    """A run with frame 0."""

    def make(run: str = "r", index: Index | None = None) -> Chain:
        chain = Chain(objects, run, OWNER, index)
        chain.add(ev.RunCreated(run=run, workflow="w", entry="w.py", input={"prompt": "go"}, base=base), 1.0)
        chain.put("source/pack/w.py", b"code\n")
        chain.commit()
        return chain

    return make


def step(chain: Chain, node: str, value: object = 1, at: float = 2.0) -> str:
    path = f"outputs/000/{node}@0.json"
    chain.put_output(path, value)
    chain.add(ev.TaskFinished(node=node, attempt=1, output=path), at)
    commit = chain.commit()
    assert commit
    return commit


def again(chain: Chain) -> Chain:
    """The same run as another process finds it."""
    return Chain.open(Objects(chain.objects._git_dir, sync=False), chain.run, OWNER)


def test_a_frame_is_a_commit_that_people_can_read(repo, begin):
    chain = begin()
    step(chain, "review", {"approved": True})
    assert git(repo, "log", "--first-parent", "--format=%s", REF).splitlines()[:2] == [
        "frame 1: review finished",
        "frame 0: run of w created",
    ]
    assert git(repo, "show", f"{REF}:outputs/000/review@0.json") == '{\n "approved": true\n}'
    assert git(repo, "show", f"{REF}:source/pack/w.py") == "code"
    frame = json.loads(git(repo, "show", f"{REF}:frame.json"))
    assert (frame["format"], frame["number"], frame["run"], frame["owner"]) == (
        1,
        1,
        "r",
        {"pid": 4711, "host": "here"},
    )
    trailers = git(repo, "log", "-1", "--format=%(trailers:unfold)", REF).splitlines()
    assert trailers[:3] == ["Smithers-Run: r", "Smithers-Frame: 1", "Smithers-Node: review"]
    assert git(repo, "log", "-1", "--format=%at %an", REF) == "2 Smithers"
    assert git(repo, "fsck", "--strict", "--no-dangling") == ""


def test_a_frame_holds_the_files_of_every_workspace_as_they_are(repo, begin, base):
    chain = begin()
    chain.add(ev.SpaceCreated(space="main", branch="refs/heads/smithers/r/main", commit=base), 2.0)
    chain.commit()
    assert git(repo, "rev-parse", f"{REF}:code/main") == git(repo, "rev-parse", "HEAD^{tree}")
    write(repo, {"new.bin": b"\0\1"})
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "work")
    work = git(repo, "rev-parse", "HEAD")
    chain.add(ev.TaskFinished(node="a", attempt=1, commit=work), 3.0)
    chain.commit()
    assert git(repo, "rev-parse", f"{REF}:code/main") == git(repo, "rev-parse", "HEAD^{tree}")
    parents = git(repo, "log", "-1", "--format=%P", REF).split()
    assert parents[1:] == [work], "plain git keeps what the frame tells of"
    chain.add(ev.SpaceSaved(space="main", commit=work, reason="found", restored=base), 4.0)
    chain.commit()
    assert git(repo, "rev-parse", f"{REF}:code/main") == git(repo, "rev-parse", f"{base}^{{tree}}")
    assert work in git(repo, "log", "-1", "--format=%P", REF).split()


def test_what_a_frame_tells_of_survives_a_gc(repo, begin):
    chain = begin()
    write(repo, {"lost.txt": "x\n"})
    git(repo, "add", "-A")
    tree = git(repo, "write-tree")
    loose = git(repo, "commit-tree", "-m", "by an agent", tree)
    chain.add(ev.SpaceCreated(space="main", branch="refs/heads/b", commit=loose), 2.0)
    chain.commit()
    git(repo, "reset", "-q", "--hard")
    git(repo, "gc", "-q", "--prune=now")
    assert git(repo, "show", f"{REF}:code/main/lost.txt") == "x"
    assert git(repo, "cat-file", "-t", loose) == "commit"


def test_another_process_folds_the_same_state(begin):
    chain = begin()
    for number in range(70):
        step(chain, f"t{number}", {"n": number}, at=float(number))
    other = again(chain)
    assert other.state == chain.state
    assert other.tip == chain.tip
    assert other.tree.write() == chain.tree.write()
    assert other.load("outputs/000/t7@0.json") == {"n": 7}


def test_all_events_of_a_frame_have_the_time_of_the_frame(begin):
    chain = begin()
    chain.add(ev.TaskStarted(node="a", attempt=1), 5.0)
    chain.add(ev.TaskFinished(node="a", attempt=1), 9.0)
    chain.commit()
    assert chain.state == again(chain).state
    assert chain.state.node(TaskKey("a")).ended == 5.0


def test_a_frame_without_events_is_none(begin):
    chain = begin()
    tip = chain.tip
    assert chain.commit() is None
    assert (chain.tip, chain.objects.ref(REF)) == (tip, tip)


# -- two processes


def test_the_loser_of_a_race_reads_what_the_winner_wrote_and_goes_on(begin):
    mine = begin()
    theirs = again(mine)
    step(theirs, "theirs")
    mine.put_output("outputs/000/mine@0.json", 1)
    mine.add(ev.TaskFinished(node="mine", attempt=1, output="outputs/000/mine@0.json"), 3.0)
    with pytest.raises(RefMoved):
        mine.commit()
    assert mine.reload()
    assert mine.state == theirs.state, "what was added is not in the run"
    assert not mine.pending
    step(mine, "mine")
    assert set(again(mine).state.done) == {TaskKey("theirs"), TaskKey("mine")}
    assert [frame.data.number for frame in walk(mine.objects, mine.tip)] == [2, 1, 0]


def test_a_reload_reads_only_what_is_new(begin, monkeypatch):
    mine = begin()
    for number in range(5):
        step(mine, f"t{number}")
    theirs = again(mine)
    for number in range(3):
        step(theirs, f"u{number}")
    seen: list[str] = []
    real = frames.read_frame
    monkeypatch.setattr(
        frames, "read_frame", lambda objects, commit, *how: seen.append(commit) or real(objects, commit, *how)
    )
    assert mine.reload()
    assert len(seen) == 3
    assert mine.state == theirs.state
    assert not mine.reload()


def test_a_reload_after_a_rewind_is_the_earlier_state(begin):
    mine = begin()
    first = step(mine, "a")
    before = again(mine).state
    step(mine, "b")
    other = again(mine)
    other.objects.advance(REF, other.tip, first)
    assert mine.reload()
    assert mine.state == before
    assert mine.load("outputs/000/a@0.json") == 1
    with pytest.raises(FormatError, match="b@0"):
        mine.load("outputs/000/b@0.json")


def test_a_reload_drops_what_was_added_although_nobody_moved_the_ref(begin):
    chain = begin()
    before = again(chain).state
    chain.add(ev.TaskStarted(node="a", attempt=1), 2.0)
    chain.put("transcripts/x", b"x")
    chain.reload()
    assert chain.state == before
    step(chain, "b")
    assert chain.tree.get("transcripts/x") is None


def test_a_run_whose_ref_was_removed_is_said_with_the_command_that_brings_it_back(begin, objects):
    chain = begin()
    tip = step(chain, "a")
    objects.delete_ref(REF)
    with pytest.raises(RunNotFound, match="the ref of run r was removed") as caught:
        chain.reload()
    assert caught.value.hint == f"git update-ref {REF} {tip} brings it back"


def test_two_runs_with_one_name_cannot_begin(begin):
    begin()
    with pytest.raises(RefMoved):
        begin()


RACER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from smithers_git.core import events as ev
    from smithers_git.core.codec import Owner
    from smithers_git.edge.git.objects import Objects
    from smithers_git.edge.index import Index
    from smithers_git.errors import RefMoved
    from smithers_git.service.frames import Chain
    place, me, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    chain = Chain.open(Objects(place, sync=False), "r", Owner(1, me), Index(place / "smithers" / "index.sqlite"))
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(count):
        while True:
            path = f"outputs/000/{me}-{number}@0.json"
            chain.put_output(path, [me, number])
            chain.add(ev.TaskFinished(node=f"{me}-{number}", attempt=1, output=path), 2.0)
            try:
                chain.commit()
                break
            except RefMoved:
                chain.reload()
""")


def test_four_processes_that_write_frames_lose_no_event_and_no_file(repo, begin, objects):
    chain = begin(index=Index(repo / ".git" / "smithers" / "index.sqlite"))
    argv = [sys.executable, "-c", RACER, str(repo / ".git")]
    racers = [
        subprocess.Popen([*argv, name, "25"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in "abcd"
    ]
    try:
        for racer in racers:
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            racer.stdin.write("\n")
            racer.stdin.flush()
        assert [racer.wait(120) for racer in racers] == [0] * 4
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()
    chain.reload()
    assert chain.state.done == {TaskKey(f"{name}-{number}") for name in "abcd" for number in range(25)}
    assert chain.state.number == 100
    assert chain.load("outputs/000/c-13@0.json") == ["c", 13]
    assert [frame.data.number for frame in walk(objects, chain.tip)] == list(range(100, -1, -1))
    assert git(repo, "fsck", "--strict", "--no-dangling") == ""


# -- the disk


def test_a_disk_that_refuses_leaves_the_run_as_it_was(repo, begin, monkeypatch):
    chain = begin()
    before = again(chain).state
    for refuses in ("write_blob", "write_commit", "advance"):
        with monkeypatch.context() as patch:

            def refuse(*_arguments, **_options):
                raise StorageError("the disk is full")

            patch.setattr(chain.objects, refuses, refuse)
            with pytest.raises(StorageError):
                step(chain, "a")
        chain.reload()
        assert chain.state == before == again(chain).state
    step(chain, "a")
    assert again(chain).state == chain.state


def test_a_crash_before_the_ref_leaves_loose_objects_and_no_lie(repo, begin):
    chain = begin()
    tip = chain.tip
    chain.add(ev.TaskFinished(node="a", attempt=1), 2.0)
    chain._write(
        frames.FrameData("r", 1, 2.0, OWNER, tuple(chain._pending)), chain.objects.write_commit
    )  # and then the power went
    assert again(chain).tip == tip
    assert again(chain).state.number == 0
    assert git(repo, "fsck", "--no-dangling") == ""


def test_an_index_that_cannot_be_written_does_not_stop_a_frame(repo, begin):
    (repo / ".git" / "smithers").write_text("a file where the folder should be")
    chain = begin(index=Index(repo / ".git" / "smithers" / "index.sqlite"))
    step(chain, "a")
    assert again(chain).state.done == {TaskKey("a")}


def test_the_index_has_each_frame_as_soon_as_it_is_written(repo, begin):
    index = Index(repo / ".git" / "smithers" / "index.sqlite")
    chain = begin(index=index)
    assert index.tips() == {"r": chain.tip}
    step(chain, "a")
    assert index.tips() == {"r": chain.tip}
    chain.add(ev.TaskFinished(node="b", attempt=1, output="outputs/000/a@0.json", cache_key="k"), 3.0)
    chain.commit()
    assert index.cached("k").frame == chain.tip
    index.close()


# -- outputs


def test_outputs_can_be_read_before_and_after_they_are_written(begin):
    chain = begin()
    chain.put_output("outputs/000/a@0.json", {"n": [1, 2]})
    assert chain.load("outputs/000/a@0.json") == {"n": [1, 2]}
    step(chain, "b")
    assert chain.load("outputs/000/a@0.json") == again(chain).load("outputs/000/a@0.json") == {"n": [1, 2]}


def test_a_file_that_is_dropped_is_out_of_the_next_frame_and_in_the_one_before(begin, objects):
    chain = begin()
    before = step(chain, "a")
    chain.drop("outputs/000/a@0.json")
    chain.drop("never/there")
    after = step(chain, "b")
    assert objects.find(objects.read_commit(before).tree, "outputs/000/a@0.json")
    assert objects.find(objects.read_commit(after).tree, "outputs/000/a@0.json") is None


def test_an_output_that_is_gone_names_the_file_and_the_run(begin):
    with pytest.raises(FormatError, match=r"outputs/000/zzz@0\.json is not in the newest frame of r"):
        begin().load("outputs/000/zzz@0.json")


def test_the_pinned_source_is_what_was_put(begin, objects):
    chain = begin()
    step(chain, "a")
    tree = objects.read_commit(chain.tip).tree
    assert source_files(objects, tree) == {"pack/w.py": b"code\n"}
    assert source_files(objects, objects.write_tree({})) == {}


# -- forks and earlier frames


def test_a_fork_goes_on_from_a_frame_of_another_run_which_does_not_change(repo, begin, objects):
    parent = begin()
    at = step(parent, "a", {"n": 1})
    step(parent, "b")
    before = git(repo, "rev-parse", REF), parent.state.number
    child = Chain(objects, "child", OWNER)
    child.begin_at(at)
    assert (child.newest, child.state.done) == (at, {TaskKey("a")})
    child.add(ev.RunForked(run="child", parent="r", frame=1), 9.0)
    child.commit()
    step(child, "c", at=10.0)
    other = again(child)
    assert other.state == child.state
    assert other.state.done == {TaskKey("a"), TaskKey("c")}
    assert other.load("outputs/000/a@0.json") == {"n": 1}
    assert [(frame.data.run, frame.data.number) for frame in walk(objects, child.tip)] == [
        ("child", 3), ("child", 2), ("r", 1), ("r", 0),
    ]  # fmt: skip
    assert (git(repo, "rev-parse", REF), parent.state.number) == before


def test_a_chain_that_has_frames_cannot_begin_elsewhere(begin):
    chain = begin()
    with pytest.raises(FormatError, match="has frames already"):
        chain.begin_at(chain.tip)


def test_the_state_of_an_earlier_frame(begin):
    chain = begin()
    states = {}
    for name in "abc":
        commit = step(chain, name)
        states[commit] = again(chain).state
    for commit, state in states.items():
        assert chain.at(commit) == state


# -- what is no run


def test_a_run_that_is_not_there_is_said(objects):
    with pytest.raises(RunNotFound, match="there is no run 'nobody'"):
        Chain.open(objects, "nobody", OWNER)


def test_a_ref_that_points_at_something_else_is_said(repo, objects, base):
    git(repo, "update-ref", REF, base)
    with pytest.raises(FormatError, match=f"commit {base[:12]} is not a frame"):
        Chain.open(objects, "r", OWNER)


def test_a_frame_that_is_damaged_in_the_middle_is_said_by_its_commit(repo, begin, objects):
    chain = begin()
    broken = step(chain, "a")
    step(chain, "b")
    blob = objects.find(objects.read_commit(broken).tree, "frame.json")
    path = repo / ".git" / "objects" / blob[:2] / blob[2:]
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    path.write_bytes(b"")
    with pytest.raises(GitError, match=f"object {blob} is missing or damaged"):
        Chain.open(Objects(repo / ".git"), "r", OWNER)


def test_a_frame_of_a_newer_version_is_refused(repo, begin, objects):
    chain = begin()
    tree = chain.tree
    tree.put("frame.json", objects.write_blob(b'{"format": 2}'))
    objects.advance(REF, chain.tip, objects.write_commit(tree.write(), [chain.tip], "m", 0))
    with pytest.raises(FormatError, match="format 2") as caught:
        chain.reload()
    assert "update" in caught.value.hint
    assert read_frame(objects, chain.tip).data.number == 0


# -- size

FOLD = textwrap.dedent("""
    import resource, sys, time
    from pathlib import Path
    from smithers_git.core.codec import Owner
    from smithers_git.edge.git.objects import Objects
    from smithers_git.service.frames import Chain
    objects = Objects(Path(sys.argv[1]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    chain = Chain.open(objects, "r", Owner(1, "h"))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(chain.state.number, len(chain.state.done), used, time.process_time())
""")


def test_two_thousand_frames_fold_in_little_memory_and_time(repo, begin):
    chain = begin()
    for number in range(2000):
        path = f"outputs/{number // 64:03d}/t{number}@0.json"
        chain.put_output(path, {"n": number, "text": "x" * 200})
        chain.add(ev.TaskFinished(node=f"t{number}", attempt=1, output=path), float(number))
        chain.commit()
    done = subprocess.run([sys.executable, "-c", FOLD, repo / ".git"], capture_output=True, text=True, check=True)
    number, finished, kib, seconds = done.stdout.split()
    assert (int(number), int(finished)) == (2000, 2000)
    # Measured: 7 MiB, and 0.3 s of CPU with all imports. The bounds catch another order of growth, nothing else.
    assert int(kib) < 40 * 1024
    assert float(seconds) < 10
    first, last = (_bytes(repo, f"{REF}~{back}") for back in (1990, 0))
    assert last < 6 * first, "a frame must not hold the whole history flat"


def _bytes(repo, frame: str) -> int:
    """Of the objects that one frame brought, uncompressed."""
    new = git(repo, "rev-list", "--objects", "--no-object-names", frame, f"^{frame}~1")
    sizes = git(repo, "cat-file", "--batch-check=%(objectsize)", stdin=new.encode())
    return sum(map(int, sizes.split()))


def test_an_empty_state_is_that_of_a_chain_without_frames(objects):
    chain = Chain(objects, "new", OWNER)
    assert chain.state == State()
    assert chain.reload() is False
    assert not os.path.lexists(objects._git_dir / REF)
