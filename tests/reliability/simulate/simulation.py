"""One seed, played to its end.

What is real: `core` (decide, apply, retry, the codec …) and, of `service`, engine, drive, dispatch, perform, outcome,
frames, append, render, recover, approvals, waits, control, travel, archive, live, budget, supervise, pools, accounts,
conversations, the talk with an agent around its turns, and all of `service.landing` but its `site`. They run as they
are; nothing of them is written again here, and nothing is patched.

What is simulated is their outside, reached through `Project`: git's objects and refs (`kit.memory_git`, which passes
the conformance class of the real one) and its merges (`kit.memory_merge`, compared with the real ones), worktrees (a
dict of files), programs, gates and the turns of agents (they take their time and end as the scenario says), hooks,
locks, the index (the real one's rows in a dict), the clock, chance, and people. Of several processes exactly one runs
at a time (`baton`), so a seed gives the same trace wherever and however often it is played. The local files of attempts
(`service.live`), of accounts and of conversations lie in a real folder.

Not in it: the programs of agents and what they print, the slots of the machine, checkouts that follow a landing, and
the journal through which an engine writes to a disk. Each has tests of its own.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from reliability.simulate import liveness
from reliability.simulate.draws import draw
from reliability.simulate.people import People
from reliability.simulate.rules import Violation
from reliability.simulate.scenario import Scenario
from reliability.simulate.world import RUN, World

from smithers_git.edge.index import row_of
from smithers_git.service import disk, runs
from smithers_git.service.frames import Chain

_BUSY = 40.0
"""Virtual seconds of the first part, in which things go wrong."""


@dataclass(frozen=True)
class Played:
    """What a seed did."""

    world: World
    digest: str
    """Of everything that happened."""


class Failed(AssertionError):
    """A seed found something."""


def play(seed: int, folder: Path, scenario: Scenario | None = None) -> Played:
    """Play a seed; raises Failed, with the scenario, what happened and the command that plays it again."""
    scenario = scenario or draw(seed)
    world = World(scenario, _empty(folder))
    try:
        _play(world)
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
        text = f"{scenario}\n" + "\n".join(world.trace) + f"\n{said}\n\nplay it again: make simulate SEED={seed}"
        raise Failed(text) from error
    finally:
        world.release()
    return Played(world, hashlib.sha256("\n".join(world.trace).encode()).hexdigest())


def _empty(folder: Path) -> Path:
    """The folder for local state: with the room that is kept on a disk, and nothing of the seed before."""
    for place in folder.iterdir():
        if place.is_dir() and place.name != "reserve":
            shutil.rmtree(place)
    for part in disk.RESERVE:
        kept = folder / "reserve" / part
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.touch()
    return folder


def _play(world: World) -> None:
    world.begin()
    people = People(world)
    _attend_while(world, people)
    world.calm_down()
    liveness.live(world, people)
    world.checker.finally_()
    _index(world)


def _attend_while(world: World, people: People) -> None:
    """The first part: things go wrong, and people do what they are asked every few seconds."""
    while world.now < _BUSY:
        moment = world.now + 5.0
        world.play(moment)
        world.now = max(world.now, moment)
        for run in list(world.checker.lines):
            people.attend(run)
        if all(line.state.end is not None for line in world.checker.lines.values()) and not world.actors:
            return


def _index(world: World) -> None:
    """P5: what the index has after a look at the refs is what it has when it is made from nothing."""
    project = world.project("looker")
    damaged = runs.catch_up(project)
    if damaged:
        raise Violation(f"P5: the index cannot read {damaged}")
    for run, line in world.checker.lines.items():
        if world.scenario.seed % 4 == 0 and Chain.open(project.objects, run, project.owner).state != line.state:
            raise Violation(f"P2: {run} is read as another state than its frames fold to")
        if world.rows[run] != row_of(line.state, line.frames[-1][0]):
            raise Violation(f"P5: the row of {run} is not the one of a rebuild")


def outcome(world: World) -> list[dict[str, object]]:
    """How the run of a world, and those that it uses, ended, without what depends on when things happened."""
    return [_ended(world, run) for run in _line(world, RUN)]


def _line(world: World, run: str) -> list[str]:
    """A run with those that it uses."""
    state = world.checker.lines[run].state
    used = [node.child for node in state.nodes.values() if node.child is not None]
    return [run, *(one for child in used if child in world.checker.lines for one in _line(world, child))]


def _ended(world: World, run: str) -> dict[str, object]:
    state = world.checker.lines[run].state
    chain = Chain.open(world.project("reader").objects, run, world.project("reader").owner)
    kinds = {name: leaf.kind for name, leaf in world.programs.tasks.items()}
    values = {
        str(key): chain.load(node.output)
        for key, node in state.nodes.items()
        if node.output is not None and kinds[key.node] in ("value", "call", "question", "signal", "agent")
    }
    return {
        "end": state.end,
        "nodes": {str(key): (node.status, node.failures) for key, node in sorted(state.nodes.items())},
        "loops": {name: (loop.iteration, loop.finished) for name, loop in sorted(state.loops.items())},
        "values": values,
        "files": {space: _made(chain, space) for space in sorted(state.spaces)},
    }


def _made(chain: Chain, space: str) -> list[str]:
    """The files that tasks of a workspace have made in it.

    Not what it began with, which depends on when that was, and not half a file of a program whose engine was robbed.
    """
    commit = chain.state.spaces[space].commit
    there = {path for path, _ in chain.objects.files(chain.objects.read_commit(commit).tree)}
    return sorted(str(key) for key, node in chain.state.nodes.items() if node.space == space and str(key) in there)


def compare(seed: int, folder: Path) -> Played:
    """Play a seed; a steady one must end as it does when nothing goes wrong."""
    played = play(seed, folder)
    scenario = played.world.scenario
    if scenario.steady and (scenario.faults or scenario.hazards or scenario.jumps or scenario.between):
        calm = play(seed, folder, replace(scenario, faults=(), hazards=(), jumps=(), between=False))
        got, wanted = outcome(played.world), outcome(calm.world)
        if got != wanted:
            text = f"{scenario}\n" + "\n".join(played.world.trace) + f"\n\nended as {got}\ninstead of  {wanted}"
            raise Failed(f"{text}\n\nplay it again: make simulate SEED={seed}")
    return played
