"""P4 and isolation: many agents side by side in a large repository, and the user's checkout is as it was."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from kit import engines as kit
from kit import proofs, repos, runs
from kit.engines import Engines
from kit.gates import GATE
from kit.repos import git

from smithers_git.core import events as ev
from smithers_git.service.project import Project

AGENTS = 10
FILES = 5000

FLEET = f"""\
    return Parallel(
        *[
            Worktree(f"space-{{n}}", Task(f"agent-{{n}}", agent="script", output=Change, prompt="work", retries=0))
            for n in range({AGENTS})
        ]
    )
"""


def _script(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    os.environ["SMITHERS_SCRIPT"] = str(path)


@pytest.fixture(autouse=True)
def _no_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMITHERS_SCRIPT", "")  # whatever a test sets is forgotten after it


def _large(path: Path) -> Path:
    """A repository with 5,000 files in 50 folders, made by one git process."""
    repo = runs.make_repo(path)
    stream = [b"commit refs/heads/main\ncommitter Ada <ada@example.test> 1577836799 +0000\ndata 5\nlarge\n"]
    stream.append(b"from refs/heads/main^0\n")
    for number in range(FILES):
        data = f"file {number}\n".encode() * (number % 40 + 1)
        stream.append(b"M 100644 inline src/%02d/file-%04d.txt\ndata %d\n%s\n" % (number % 50, number, len(data), data))
    git(repo, "fast-import", "--quiet", stdin=b"".join(stream))
    git(repo, "reset", "-q", "--hard", "main")
    return repo


def test_ten_agents_at_once_in_ten_worktrees_of_5000_files(tmp_path: Path) -> None:
    repo, together = _large(tmp_path / "large"), tmp_path / "together"
    together.mkdir()
    wait = f"touch {together}/$SMITHERS_NODE; while [ $(ls {together} | wc -l) -lt {AGENTS} ]; do sleep 0.05; done"
    _script(
        tmp_path / "script.toml",
        f"""\
[[turn]]
run = ["{wait}", "echo $SMITHERS_NODE > src/00/file-0000.txt; rm src/01/file-0001.txt; git rev-parse HEAD > head.txt"]
write = [{{ path = "src/new/by agent.txt", text = "new" }}]
answer = {{ summary = "done" }}
""",
    )
    (repo / "flow.py").write_text(runs.HEAD + FLEET, "utf-8")
    before = proofs.users_own(repo)
    with kit.engines(repo, tmp_path / "logs") as engines:
        engine = engines.run("up", "flow.py", "--run-id", "fleet", "--max-concurrency", str(AGENTS))
    assert "lock" not in engine.err.lower()
    history = kit.events(repo, "fleet")
    assert [event for event in history if isinstance(event, ev.TaskFailed | ev.TaskInterrupted)] == []
    assert sum(isinstance(event, ev.TaskFinished) for event in history) == AGENTS
    assert proofs.users_own(repo) == before
    head = git(repo, "rev-parse", "HEAD")
    base = proofs.tree(repo, "HEAD")
    for number in range(AGENTS):
        ours = proofs.tree(repo, f"smithers/fleet/space-{number}")
        assert len(ours) == len(base) + 1
        assert ours["src/00/file-0000.txt"][1] == f"agent-{number}\n".encode()
        assert ours["head.txt"][1].decode().strip() == head
    proofs.nothing_runs("fleet")
    proofs.sound(repo)


def test_the_user_works_with_git_beside_a_run_and_neither_stumbles(
    engines: Engines, repo: Path, tmp_path: Path
) -> None:
    _script(
        tmp_path / "script.toml",
        "[[turn]]\nrun = ['for i in 1 2 3; do echo $i > f-$i; git add -A; git status > /dev/null; sleep 0.05; done']\n"
        "answer = { summary = 'done' }\n",
    )
    (repo / "flow.py").write_text(runs.HEAD + FLEET, "utf-8")
    engine = engines.start("up", "flow.py", "--run-id", "fleet")
    number = 0
    while engine.alive:
        number += 1
        repos.commit(repo, {"mine.txt": f"{number}\n"}, f"mine {number}")
        git(repo, "switch", "-q", "-c", f"branch-{number}")
        git(repo, "status", "--porcelain")
        git(repo, "worktree", "list")
    engine.wait(0)
    assert [event for event in kit.events(repo, "fleet") if isinstance(event, ev.TaskFailed)] == []
    assert git(repo, "rev-list", "--count", "HEAD") == str(number + 1)
    assert git(repo, "status", "--porcelain") == ""
    proofs.files_are_the_frames(repo, "fleet")
    proofs.sound(repo)


GATED = f"""\
    return Sequence(
        Task("before", run="echo before > before.txt"),
        Task("long", run='''{GATE}; echo long > long.txt'''),
        Task("after", run="echo after > after.txt"),
    )
"""


def test_the_users_own_tidying_takes_nothing_from_a_live_run(
    engines: Engines, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    monkeypatch.setenv("GATE", str(gate))
    (repo / "flow.py").write_text(runs.HEAD + GATED, "utf-8")
    engine = engines.start("up", "flow.py", "--run-id", "run")
    kit.until(lambda: Path(f"{gate}.reached").exists(), "the task works")
    git(repo, "reflog", "expire", "--expire=now", "--all")
    git(repo, "worktree", "prune", "--expire=now")
    git(repo, "gc", "-q", "--prune=now")
    git(repo, "pack-refs", "--all")
    gate.touch()
    engine.wait(0)
    assert {"before.txt", "long.txt", "after.txt"} <= proofs.tree(repo, "smithers/run/main").keys()
    proofs.files_are_the_frames(repo, "run")
    proofs.index_is_a_rebuild(repo)
    proofs.sound(repo)


def test_a_run_from_a_linked_worktree_of_the_users_starts_there_and_touches_neither(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    linked = tmp_path / "linked"
    git(repo, "worktree", "add", "-q", "-b", "topic", str(linked))
    repos.commit(linked, {"topic.txt": "topic\n"}, "topic")
    (linked / "flow.py").write_text(runs.HEAD + '    return Task("only", run="cat topic.txt > seen.txt")\n')
    before = proofs.users_own(repo), repos.contents(linked), repos.contents(repo / ".git" / "worktrees" / "linked")
    monkeypatch.chdir(linked)
    run = runs.Smithers(linked, capsys).json("up", "flow.py")["run"]
    assert proofs.tree(repo, f"smithers/{run}/main")["seen.txt"][1] == b"topic\n"
    after = proofs.users_own(repo), repos.contents(linked), repos.contents(repo / ".git" / "worktrees" / "linked")
    assert after == before
    monkeypatch.chdir(repo)
    assert [one["run"] for one in runs.Smithers(repo, capsys).json("ps")["runs"]] == [run]


def test_a_dirty_start_takes_everything_uncommitted_and_changes_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = repos.make_repo(tmp_path / "repo", {**repos.FILES, "both": "1\n", "gone": "1\n", "tool": "#!/bin/sh\n"})
    (repo / "flow.py").write_text(runs.HEAD + '    return Task("only", run="cat both > seen.txt")\n')
    repos.write(repo, {"both": "staged\n", "staged": "new\n"})
    git(repo, "add", "both", "staged")
    repos.write(repo, {"both": "unstaged\n", "únträcked/näme": b"\0\1", "ignored.log": "secret\n", ".env": "secret\n"})
    (repo / "gone").unlink()
    (repo / "tool").chmod(0o755)
    (repo / "link").symlink_to("both")
    monkeypatch.chdir(repo)
    before = proofs.users_own(repo)
    smithers = runs.Smithers(repo, capsys)
    run = smithers.json("up", "flow.py", "--dirty")["run"]
    assert proofs.users_own(repo) == before
    made = proofs.tree(repo, f"smithers/{run}/main")
    assert made.pop("seen.txt")[1] == b"unstaged\n"
    assert made == proofs.folder(repo, ignored=("ignored.log", ".env"))
    assert "gone" not in made
    clean = smithers.json("up", "flow.py")["run"]
    assert proofs.tree(repo, f"smithers/{clean}/main")["both"][1] == b"1\n", "without --dirty: HEAD as it is"
    assert kit.state_of(repo, clean).base == git(repo, "rev-parse", "HEAD")


def test_a_failing_setup_fails_the_task_before_its_agent_is_started(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spent = tmp_path / "spent"
    _script(tmp_path / "script.toml", f"[[turn]]\nrun = ['touch {spent}']\nanswer = {{ summary = 'x' }}\n")
    repos.write(repo, {".smithers/config.toml": '[worktree]\nsetup = "echo no such tool >&2; exit 3"\n'})
    (repo / "flow.py").write_text(
        runs.HEAD + '    return Task("work", agent="script", output=Change, prompt="x", retries=0)\n'
    )
    monkeypatch.chdir(repo)
    document = runs.Smithers(repo, capsys).json("up", "flow.py", code=1)
    [failed] = [event for event in kit.events(repo, document["run"]) if isinstance(event, ev.TaskFailed)]
    assert failed.kind == "setup"
    assert "no such tool" in failed.message
    assert not spent.exists()
    repos.write(repo, {".smithers/config.toml": '[worktree]\nsetup = "echo made > made.log"\n'})
    runs.Smithers(repo, capsys)("up", "--resume", document["run"])
    assert spent.exists()
    assert (proofs.space_path(repo, document["run"]) / "made.log").read_text() == "made\n"


def test_an_engine_killed_while_it_makes_worktrees_leaves_none_half_made(
    engines: Engines, repo: Path, tmp_path: Path
) -> None:
    _script(tmp_path / "script.toml", "[[turn]]\nrun = ['ls > seen.txt']\nanswer = { summary = 'x' }\n")
    (repo / "flow.py").write_text(runs.HEAD + FLEET, "utf-8")
    chance = kit.chance("worktrees")
    argv = ("up", "flow.py", "--run-id", "fleet")
    for _ in range(3):
        tip = kit.tip(repo, "fleet")
        engine = engines.start(*argv)
        kit.until_moved(engine, "fleet", tip)
        kit.pause(chance.uniform(0, 0.5))
        engine.kill()
        argv = ("up", "--resume", "fleet")
    engines.run(*argv)
    names = proofs.tree(repo, "HEAD").keys()
    for number in range(AGENTS):
        made = proofs.tree(repo, f"smithers/fleet/space-{number}")
        assert made.keys() == {*names, "seen.txt"}
        assert set(made["seen.txt"][1].decode().split()) >= {"README.md", "src"}, "the agent saw the files"
    proofs.files_are_the_frames(repo, "fleet")
    proofs.sound(repo)


def test_a_worktree_that_the_user_deleted_is_made_again(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = (
        '    return Sequence(Task("a", run="echo a > a.txt"), Approval("ship"), Task("b", run="cat a.txt > b.txt"))\n'
    )
    (repo / "flow.py").write_text(runs.HEAD + body, "utf-8")
    monkeypatch.chdir(repo)
    smithers = runs.Smithers(repo, capsys)
    run = smithers.json("up", "flow.py", code=3)["run"]
    subprocess.run(["rm", "-rf", str(proofs.space_path(repo, run))], check=True)
    smithers("approve", run, "--no-resume")
    smithers("up", "--resume", run)
    assert proofs.tree(repo, f"smithers/{run}/main")["b.txt"][1] == b"a\n"
    proofs.files_are_the_frames(repo, run)


def test_the_folder_of_a_workspace_is_the_same_after_a_kill(
    engines: Engines, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Agents know their conversations by the folder."""
    gate = tmp_path / "gate"
    monkeypatch.setenv("GATE", str(gate))
    body = GATED.replace("touch", "pwd >> $GATE.pwd; touch")
    (repo / "flow.py").write_text(runs.HEAD + body, "utf-8")
    argv = ("up", "flow.py", "--run-id", "run")
    for _ in range(2):
        engine = engines.start(*argv)
        kit.until(lambda: Path(f"{gate}.reached").exists(), "the task works")
        Path(f"{gate}.reached").unlink()
        os.kill(engine.pid, signal.SIGKILL)
        engine.wait()
        argv = ("up", "--resume", "run")
    gate.touch()
    engines.run(*argv)
    places = Path(f"{gate}.pwd").read_text().split("\n")[:-1]
    assert places == [str(proofs.space_path(repo, "run"))] * 3
    assert Project.open(repo).repository.worktree not in Path(places[0]).parents
