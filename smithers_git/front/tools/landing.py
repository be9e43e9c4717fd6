"""Tools of the merge queue."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any, Final, Literal

from pydantic import Field

from smithers_git.front import land as words
from smithers_git.front import line
from smithers_git.front.tools.base import Confirmed, Paged, Scene, Tool, lean, proposal
from smithers_git.service.landing import request
from smithers_git.service.landing.desk import Ticket
from smithers_git.service.landing.entries import Wish
from smithers_git.service.landing.request import Request

_LOOK: Final = 0.05
"""Seconds between two looks at a landing."""


class Land(Confirmed):
    name: str = Field(description="A finished run, or a branch.")
    onto: str | None = Field(default=None, description="Branch to land on; default: the one that the run began on.")
    style: Literal["merge", "rebase", "squash"] | None = Field(default=None, description="Default: the repository's.")
    space: str | None = Field(default=None, description="The workspace of the run, when it has several.")
    gates: list[str] = Field(default=[], description="Commands that must be green; default: the repository's check.")
    title: str | None = Field(default=None, description="First line of the commit message.")
    timeout: float = Field(
        default=45, ge=0, le=3600, description="Seconds to wait; after that it goes on, and a second call waits on."
    )


def land(scene: Scene, args: Land) -> dict[str, Any]:
    """Bring a run's result onto a branch, tested on the very commit that lands; the user's checkout follows when it is
    clean. Runs the gates, so it may take long: when the answer says under_way, call it again. Needs confirm: without it
    you are told the commits, gates and conflicts, and nothing is changed. A refusal holds the evidence."""
    project = scene.project
    asked = Request(
        name=args.name,
        onto=args.onto,
        space=args.space,
        style=args.style,
        gates=tuple(args.gates),
        title=args.title,
        by=project.who(),
    )
    wish = request.make(project, asked)
    seen = request.preview(project, wish)
    plan = words.plan(wish, seen)
    if not args.confirm:
        would = f"land {plan['name']} ({plan['commits']} commits) on {plan['onto']}, when its gates are green"
        return proposal("land", would, changes=seen.stat, **lean(plan))
    found = _hand_in(scene, wish, asked.by, args.timeout)
    if found is None:
        return {"done": False, "landed": False, "under_way": True, "entry": wish.entry.id, "onto": plan["onto"]}
    return {"done": True, "landed": False, **lean(words.outcome(wish, *found))}


def _hand_in(scene: Scene, wish: Wish, by: str, patience: float) -> tuple[Ticket, str] | None:
    """What became of it; None when that takes longer: it then goes on as long as this server lives.

    The entry stays in the queue whatever happens to us, and whoever lands it again goes on where this one stopped.
    """
    cancel, future, clock = threading.Event(), Future[tuple[Ticket, str]](), scene.project.clock

    def work() -> None:
        try:
            future.set_result(words.hand_in(scene.project, wish, by, cancel))
        except Exception as error:  # noqa: BLE001 - raised again by who waits for it
            future.set_exception(error)

    threading.Thread(target=work, name=f"land {wish.entry.id}", daemon=True).start()
    until = clock.monotonic() + patience
    while not future.done() and clock.monotonic() < until:
        if scene.stop.wait(_LOOK):
            cancel.set()  # it takes itself out of the queue again
            return None
    return future.result() if future.done() else None


class Queue(Paged):
    branch: str | None = Field(default=None, description="Whose queue; default: every queue.")
    everything: bool = Field(default=False, description="Also what has landed or left.")


def queue(scene: Scene, args: Queue) -> dict[str, Any]:
    """Show the merge queues: what waits to land on each branch, in which order, and what each waits for."""
    found = line.document(scene.project, args.branch, everything=args.everything)
    rows = []
    for one in found:
        entries = one["entries"][args.cursor : args.cursor + args.limit]
        after = args.cursor + len(entries)
        more = {"total": len(one["entries"]), "next_cursor": after if after < len(one["entries"]) else None}
        rows.append({**lean(one), "entries": [lean(entry) for entry in entries], **more})
    return {"queues": rows}


class ChangeQueue(Confirmed):
    action: Literal["hold", "resume", "eject"] = Field(description="eject takes an entry out, and needs confirm.")
    entry: str | None = Field(default=None, description="Its name, or how its id begins; default: the whole queue.")
    branch: str | None = Field(default=None, description="Whose queue, when there are several.")
    note: str = Field(default="", description="Why; kept in the queue's history.")


def change_queue(scene: Scene, args: ChangeQueue) -> dict[str, Any]:
    """Hold an entry of a merge queue, or the whole queue; let it go on; or take an entry out."""
    if args.action == "eject" and not args.confirm:
        return proposal("change_queue", f"take {args.entry or 'an entry'} out of the queue; its branch stays")
    note = f"{args.note} {scene.through}".strip()
    done = line.perform(scene.project, args.action, args.entry, {"onto": args.branch, "note": note})
    return {"done": True, "action": args.action, **lean({"entry": done.entry, "name": done.name}), "queue": done.target}


TOOLS: Final = (
    Tool(land, Land, "destroys", repeats=True),
    Tool(queue, Queue, "reads"),
    Tool(change_queue, ChangeQueue, "destroys"),
)
