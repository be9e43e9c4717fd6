"""A run in the words and numbers that every surface shares: what `--json` prints and what people read."""

from __future__ import annotations

from typing import Any

from smithers_git.clock import iso
from smithers_git.core import budget
from smithers_git.core.state import NodeState, State
from smithers_git.front import listing
from smithers_git.names import TaskKey
from smithers_git.service import runs
from smithers_git.service.project import Project


def node_document(key: TaskKey, node: NodeState, run: runs.RunStatus) -> dict[str, Any]:
    """One node for `--json`, of a run that stands as `run` says."""
    return {
        "node": key.node,
        "iteration": key.iteration,
        "status": runs.node_status(node, run),
        "attempts": node.attempt,
        "agent": node.agent,
        "bypass": node.bypass or None,
        "session": node.session,
        "error": node.error,
        "kind": node.kind,
        "space": node.space,
        "commit": node.commit,
        "output": node.output,
        "cached": node.cached,
        "tokens": node.tokens,
        "cost": round(node.cost, 6),
        "seconds": round(node.seconds, 3),
        "started": iso(node.started) if node.started is not None else None,
        "ended": iso(node.ended) if node.ended is not None else None,
    }


def run_document(project: Project, state: State) -> dict[str, Any]:
    """A run for `--json`: how it stands, and what to type next."""
    status = runs.status(project, state)
    return {
        "run": state.run,
        "workflow": state.workflow,
        "status": status,
        "frame": state.number,
        "input": state.input,
        "base": state.base,
        "parent": state.parent,
        "caller": state.caller,
        "predecessor": state.predecessor,
        "successor": state.successor,
        "parked": state.parked,
        "bypass": state.bypass or None,
        "error": state.error,
        "hint": state.error_hint or None,
        "failed_children": state.failed_children,
        "waiting": [listing.waiting_document(state.run, one) for one in runs.waits(state)],
        "wake_at": iso(state.wake_at) if state.wake_at is not None and state.end is None else None,
        "spaces": {
            name: {"branch": space.branch.removeprefix("refs/heads/"), "commit": space.commit}
            for name, space in state.spaces.items()
        },
        "tokens": state.tokens,
        "cost": round(state.cost, 6),
        "budget": {"usd": state.budget.usd, "tokens": state.budget.tokens},
        "created": iso(state.created),
        "updated": iso(state.updated),
        "next": next_commands(project, state, status),
    }


def _lost_branch(project: Project, state: State) -> bool:
    """Whether the branch of the results is gone, as it is of a folded run: their commit still has them."""
    main = state.spaces.get("main")
    return main is not None and project.objects.ref(main.branch) is None


def next_commands(project: Project, state: State, status: runs.RunStatus) -> list[str]:
    """What to type next, most useful first; with the commit in place of the branch when that is gone."""
    run = state.run
    if status == "waiting":
        found = runs.waits(state)
        waiting = [command for one in found if (command := one.command(run)) is not None]
        approvals = any(one.kind == "approval" for one in found)
        look = f"smithers diff {run}" if approvals else f"smithers why {run}"
        return waiting if waiting and not approvals else [*waiting, look]
    if status == "finished":
        if {"survey", "board"} <= state.latest.keys():
            return [f"smithers board {run}", f"smithers land {run}"]
        changed = [space for space in state.spaces.values() if space.commit != state.base]
        if not changed:
            return [f"smithers output {run}"]
        lost = _lost_branch(project, state)
        branch = changed[0].commit[:12] if lost else changed[0].branch.removeprefix("refs/heads/")
        look = f"git diff {state.base[:12]}..{branch}" if len(changed) == 1 else f"smithers diff {run}"
        return [look, f"smithers land {run}"]
    if status == "failed":
        return [f"smithers why {run}", f"smithers up --resume {run}"]
    if status == "parked":
        disk = ["smithers gc --dry-run", f"smithers up --resume {run}"]
        soft = project.settings.budget.soft
        return disk if state.parked_for == "disk" else [budget.goes_on(state, soft), f"smithers why {run}"]
    if status == "running":
        return [f"smithers logs -f {run}"]
    return [f"smithers up --resume {run}"]
