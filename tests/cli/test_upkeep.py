"""reindex and doctor: what they find, what they mend, and what they leave to the user."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
from kit.processes import alive, eventually, pid_in
from kit.repos import commit, contents, git, write
from kit.runs import Engine, Smithers, hold

ONE = '    return Task("one", run="echo 1 > one.txt")\n'


def _findings(smithers: Smithers, *argv: str) -> dict[str, list[dict[str, Any]]]:
    """What doctor found, by name; only what is not simply well."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in smithers.json("doctor", *argv, code=None)["findings"]:
        if one["standing"] != "ok":
            found.setdefault(one["name"], []).append(one)
    return found


def _age(path: Path, seconds: float = 3600) -> None:
    """Let `path` look as if nobody had touched it for a while."""
    moment = path.stat().st_mtime - seconds
    os.utime(path, (moment, moment))


def test_a_healthy_repository_is_all_well(smithers: Smithers) -> None:
    smithers.up(body=ONE)

    said = smithers("doctor")

    assert {line.split()[0] for line in said.out.splitlines()} == {"ok"}
    assert "all is well" in said.err
    assert smithers.json("doctor")["ok"] is True


def test_reindex_gives_the_same_rows(smithers: Smithers) -> None:
    smithers.up(body=ONE)
    before = smithers.json("ps")

    assert smithers.json("reindex") == {"runs": 1, "unreadable": {}}
    assert smithers.json("ps") == before


@pytest.mark.parametrize("damage", ["stale tip", "wrong row", "no database", "gone", "extra row"])
def test_a_wrong_index_is_brought_up_to_date(damage: str, smithers: Smithers) -> None:
    smithers.up(body=ONE)
    before = smithers.json("ps")
    path = smithers.repo / ".git" / "smithers" / "index.sqlite"
    if damage == "no database":
        for log in path.parent.glob("index.sqlite-*"):
            log.unlink()  # SQLite would restore the file from it
        path.write_bytes(b"this is no database, " * 100)
    elif damage == "gone":
        path.unlink()
    else:
        db = sqlite3.connect(path)
        if damage == "extra row":
            db.execute("CREATE TEMP TABLE t AS SELECT * FROM runs")
            db.execute("UPDATE t SET run = 'ghost'")
            db.execute("INSERT INTO runs SELECT * FROM t")
        else:
            db.execute("UPDATE runs SET tip = '00'" if damage == "stale tip" else "UPDATE runs SET done = 7")
        db.commit()
        db.close()

    assert _findings(smithers)["index"][0]["standing"] == "mended"
    assert "index" not in _findings(smithers)
    assert smithers.json("ps") == before


def test_an_interrupted_run_needs_the_user(smithers: Smithers) -> None:
    run = smithers.up(body='    return Approval("a", title="A?")\n', code=3)
    smithers("approve", run, "--no-resume")

    (found,) = _findings(smithers)[f"run {run}"]

    assert (found["standing"], found["commands"]) == ("needs you", [f"smithers up --resume {run}"])
    assert smithers("doctor", code=1).err.startswith("1 thing needs you")


def test_a_run_that_cannot_be_read_needs_the_user(smithers: Smithers) -> None:
    git(smithers.repo, "update-ref", "refs/smithers/runs/broken", "HEAD")

    assert "not a frame" in _findings(smithers)["run broken"][0]["text"]
    assert smithers("reindex", code=1).err.count("cannot be read") == 1


@pytest.mark.parametrize("content", [b"", b"\0" * 41, b"deadbeef\n"], ids=["empty", "zeros", "short"])
def test_a_torn_ref_is_put_back_to_where_the_index_knew_it(content: bytes, smithers: Smithers) -> None:
    run = smithers.up(body=ONE)
    before = smithers.json("ps")
    file = smithers.repo / ".git" / "refs" / "smithers" / "runs" / run
    file.write_bytes(content)

    assert _findings(smithers)["refs"][0]["commands"] == ["smithers doctor --fix"]
    assert _findings(smithers, "--fix")["refs"][0]["standing"] == "mended"
    assert smithers.json("ps") == before


def test_a_torn_ref_that_the_index_does_not_know_is_left_to_the_user(smithers: Smithers) -> None:
    run = smithers.up(body=ONE)
    (smithers.repo / ".git" / "smithers" / "index.sqlite").unlink()
    file = smithers.repo / ".git" / "refs" / "smithers" / "runs" / run
    file.write_bytes(b"")

    (found,) = _findings(smithers, "--fix")["refs"]

    assert found["commands"][0] == "git fsck --lost-found"
    assert file.read_bytes() == b""


def test_lost_objects_are_named(smithers: Smithers) -> None:
    run = smithers.up(body=ONE)
    blob = git(smithers.repo, "rev-parse", f"refs/smithers/runs/{run}:outputs/000/one@0.json")
    loose = smithers.repo / ".git" / "objects" / blob[:2] / blob[2:]
    assert loose.exists(), "a short run is not packed"
    loose.unlink()

    assert "the output of one" in _findings(smithers)[f"run {run}"][0]["text"]


@pytest.mark.parametrize("ref", ["refs/smithers/runs/{run}", "refs/heads/smithers/{run}/main"])
def test_a_stale_lock_of_a_ref_of_ours_is_removed_when_asked(ref: str, smithers: Smithers) -> None:
    run = smithers.up(body=ONE)
    lock = smithers.repo / ".git" / f"{ref.format(run=run)}.lock"
    lock.touch()
    _age(lock)

    assert _findings(smithers)["locks"][0]["commands"] == ["smithers doctor --fix"]
    assert lock.exists()
    assert _findings(smithers, "--fix")["locks"][0]["standing"] == "mended"
    assert not lock.exists()
    assert "locks" not in _findings(smithers)


def test_a_lock_that_a_process_has_open_stays(smithers: Smithers) -> None:
    run = smithers.up(body=ONE)
    lock = smithers.repo / ".git" / "refs" / "smithers" / "runs" / f"{run}.lock"
    with lock.open("w"):
        _age(lock)

        assert _findings(smithers, "--fix")["locks"][0]["standing"] == "needs you"
        assert lock.exists()


def test_a_fresh_lock_is_nobodys_business(smithers: Smithers) -> None:
    run = smithers.up(body=ONE)
    (smithers.repo / ".git" / "refs" / "smithers" / "runs" / f"{run}.lock").touch()

    assert "locks" not in _findings(smithers, "--fix")


@pytest.mark.parametrize("name", ["packed-refs.lock", "index.lock"])
def test_an_old_lock_of_the_users_own_git_is_only_told(name: str, smithers: Smithers) -> None:
    lock = smithers.repo / ".git" / name
    lock.touch()
    _age(lock)

    (found,) = _findings(smithers, "--fix")["locks"]

    assert found["commands"][0].startswith(f"rm {lock}")
    assert lock.exists()


def _worktree(smithers: Smithers, run: str) -> Path:
    return Path(next(space["path"] for space in smithers.json("inspect", run)["workspaces"]))


def test_a_worktree_whose_folder_vanished_is_forgotten(smithers: Smithers) -> None:
    run = smithers.up(body=ONE)
    shutil.rmtree(_worktree(smithers, run))

    assert _findings(smithers)["worktrees"][0]["standing"] == "note"
    assert _findings(smithers, "--fix")["worktrees"][0]["standing"] == "mended"
    assert str(_worktree(smithers, run)) not in git(smithers.repo, "worktree", "list")


def test_the_worktree_of_a_run_that_is_gone_is_removed_and_its_branch_stays(smithers: Smithers) -> None:
    run = smithers.up(body=ONE)
    folder = _worktree(smithers, run)
    git(smithers.repo, "update-ref", "-d", f"refs/smithers/runs/{run}")

    assert f"belongs to run {run}, which is gone" in _findings(smithers)["worktrees"][0]["text"]
    assert _findings(smithers, "--fix")["worktrees"][0]["standing"] == "mended"
    assert not folder.exists()
    assert git(smithers.repo, "show", f"smithers/{run}/main:one.txt") == "1"


def test_work_that_is_in_no_commit_is_never_removed(smithers: Smithers) -> None:
    run = smithers.up(body=ONE)
    folder = _worktree(smithers, run)
    git(smithers.repo, "update-ref", "-d", f"refs/smithers/runs/{run}")
    (folder / "mine.txt").write_text("hours of work\n")

    (found,) = _findings(smithers, "--fix")["worktrees"]

    assert (found["standing"], (folder / "mine.txt").read_text()) == ("needs you", "hours of work\n")


def test_a_branch_of_ours_at_a_commit_that_is_gone_is_put_back_and_the_files_stay(smithers: Smithers) -> None:
    run = smithers.up(body=ONE)
    folder, name = _worktree(smithers, run), f"smithers/{run}/main"
    right = git(smithers.repo, "rev-parse", name)
    (smithers.repo / ".git/refs/heads" / name).write_text("1234567890" * 4 + "\n")
    (folder / "mine.txt").write_text("hours of work\n")

    (found,) = _findings(smithers)["worktrees"]
    assert (found["standing"], found["commands"]) == ("needs you", ["smithers doctor --fix"])
    assert "is at 123456789012, a commit that is gone: every git gc fails" in found["text"]
    assert _findings(smithers, "--fix")["worktrees"][0]["standing"] == "mended"

    git(smithers.repo, "gc", "--quiet")
    assert git(smithers.repo, "rev-parse", name) == right
    assert git(folder, "status", "--porcelain") == "?? mine.txt"


def test_a_branch_of_a_run_at_work_is_left_to_its_engine(smithers: Smithers, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    smithers.write(f'    return Task("one", run="echo $$ > {pid}; {hold(tmp_path / "gate")}")\n')
    with Engine(smithers.repo, "flow.py", "--run-id", "run"):
        pid_in(pid)
        (smithers.repo / ".git/refs/heads/smithers/run/main").write_text("1234567890" * 4 + "\n")

        assert "worktrees" not in _findings(smithers, "--fix")


def test_a_folder_that_git_knows_nothing_of_is_only_told(smithers: Smithers) -> None:
    run = smithers.up(body=ONE)
    strange = _worktree(smithers, run).parent.parent / "older" / "main"
    write(strange, {"file.txt": "what is this?"})

    (found,) = _findings(smithers, "--fix")["worktrees"]

    assert found["commands"][0] == f"ls {strange}"
    assert (strange / "file.txt").exists()


def test_processes_of_a_killed_engine_are_ended_when_asked(smithers: Smithers, tmp_path: Path) -> None:
    """The reaper ends a killed engine's tree itself; here somebody killed the reaper too."""
    pid = tmp_path / "pid"
    smithers.write(f'    return Task("slow", run="echo $$ > {pid}; {hold(tmp_path / "go")}")\n')
    with Engine(smithers.repo, "flow.py", "--run-id", "lost") as engine:
        left = pid_in(pid)
        engine.process.send_signal(19)  # STOP: it must not react to the death of what it started
        _kill_parents(left, engine.process.pid)
        engine.kill()
    assert alive(left)
    try:
        assert f"{left}" in _findings(smithers)["processes"][0]["text"]
        assert _findings(smithers, "--fix")["processes"][0]["standing"] == "mended"
        assert eventually(lambda: not alive(left))
    finally:
        if alive(left):
            os.kill(left, 9)


def _kill_parents(pid: int, up_to: int) -> None:
    """kill -9 everything between `pid` and the engine `up_to`."""
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    if parent not in (up_to, 1):
        _kill_parents(parent, up_to)
        os.kill(parent, 9)


# -- damage to the repository itself


def test_a_torn_index_of_the_users_is_told_with_what_makes_another(smithers: Smithers) -> None:
    index = smithers.repo / ".git" / "index"
    torn = index.read_bytes()[:-30]
    index.write_bytes(torn)
    (found,) = _findings(smithers, "--fix")["checkout"]
    assert index.read_bytes() == torn
    subprocess.run(["sh", "-ec", *found["commands"]], check=True)
    assert "checkout" not in _findings(smithers)


@pytest.mark.parametrize("linked", [False, True], ids=["in the checkout", "in a linked worktree"])
def test_core_bare_damage_is_found_and_mended(
    linked: bool, smithers: Smithers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if linked:
        git(smithers.repo, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
        monkeypatch.chdir(tmp_path / "linked")
    git(smithers.repo, "config", "core.bare", "true")

    (found,) = _findings(smithers)["settings"]

    command = f"git config --file {smithers.repo}/.git/config core.bare false"
    assert found["commands"] == [command, "smithers doctor --fix"]
    assert _findings(smithers, "--fix")["settings"][0]["standing"] == "mended"
    assert git(smithers.repo, "status", "--porcelain") == ""
    assert smithers.json("doctor")["ok"] is True


@pytest.mark.parametrize("place", ["/nonexistent", "other"])
def test_core_worktree_damage_is_found_and_mended(place: str, smithers: Smithers, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    git(smithers.repo, "config", "core.worktree", str(tmp_path / place))

    assert "core.worktree" in _findings(smithers)["settings"][0]["text"]
    assert _findings(smithers, "--fix")["settings"][0]["standing"] == "mended"
    assert git(smithers.repo, "status", "--porcelain") == ""


def test_a_repository_that_is_bare_on_purpose_is_left_as_it_is(
    smithers: Smithers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(smithers.repo), str(tmp_path / "bare.git"))
    monkeypatch.chdir(tmp_path / "bare.git")
    before = contents(tmp_path / "bare.git")

    assert "bare repository" in _findings(smithers, "--fix")["repository"][0]["text"]
    assert contents(tmp_path / "bare.git") == before


@pytest.mark.parametrize(
    ("argv", "words"),
    [(["--object-format=sha256"], "sha256"), ([], "not in a git repository")],
)
def test_a_repository_that_cannot_be_served_is_a_report_and_no_crash(
    argv: list[str], words: str, smithers: Smithers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    if argv:
        git(folder, "init", "-q", *argv)
    monkeypatch.chdir(folder)

    (found,) = _findings(smithers)["repository"]

    assert words in found["text"]
    assert found["commands"], "and what to do about it"


def test_a_reftable_repository_is_named_as_such(
    smithers: Smithers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (smithers.repo / ".git" / "reftable").mkdir()

    assert "reftable" in _findings(smithers)["repository"][0]["text"]


def test_a_broken_configuration_and_a_missing_agent_need_the_user(smithers: Smithers) -> None:
    write(smithers.repo, {".smithers/config.toml": '[pools]\nsmart = ["claude"]\n'})
    assert "claude in [pools] smart is not installed" in _findings(smithers)["agents"][0]["text"]

    write(smithers.repo, {".smithers/config.toml": "[pools\n"})
    assert "config.toml" in _findings(smithers)["configuration"][0]["text"]


def test_nothing_is_changed_without_fix(smithers: Smithers) -> None:
    run = smithers.up(body=ONE)
    commit(smithers.repo, {"more.txt": "x"})
    git(smithers.repo, "update-ref", "-d", f"refs/smithers/runs/{run}")
    smithers("ps")
    lock = smithers.repo / ".git" / "packed-refs.lock"
    lock.touch()
    _age(lock)

    def seen() -> dict[str, Any]:
        files = contents(smithers.repo)
        return {name: entry for name, entry in files.items() if "index.sqlite" not in name}

    before = seen()
    smithers("doctor", code=1)

    assert seen() == before
