"""Tools that only look at runs."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from smithers_git.front import compare, history, listing, look, nodes
from smithers_git.front import why as blockers
from smithers_git.front.chat import Chat
from smithers_git.front.tools.base import (
    NewestArgs,
    Paged,
    RunArgs,
    Scene,
    Tool,
    cut,
    lean,
    page,
    text_page,
    value_page,
)
from smithers_git.service.runs import RunStatus

_LISTED: Final = (
    "run", "workflow", "status", "step", "title", "frame", "waiting", "tokens", "cost", "error", "parent", "caller",
    "successor", "created", "updated", "bypass",
)  # fmt: skip
_FACTS: Final = ("nodes", "waits", "approvals", "signals", "loops", "workspaces", "spaces")


class ListRuns(Paged):
    limit: int = Field(default=10, ge=1, le=200, description="Runs in one answer.")
    status: list[RunStatus] = Field(default=[], description="Only runs that stand so; default: all.")


def list_runs(scene: Scene, args: ListRuns) -> dict[str, Any]:
    """List the runs of this repository, newest first: how each stands, what it does or waits for, what it has cost."""
    found = listing.document(scene.project, args.status, args.cursor, args.limit)
    after = args.cursor + len(found["runs"])
    return {
        "runs": [lean({name: row.get(name) for name in _LISTED}) for row in found["runs"]],
        "total": found["total"],
        "next_cursor": after if after < found["total"] else None,
        **lean({"unreadable": found["unreadable"]}),
    }


class InspectRun(NewestArgs, Paged):
    limit: int = Field(default=30, ge=1, le=200, description="Nodes in one answer.")


def inspect_run(scene: Scene, args: InspectRun) -> dict[str, Any]:
    """Show one run: status, nodes with their tries, loops, what it waits for, its branches and worktrees, what it has
    cost, and under `next` what to do now. Use `why` when it does not go on, `inspect_node` for one node's output."""
    found = look.document(scene.project, scene.run(args.run))
    rows, more = page(found["nodes"], args)
    facts = {name: value for name, value in found.items() if name not in _FACTS}
    rest = {name: found[name] for name in ("loops", "approvals", "waits", "signals", "workspaces")}
    names = ("node", "iteration", "status", "attempts", "agent", "error", "kind", "tokens", "cost", "seconds", "bypass")
    shown = [lean({name: row.get(name) or None for name in names}) for row in rows]
    return {
        **lean(facts),
        "nodes": shown,
        "nodes_total": more["total"],
        "next_cursor": more["next_cursor"],
        **lean(rest),
    }


def why(scene: Scene, args: NewestArgs) -> dict[str, Any]:
    """Say why a run does not go on: every blocker, since when, and the command that clears it; one without a command
    clears by itself. Ask this first when a run failed, waits or seems stuck."""
    return dict(lean(blockers.document(scene.project, scene.run(args.run))))


class Timeline(NewestArgs, Paged):
    """Frames, newest first."""


def timeline(scene: Scene, args: Timeline) -> dict[str, Any]:
    """List the frames of a run, newest first, each a saved step with what happened in it, and where forks and rewound
    tails branch off. The numbers are what rewind, fork, replay and diff take."""
    found = history.document(scene.project, scene.run(args.run))
    rows, more = page(found["frames"][::-1], args)
    names = ("frame", "time", "subject", "nodes", "commit")
    shown = [lean({name: row[name] for name in names}) for row in rows]
    return {"run": found["run"], "frames": shown, **more, **lean({"branches": found["branches"]})}


class InspectNode(RunArgs):
    node: str = Field(description="NODE, or NODE@ITERATION in a loop (from 0); NODE alone is its newest iteration.")
    limit: int = Field(default=8000, ge=100, le=100_000, description="Characters of its output in one answer.")
    cursor: int = Field(default=0, ge=0, description="`next_cursor` of `value_as_text` in the answer before.")


def inspect_node(scene: Scene, args: InspectNode) -> dict[str, Any]:
    """Show one node of a run: every attempt with its agent, outcome, cost and time, the gates that were green, and its
    output as `value` (or, when that is long, a piece of its JSON as `value_as_text`)."""
    found = nodes.document(scene.project, scene.run(args.run), args.node)
    value = found.pop("value")
    path = found.pop("output")
    return {**lean(found), **(value_page(value, args.cursor, args.limit) if path else {})}


class Diff(NewestArgs):
    what: str | None = Field(
        default=None,
        description="A node (what its last attempt changed; for an approval, what it asks about), or two frames as "
        "A..B; default: all that the run changed since its start.",
    )
    space: str | None = Field(default=None, description="Another workspace than main; goes without `what`.")
    patch: bool = Field(default=False, description="Also the patch; without it only the names of the files.")
    limit: int = Field(default=8000, ge=100, le=100_000, description="Characters of the patch in one answer.")
    cursor: int = Field(default=0, ge=0, description="`next_cursor` of the patch in the answer before.")


def diff(scene: Scene, args: Diff) -> dict[str, Any]:
    """Show what a run, one node of it, or the step between two frames changed: the files, and with patch: true how."""
    found = compare.document(scene.project, scene.run(args.run), args.what, args.space)
    rows = found["comparisons"]
    shown = [{name: row[name] for name in ("from", "to", "old", "new", "nodes", "files")} for row in rows]
    patch = "\n".join(row["patch"] for row in rows)
    pieces = {"patch": text_page(patch, args.cursor, args.limit)} if args.patch else {}
    return {"run": found["run"], "comparisons": [_few_files(row) for row in shown], **pieces}


def _few_files(row: dict[str, Any]) -> dict[str, Any]:
    files, most = row["files"], 100
    return {**lean(row), "files": files[:most], **({"files_left_out": len(files) - most} if len(files) > most else {})}


class Transcript(NewestArgs):
    node: str | None = Field(
        default=None, description="Only this NODE or NODE@ITERATION, commands too; default: all agents."
    )
    limit: int = Field(default=20, ge=1, le=500, description="Pieces in one answer.")
    cursor: int | None = Field(
        default=None,
        ge=0,
        description="Number of the first piece; `next_cursor` to go on, `earlier_cursor` to go back. Default: the end.",
    )
    text_limit: int = Field(default=1000, ge=50, le=50_000, description="Characters of one piece.")


def transcript(scene: Scene, args: Transcript) -> dict[str, Any]:
    """Read what agents said and did in a run (with `node`, also what a command printed): the newest pieces, oldest
    first, unless a cursor says otherwise. Works while the run goes on: `next_cursor` gives what came since."""
    found = Chat(scene.project, scene.run(args.run), args.node, raw=False).document()
    pieces = [(number, piece) for number, one in enumerate(found["attempts"]) for piece in one["said"]]
    first = max(0, len(pieces) - args.limit) if args.cursor is None else args.cursor
    shown = pieces[first : first + args.limit]
    attempts = [
        {
            **lean({name: value for name, value in found["attempts"][number].items() if name != "said"}),
            "said": [_piece(piece, args) for one, piece in shown if one == number],
        }
        for number in dict.fromkeys(number for number, _ in shown)
    ]
    facts = {"run": found["run"], "attempts": attempts, "total": len(pieces), "next_cursor": first + len(shown)}
    return {**facts, "earlier_cursor": max(0, first - args.limit) if first else None}


def _piece(piece: dict[str, Any], args: Transcript) -> dict[str, Any]:
    return {"kind": piece["kind"], "text": cut(piece["text"], args.text_limit, more="raise text_limit")}


TOOLS: Final = (
    Tool(list_runs, ListRuns, "reads"),
    Tool(inspect_run, InspectRun, "reads"),
    Tool(why, NewestArgs, "reads"),
    Tool(timeline, Timeline, "reads"),
    Tool(inspect_node, InspectNode, "reads"),
    Tool(diff, Diff, "reads"),
    Tool(transcript, Transcript, "reads"),
)
