"""The tool that waits until something happens in a run."""

from __future__ import annotations

import threading
from typing import Any, Final, Literal

from pydantic import Field

from smithers_git.core.describe import describe
from smithers_git.core.state import State
from smithers_git.front import summary
from smithers_git.front.tools.base import NewestArgs, Scene, Tool, cut, lean
from smithers_git.service import runs
from smithers_git.service.frames import Chain, walk

_LOOK: Final = 0.2
"""Seconds between two looks at the run's ref."""
_GRACE: Final = 1.5
"""Seconds without an engine before a run counts as standing still: one engine may hand over to the next."""
_MOST_LINES: Final = 30


class Wait(NewestArgs):
    after: int | None = Field(
        default=None,
        ge=0,
        description="The `frame` of the answer before: only what came after it counts. Without it, a run that stands "
        "still already is answered at once.",
    )
    until: Literal["rest", "frame"] = Field(
        default="rest",
        description="rest: the run is over, waits for a person, or nothing drives it any more. frame: any new step.",
    )
    timeout: float = Field(default=30, ge=0, le=600, description="Seconds to wait; the answer then says timed_out.")


def wait(scene: Scene, args: Wait) -> dict[str, Any]:
    """Wait until a run is over, asks for a person, or stands still (or, with until: "frame", until its next step), at
    most `timeout` seconds. Returns the status, what happened, what it waits for, and a `frame` to pass as `after` in
    the next call. Prefer this to asking again and again."""
    project = scene.project
    chain = project.chain(scene.run(args.run))
    watch = _Watch(scene, chain, args)
    until = project.clock.monotonic() + args.timeout
    pause = threading.Event()
    while not (ready := watch.ready()) and project.clock.monotonic() < until and not scene.stop.is_set():
        pause.wait(_LOOK)
        if chain.moved():
            chain.reload()
    return _told(scene, chain, args, timed_out=not ready)


class _Watch:
    """Decides whether there is something to tell."""

    def __init__(self, scene: Scene, chain: Chain, args: Wait) -> None:
        self._project, self._chain, self._args = scene.project, chain, args
        self._from = chain.state.number if args.after is None and args.until == "frame" else args.after
        self._alone_since: float | None = None

    def ready(self) -> bool:
        state = self._chain.state
        if state.end is not None:
            return True
        new = state.number != self._from
        if self._args.until == "frame" and new:
            return True
        if _asks(state) and new:
            return True
        return self._still() and (new or runs.status(self._project, state) != "waiting")

    def _still(self) -> bool:
        """Whether nothing drives the run, and that not only for a moment."""
        now = self._project.clock.monotonic()
        if self._project.is_owned(self._chain.run):
            self._alone_since = None
            return False
        if self._alone_since is None:
            # Who waits for a person was let go on purpose; whoever has just begun may have no engine yet.
            self._alone_since = now - _GRACE if _asks(self._chain.state) else now
        return now - self._alone_since >= _GRACE


def _asks(state: State) -> bool:
    return bool(state.waiting()) or any(one.kind == "question" for one in state.open_waits.values())


def _told(scene: Scene, chain: Chain, args: Wait, *, timed_out: bool) -> dict[str, Any]:
    found = summary.run_document(scene.project, chain.state)
    lines = _lines(chain, args.after)
    more = {"lines_left_out": len(lines) - _MOST_LINES} if len(lines) > _MOST_LINES else {}
    names = ("waiting", "wake_at", "parked", "error", "hint", "failed_children", "successor", "tokens", "cost", "next")
    head = {name: found[name] for name in ("run", "workflow", "status", "frame")}
    return {
        **head,
        "timed_out": timed_out,
        "happened": [cut(line, 300) for line in lines[-_MOST_LINES:]],
        **more,
        **lean({name: found[name] for name in names}),
    }


def _lines(chain: Chain, after: int | None) -> list[str]:
    """What happened behind frame `after`, oldest first; nothing when it is not said what is known already."""
    if after is None or chain.tip is None:
        return []
    found: list[str] = []
    for frame in walk(chain.objects, chain.tip):
        if frame.data.number <= after:
            break
        found[:0] = [f"frame {frame.data.number}: {describe(event)}" for event in frame.data.events]
    return found


TOOLS: Final = (Tool(wait, Wait, "reads", waits=True),)
