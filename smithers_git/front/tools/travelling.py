"""Tools that go back, try another way, and do something once more."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from smithers_git.front import travel as words
from smithers_git.front.tools.base import Confirmed, RunArgs, Scene, Tool, lean, proposal
from smithers_git.service import detach, disk, runs, travel
from smithers_git.service.frames import Chain


class Rewind(RunArgs, Confirmed):
    frame: int = Field(ge=0, description="The frame to go back to; timeline lists them.")


def rewind(scene: Scene, args: Rewind) -> dict[str, Any]:
    """Put a run back to an earlier frame: its outputs, approvals and the files of its worktrees. The frames behind it
    are kept on a ref. `resume` then goes on from there. Needs confirm; `fork` tries another way without touching it."""
    project, run = scene.project, scene.run(args.run)
    what, left = words.back_to(project, run, args.frame)
    if not args.confirm:
        would = f"{what}, its state and its files; {left} frame(s) would be left and kept on a ref"
        return proposal("rewind", would, run=run, frame=args.frame)
    return {"done": True, **lean(words.rewound(travel.rewind(project, run, args.frame)))}


class Fork(RunArgs):
    frame: int | None = Field(default=None, ge=0, description="Where to begin; default: the newest frame.")
    prompt: str | None = Field(default=None, description="A new prompt; short for input.prompt.")
    input: dict[str, Any] | None = Field(default=None, description="Fields of the input to change.")
    reset: list[str] = Field(default=[], description="Nodes to run again, with what comes after them.")
    run_id: str | None = Field(default=None, description="Name the new run yourself.")


def fork(scene: Scene, args: Fork) -> dict[str, Any]:
    """Make a new run that begins where another one was at a frame, with branches and worktrees of its own; the other
    run does not change. Start it with `resume`. `replay` does both."""
    return dict(lean(words.forked(_fork(scene, args, args.frame))))


def _fork(scene: Scene, args: Fork, frame: int | None) -> Chain:
    given = args.input if args.prompt is None else {**(args.input or {}), "prompt": args.prompt}
    wanted = travel.Fork(frame=frame, run=args.run_id, input=given, reset=tuple(args.reset))
    return travel.fork(scene.project, scene.run(args.run), wanted)


class Replay(Fork):
    frame: int | None = Field(default=None, ge=0, description="Default: the start; with reset, the newest frame.")


def replay(scene: Scene, args: Replay) -> dict[str, Any]:
    """Fork a run and start the fork in the background, from its start or from a frame; the other run does not change.
    Follow the new run with `wait`."""
    disk.require_room(scene.project)
    # Replaying a run from its end would do nothing: from the start, unless something says how far back.
    chain = _fork(scene, args, args.frame if args.frame is not None or args.reset else 0)
    scene.project.claim(chain.run)
    found = detach.resume(scene.project, chain.run)
    facts = {**words.forked(chain), "next": None, "log": found and str(found.log)}
    return {**lean(facts), "status": runs.status(scene.project, scene.project.chain(chain.run).state)}


class Retry(RunArgs):
    node: str = Field(description="NODE or NODE@ITERATION; what comes after it runs again too.")
    resume: bool = Field(default=True, description="Go on with the run at once, in the background.")


def retry(scene: Scene, args: Retry) -> dict[str, Any]:
    """Let one node of a run, and everything after it, run again on the files as they are now: after a failed task, or
    when its result was not good enough. To begin from older files, rewind or fork first."""
    project, run = scene.project, scene.run(args.run)
    reset = travel.retry_task(project, run, args.node)
    found = detach.resume(project, run, revive=True) if args.resume else None
    state = project.chain(run).state
    facts = {"reset": reset, "log": found and str(found.log)}
    return {"run": run, "frame": state.number, "status": runs.status(project, state), **lean(facts)}


TOOLS: Final = (
    Tool(rewind, Rewind, "destroys", repeats=True),
    Tool(fork, Fork, "writes"),
    Tool(replay, Replay, "writes"),
    Tool(retry, Retry, "writes"),
)
