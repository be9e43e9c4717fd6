"""The second part of a seed: nothing goes wrong any more, and every run must come to its end.

In most seeds somebody starts an engine for every run again and again. In the others nobody does but the real
`supervise`, and people where a person is asked for: what it overlooks stands still for ever.
"""

from __future__ import annotations

from reliability.simulate.people import People
from reliability.simulate.rules import Violation
from reliability.simulate.world import World

_ROUNDS = 150
"""Engines and commands, after which a run counts as one that does not end."""
_PATIENCE = 10
"""Of them, after which people give up a run that waits for a landing which waits for what was refused."""
_STALE = 12
"""Of them, without a new frame."""
_LATER = 1500.0
"""Virtual seconds between two looks of `supervise` that found nothing: it leaves what waits alone for an hour."""


def live(world: World, people: People) -> None:
    """Nothing goes wrong any more, and people do what they are asked; raises Violation when a run does not end."""
    rounds, stale, frames = 0, 0, world.checker.frames
    while True:
        world.play(world.now + 200.0)
        world.free_from_hung()
        left = [run for run, line in world.checker.lines.items() if line.state.end is None]
        if not left:
            break
        rounds, stale = rounds + 1, 0 if frames != world.checker.frames else stale + 1
        frames = world.checker.frames
        if stale > 2 or rounds % 3 == 1:
            people.clear()
        if rounds > _ROUNDS or stale > _STALE:
            raise Violation(f"I5: {', '.join(_stuck(world, run) for run in left)}")
        for run in left:
            people.attend(run)
            world.now += world.until_due(world.checker.lines[run].state) or 0.0
            _go_on(world, people, run, rounds)
        if world.supervised:
            world.supervise()
            world.now += _LATER if stale else 0.0
    world.play(world.now + 400.0)
    people.clear()
    world.play(world.now + 400.0)


def _go_on(world: World, people: People, run: str, rounds: int) -> None:
    """Have somebody go on with a run that nobody drives."""
    state = world.checker.lines[run].state
    if rounds > _PATIENCE and world.scenario.landings is not None:
        people.give_up(run)
    elif world.owner(run) is not None:
        return
    elif not world.supervised:
        world.engine(
            run, revive=state.pause_requested or state.parked is not None or state.cancel_requested is not None
        )
    elif state.paused or run in world.given_up or world.holders.get(run, {}).get("doing") not in ("up", "supervise"):
        world.given_up.discard(run)
        world.engine(run, revive=True)  # who paused it, took it back or was told of it goes on with it


def _stuck(world: World, run: str) -> str:
    state = world.checker.lines[run].state
    waits = [str(key) for key in (*state.waiting(), *state.open_waits, *state.running)]
    return f"{run} does not end; it waits for {', '.join(waits) or 'nothing'}"
