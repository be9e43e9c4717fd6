"""P1, P2, P3: deaths at moments that the kill loop (tests/reliability/kills.py) seldom meets."""

from __future__ import annotations

import json
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
