"""What rewind, fork, replay and retry-task print and ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smithers_git.core.codec import subject
from smithers_git.edge import ask, output
from smithers_git.errors import ExitCode, UsageError
from smithers_git.front import foreground, start
from smithers_git.front.words import plural
from smithers_git.service import disk, travel
from smithers_git.service.drive import Resume
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project


def back_to(project: Project, run: str, number: int) -> tuple[str, int]:
    """What a rewind to frame `number` would do, in words, and how many frames it would leave; raises UsageError."""
    frame = travel.frame_at(project, run, number)
    what = f"put run {run} back to frame {number} ({output.clip(subject(frame.data.events), 50)})"
    return what, project.chain(run).state.number - number


def rewound(done: travel.Rewound) -> dict[str, Any]:
    """What a rewind did, for a program."""
    return {
        "run": done.run,
        "frame": done.frame,
        "commit": done.commit,
        "left": done.left,
        "kept": done.kept or None,
        "restored": done.restored,
        "next": [f"smithers up --resume {done.run}"],
    }


def rewind(project: Project, run: str, number: int, *, yes: bool, as_json: bool) -> int:
    """Put a run back to a frame, after the person agreed; returns the exit code."""
    what, left = back_to(project, run, number)
    if not yes:
        command = f"smithers rewind {run} --frame {number} --yes"
        if as_json or not output.is_terminal():
            raise UsageError(
                f"this would {what}, its state and its files; {plural(left, 'frame')} would be left",
                hint=f"nothing is lost, the tail stays on a ref; do it with: {command}",
            )
        output.note(f"{plural(left, 'frame')} behind it will be left, and stay on a ref of their own.")
        if not ask.confirm(f"{what[0].upper()}{what[1:]}, its state and its files?"):
            output.note("nothing was done")
            return int(ExitCode.INTERRUPTED)
    done = travel.rewind(project, run, number)
    if as_json:
        output.document(rewound(done))
        return int(ExitCode.DONE)
    files = f"; the files of {', '.join(done.restored)} were put back" if done.restored else ""
    output.emit(f"run {run} is at frame {number} again{files}")
    if done.kept:
        output.note(f"{plural(done.left, 'frame')} that it left: git log {done.kept}")
    output.note(f"go on with: smithers up --resume {run}; or take another way: smithers fork {run} --input '…'")
    return int(ExitCode.DONE)


def _forked(project: Project, parent: str, options: Mapping[str, Any], frame: int | None) -> tuple[Chain, int]:
    """The new run, and the frame of its parent that it begins at."""
    wanted = travel.Fork(
        frame=frame,
        run=options["run_id"],
        input=start.given_input(options),
        reset=tuple(options["reset"]),
    )
    chain = travel.fork(project, parent, wanted)
    began = chain.state.parent_frame
    assert began is not None
    return chain, began


def fork(project: Project, parent: str, options: Mapping[str, Any]) -> None:
    """Make a new run where another one was, and say how to go on with it."""
    chain, began = _forked(project, parent, options, options["frame"])
    if options["as_json"]:
        output.document(forked(chain))
        return
    output.emit(chain.run)
    output.note(f"a fork of {parent} at frame {began}, with branches of its own; {parent} stays as it is")
    output.note(f"start it with: smithers up --resume {chain.run}")


def forked(chain: Chain) -> dict[str, Any]:
    """A new fork, for a program."""
    state = chain.state
    facts = {"run": chain.run, "parent": state.parent, "parent_frame": state.parent_frame, "frame": state.number}
    return {**facts, "input": state.input, "next": [f"smithers up --resume {chain.run}"]}


def replay(project: Project, parent: str, options: Mapping[str, Any]) -> int:
    """Fork and drive the fork; returns its exit code."""
    # Replaying a run from its end would do nothing: from the start, unless something says how far back.
    frame = options["frame"] if options["frame"] is not None or options["reset"] else 0
    disk.require_room(project)
    chain, began = _forked(project, parent, options, frame)
    output.note(f"run {chain.run}, a fork of {parent} at frame {began}")
    return foreground.follow(project, chain.run, Resume(), as_json=options["as_json"])


def retry(project: Project, run: str, node: str, *, resume: bool, as_json: bool) -> int:
    """Reset a node and what comes after it, then drive the run; returns the exit code."""
    reset = travel.retry_task(project, run, node)
    output.note(f"reset: {', '.join(name.removesuffix('@0') for name in reset)}")
    if resume:
        return foreground.follow(project, run, Resume(), as_json=as_json)
    if as_json:
        output.document({"run": run, "reset": reset, "next": [f"smithers up --resume {run}"]})
    else:
        output.emit(f"run {run} is ready to go on: smithers up --resume {run}")
    return int(ExitCode.DONE)
