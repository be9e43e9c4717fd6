"""The operations that lose power: how each is set up, what is run, how it recovers, and what must hold then."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit import engines, proofs, queues, runs
from kit.script_agent import writer
from reliability.record import Mark

_GITCONFIG = "[user]\n\tname = Ada Tester\n\temail = ada@example.test\n[init]\n\tdefaultBranch = main\n"


@dataclass(frozen=True)
class Case:
    """One operation."""

    name: str
    set: Callable[[Stage], None]
    """Makes what is there before it, and durable."""
    commands: list[list[Any]]
    """What is recorded: the expected exit code, then the arguments of smithers."""
    recover: Callable[[Stage, list[Mark], list[Mark], int], Any]
    """(stage, what was acknowledged before the crash, all that ever was, the earliest line of the crash): recovers and
    raises AssertionError for what does not hold. Returns what it came to, which must be what it came to undisturbed."""
    tweaks: dict[str, int] = field(default_factory=dict)
    """Constants of the program, "module.NAME", that are other ones while it is recorded."""


class Stage:
    """A folder in which one operation lives: the disk that loses power, and what does not."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.disk = top / "disk"
        self.repo = self.disk / "repo"
        self.home = self.disk / "home"
        self.ledger = top / "ledger"
        """What tasks did in the world outside."""

    def set(self, case: Case) -> None:
        self.home.mkdir(parents=True)
        self.seal()
        own = self.home / ".config" / "smithers" / "config.toml"
        own.parent.mkdir(parents=True)
        own.write_text('[isolate]\nmode = "never"\nmachine = true\n', "utf-8")
        (self.home / ".gitconfig").write_text(_GITCONFIG, "utf-8")
        case.set(self)
        self.clear()

    def seal(self) -> None:
        """The environment of everything here. What tests are sealed with already stays."""
        home = str(self.home)
        os.environ |= {"HOME": home, "GIT_CONFIG_GLOBAL": f"{home}/.gitconfig", "GIT_CONFIG_NOSYSTEM": "1", "TZ": "UTC"}
        folders = {"CONFIG": ".config", "STATE": ".local/state", "DATA": ".local/share", "CACHE": ".cache"}
        os.environ |= {f"XDG_{name}_HOME": f"{home}/{folder}" for name, folder in folders.items()}
        os.environ["SMITHERS_SCRIPT"] = str(self.disk / "script.toml")

    def clear(self) -> None:
        self.ledger.write_text("", "utf-8")

    def enter(self) -> None:
        """Be in it, in the process that recovers."""
        os.setsid()
        os.chdir(self.repo)
        sys.stdin = open(os.devnull)  # noqa: SIM115, PTH123 - for the rest of this process

    def did(self) -> list[str]:
        return self.ledger.read_text("utf-8").splitlines()

    def __call__(self, *argv: str, codes: Sequence[int] = (0,)) -> Any:
        """One command; the JSON document that it prints, if it does."""
        from smithers_git import cli

        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            got = cli.run(list(argv))
        said = f"smithers {' '.join(argv)} ended with {got}: {out.getvalue()[-600:]} {err.getvalue()[-600:]}"
        assert got in codes, said
        return json.loads(out.getvalue()) if "--json" in argv else out.getvalue()

    def plain(self, *argv: str) -> str:
        """Plain git, as its user would type it."""
        done = subprocess.run(["git", *argv], cwd=self.repo, capture_output=True, text=True)
        assert done.returncode == 0, f"git {' '.join(argv)} ended with {done.returncode}: {done.stderr[-600:]}"
        return done.stdout.removesuffix("\n")


def everyday(stage: Stage) -> None:
    """What the user does next works."""
    assert stage.plain("status", "--porcelain") == "", f"git status: {stage.plain('status', '--porcelain')}"
    stage.plain("log", "--oneline", "--all")
    stage("ps", "--all", "--json")


def kept(stage: Stage, ref: str, known: list[Mark], ever: list[Mark], first: int) -> None:
    """P1 and P2: the chain at `ref` has all frames that were acknowledged, and at most one that was not."""
    frames = [mark.commit for mark in ever if mark.kind == "frame" and mark.ref == ref]
    there = set(stage.plain("rev-list", "--first-parent", ref).split()) if has_ref(stage, ref) else set()
    acked = [mark.commit for mark in known if mark.kind == "frame" and mark.ref == ref]
    gone = [commit for commit in acked if commit not in there]
    assert not gone, f"P1: {len(gone)} of {len(acked)} acknowledged frames of {ref} are gone, first {gone[0]}"
    early = sum(mark.at < first for mark in ever if mark.kind == "frame" and mark.ref == ref)
    survived = [commit in there for commit in frames]
    assert sum(survived) <= early + 1, f"P2: {sum(survived)} frames of {ref}, and {early} were acknowledged"
    assert survived == sorted(survived, reverse=True), f"P2: the frames of {ref} are no prefix: {survived}"


def has_ref(stage: Stage, ref: str) -> bool:
    return (
        subprocess.run(["git", "rev-parse", "-q", "--verify", ref], cwd=stage.repo, capture_output=True).returncode == 0
    )


# -- a run

FLOW = """\
    def add(step):
        return {{"sum": 2}}

    def line(name):
        return f"echo {{name}} >> made-{{name}}.txt; echo {{name}} >> {ledger}"

    return Sequence(
        Task("first", value={{"n": 1}}),
        Task("write", run=line("write")),
        Worktree("side", Task("beside", run=line("beside"))),
        Task("agent", agent="script", output=Change, prompt="write it"),
        Task("again", run=line("again")),
        Approval("ship"),
        Task("last", run=line("last")),
    )
"""


def set_run(stage: Stage) -> None:
    runs.make_repo(stage.repo)
    (stage.repo / "flow.py").write_text(runs.HEAD + FLOW.format(ledger=stage.ledger), "utf-8")
    (stage.disk / "script.toml").write_text(writer("agent", "deep/by agent.txt", stage.ledger), "utf-8")


def _finish(stage: Stage, run: str) -> None:
    """Go on with a run until it is over, or begin it when there is none."""
    argv = (
        ("up", "--resume", run) if has_ref(stage, f"refs/smithers/runs/{run}") else ("up", "flow.py", "--run-id", run)
    )
    stage(*argv, codes=(0, 3))
    if engines.state_of(stage.repo, run).end is None:
        stage("approve", run, "--no-resume")
        stage("up", "--resume", run)


def _recover_run(stage: Stage, known: list[Mark], ever: list[Mark], first: int) -> Any:
    stage("ps", "--all", "--json")
    finished = {event["node"] for mark in known for event in mark.events if event["type"] == "task.finished"}
    over = has_ref(stage, "refs/smithers/runs/r") and engines.state_of(stage.repo, "r").end is not None
    if not over:
        _finish(stage, "r")
    kept(stage, "refs/smithers/runs/r", known, ever, first)
    twice = sorted(finished & set(stage.did()))
    assert not twice, f"P3: {twice} had finished, and ran again"
    everyday(stage)
    if not over:  # nobody works in the folders of a run that is over: its files are in the frames
        proofs.files_are_the_frames(stage.repo, "r")
    proofs.index_is_a_rebuild(stage.repo)
    proofs.sound(stage.repo)
    code = {space: proofs.tree(stage.repo, f"refs/smithers/runs/r:code/{space}") for space in ("main", "side")}
    outputs = proofs.tree(stage.repo, "refs/smithers/runs/r:outputs")
    files = {space: {path: data.decode() for path, (_, data) in tree.items()} for space, tree in code.items()}
    return {"files": files, "outputs": sorted(outputs), "end": engines.state_of(stage.repo, "r").end}


# -- a run so long that its journal is settled and packed beside it

LONG = "    return Sequence(*[Task(f't{n}', value={'n': n}) for n in range(40)])\n"
SMALL = {
    "smithers_git.edge.git.journal.FULL": 30,
    "smithers_git.edge.git.journal._FEW": 8,
    "smithers_git.edge.git.journaled.MANY": 8,
    "smithers_git.edge.git.pack.MOST_PACKS": 1,
}


def _set_long(stage: Stage) -> None:
    runs.make_repo(stage.repo)
    (stage.repo / "flow.py").write_text(runs.HEAD + LONG, "utf-8")


def _recover_long(stage: Stage, known: list[Mark], ever: list[Mark], first: int) -> Any:
    stage("ps", "--all", "--json")
    there = has_ref(stage, "refs/smithers/runs/r")
    stage("up", *(("--resume", "r") if there else ("flow.py", "--run-id", "r")))
    kept(stage, "refs/smithers/runs/r", known, ever, first)
    everyday(stage)
    finished = [event for event in engines.events(stage.repo, "r") if event.type == "task.finished"]
    assert [event.node for event in finished] == [f"t{n}" for n in range(40)], "P3: each once, in order"
    proofs.index_is_a_rebuild(stage.repo)
    proofs.sound(stage.repo)
    outputs = proofs.tree(stage.repo, "refs/smithers/runs/r:outputs")
    return sorted(data.decode() for _, data in outputs.values())


# -- a landing


def _set_land(stage: Stage) -> None:
    repo = queues.make_repo(stage.repo)
    queues.branch(repo, "fix", {"new.txt": "new\n", "a.txt": "changed\n"})
    queues.branch(repo, "bystander", {"other.txt": "x\n"})


def _recover_land(stage: Stage, known: list[Mark], ever: list[Mark], first: int) -> Any:
    repo = stage.repo
    moved = [mark.commit for mark in known if mark.kind == "branch"]
    for commit in moved:
        assert stage.plain("rev-parse", "main") == commit, f"P1: main was moved to {commit}, and is not there"
    said = stage("land", "fix", *queues.GATE, "--json")
    assert said["landed"] is True
    kept(stage, "refs/smithers/queue/main", known, ever, first)
    assert stage.plain("rev-list", "--first-parent", "--count", "bystander~1..main") == "1", "I7: landed once"
    assert stage("verify", "bystander~1..main", "--strict", "--json")["ok"] is True, "I1"
    everyday(stage)
    proofs.sound(repo)
    files = {path: data.decode() for path, (_, data) in proofs.folder(repo).items()}
    return {"files": files, "refs": sorted(proofs.refs(repo))}


CASES = {
    case.name: case
    for case in (
        Case(
            "run",
            set_run,
            [[3, "up", "flow.py", "--run-id", "r"], [0, "approve", "r", "--no-resume"], [0, "up", "--resume", "r"]],
            _recover_run,
        ),
        Case("long", _set_long, [[0, "up", "flow.py", "--run-id", "r"]], _recover_long, SMALL),
        Case("land", _set_land, [[0, "land", "fix", *queues.GATE]], _recover_land),
    )
}
