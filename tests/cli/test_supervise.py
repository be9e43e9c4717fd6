"""supervise: what can go on is resumed, by one process; what a person stopped, or nobody may take, is left alone."""

from __future__ import annotations

import json
import os
import plistlib
import shlex
import signal
import subprocess
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from kit import engines as kit
from kit import hooked
from kit.crashes import Crash, crashing
from kit.processes import eventually
from kit.repos import git
from kit.runs import Engine, Smithers, hold
from kit.starter import Forked

from smithers_git.clock import SystemClock
from smithers_git.core import events as ev
from smithers_git.edge import boot
from smithers_git.edge.lock import FileLock, is_held
from smithers_git.service import launch, triggers
from smithers_git.service.launch import Request
from smithers_git.service.project import Project

ASK = '    return Sequence(Approval("ship"), Task("last", run="echo x >> last.txt"))\n'
WAKE = """\
    from smithers_git import Timer
    return Sequence(Timer("nap", for_=3600), Task("last", run="echo x >> last.txt"))
"""


def held(gate: Path) -> str:
    return f'    return Task("long", run="""{hold(gate, "echo x >> long.txt")}""")\n'


def deadly(repo: Path) -> str:
    """A workflow whose task kills the engine that runs it, as a machine does that runs out of memory."""
    lock = repo / ".git/smithers/locks/run.lock"
    command = f"kill -9 $(grep -o 'pid.: [0-9]*' {lock} | grep -o '[0-9]*'); sleep 20"
    return f'    return Task("long", run={command!r})\n'


def kinds(repo: Path, run: str, kind: type) -> int:
    return sum(isinstance(event, kind) for event in kit.events(repo, run))


def over(repo: Path, run: str) -> bool:
    lock = Project.open(repo).lock_path(run)
    return kit.state_of(repo, run).end == "finished" and not is_held(lock)


@pytest.fixture
def dead(smithers: Smithers, tmp_path: Path) -> Smithers:
    """The run `run`, whose engine was killed in the middle of its only task; the gate is open now."""
    smithers.write(held(tmp_path / "gate"))
    with Engine(smithers.repo, "flow.py", "--run-id", "run") as engine:
        assert eventually(lambda: kit.tip(smithers.repo, "run") and kit.running(smithers.repo, "run", "long"), 30)
        engine.kill()
    (tmp_path / "gate").touch()
    return smithers


# -- what goes on


def test_a_run_whose_engine_died_goes_on(dead: Smithers) -> None:
    said = dead.json("supervise", "--once")

    (started,) = said["started"]
    assert (started["run"], started["why"]) == ("run", "its engine died while long ran")
    assert eventually(lambda: over(dead.repo, "run"), 30)
    assert kinds(dead.repo, "run", ev.RunResumed) == 1
    assert dead.json("supervise", "--once")["started"] == []


@pytest.mark.parametrize("asked", [("cancel",), ("pause", "cancel"), ("cancel", "pause")])
def test_a_cancel_that_the_engine_did_not_live_to_see_is_completed(
    asked: tuple[str, ...], smithers: Smithers, tmp_path: Path
) -> None:
    smithers.write(held(tmp_path / "gate"))
    with Engine(smithers.repo, "flow.py", "--run-id", "run") as engine:
        assert eventually(lambda: kit.tip(smithers.repo, "run") and kit.running(smithers.repo, "run", "long"), 30)
        os.kill(engine.process.pid, signal.SIGSTOP)
        for command in asked:
            smithers(command, "run")
        engine.kill()
    (started,) = smithers.json("supervise", "--once")["started"]
    assert "cancelled it, and its engine died" in started["why"]
    assert eventually(lambda: kit.state_of(smithers.repo, "run").end == "cancelled", 30)


def test_what_is_due_goes_on_and_not_before(smithers: Smithers, monkeypatch: pytest.MonkeyPatch) -> None:
    run = smithers.up(body=WAKE, code=3)
    due = kit.state_of(smithers.repo, run).wake_at
    assert due is not None
    assert smithers.json("supervise", "--once")["started"] == []

    monkeypatch.setattr(SystemClock, "now", lambda _self: due - 1)
    assert smithers.json("supervise", "--once")["started"] == []

    monkeypatch.setattr(SystemClock, "now", lambda _self: due + 1)
    assert [one["run"] for one in smithers.json("supervise", "--dry-run")["started"]] == [run]


def test_a_limit_that_is_over_lets_the_next_attempt_begin(smithers: Smithers, monkeypatch: pytest.MonkeyPatch) -> None:
    task = 'Task("one", run="exit 1", retries=1, backoff=Backoff(first=300, jitter=0))'
    run = smithers.up(body=f"    return {task}\n", code=3)
    assert smithers.json("supervise", "--once")["started"] == []
    later = time.time() + 301
    monkeypatch.setattr(SystemClock, "now", lambda _self: later)

    assert [one["run"] for one in smithers.json("supervise", "--dry-run")["started"]] == [run]


def test_an_answer_that_resumed_nothing_is_found(smithers: Smithers) -> None:
    run = smithers.up(body=ASK, code=3)
    assert smithers.json("supervise", "--once")["started"] == []
    smithers("approve", run, "--no-resume")

    assert smithers.json("supervise", "--once")["started"][0]["why"] == "last can start"
    assert eventually(lambda: over(smithers.repo, run), 30)


def test_a_signal_that_resumed_nothing_is_found(smithers: Smithers) -> None:
    body = '    from smithers_git import Signal\n    return Sequence(Signal("built"), Task("last", value=1))\n'
    run = smithers.up(body=body, code=3)
    assert smithers.json("supervise", "--once")["started"] == []
    smithers("signal", run, "built", "--no-resume")

    assert [one["run"] for one in smithers.json("supervise", "--once")["started"]] == [run]
    assert eventually(lambda: over(smithers.repo, run), 30)


def test_a_run_goes_on_with_the_one_that_it_uses(smithers: Smithers) -> None:
    use = 'Subflow("inner", workflow="inner.py")'
    smithers.write(f'    from smithers_git import Subflow\n    return Sequence({use}, Task("last", value=1))\n')
    smithers.write(ASK, "inner.py")
    smithers("up", "flow.py", "--run-id", "outer", code=3)
    project = Project.open(smithers.repo)
    (inner,) = (run for run in project.tips() if run != "outer")
    assert smithers.json("supervise", "--once")["started"] == []
    smithers("approve", inner, "--no-resume")

    assert smithers.json("supervise", "--once")["started"] != []
    assert eventually(lambda: over(smithers.repo, "outer") and over(smithers.repo, inner), 30)
    assert smithers.json("supervise", "--once")["started"] == []


def test_a_decision_that_another_clone_pushed_is_found(smithers: Smithers, tmp_path: Path) -> None:
    run = smithers.up(body=ASK, code=3)
    ref = f"refs/smithers/runs/{run}"
    git(tmp_path, "clone", "-q", str(smithers.repo), str(tmp_path / "clone"))
    git(tmp_path / "clone", "fetch", "-q", "origin", f"+{ref}:{ref}")
    smithers("-C", str(tmp_path / "clone"), "approve", run)
    os.chdir(smithers.repo)
    assert smithers.json("supervise", "--once")["started"] == []

    git(tmp_path / "clone", "push", "-q", "origin", ref)

    assert [one["run"] for one in smithers.json("supervise", "--once")["started"]] == [run]
    assert eventually(lambda: over(smithers.repo, run), 30)


def test_a_parked_run_goes_on_when_there_is_room(smithers: Smithers) -> None:
    run = smithers.up(body=ASK, code=3)
    project = Project.open(smithers.repo)
    chain = project.chain(run)
    chain.add(ev.RunParked(reason="the disk is full"), project.clock.now())
    chain.commit()
    config = smithers.repo / ".smithers/config.toml"
    config.parent.mkdir()
    config.write_text('[disk]\nfloor = "900 TiB"\n')
    assert smithers.json("supervise", "--once", "--dry-run")["started"] == []
    config.unlink()

    assert smithers.json("supervise", "--once", "--dry-run")["started"][0]["why"] == "the disk has room again"


def test_a_run_that_lost_its_engine_is_left_until_there_is_room(dead: Smithers) -> None:
    config = dead.repo / ".smithers/config.toml"
    config.parent.mkdir()
    config.write_text('[disk]\nfloor = "900 TiB"\n')

    said = dead.json("supervise", "--once")

    assert said["started"] == []
    assert ["less than [disk] floor asks for" in one["why"] for one in said["stuck"]] == [True]
    config.unlink()
    assert dead.json("supervise", "--dry-run")["started"][0]["why"] == "its engine died while long ran"


def test_a_schedule_is_started_when_it_is_due(smithers: Smithers, monkeypatch: pytest.MonkeyPatch) -> None:
    hooked.set_up(smithers.repo, hooked.trigger("nightly", "cron", schedule="0 3 * * *"))
    smithers("trust")
    assert smithers.json("supervise", "--once")["started"] == [], "it is due from its next time on"
    tomorrow = time.time() + 86_400
    monkeypatch.setattr(SystemClock, "now", lambda _self: tomorrow)

    assert smithers.json("supervise", "--dry-run")["started"][0]["why"] == "its schedule 0 3 * * * is due"
    (started,) = smithers.json("supervise", "--once")["started"]

    assert started["run"].startswith("nightly-")
    assert eventually(lambda: over(smithers.repo, started["run"]), 30)
    assert smithers.json("supervise", "--once")["started"] == []


@pytest.mark.parametrize(
    ("holder", "name", "after"),
    [(launch, "begin", False), (launch, "begin", True), (triggers, "_remember", False), (triggers, "go_on", False)],
)
def test_a_schedule_is_started_once_when_its_supervise_is_killed(
    holder: ModuleType, name: str, after: bool, smithers: Smithers, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooked.set_up(smithers.repo, hooked.trigger("nightly", "cron", schedule="0 3 * * *"))
    smithers("trust")
    smithers("supervise", "--once")
    tomorrow = time.time() + 86_400
    monkeypatch.setattr(SystemClock, "now", lambda _self: tomorrow)
    with monkeypatch.context() as patch:
        patch.setattr(holder, name, crashing(getattr(holder, name), 1, after=after))
        with pytest.raises(Crash):
            smithers("supervise", "--once")

    monkeypatch.setattr(SystemClock, "now", lambda _self: tomorrow + 60)
    (started,) = smithers.json("supervise", "--once")["started"]

    assert eventually(lambda: over(smithers.repo, started["run"]), 30)
    assert smithers.json("supervise", "--once")["started"] == []
    assert [one["run"] for one in smithers.json("ps", "--all")["runs"]] == [started["run"]]


def test_a_run_that_was_begun_and_never_driven_goes_on(smithers: Smithers, monkeypatch: pytest.MonkeyPatch) -> None:
    smithers.write(ASK)
    project = Project.open(smithers.repo)
    launch.begin(project, Request("flow.py", run="run"))
    assert smithers.json("supervise", "--dry-run")["started"] == [], "somebody may be about to"
    monkeypatch.setattr(SystemClock, "now", lambda _self: time.time() + 60)

    assert smithers.json("supervise", "--dry-run")["started"][0]["run"] == "run"


def test_what_a_shutdown_stopped_goes_on_behind_it(
    smithers: Smithers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smithers.write(held(tmp_path / "gate"))
    with Engine(smithers.repo, "flow.py", "--run-id", "run") as engine:
        assert eventually(lambda: kit.tip(smithers.repo, "run") and kit.running(smithers.repo, "run", "long"), 30)
        engine.process.send_signal(signal.SIGTERM)
        assert engine.end() == 143
    assert smithers.json("supervise", "--dry-run")["started"] == [], "it may have been a person"
    now = boot.Boot("another", time.time())
    monkeypatch.setattr(boot, "current", lambda: now)

    assert smithers.json("supervise", "--dry-run")["started"][0]["why"] == "long can start"


def test_no_more_runs_at_once_than_wanted(smithers: Smithers) -> None:
    names = ["one", "two", "three"]
    for name in names:
        smithers.up("--run-id", name, body=ASK, code=3)
        smithers("approve", name, "--no-resume")
    with Project.open(smithers.repo).lock("one"):  # it is at work
        said = smithers.json("supervise", "--once", "--max", "2")
        assert ([one["run"] for one in said["started"]], said["later"]) == (["two"], ["three"])
    assert eventually(lambda: over(smithers.repo, "two"), 30)


def test_a_run_that_cannot_be_started_does_not_keep_the_others(smithers: Smithers) -> None:
    for name in ("one", "two"):
        smithers.up("--run-id", name, body=ASK, code=3)
        smithers("approve", name, "--no-resume")
    (smithers.repo / ".git/smithers/runs/one/engine.log").mkdir(parents=True)

    said = smithers.json("supervise", "--once")

    assert [one["run"] for one in said["stuck"]] == ["one"]
    assert [one["run"] for one in said["started"]] == ["two"]
    assert eventually(lambda: over(smithers.repo, "two"), 30)


def test_in_the_foreground_it_looks_again_and_again_and_its_runs_outlive_it(smithers: Smithers, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    task = f'Task("last", run="""{hold(gate)}""")'
    run = smithers.up(body=f'    return Sequence(Approval("ship"), {task})\n', code=3)
    watching = Forked(("supervise", "--every", "0.1"), smithers.repo, str(tmp_path / "out"), str(tmp_path / "err"))
    smithers("approve", run, "--no-resume")
    assert eventually(lambda: kit.running(smithers.repo, run, "last"), 60), (tmp_path / "err").read_text()

    watching.send_signal(signal.SIGTERM)

    assert watching.wait(20) == 143
    assert f"run {run} goes on: last can start" in (tmp_path / "out").read_text()
    gate.touch()
    assert eventually(lambda: over(smithers.repo, run), 30)


# -- what does not


def test_what_a_person_stopped_stays(smithers: Smithers, tmp_path: Path) -> None:
    smithers.write(held(tmp_path / "gate"))
    with Engine(smithers.repo, "flow.py", "--run-id", "run") as engine:
        assert eventually(lambda: kit.tip(smithers.repo, "run") and kit.running(smithers.repo, "run", "long"), 30)
        engine.process.send_signal(signal.SIGINT)
        assert engine.end() == 130

    assert smithers.json("supervise", "--once")["started"] == []


def test_a_paused_run_stays(dead: Smithers) -> None:
    dead("pause", "run")

    assert dead.json("supervise", "--once")["started"] == []


def test_a_rewound_run_and_a_fork_are_their_persons_to_resume(smithers: Smithers) -> None:
    run = smithers.up(body='    return Sequence(Task("one", value=1), Task("two", value=2))\n')
    smithers("fork", run, "--frame", "1", "--run-id", "other")
    smithers("rewind", run, "--frame", "1", "--yes")

    assert smithers.json("supervise", "--once")["started"] == []


def test_a_run_that_was_fetched_is_left_to_the_machine_it_came_from(
    dead: Smithers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(dead.repo), str(clone))
    git(clone, "fetch", "-q", "origin", "+refs/smithers/*:refs/smithers/*")
    (clone / "flow.py").write_bytes((dead.repo / "flow.py").read_bytes())
    monkeypatch.chdir(clone)

    assert dead.json("ps")["runs"][0]["status"] == "interrupted"
    assert dead.json("supervise", "--once")["started"] == []


def test_a_changed_workflow_is_said_once(dead: Smithers) -> None:
    flow = dead.repo / "flow.py"
    flow.write_text(flow.read_text() + "# changed\n")

    first, second = (dead.json("supervise", "--once") for _ in range(2))

    assert [one["why"] for one in first["stuck"]] == ["its workflow was changed (changed flow.py)"]
    assert (second["stuck"], second["started"], second["given_up"]) == ([], [], [])
    assert dead.json("supervise", "--dry-run")["stuck"] != [], "a dry run says it all"


def test_a_dry_run_changes_nothing(dead: Smithers) -> None:
    before = kit.tip(dead.repo, "run")

    said = dead("supervise", "--dry-run")

    assert "run run would go on: its engine died while long ran" in said.out
    assert kit.tip(dead.repo, "run") == before
    assert not (dead.repo / ".git/smithers/supervise/runs.json").exists()


def test_a_run_whose_engine_dies_again_and_again_is_given_up_until_a_person_resumes_it(
    smithers: Smithers, tmp_path: Path
) -> None:
    smithers.write(deadly(smithers.repo))
    told = tmp_path / "told"
    config = Path(os.environ["XDG_CONFIG_HOME"]) / "smithers/config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f"[notify]\ncommand = 'cat >> {told}; echo >> {told}'\n")
    lock = Project.open(smithers.repo).lock_path("run")

    def dies(engine: Forked) -> None:
        assert engine.wait(30) == -signal.SIGKILL

    def look(code: int = 0) -> Any:
        assert eventually(lambda: not is_held(lock), 30)
        return smithers.json("supervise", "--once", code=code)

    dies(Forked(("up", "flow.py", "--run-id", "run"), smithers.repo))
    assert [len(look()["started"]) for _ in range(3)] == [1, 1, 1]

    (given_up,) = look(code=1)["given_up"]
    assert given_up["why"] == "its engine died 3 times in a row"
    assert any("long" in line for line in given_up["tail"]), given_up
    assert [one["reason"] for one in map(json.loads, told.read_text().splitlines())] == [
        "its engine died 3 times in a row; smithers supervise has given it up"
    ]
    quiet = look()
    assert (quiet["started"], quiet["given_up"]) == ([], [])

    dies(Forked(("up", "--resume", "run"), smithers.repo))
    assert eventually(lambda: not is_held(lock), 30)
    assert len(smithers.json("supervise", "--dry-run")["started"]) == 1


# -- races


def test_of_many_supervisors_and_a_person_at_once_one_resumes_the_run(dead: Smithers) -> None:
    racing = [Forked(("supervise", "--once"), dead.repo) for _ in range(5)]
    racing.append(Forked(("up", "--resume", "run"), dead.repo))
    for one in racing:
        one.wait(60)

    assert eventually(lambda: over(dead.repo, "run"), 30)
    assert kinds(dead.repo, "run", ev.RunResumed) == 1
    assert kinds(dead.repo, "run", ev.TaskInterrupted) == 1
    assert kinds(dead.repo, "run", ev.TaskFinished) == 1
    assert git(dead.repo, "show", "refs/smithers/runs/run:code/main/long.txt") == "x"


def test_of_an_approval_and_many_supervisors_at_once_one_resumes_the_run(smithers: Smithers) -> None:
    run = smithers.up(body=ASK, code=3)
    racing = [Forked(argv, smithers.repo) for argv in (("approve", run), *[("supervise", "--once")] * 5)]
    for one in racing:
        assert one.wait(60) == 0

    assert eventually(lambda: over(smithers.repo, run), 30)
    assert kinds(smithers.repo, run, ev.TaskStarted) == kinds(smithers.repo, run, ev.TaskFinished) == 1
    assert git(smithers.repo, "show", f"refs/smithers/runs/{run}:code/main/last.txt") == "x"


def test_while_another_one_looks_nothing_is_done(dead: Smithers) -> None:
    with FileLock(dead.repo / ".git/smithers/supervise/lock"):
        said = dead.json("supervise", "--once")

    assert (said["busy"], said["started"]) == (True, [])


# -- set up


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fake systemctl, launchctl and crontab; `calls` in it has what they were told, `tab` is the crontab."""
    folder = tmp_path / "bin"
    folder.mkdir()
    tab = tmp_path / "tab"
    refuse = f"[ ! -e {tmp_path}/refuse ] || {{ echo no bus >&2; exit 1; }}"
    texts = {
        "systemctl": f"echo systemctl $* >> {tmp_path}/calls; {refuse}",
        "launchctl": f"echo launchctl $* >> {tmp_path}/calls; {refuse}",
        "crontab": f"{refuse}\nif [ $1 = -l ]; then cat {tab} 2>/dev/null || {{ echo no crontab for ada >&2;"
        f" exit 1; }}; else cat > {tab}.new && mv {tab}.new {tab}; fi",
    }
    for name, text in texts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def test_a_systemd_timer_is_installed_and_removed(smithers: Smithers, machine: Path) -> None:
    units = Path(os.environ["XDG_CONFIG_HOME"]) / "systemd/user"

    said = smithers.json("supervise", "--install", "systemd", "--max", "2")

    name = said["name"]
    service, timer = (units / f"{name}.{kind}" for kind in ("service", "timer"))
    assert sorted(said["changed"]) == sorted(map(str, (service, timer)))
    (start,) = (line for line in service.read_text().splitlines() if line.startswith("ExecStart="))
    words = shlex.split(start.removeprefix("ExecStart="))
    assert words[-6:] == ["-C", str(smithers.repo), "supervise", "--once", "--max", "2"]
    assert "KillMode=process" in service.read_text(), "else systemd would end the engines with it"
    assert f'Environment="PATH={os.environ["PATH"]}"' in service.read_text()
    assert "OnUnitInactiveSec=60" in timer.read_text()

    assert smithers.json("supervise", "--uninstall", "systemd")["changed"] == said["changed"]
    assert list(units.iterdir()) == []
    assert (machine / "calls").read_text().splitlines() == [
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {name}.timer",
        f"systemctl --user disable --now {name}.timer",
        "systemctl --user daemon-reload",
    ]
    assert "there is no systemd job" in smithers("supervise", "--uninstall", "systemd").err


def test_a_launchd_job_is_installed_and_removed(smithers: Smithers, machine: Path, home: Path) -> None:
    (path,) = smithers.json("supervise", "--install", "launchd")["changed"]

    job = plistlib.loads(Path(path).read_bytes())
    assert Path(path).parent == home / "Library/LaunchAgents"
    assert job["ProgramArguments"][-4:] == ["supervise", "--once", "--max", "4"]
    assert job["AbandonProcessGroup"] is True
    smithers("supervise", "--uninstall", "launchd")
    assert not Path(path).exists()
    target = f"gui/{os.getuid()}"
    calls = [f"launchctl bootstrap {target} {path}", f"launchctl bootout {target}/{job['Label']}"]
    assert (machine / "calls").read_text().splitlines() == calls


@pytest.mark.parametrize("before", [None, "MAILTO=me\n0 4 * * * backup # nightly\n", "0 4 * * * no line end"])
def test_a_line_of_the_crontab_is_installed_once_and_all_others_stay(
    before: str | None, smithers: Smithers, machine: Path
) -> None:
    tab = machine / "tab"
    if before is not None:
        tab.write_text(before)

    smithers("supervise", "--install", "cron")
    smithers("supervise", "--install", "cron", "--max", "1")

    (ours,) = (line for line in tab.read_text().splitlines() if "supervise --once" in line)
    assert ours.startswith("* * * * * PATH=")
    assert "--max 1" in ours
    smithers("supervise", "--uninstall", "cron")
    assert tab.read_text().rstrip("\n") == (before or "").rstrip("\n")
    assert "there is no cron job" in smithers("supervise", "--uninstall", "cron").err


def test_the_line_of_the_crontab_works(smithers: Smithers, machine: Path) -> None:
    run = smithers.up(body=ASK, code=3)
    smithers("approve", run, "--no-resume")
    smithers("supervise", "--install", "cron")
    command = (machine / "tab").read_text().removeprefix("* * * * * ").replace("\\%", "%")
    bare = {"HOME": os.environ["HOME"], "PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}
    if "PYTHONPATH" in os.environ:  # where these tests find the program
        bare["PYTHONPATH"] = os.environ["PYTHONPATH"]

    subprocess.run(["sh", "-c", command], env=bare, cwd="/", check=True, timeout=60)

    assert eventually(lambda: over(smithers.repo, run), 30)


@pytest.mark.parametrize("kind", ["systemd", "launchd", "cron"])
def test_a_scheduler_that_refuses_leaves_nothing(kind: str, smithers: Smithers, machine: Path, home: Path) -> None:
    (machine / "refuse").touch()
    (machine / "tab").write_text("0 4 * * * backup\n")

    assert "no bus" in smithers("supervise", "--install", kind, code=1).err

    assert (machine / "tab").read_text() == "0 4 * * * backup\n"
    assert list(home.rglob("smithers-supervise*")) == []
