"""Runs that other runs use: which of them have moved on, who uses a run, and which are still open."""

from __future__ import annotations

from smithers_git.core import events as ev
from smithers_git.core.state import State
from smithers_git.errors import SmithersError
from smithers_git.service import budget, disk
from smithers_git.service.project import Project


def woken(project: Project, state: State) -> list[ev.TaskWoken]:
    """The nodes that wait for a run which has another newest frame than when they came to wait."""
    return [
        ev.TaskWoken(node=key.node, iteration=key.iteration)
        for key, wait in state.open_waits.items()
        if wait.kind == "child" and wait.name is not None and project.tip(wait.name) != wait.tip
    ]


def freed(project: Project, state: State) -> list[ev.TaskWoken]:
    """The nodes that wait for a run which is parked, has no engine, and could go on."""
    return [
        ev.TaskWoken(node=key.node, iteration=key.iteration)
        for key, wait in state.open_waits.items()
        if wait.kind == "child" and wait.name is not None and _is_freed(project, wait.name)
    ]


def _is_freed(project: Project, run: str) -> bool:
    if project.tip(run) is None or project.is_owned(run):
        return False
    state = project.chain(run).state
    if state.parked is not None:
        return has_room(project, state)
    return bool(freed(project, state))


def has_room(project: Project, state: State) -> bool:
    """Whether what the run was parked for is there again: room on the disk, or the rest of a budget."""
    if budget.spent_still(project, state) is not None:
        return False
    try:
        disk.require_room(project)
    except SmithersError:
        return False
    return True


def top(project: Project, run: str) -> str:
    """The run to go on with so that `run` does: the outermost one that still uses it, else itself."""
    state = project.chain(run).state
    while state.caller is not None and project.tip(state.caller) is not None:
        caller = project.chain(state.caller).state
        if caller.end is not None or not _uses(project, caller, state):
            break
        state = caller
    return state.run


def _uses(project: Project, caller: State, state: State) -> bool:
    """Whether a node of `caller` is not done that began `state`, or what continued as that."""
    line = {state.run}
    while state.predecessor is not None and project.tip(state.predecessor) is not None:
        line.add(state.predecessor)
        state = project.chain(state.predecessor).state
    return any(node.child in line and key not in caller.done for key, node in caller.nodes.items())


def still_open(project: Project, state: State) -> list[str]:
    """The runs that nodes of a run began and that are not over, each as what it continued as."""
    found = []
    for key, node in state.nodes.items():
        run = None if key in state.done else node.child
        while run is not None and project.tip(run) is not None:
            child = project.chain(run).state
            if child.end is None:
                found.append(run)
            run = child.successor
    return found


def depth(project: Project, run: str) -> int:
    """How many runs use each other down to `run`; 1 for one that no other run uses."""
    levels, state = 1, project.chain(run).state
    while state.caller is not None and project.tip(state.caller) is not None:
        levels, state = levels + 1, project.chain(state.caller).state
    return levels
