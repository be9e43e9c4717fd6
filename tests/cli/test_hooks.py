"""Hooks that start runs: installed beside what is there, quick, at most once, and only what is trusted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kit import hooked, repos, runs
from kit.hooked import git, install, save, trigger

from smithers_git.core.hook_record import HookRecord, occasions
from smithers_git.edge.git import hook


@pytest.fixture
def repo(smithers: runs.Smithers) -> Path:
    return smithers.repo


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


# -- what they do


def test_a_commit_starts_a_run_on_that_commit_and_returns_before_it_begins(smithers: runs.Smithers, repo: Path) -> None:
    hooked.set_up(repo, trigger("after", "post-commit", input={"prompt": "look at {commit} on {branch}"}))
    install(smithers)
    save(repo, {"a.txt": "fine\n"})
    assert hooked.run_names(repo) == [], "the hook waited for the run"
    (run,) = hooked.eventually(repo, 1)
    head = repos.git(repo, "rev-parse", "HEAD")
    document = smithers.json("inspect", run)
    assert document["input"]["prompt"] == f"look at {head} on main"
    assert document["base"] == head


def test_the_same_commit_has_one_run_however_often_hooks_fire(
    smithers: runs.Smithers, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooked.no_engines(monkeypatch)
    hooked.set_up(repo, trigger("after", "post-commit"))
    hooked.hold(repo)
    install(smithers)
    save(repo, {"a.txt": "fine\n"})
    again = [subprocess.Popen([repo / ".git/hooks/post-commit"], cwd=repo) for _ in range(3)]
    assert [process.wait(30) for process in again] == [0, 0, 0]
    said = hooked.drain(smithers, repo)
    assert said.count("has been there before") == 3, said
    assert len(hooked.run_names(repo)) == 1
    assert hooked.taken(repo) == []


def test_git_waits_for_a_verdict_and_a_no_keeps_the_commit_away(smithers: runs.Smithers, repo: Path) -> None:
    hooked.set_up(repo, trigger("gate", "pre-commit", wait=True, paths=["*.txt"]))
    install(smithers)
    head = repos.git(repo, "rev-parse", "HEAD")
    said = save(repo, {"a.txt": "bad\n"}, code=1)
    assert repos.git(repo, "rev-parse", "HEAD") == head
    assert "note started" in said, "no progress was shown"
    assert "smithers why gate-" in said
    said = save(repo, {"a.txt": "fine\n"})
    assert "finished" in said
    git(repo, "rm", "-q", "a.txt")
    said = save(repo, {"b.py": "x = 1\n", "a.txt": "fine\n"})
    assert len(hooked.run_names(repo)) == 2, "what touches no .txt has nothing to be asked"


def test_a_gate_looks_at_a_copy_of_the_index(smithers: runs.Smithers, repo: Path) -> None:
    hooked.set_up(repo, trigger("gate", "pre-commit"))
    hooked.hold(repo)
    install(smithers)
    repos.write(repo, {"a.txt": "bad\n", "README.md": "unstaged\n"})
    git(repo, "add", "a.txt")
    before = (repo / ".git/index").read_bytes()
    subprocess.run([repo / ".git/hooks/pre-commit"], cwd=repo, check=True)
    assert (repo / ".git/index").read_bytes() == before
    (record,) = hooked.taken(repo)
    assert repos.git(repo, "show", f"{record['tree']}:a.txt") == "bad"
    assert repos.git(repo, "show", f"{record['tree']}:README.md") == "# Sample"


def test_a_verdict_that_takes_too_long_is_a_no_and_says_how_to_go_on(smithers: runs.Smithers, repo: Path) -> None:
    slow = hooked.PACK.replace("echo given", "sleep 60")
    hooked.set_up(repo, trigger("gate", "commit-msg", wait=True, timeout=0.4))
    repos.commit(repo, {".smithers/packs/note/workflow.py": slow})
    install(smithers)
    said = save(repo, {"a.txt": "fine\n"}, code=1)
    assert "smithers up --resume gate-" in said


def test_a_push_is_asked_about_the_branch_it_moves_and_not_about_tags(
    smithers: runs.Smithers, repo: Path, tmp_path: Path
) -> None:
    repos.git(tmp_path, "init", "-q", "--bare", "far")
    repos.git(repo, "remote", "add", "origin", str(tmp_path / "far"))
    hooked.set_up(repo, trigger("gate", "pre-push", wait=True, branches=["main"]))
    repos.commit(repo, {"a.txt": "bad\n"})
    git(repo, "tag", "v1")
    install(smithers)
    git(repo, "push", "-q", "origin", "HEAD:main", "v1", code=1)
    assert repos.git(tmp_path / "far", "for-each-ref") == ""
    (run,) = hooked.run_names(repo)
    assert smithers.json("inspect", run)["base"] == repos.git(repo, "rev-parse", "HEAD")
    git(repo, "push", "-q", "--no-verify", "origin", "main")


def test_each_branch_of_a_push_is_one_occasion_and_what_is_deleted_none(
    smithers: runs.Smithers, repo: Path, tmp_path: Path
) -> None:
    repos.git(tmp_path, "init", "-q", "--bare", "far")
    far = str(tmp_path / "far")
    hooked.set_up(repo, trigger("gate", "pre-push"))
    hooked.hold(repo)
    install(smithers)
    git(repo, "tag", "v1")
    git(repo, "push", "-q", far, "v1", "HEAD:one", "HEAD:two")
    git(repo, "push", "-q", far, ":one")
    found = [occasions(HookRecord.model_validate(record)) for record in hooked.taken(repo)]
    assert [sorted(each.branch for each in of) for of in found] == [["one", "two"], []]


def test_a_merge_and_a_checkout_of_a_branch_start_runs_and_one_of_files_does_not(
    smithers: runs.Smithers, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = hooked.no_engines(monkeypatch)
    rows = (trigger("merged", "post-merge", paths=["new.py"]), trigger("other", "post-merge", paths=["*.rs"]))
    hooked.set_up(repo, *rows, trigger("moved", "post-checkout"))
    git(repo, "checkout", "-qb", "side")
    repos.commit(repo, {"new.py": "x = 1\n"})
    git(repo, "checkout", "-q", "main")
    repos.commit(repo, {"main.md": "x\n"})
    hooked.hold(repo)
    install(smithers)
    git(repo, "merge", "-q", "--no-edit", "side")
    git(repo, "checkout", "-q", "HEAD", "--", "new.py")
    git(repo, "checkout", "-q", "side")
    hooked.drain(smithers, repo)
    assert [run.partition("-")[0] for run in started] == ["merged", "moved"]


# -- what they never do


def test_a_run_sets_nothing_off_by_its_own_commits_and_frames(smithers: runs.Smithers, repo: Path) -> None:
    events = ("post-commit", "post-checkout", "pre-commit", "commit-msg")
    hooked.set_up(repo, *(trigger(f"t{number}", event) for number, event in enumerate(events)))
    install(smithers)
    commits = (
        "echo x > x.txt; git add x.txt; git commit -qm inner; env -u SMITHERS_RUN git commit -q --allow-empty -m y"
    )
    smithers.up(body=f'    return Task("commits", run={commits!r})\n')
    assert hooked.spooled(repo) == []
    assert hooked.log(repo) == ""
    assert len(hooked.run_names(repo)) == 1


def test_a_landing_sets_nothing_off(smithers: runs.Smithers, repo: Path) -> None:
    hooked.set_up(repo, trigger("gate", "pre-commit"))
    install(smithers)
    run = smithers.up(body='    return Task("write", run="echo x > x.txt")\n')
    smithers("land", run, "--gate", "true", "--yes")
    assert hooked.spooled(repo) == []
    assert hooked.run_names(repo) == [run]


def test_what_git_sets_for_hooks_does_not_reach_the_run(smithers: runs.Smithers, repo: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    pack = hooked.PACK.replace("echo given", f"env | grep ^GIT_ > {seen}; git rev-parse --show-toplevel >> {seen}")
    hooked.set_up(repo, trigger("gate", "pre-commit", wait=True))
    repos.commit(repo, {".smithers/packs/note/workflow.py": pack})
    install(smithers)
    repos.write(repo, {"a.txt": "fine\n"})
    given = {"GIT_DIR": str(repo / ".git"), "GIT_WORK_TREE": str(repo), "GIT_INDEX_FILE": str(tmp_path / "index")}
    git(repo, "add", "-A", **given)
    git(repo, "commit", "-qm", "x", **given, GIT_AUTHOR_DATE="2001-01-01T00:00:00Z")
    text = seen.read_text("utf-8")
    for name in ("GIT_DIR=", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_AUTHOR_DATE", "GIT_PREFIX"):
        assert name not in text
    assert str(repo) + "\n" not in text, "the task worked in the checkout"


def test_a_repository_that_only_git_dir_names_is_left_alone_and_its_neighbour_too(
    smithers: runs.Smithers, repo: Path, tmp_path: Path
) -> None:
    """The files of one repository lie in the checkout of another one: nothing runs for either."""
    hooked.set_up(repo, trigger("after", "post-commit"))
    install(smithers)
    other = repos.make_repo(tmp_path / "other")
    (other / ".git/hooks").mkdir(exist_ok=True)
    script(other / ".git/hooks/post-commit", (repo / ".git/hooks/post-commit").read_text("utf-8"))
    given = {"GIT_DIR": str(other / ".git"), "GIT_WORK_TREE": str(repo)}
    hooked.hold(other)
    git(repo, "commit", "-q", "--allow-empty", "-m", "x", **given)
    said = smithers("hooks", "run", "--spool", str(other / ".git/smithers/queue-in")).err
    assert f"git worked on {other / '.git'}" in said
    assert hooked.run_names(repo) == hooked.run_names(other) == []


def test_a_commit_from_a_program_without_a_terminal_and_with_next_to_no_environment(
    smithers: runs.Smithers, repo: Path
) -> None:
    """As an editor on a desktop does it: no terminal, no PATH of the shell's, no input at all."""
    hooked.set_up(repo, trigger("after", "post-commit"), trigger("gate", "pre-commit"))
    hooked.hold(repo)
    install(smithers)
    bare = {"PATH": "/usr/bin:/bin", "HOME": os.environ["HOME"]}
    argv = ["git", "-C", repo, "commit", "-q", "--allow-empty", "-m", "x"]
    code = "import os, sys; os.close(0); os.setsid(); os.execvp('git', sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, *argv], env=bare, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [record["event"] for record in hooked.taken(repo)] == ["pre-commit", "post-commit"]


def test_the_very_first_commit_can_be_asked_about(
    smithers: runs.Smithers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = hooked.no_engines(monkeypatch)
    repo = repos.make_repo(tmp_path / "empty", {})
    monkeypatch.chdir(repo)
    rows = trigger("gate", "pre-commit", paths=["*.txt"])
    repos.write(repo, {".smithers/packs/note/workflow.py": hooked.PACK, ".smithers/config.toml": rows})
    hooked.hold(repo)
    install(smithers)
    save(repo, {"a.txt": "fine\n"})
    hooked.drain(smithers, repo)
    (run,) = started
    assert repos.git(repo, "show", f"{smithers.json('inspect', run)['base']}:a.txt") == "fine"


# -- the process itself


def test_the_hook_loads_nothing_but_a_handful_of_modules(smithers: runs.Smithers, repo: Path) -> None:
    hooked.set_up(repo, trigger("after", "post-commit"))
    hooked.hold(repo)
    code = (
        "import sys, runpy; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    argv = [sys.executable, "-I", "-S", "-c", code, hook.__file__, ".git/hooks/post-commit", "post-commit"]
    bare = subprocess.run([sys.executable, "-I", "-S", "-c", "import runpy"], capture_output=True)
    assert bare.returncode == 0
    done = subprocess.run(argv, cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(hooked.taken(repo)) == 1
    loaded = set(done.stderr.split())
    assert not loaded & {"subprocess", "json", "tomllib", "pydantic", "click", "pygit2", "sqlite3", "smithers_git"}


def test_the_whole_hook_costs_a_few_times_the_start_of_python(smithers: runs.Smithers, repo: Path) -> None:
    """A ratio, since the machine is busy: 60 ms were 17 for Python alone. It catches an import that costs a second."""
    hooked.set_up(repo, trigger("after", "post-commit"))
    hooked.hold(repo)
    install(smithers, trust=False)

    def best(*argv: str | Path) -> float:
        took = []
        for _ in range(3):
            began = time.perf_counter()
            subprocess.run(argv, cwd=repo, check=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})
            took.append(time.perf_counter() - began)
        return min(took)

    assert best(repo / ".git/hooks/post-commit") < 20 * best(sys.executable, "-I", "-S", "-c", "")
    assert len(hooked.taken(repo)) == 3


def test_whoever_reads_what_git_prints_does_not_wait_for_the_run(smithers: runs.Smithers, repo: Path) -> None:
    slow = hooked.PACK.replace("echo given", "sleep 5")
    hooked.set_up(repo, trigger("after", "post-commit"))
    repos.commit(repo, {".smithers/packs/note/workflow.py": slow})
    install(smithers)
    save(repo, {"a.txt": "fine\n"})  # reads both pipes to their end, as an editor does
    assert all(hooked.status(repo, run) != "finished" for run in hooked.run_names(repo))
    until = time.monotonic() + 20
    while not hooked.run_names(repo) and time.monotonic() < until:
        time.sleep(0.05)
    smithers("cancel", *hooked.run_names(repo), code=None)


def test_a_broken_configuration_is_said_and_the_commit_is_made(smithers: runs.Smithers, repo: Path) -> None:
    hooked.set_up(repo, trigger("after", "post-commit", wait=True))
    install(smithers)
    said = save(repo, {".smithers/config.toml": "post-commit trigger wait = \n"})
    assert "cannot be read; no trigger was looked at" in said


def test_a_record_that_cannot_be_read_is_said_and_dropped(smithers: runs.Smithers, repo: Path) -> None:
    spool = repo / ".git/smithers/queue-in"
    spool.mkdir(parents=True)
    (spool / "1-1.json").write_text("{", "utf-8")
    assert "1-1.json" in smithers("hooks", "run", "--spool", str(spool)).err
    assert hooked.spooled(repo) == []


def test_what_is_left_for_a_repository_that_cannot_be_served_does_not_pile_up(
    smithers: runs.Smithers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files whose repository only GIT_DIR names: the process behind the hook finds none there."""
    store, files = tmp_path / "store", tmp_path / "files"
    repos.make_repo(store)
    hooked.set_up(store, trigger("after", "post-commit"))
    hooked.hold(store)
    git(tmp_path, "clone", "-q", str(store), "files")
    shutil.rmtree(files / ".git")
    monkeypatch.setenv("GIT_DIR", str(store / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(files))
    monkeypatch.chdir(files)
    assert hook.enter("post-commit", [], b"") == 0
    spool = store / ".git/smithers/queue-in"
    assert len(list(spool.iterdir())) == 1
    assert smithers.json("hooks", "run", "--spool", str(spool), code=1)["error"]["code"] == "repository"
    assert list(spool.iterdir()) == []


def test_no_folder_but_a_spool_is_worked_off(smithers: runs.Smithers, repo: Path) -> None:
    repos.write(repo, {"data/x.json": "{}"})
    for argv in (("--spool", "data"), ("--record", "data/x.json")):
        assert smithers.json("hooks", "run", *argv, code=2)["error"]["code"] == "usage"
    assert (repo / "data/x.json").exists()
