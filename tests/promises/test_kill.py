"""P1, P2, P3: an engine that is killed at any moment loses nothing, and does nothing twice that was done."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest
from kit import engines as kit
from kit import proofs, repos, runs
from kit.engines import Engines
from kit.gates import GATE

from smithers_git.core import events as ev
from smithers_git.names import TaskKey
from smithers_git.service import recover
from smithers_git.service.drive import Drive, Resume, go
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project

FLOW = """\
from pydantic import BaseModel
from smithers_git import Approval, CommandResult, Context, Loop, Parallel, Sequence, Task, Worktree, workflow

LEDGER = {ledger!r}


class Change(BaseModel):
    summary: str


def step(name, *, needs=()):
    # The line says that the work of this attempt is done. Some leave a process behind, which must not outlive them.
    line = 'sleep 0.02; echo "$SMITHERS_NODE" >> "made-$SMITHERS_NODE"; ' \\
        'echo "$SMITHERS_NODE $SMITHERS_ITERATION $SMITHERS_ATTEMPT" >> ' + LEDGER
    if name.endswith("0"):
        line = "(setsid sleep 50 &); " + line
    return Task(name, run=line, needs=needs)


def add(first, second):
    with open(LEDGER, "a") as ledger:
        ledger.write("sum 0 -\\n")
    return {{"sum": first["n"] + second["n"]}}


@workflow
def flow(ctx: Context):
    checks = ctx.all(CommandResult, "check")
    return Sequence(
        Task("first", value={{"n": 1}}),
        Parallel(
            Worktree("left", step("left-0"), step("left-1")),
            Worktree("right", step("right-0"), Task("write", agent="script", output=Change, prompt="write it")),
            Sequence(Task("second", value={{"n": 2}}), step("beside-0")),
        ),
        Loop(
            Task("work", agent="script", output=Change, prompt="again"),
            Task("check", run="cat work.txt; echo check >> checked.txt", check=False),
            until=len(checks) >= 3,
            max_iterations=3,
        ),
        Task("sum", call=add),
        *[step(f"step-{{number}}") for number in range(4)],
    )
"""

SCRIPT = """\
[[turn]]
node = "write"
say = "writing"
write = [{{ path = "deep/by agent ä.txt", text = "written" }}]
run = ["sleep 0.02", "echo write 0 $SMITHERS_ATTEMPT >> {ledger}"]
answer = {{ summary = "written" }}

[[turn]]
node = "work"
run = ["echo work >> work.txt", "echo work $SMITHERS_ITERATION $SMITHERS_ATTEMPT >> {ledger}"]
answer = {{ summary = "worked" }}
"""

ONCE = "first second left-0 left-1 right-0 write beside-0 sum step-0 step-1 step-2 step-3"
NODES = {TaskKey(name) for name in ONCE.split(" ")} | {
    TaskKey(name, number) for name in ("work", "check") for number in range(3)
}


class Killer:
    """One run after the other, each resumed and killed until it is over."""

    def __init__(self, engines: Engines, chance: random.Random, ledgers: Path) -> None:
        self.engines = engines
        self.repo = engines.repo
        self.chance = chance
        self.ledgers = ledgers
        self.kills = 0
        self.number = 0

    def go(self, kills: int) -> None:
        """Until `kills` engines were killed, and the run that was killed last is over."""
        while self.kills < kills:
            run = f"run-{self.number}"
            self._prepare(run)
            argv = ("up", "flow.py", "--run-id", run)
            while self.kills < kills and not self._over(run):
                self._kill_one(run, *argv)
                if kit.tip(self.repo, run) is not None:
                    argv = ("up", "--resume", run)
            self.engines.run(*argv)
            check(self.repo, run, self._ledger(run))
            self.number += 1

    def _kill_one(self, run: str, *argv: str) -> None:
        tip = kit.tip(self.repo, run)
        cold = self.chance.random() >= 0.85  # most of a short life is importing Python: kill there only now and then
        engine = self.engines.start(*argv, cold=cold)
        if not cold:
            kit.until_moved(engine, run, tip)
            kit.pause(self.chance.expovariate(1 / 0.12))
        else:
            kit.pause(self.chance.uniform(0.0, 0.8))
        if engine.alive:
            engine.kill()
            self.kills += 1
        newest = kit.tip(self.repo, run)
        assert tip is None or newest is not None
        if tip is not None:
            assert repos.git(self.repo, "merge-base", "--is-ancestor", tip, str(newest)) == "", "a frame was lost"

    def _over(self, run: str) -> bool:
        return kit.tip(self.repo, run) is not None and kit.state_of(self.repo, run).end is not None

    def _ledger(self, run: str) -> Path:
        return self.ledgers / run

    def _prepare(self, run: str) -> None:
        ledger = self._ledger(run)
        ledger.touch()
        (self.repo / "flow.py").write_text(FLOW.format(ledger=str(ledger)), "utf-8")
        script = self.ledgers / "script.toml"
        script.write_text(SCRIPT.format(ledger=ledger), "utf-8")
        os.environ["SMITHERS_SCRIPT"] = str(script)


def check(repo: Path, run: str, ledger: Path) -> None:
    """Everything that must be so of a run that was killed again and again, and is over."""
    history = kit.events(repo, run)
    state = kit.state_of(repo, run)
    assert state.end == "finished"
    assert state.done == NODES
    _each_step_once(history, ledger)
    _no_output_lost(repo, run)
    proofs.files_are_the_frames(repo, run)
    proofs.index_is_a_rebuild(repo)
    proofs.sound(repo)
    proofs.nothing_runs(run)
    left = [path.name for kind in ("pids", "live") for path in (repo / f".git/smithers/runs/{run}/{kind}").iterdir()]
    assert left == []


def _each_step_once(history: list[ev.Event], ledger: Path) -> None:
    finished: dict[TaskKey, int] = {}
    for event in history:
        if isinstance(event, ev.TaskStarted):
            assert TaskKey(event.node, event.iteration) not in finished, f"{event} was finished before"
        if isinstance(event, ev.TaskFinished):
            key = TaskKey(event.node, event.iteration)
            assert key not in finished, f"{event} is there twice"
            finished[key] = event.attempt
    assert finished.keys() == NODES
    lines = Counter(ledger.read_text().splitlines())
    for line, times in lines.items():
        node, iteration, attempt = line.split()
        if attempt != "-":
            assert times == 1, f"{line} is there {times} times"
            last = finished[TaskKey(node, int(iteration))]
            assert int(attempt) <= last, f"{line}, but attempt {last} had finished"
    worked = NODES - {TaskKey("first"), TaskKey("second"), TaskKey("sum")} - {TaskKey("check", n) for n in range(3)}
    assert {f"{key.node} {key.iteration} {finished[key]}" for key in worked} <= lines.keys()


def _no_output_lost(repo: Path, run: str) -> None:
    """What a step brought stands in the newest frame as it stood in the frame that finished the step."""
    newest = proofs.tree(repo, f"refs/smithers/runs/{run}")
    for frame in kit.frames(repo, run):
        for event in frame.data.events:
            if isinstance(event, ev.TaskFinished) and event.output:
                then = repos.git(repo, "cat-file", "blob", f"{frame.commit}:{event.output}")
                assert newest[event.output][1].decode().removesuffix("\n") == then
                assert json.loads(then) is not None
    state = kit.state_of(repo, run)
    code = proofs.tree(repo, f"refs/smithers/runs/{run}:code/main")
    assert code["work.txt"][1] == b"work\n" * 3
    assert {name for name in code if name.startswith("made-")} == {
        "made-beside-0",
        *(f"made-step-{n}" for n in range(4)),
    }
    assert json.loads(newest[state.nodes[TaskKey("sum")].output or ""][1]) == {"sum": 3}


@pytest.mark.parametrize(
    ("kills", "part"),
    [*((25, part) for part in range(2)), *(pytest.param(250, part, marks=pytest.mark.soak) for part in range(8))],
)
def test_an_engine_killed_many_times_at_any_moment_does_every_step_once(
    engines: Engines, tmp_path: Path, request: pytest.FixtureRequest, kills: int, part: int
) -> None:
    killer = Killer(engines, kit.chance(request.node.name), tmp_path)
    before = _users_own(engines.repo)
    killer.go(kills)
    assert _users_own(engines.repo) == before


GATED = f"""\
    return Sequence(
        Worktree("side", Task("other", run="echo other > other.txt")),
        Task("long", run='''echo part >> part.txt; {GATE}'''),
    )
"""


class _Crash(BaseException):
    """What a kill looks like from inside: nobody handles it."""


@pytest.mark.parametrize("moment", ["before the frame", "before the files are put back"])
def test_a_resume_that_dies_while_it_takes_over_is_taken_over_in_turn(
    engines: Engines, tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt that was cut off starts from its start tree, however often taking over was cut off too."""
    repo, gate = engines.repo, tmp_path / "gate"
    monkeypatch.setenv("GATE", str(gate))
    (repo / "flow.py").write_text(runs.HEAD + GATED, "utf-8")
    engine = engines.start("up", "flow.py", "--run-id", "run")
    kit.until(Path(f"{gate}.reached").exists, "the task works")
    engine.kill()
    repos.write(proofs.space_path(repo, "run", "side"), {"other.txt": "edited by a person\n"})

    def crash(*_: object) -> None:
        raise _Crash

    for _ in range(2):
        with monkeypatch.context() as patch:
            owner, name = (Chain, "commit") if moment == "before the frame" else (recover, "settle")
            patch.setattr(owner, name, crash)
            with pytest.raises(_Crash):
                go(Project.open(repo), "run", Resume(), Drive())
    gate.touch()
    assert go(Project.open(repo), "run", Resume(), Drive()).end == "finished"
    proofs.files_are_the_frames(repo, "run")
    assert proofs.tree(repo, "smithers/run/main")["part.txt"][1] == b"part\n"
    assert proofs.tree(repo, "smithers/run/side")["other.txt"][1] == b"edited by a person\n"


def test_an_engine_killed_while_it_packs_loses_nothing(engines: Engines) -> None:
    """Every 200 steps or so a pack is made, and the loose copies of what is in it are dropped."""
    repo, steps = engines.repo, 1200
    body = f'    return Sequence(*[Task(f"t{{n}}", value={{"n": n}}) for n in range({steps})])\n'
    (repo / "flow.py").write_text(runs.HEAD + body, "utf-8")
    chance = kit.chance("packing")
    argv = ("up", "flow.py", "--run-id", "run")
    for _ in range(4):
        tip = kit.tip(repo, "run")
        engine = engines.start(*argv)
        kit.until_moved(engine, "run", tip)
        kit.pause(chance.uniform(0.1, 0.5))
        engine.kill()
        argv = ("up", "--resume", "run")
    engines.run(*argv)
    finished = [event.node for event in kit.events(repo, "run") if isinstance(event, ev.TaskFinished)]
    assert finished == [f"t{number}" for number in range(steps)], "each once, in order"
    outputs = proofs.tree(repo, "refs/smithers/runs/run:outputs")
    assert sorted(json.loads(data)["n"] for _, data in outputs.values()) == list(range(steps))
    proofs.sound(repo)
    proofs.index_is_a_rebuild(repo)


def test_an_answer_whose_command_is_killed_is_given_whole_or_not_at_all(engines: Engines) -> None:
    repo = engines.repo
    body = '    return Sequence(*[Approval(f"ask-{n}") for n in range(3)])\n'
    (repo / "flow.py").write_text(runs.HEAD + body, "utf-8")
    chance = kit.chance("answer")
    engines.run("up", "flow.py", "--run-id", "run", code=3)
    for number in range(3):
        command = engines.start("approve", "run", "--node", f"ask-{number}", "--no-resume")
        kit.pause(chance.uniform(0.2, 0.7))
        command.kill()
        state = kit.state_of(repo, "run")
        if state.approvals[TaskKey(f"ask-{number}")].approved is None:
            engines.run("approve", "run", "--node", f"ask-{number}", "--no-resume")
        go(Project.open(repo), "run", Resume(), Drive())
        proofs.index_is_a_rebuild(repo)
    assert kit.state_of(repo, "run").end == "finished"
    decided = [event.node for event in kit.events(repo, "run") if isinstance(event, ev.ApprovalDecided)]
    assert decided == [f"ask-{number}" for number in range(3)]
    proofs.sound(repo)


def _users_own(repo: Path) -> dict[str, object]:
    """All that is the user's, but for the workflow file, which these tests write anew for every run."""
    return {name: what for name, what in proofs.users_own(repo).items() if name != "flow.py"}
