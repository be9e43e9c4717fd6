"""The engine in a simulated world: see `reliability.simulate.simulation`. `make simulate` plays 100,000 seeds."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from kit.memory_git import MemoryObjects
from reliability.simulate import run
from reliability.simulate.draws import LANDING, TALKING, draw
from reliability.simulate.outside import SimLock, SimWorkspaces
from reliability.simulate.simulation import Failed, compare, play

from smithers_git.core import waiting
from smithers_git.core.schedule import Start, decide
from smithers_git.core.state import NodeState
from smithers_git.core.wait_nodes import Timer
from smithers_git.names import RUNS
from smithers_git.service import accounts, budget, children, dispatch, engine, outcome, perform, recover, runs
from smithers_git.service.publisher import Publisher
from smithers_git.service.talk import memory

pytestmark = [  # a killed process closes no files
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
TESTS = Path(__file__).parent.parent
SEEDS, PIECES = 2000, 8
MOST = 400
"""Seeds within which a broken engine must be caught."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("simulated")


@pytest.fixture(scope="module")
def counts():
    found, began = Counter[str](), time.monotonic()
    yield found
    if found["seeds"]:
        run.write(found, f"{found['seeds']} of 0 to {SEEDS - 1}", 0, time.monotonic() - began)


@pytest.mark.parametrize("piece", range(PIECES))
def test_two_thousand_seeds(folder, counts, piece):
    for seed in range(piece, SEEDS, PIECES):
        run.count(counts, compare(seed, folder))
    # Of all pieces that this process has played, in whatever order: the poorest has 13 from its 15 seeds with a queue.
    assert counts["landings"] > 0.8 * counts["seeds"] / LANDING


FOUND = {
    2859: "a result that came in late took the workspace back to before the task beside it",
    3147: "a stopped engine that had taken a run over put workspaces back when another one was at work in them",
    9428: "an engine left with a result that had come in behind a value, and no frame held it",
    50702: "an engine that had lost its run parked it, and the new one went on in a parked run",
    74717: "an engine that had lost its run began a program for a frame that a rewind had taken back",
    2082: "a full disk where a run that another one uses began failed the step that uses it",
    13591: "an engine that was left with a paused run looked again and again at the run that this one uses",
    152532: "an engine asked again and again for a run that another engine drives, and read all its frames for that",
    186872: "the simulation took the cancel of a run that an engine uses for work in a run that it does not own",
    13064: "the simulation took a run that a quicker engine goes on with for one that was left",
}
"""Seeds beyond the everyday ones that have found something."""


@pytest.mark.parametrize("seed", FOUND)
def test_a_seed_that_found_something(folder, seed):
    compare(seed, folder)


# -- the simulation itself


def test_a_seed_is_a_scenario_and_a_trace_always(folder):
    for seed in range(15):
        assert draw(seed) == draw(seed)
        assert play(seed, folder).digest == play(seed, folder).digest


def test_a_trace_does_not_depend_on_the_hashes_of_a_process(tmp_path):
    code = (
        "import sys; from pathlib import Path; from reliability.simulate.simulation import play\n"
        "for seed in range(15): print(seed, play(seed, Path(sys.argv[1])).digest)"
    )

    def told(hashes: str) -> str:
        env = {**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
        (tmp_path / hashes).mkdir()
        argv = [sys.executable, "-c", code, tmp_path / hashes]
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout

    assert told("1") == told("2")


def test_a_failure_says_what_happened_and_how_to_see_it_again(folder, monkeypatch):
    monkeypatch.setattr(waiting, "go_on", lambda *_: None)
    seed, said = caught(folder)
    assert said.startswith(f"seed {seed}")
    assert "sim frame 1:" in said
    assert f"make simulate SEED={seed}" in said


def test_every_kind_of_trouble_and_of_node_is_met(folder):
    kinds, trouble = set[str](), Counter[str]()

    def walk(spec):
        kinds.add(spec.kind)
        for child in spec.children:
            walk(child)

    for scenario in map(draw, range(860)):
        if scenario.landings is not None:  # test_simulated_landing.py looks at those
            continue
        walk(scenario.root)
        trouble.update(fault.what for fault in scenario.faults)
        trouble.update(hazard.what for hazard in scenario.hazards)
        trouble.update(deed.what for deed in scenario.deeds)
    assert kinds == {
        "sequence", "parallel", "loop", "branch", "worktree", "saga", "try", "value", "run", "call", "approval",
        "question", "signal", "timer", "again", "subflow", "agent",
    }  # fmt: skip
    assert trouble.keys() >= {
        "switch",
        "kill",
        "stall",
        "rob",
        "full",
        "twice",
        "late",
        "lost",
        "cancel",
        "rewind",
        "supervise",
    }
    assert min(trouble.values()) >= 5


# -- what it is worth: broken products are caught


def caught(folder: Path, first: int = 0, step: int = 1) -> tuple[int, str]:
    """The first seed that finds something, and what it says."""
    for seed in range(first, first + MOST * step, step):
        try:
            compare(seed, folder)
        except Failed as failed:
            return seed, str(failed)
    pytest.fail(f"{MOST} seeds have found nothing")


def test_a_lost_frame_is_caught(folder, monkeypatch):
    real, count = MemoryObjects.advance, iter(range(10**9))

    def advance(self, name, expected, new, *, late=False):
        if next(count) % 9 == 8:
            return  # as if it had been written
        real(self, name, expected, new)

    monkeypatch.setattr(MemoryObjects, "advance", advance)
    assert "P1: " in caught(folder)[1]


def test_a_write_that_looks_at_nothing_is_caught(folder, monkeypatch):
    """A ref that is moved without a comparison: the frame of a stale engine or of a slower person wins."""
    real = MemoryObjects.advance

    def advance(self, name, expected, new, *, late=False):
        real(self, name, self.store.refs.get(name) if name.startswith(RUNS) else expected, new)

    monkeypatch.setattr(MemoryObjects, "advance", advance)
    assert "P2: " in caught(folder)[1]


def test_a_result_that_counts_although_the_run_went_on_without_it_is_caught(folder, monkeypatch):
    """Of a stale engine, or one that came twice."""
    monkeypatch.setattr(outcome, "is_void", lambda _state, _result: False)
    assert "P3: " in caught(folder)[1]


def test_a_finished_step_that_runs_again_is_caught(folder, monkeypatch):
    def again(plan, state, now, hold):
        found = decide(plan, state, now, hold)
        if not found.events and len(state.done) == 2:
            done = [key for key in state.done if key.node in plan.items and state.node(key).status == "finished"]
            found.start += [Start(key, plan.items[key.node]) for key in sorted(done)[:1]]
        return found

    monkeypatch.setattr(engine, "decide", again)
    assert "P3: " in caught(folder)[1]


def test_an_engine_that_waits_with_frames_that_nobody_sees_is_caught(folder, monkeypatch):
    monkeypatch.setattr(Publisher, "show", lambda _self: None)
    assert "nobody else sees" in caught(folder)[1]


def test_a_forgotten_timer_is_caught(folder, monkeypatch):
    real = waiting.go_on
    monkeypatch.setattr(waiting, "go_on", lambda node, *rest: None if isinstance(node, Timer) else real(node, *rest))
    assert "I5: " in caught(folder)[1]


def test_an_engine_that_overlooks_what_a_dead_one_left_is_caught(folder, monkeypatch):
    monkeypatch.setattr(recover, "_interrupted", lambda *_: None)
    real = recover.examine

    def examine(*args):
        found = real(*args)
        found.events = [event for event in found.events if event is not None]
        return found

    monkeypatch.setattr(recover, "examine", examine)
    caught(folder)


def test_files_of_a_dead_program_that_nobody_keeps_are_caught(folder, monkeypatch):
    real = SimWorkspaces.ensure

    def keep(self, space, branch, parent, message):
        real(self, space, branch, parent)
        self._lay_out(space, parent)

    monkeypatch.setattr(SimWorkspaces, "keep", keep)
    assert "P9: " in caught(folder, 300)[1]  # 308 is the first


def test_two_owners_at_once_are_caught(folder, monkeypatch):
    real = SimLock.try_acquire

    def try_acquire(self, info=None):
        return real(self, info) or True

    monkeypatch.setattr(SimLock, "try_acquire", try_acquire)
    monkeypatch.setattr(SimLock, "holds", lambda _self: True)
    assert "P6: " in caught(folder)[1]


def test_an_index_that_is_not_brought_up_to_date_is_caught(folder, monkeypatch):
    monkeypatch.setattr(runs, "reflect", lambda *_: None)
    caught(folder)


def test_a_workspace_that_is_taken_back_is_caught(folder, monkeypatch):
    monkeypatch.setattr(outcome, "_newer", lambda *_: [])
    with pytest.raises(Failed, match="P9: main of sim has lost"):
        compare(2859, folder)


def test_a_run_that_continues_as_two_is_caught(folder, monkeypatch):
    """Whoever comes after an engine that died between the two runs begins one more."""
    tokens = itertools.count()
    monkeypatch.setattr(dispatch, "run_of", lambda run, *_: f"{run}-{next(tokens)}")
    real = dispatch.Dispatcher._runs

    def forgetful(self, task, known, key):
        return real(self, task, NodeState(), key)

    monkeypatch.setattr(dispatch.Dispatcher, "_runs", forgetful)
    assert "continued as 2 runs" in caught(folder, 11)[1]


def caught_among_agents(folder: Path) -> str:
    return caught(folder, 14, TALKING)[1]


def test_what_starts_although_nothing_may_be_spent_is_caught(folder, monkeypatch):
    monkeypatch.setattr(budget.Purse, "look", lambda _self, _state: None)
    assert "budget: " in caught_among_agents(folder)


def test_an_engine_that_does_not_look_at_what_others_spend_is_caught(folder, monkeypatch):
    real = budget.Purse._spent_today

    def once(self, state):
        return real(self, state) if self._looked is None else self._today

    monkeypatch.setattr(budget.Purse, "_spent_today", once)
    assert "the budget of the day is spent" in caught_among_agents(folder)


def test_an_agent_that_is_asked_within_its_limit_is_caught(folder, monkeypatch):
    monkeypatch.setattr(accounts.Account, "limit", lambda _self: None)
    assert "before its limit ends" in caught_among_agents(folder)


def test_an_attempt_that_lies_about_its_conversation_is_caught(folder, monkeypatch):
    real = memory.Memory.recall

    def recall(self, session):
        found = real(self, session)
        self._result.conversation = "new"
        return found

    monkeypatch.setattr(memory.Memory, "recall", recall)
    assert "says that its conversation is new" in caught_among_agents(folder)


def test_work_that_an_agent_throws_away_unnoticed_is_caught(folder, monkeypatch):
    monkeypatch.setattr(perform.Performer, "_look_for_home", lambda *_: None)
    assert "P9: " in caught_among_agents(folder)


def test_work_that_is_not_put_back_is_caught(folder, monkeypatch):
    monkeypatch.setattr(perform.Performer, "put_back", lambda *_: None)
    assert "has lost" in caught_among_agents(folder)


def test_a_run_that_nobody_takes_up_is_caught(folder, monkeypatch):
    """Of one that uses another one, which was parked."""
    monkeypatch.setattr(children, "freed", lambda *_: [])
    with pytest.raises(Failed, match="I5: "):
        compare(1096, folder)


def test_a_retry_that_does_not_wait_is_caught(folder, monkeypatch):
    def hasty(plan, state, now, hold):
        return decide(plan, state, now + 3.0, hold)

    monkeypatch.setattr(engine, "decide", hasty)
    said = caught(folder)[1]
    assert "before its pause is over" in said or "before it is due" in said
