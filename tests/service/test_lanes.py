from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from kit import repos
from kit.processes import DAEMON, PYTHON, alive, eventually, pid_in
from kit.repos import git

from smithers_git.core.settings import Settings
from smithers_git.edge.git import worktree
from smithers_git.edge.process import evidence
from smithers_git.errors import SetupFailed
from smithers_git.service import lanes as module
from smithers_git.service.lanes import Lanes, run_gate
from smithers_git.service.live import MARK, mark
from smithers_git.service.project import Project

pytestmark = pytest.mark.usefixtures("warm_reapers")


@pytest.fixture
def head(repo):
    return git(repo, "rev-parse", "HEAD")


@pytest.fixture
def other(repo, head):
    """A second commit; the user's checkout stays at the first."""
    made = repos.commit(repo, {"README.md": "# Other\n", "new/file": "x\n"})
    git(repo, "reset", "-q", "--hard", head)
    return made


def project(repo, environ=None, **settings):
    found = Project.open(repo, environ)
    found.__dict__["settings"] = Settings.model_validate(settings)
    return found


def pool(repo, environ=None, **settings):
    return Lanes(project(repo, environ, **settings))


def at(path, commit):
    """Whether the files at `path` are those of `commit`, and nothing else but ignored ones is there."""
    same = git(path, "diff", "--name-only", commit) == "" and git(path, "status", "--porcelain") == ""
    return same and git(path, "rev-parse", "HEAD") == commit


def gate(lane, command, cancel=None, sink=None):
    return run_gate(lane, command, cancel or threading.Event(), sink)


# -- taking and giving back


def test_lanes_are_made_on_demand_and_reused(repo, head, other):
    ours = pool(repo)
    with ours.take() as one, ours.take() as two:
        one.put(head)
        two.put(other)
        assert (one.number, two.number) == (1, 2)
        assert at(one.path, head)
        assert at(two.path, other)
    with ours.take() as again:
        assert again.path == one.path
        again.put(other)
        assert at(again.path, other)
    assert len(worktree.listing(ours.project.repository)) == 3


def test_a_lane_is_on_no_branch_and_the_users_checkout_stays_as_it_is(repo, head, other):
    repos.write(repo, {"README.md": "mine\n"})
    before = {name: what for name, what in repos.contents(repo).items() if not name.startswith(".git/")}
    index, refs = (repo / ".git" / "index").read_bytes(), git(repo, "for-each-ref")
    with pool(repo).take() as lane:
        lane.put(head)
        lane.put(other)
        assert git(lane.path, "symbolic-ref", "-q", "HEAD", check=False) == ""
    assert {name: what for name, what in repos.contents(repo).items() if not name.startswith(".git/")} == before
    assert ((repo / ".git" / "index").read_bytes(), git(repo, "for-each-ref")) == (index, refs)


def test_no_lane_is_held_twice_whoever_asks(repo):
    ours, theirs = pool(repo), pool(repo)
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda n: (ours, theirs)[n % 2].take(), range(8)))
    assert sorted(lane.number for lane in taken) == list(range(1, 9))
    for lane in taken:
        lane.give_back()
    assert theirs.take().number == 1


def test_a_lane_of_a_process_that_died_is_free_and_what_it_left_running_is_ended(repo, tmp_path):
    """Even when the process that watches over the gate was killed with it."""
    ours = pool(repo)
    folder = ours.state_dir(1)
    value = mark(folder, "gate")
    left = subprocess.Popen([*PYTHON, DAEMON, str(tmp_path / "pid")], env={**os.environ, MARK: value})
    pid = pid_in(tmp_path / "pid")
    left.wait()
    repos.write(folder, {"pids/gate.json": json.dumps({"pid": None, "start": None, "mark": value})})
    with ours.take() as lane:
        assert lane.number == 1
        assert not alive(pid)


def test_many_at_once(repo, head, other):
    ours = pool(repo)

    def work(number):
        with ours.take() as lane:
            wanted = (head, other)[number % 2]
            lane.put(wanted)
            return at(lane.path, wanted)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(12)))


def test_lanes_that_nobody_holds_are_deleted_on_request(repo, head):
    ours = pool(repo)
    held, idle = ours.take(), ours.take()
    for lane in (held, idle):
        lane.put(head)
        gate(lane, "true")
    idle.give_back()
    assert ours.clear() == [idle.path]
    assert not idle.path.exists()
    assert at(held.path, head)
    assert [info.path for info in worktree.listing(ours.project.repository)] == [repo, held.path]
    held.give_back()
    assert pool(repo).clear() == [held.path]
    assert pool(repo).clear() == []


# -- putting files


LITTER = {
    "an edit": "echo x >> README.md",
    "a deletion": "rm -r src",
    "a mode": "chmod +x README.md",
    "an untracked file": "mkdir deep; echo x > deep/made",
    "a staged file": "echo x > made; git add made",
    "a commit": "echo x > made; git add made; git -c user.name=a -c user.email=b commit -qm x",
    "a branch": "git switch -qc gate-was-here; echo x >> README.md",
    "a nested repository": "git init -q nested; echo x > nested/file",
    "a lock": 'touch "$(git rev-parse --absolute-git-dir)/index.lock"',
    "a damaged index": 'echo rubbish > "$(git rev-parse --absolute-git-dir)/index"',
    "a hidden edit": "git update-index --assume-unchanged README.md; echo x >> README.md",
    "no .git": "rm .git",
    "a closed folder": "chmod 0 src",
    "a folder for a file": "rm README.md; mkdir README.md; touch README.md/x",
    "an unfinished merge": "git rev-parse HEAD > $(git rev-parse --absolute-git-dir)/MERGE_HEAD",
    "a link out": "rm -r src; ln -s /etc src",
    "nothing at all": "rm -rf ../1; mkdir ../1",
}


@pytest.mark.parametrize("kind", LITTER)
def test_files_are_exactly_those_of_the_commit_whatever_a_gate_did(repo, head, other, kind):
    with pool(repo).take() as lane:
        lane.put(head)
        gate(lane, LITTER[kind])
        lane.put(other)
        assert at(lane.path, other)
        assert (lane.path / "README.md").read_text() == "# Other\n"
        lane.put(head)
        assert at(lane.path, head)
        assert sorted(path.name for path in lane.path.iterdir()) == [".git", ".gitignore", "README.md", "src"]


def test_ignored_files_stay_so_that_builds_stay_warm_and_files_that_are_the_same_keep_their_time(repo, head, other):
    with pool(repo).take() as lane:
        lane.put(head)
        repos.write(lane.path, {"build/cache": "warm", "x.log": "1"})
        time = (lane.path / "src" / "app.py").stat().st_mtime_ns
        lane.put(other)
        assert (lane.path / "build" / "cache").read_text() == "warm"
        assert (lane.path / "src" / "app.py").stat().st_mtime_ns == time


def test_clean_all_removes_ignored_files_but_has_what_was_furnished_there(repo, tmp_path):
    base = repos.commit(repo, {".gitignore": "*.log\n/build/\n.env\n/deps\n"})
    repos.write(repo, {".env": "A=1\n", "deps/x": "1"})
    ours = pool(
        repo,
        landing={"clean": "all"},
        worktree={"copy": [".env"], "symlink": ["deps"], "setup": "echo made > setup.log"},
    )
    with ours.take() as lane:
        lane.put(base)
        repos.write(lane.path, {"build/cache": "1", ".env": "A=2\n"})
        lane.put(base)
        assert not (lane.path / "build").exists()
        assert (lane.path / ".env").read_text() == "A=1\n"
        assert (lane.path / "setup.log").read_text() == "made\n"
        assert (lane.path / "deps").readlink() == repo / "deps"
    assert (repo / "deps" / "x").exists()


def test_filters_apply_and_a_change_of_attributes_rewrites_files_of_the_same_content(repo):
    plain = repos.commit(repo, {"a.txt": "one\ntwo\n"})
    crlf = repos.commit(repo, {".gitattributes": "*.txt eol=crlf\n"})
    git(repo, "config", "filter.rot.smudge", "tr a-y b-z")
    git(repo, "config", "filter.rot.clean", "tr b-z a-y")
    rot = repos.commit(repo, {".gitattributes": "*.txt filter=rot\n"})
    raw = git(repo, "cat-file", "blob", f"{rot}:a.txt")
    with pool(repo).take() as lane:
        lane.put(plain)
        lane.put(crlf)
        assert (lane.path / "a.txt").read_bytes() == b"one\r\ntwo\r\n"
        lane.put(plain)
        assert (lane.path / "a.txt").read_bytes() == b"one\ntwo\n"
        lane.put(rot)
        written = (lane.path / "a.txt").read_text()
        assert written == "".join(chr(ord(c) + 1) if "a" <= c <= "y" else c for c in raw) + "\n"


def test_sparse_patterns_of_the_user_hold_and_a_change_of_them_makes_the_lane_anew(repo):
    base = repos.commit(repo, {"docs/1": "1\n", "src/1": "1\n"})
    last = repos.commit(repo, {"docs/1": "2\n", "src/1": "2\n"})
    git(repo, "sparse-checkout", "set", "src")
    with pool(repo).take() as lane:
        for commit in (base, last, base):
            lane.put(commit)
            assert at(lane.path, commit)
            assert not (lane.path / "docs").exists()
    git(repo, "sparse-checkout", "set", "docs")
    with pool(repo).take() as lane:
        lane.put(last)
        assert (lane.path / "docs" / "1").read_text() == "2\n"
        assert not (lane.path / "src" / "1").exists()


def test_submodules_and_files_of_the_same_name_take_turns(repo, head, tmp_path):
    lib = repos.make_repo(tmp_path / "lib", {"l": "1\n"})
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(lib), "lib")
    with_module = repos.commit(repo, {})
    with pool(repo).take() as lane:
        for commit in (with_module, head, with_module):
            lane.put(commit)
            assert at(lane.path, commit)


def test_a_lane_that_cannot_be_put_right_is_made_anew(repo, head, other):
    with pool(repo).take() as lane:
        lane.put(head)
        repos.write(lane.path, {"build/cache": "old"})
        (lane.checkout.git_dir / "HEAD").write_text("rubbish")
        lane.put(other)
        assert at(lane.path, other)
        assert not (lane.path / "build").exists()


def test_a_lane_whose_making_was_cut_off_is_made_anew(repo, head):
    ours = pool(repo)
    with ours.take() as lane:
        ours.make(lane, head)  # and then the process was killed
        assert not (lane.path / "README.md").exists()
        lane.put(head)
        assert at(lane.path, head)


def test_a_folder_that_is_gone_is_made_again(repo, head):
    with pool(repo).take() as lane:
        lane.put(head)
        shutil.rmtree(lane.path)
        lane.put(head)
        assert at(lane.path, head)


def test_a_commit_that_does_not_exist_is_no_reason_to_go_round_for_ever(repo, head):
    ours = pool(repo)
    found = ours.verify("0" * 40, "1" * 40, "true", threading.Event())
    assert (found.outcome, found.exit_code) == ("broken", None)
    with ours.take() as lane:
        lane.put(head)
        assert at(lane.path, head)


# -- making ready


def test_setup_runs_once_and_again_when_what_it_depends_on_changed(repo, head, other):
    settings = {"copy": [".env"], "setup": "echo set up >> setup.log"}
    repos.write(repo, {".env": "A=1\n"})
    with pool(repo, worktree=settings).take() as lane:
        lane.put(head)
        lane.put(other)
        assert (lane.path / "setup.log").read_text() == "set up\n"
    repos.write(repo, {".env": "A=2\n"})
    with pool(repo, worktree=settings).take() as lane:
        lane.put(other)
        assert (lane.path / "setup.log").read_text() == "set up\n"
        assert (lane.path / ".env").read_text() == "A=2\n"


def test_a_setup_that_fails_is_told_and_tried_again_next_time(repo, head):
    with pool(repo, worktree={"setup": "echo half; exit 3"}).take() as lane, pytest.raises(SetupFailed, match="half"):
        lane.put(head)
    found = pool(repo, worktree={"setup": "echo half; exit 3"}).verify("x", head, "true", threading.Event())
    assert found.outcome == "broken"
    assert "half" in found.message
    with pool(repo, worktree={"setup": "touch ok.log"}).take() as lane:
        lane.put(head)
        assert (lane.path / "ok.log").exists()


# -- gates


@pytest.mark.parametrize(
    ("command", "outcome", "code"),
    [
        ("grep -q Sample README.md", "passed", 0),
        (("grep", "-q", "Sample", "README.md"), "passed", 0),
        ("echo red; exit 3", "failed", 3),
        ("no-such-program", "broken", 127),
        ("./README.md", "broken", 126),
        (("no-such-program",), "broken", None),
        ("kill -9 $$", "broken", 137),
        ("sh -c 'kill -9 $$'; exit $?", "broken", 137),
        ("kill -15 $$", "broken", 143),
        ("kill -SEGV $$", "failed", 139),
        ("echo 'cp: No space left on device'; exit 1", "broken", 1),
        ("echo 'no space left on device'", "passed", 0),
    ],
)
def test_what_a_gate_says(repo, head, command, outcome, code):
    with pool(repo).take() as lane:
        lane.put(head)
        found = gate(lane, command)
        assert (found.outcome, found.exit_code) == (outcome, code)
        assert found.message
        assert found.seconds > 0


def test_a_gate_that_fails_while_the_kernel_kills_for_memory_is_broken(repo, head, monkeypatch):
    counts = iter([4, 5])
    monkeypatch.setattr(evidence, "out_of_memory_kills", lambda: next(counts))
    with pool(repo).take() as lane:
        lane.put(head)
        found = gate(lane, "exit 2")
    assert (found.outcome, found.exit_code) == ("broken", 2)
    assert "memory" in found.message


def test_a_gate_that_takes_too_long_is_red_and_leaves_nothing(repo, head, tmp_path):
    with pool(repo, landing={"gate_minutes": 0.01}).take() as lane:
        lane.put(head)
        found = gate(lane, f"sleep 60 & echo $! > {tmp_path}/pid; wait")
    assert (found.outcome, found.exit_code) == ("failed", None)
    assert "did not end within" in found.message
    assert not alive(pid_in(tmp_path / "pid"))


def test_nothing_outlives_a_gate_that_passed(repo, head, tmp_path):
    program = (*PYTHON, DAEMON, str(tmp_path / "pid"))
    with pool(repo).take() as lane:
        lane.put(head)
        found = gate(
            lane, ("/bin/sh", "-c", f'"$@"; while [ ! -s {tmp_path}/pid ]; do sleep 0.01; done', "sh", *program)
        )
    assert found.outcome == "passed"
    assert not alive(pid_in(tmp_path / "pid"))


def test_a_cancelled_gate_ends_and_proves_nothing(repo, head, tmp_path):
    cancel = threading.Event()
    with pool(repo).take() as lane, ThreadPoolExecutor(1) as thread:
        lane.put(head)
        running = thread.submit(gate, lane, f"echo $$ > {tmp_path}/pid; sleep 60", cancel)
        pid = pid_in(tmp_path / "pid")
        cancel.set()
        assert running.result(10).outcome == "broken"
        assert not alive(pid)


def test_a_gate_ends_with_the_process_that_runs_it(repo, head, tmp_path):
    script = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from smithers_git.service.lanes import Lanes\n"
        "from smithers_git.service.project import Project\n"
        "ours = Lanes(Project.open(Path(sys.argv[1])))\n"
        "ours.verify('', sys.argv[2], 'echo $$ > ' + sys.argv[3] + '; sleep 60', threading.Event())\n"
    )
    engine = subprocess.Popen([sys.executable, "-c", script, str(repo), head, str(tmp_path / "pid")])
    pid = pid_in(tmp_path / "pid")
    assert pool(repo).take().number == 2, "the first is held by that process"
    engine.kill()
    engine.wait()
    assert eventually(lambda: not alive(pid))
    with pool(repo).take() as lane:
        assert lane.number == 1
        lane.put(head)
        assert at(lane.path, head)


def test_a_gate_gets_the_users_environment_without_gits_own_names_and_its_secrets_are_taken_out(repo, head):
    heard = bytearray()
    environ = {**os.environ, "GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "x", "MINE": "1", "API_TOKEN": "s3cr3t-value"}
    with pool(repo, environ).take() as lane:
        lane.put(head)
        found = gate(lane, "pwd; env; git rev-parse HEAD; echo err >&2", sink=heard.extend)
    lines = found.tail.splitlines()
    assert lines[0] == str(lane.path)
    assert {"MINE=1", "API_TOKEN=[redacted]", head, "err"} <= set(lines)
    assert not [line for line in lines if line.startswith(("GIT_DIR=", "GIT_INDEX_FILE="))]
    assert heard.decode() == found.tail


def test_gates_side_by_side_have_names_and_ports_of_their_own(repo, head):
    command = 'echo "$SMITHERS_SLUG $SMITHERS_PORT_BASE $COMPOSE_PROJECT_NAME"'
    ours = pool(repo)
    with ours.take() as one, ours.take() as two:
        for lane in (one, two):
            lane.put(head)
        said = [gate(lane, command).tail.split() for lane in (one, two, one)]
    assert said[0] == said[2]
    assert all(len(words) == 3 for words in said)
    assert not set(said[0]) & set(said[1])


def test_only_the_end_of_a_long_output_is_kept(repo, head):
    with pool(repo).take() as lane:
        lane.put(head)
        found = gate(lane, "seq 1 200000; exit 1")
    assert len(found.tail) <= evidence.TAIL
    assert found.tail.endswith("200000\n")


def test_a_log_that_cannot_be_written_is_the_machines_fault(repo, head):
    def full(_chunk):
        raise OSError(28, "No space left on device")

    with pool(repo).take() as lane:
        lane.put(head)
        found = gate(lane, "echo x; sleep 60", sink=full)
    assert found.outcome == "broken"
    assert "No space left" in found.message


def test_a_tree_that_no_commit_is_known_of_is_verified_too(repo, head, other):
    tree = git(repo, "rev-parse", f"{other}^{{tree}}")
    before = git(repo, "for-each-ref")
    found = pool(repo).verify(tree, None, "cat README.md; git write-tree", threading.Event())
    assert (found.outcome, found.tail) == ("passed", f"# Other\n{tree}\n")
    assert git(repo, "for-each-ref") == before


# -- hooks


def test_hooks_run_in_a_lane_and_the_lane_is_put_right_afterwards(repo, head, other):
    repos.write(repo, {".git/hooks/pre-commit": "#!/bin/sh\ngit diff --cached --name-only; touch made\n"})
    (repo / ".git" / "hooks" / "pre-commit").chmod(0o755)
    ours = pool(repo)
    found = ours.hooks(head, other, "merge", threading.Event())
    assert (found.passed, found.name) == (False, "pre-commit")
    assert "README.md\nnew/file\n" in found.tail
    with ours.take() as lane:
        lane.put(head)
        assert at(lane.path, head)


def test_without_hooks_no_lane_is_made(repo, head, other):
    ours = pool(repo)
    assert ours.hooks(head, other, "merge", threading.Event()).passed
    assert not ours.root.exists()


# -- this machine


def test_what_the_machine_carries(monkeypatch):
    settings = Settings.model_validate({"landing": {"lanes": 3}})
    for cores, gib, with_cap, without in ((8, 16, 3, 8), (8, 2, 2, 2), (2, 64, 2, 2), (8, 0, 1, 1)):
        monkeypatch.setattr(module, "_cores", lambda cores=cores: cores)
        monkeypatch.setattr(module, "_free_memory", lambda gib=gib: (gib << 30) + 5)
        assert (module.carries(settings), module.carries(Settings())) == (with_cap, without)


def test_this_machine_carries_at_least_one():
    assert module.carries(Settings()) >= 1
    assert module._free_memory() > 1 << 20


def test_the_digest_of_the_environment_changes_with_what_a_verdict_may_depend_on(repo):
    def digest(environ=None, **worktree):
        return module.env_digest(project(repo, {"PATH": "/bin", **(environ or {})}, worktree=worktree))

    repos.write(repo, {".env": "A=1\n"})
    first = digest()
    assert len(first) == 16
    assert digest({"OTHER": "1"}) == first
    assert digest({"PATH": "/usr/bin"}) != first
    assert digest(setup="make deps") != first
    copied = digest(copy=[".env"])
    assert copied != first
    repos.write(repo, {".env": "A=2\n"})
    assert digest(copy=[".env"]) != copied
    repos.write(repo, {".worktreeinclude": ".env\n"})
    assert digest() != first
