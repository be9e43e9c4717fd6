"""Rewind, fork, replay and retry: each is a ref operation on frames; files follow the frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smithers_git.core import events as ev
from smithers_git.core.plan import Plan, dependents
from smithers_git.core.state import State
from smithers_git.errors import RunRefused, UsageError
from smithers_git.names import TaskKey, branch_ref, check_run_id, parse_key, rewound_ref
from smithers_git.service import archive, disk, reboot, recover, source
from smithers_git.service.drive import busy, owning
from smithers_git.service.frames import Chain, Frame, source_files, walk
from smithers_git.service.project import Project
from smithers_git.service.render import Renderer
from smithers_git.service.workspaces import Workspaces


@dataclass(frozen=True, slots=True)
class Rewound:
    """What a rewind did."""

    run: str
    frame: int
    commit: str
    kept: str
    """The ref that keeps the tail that was left."""
    left: int
    """How many frames that tail holds."""
    restored: list[str]
    """Workspaces whose files were put back."""


def frame_at(project: Project, run: str, number: int) -> Frame:
    """Frame `number` of a run, of its parent's part too when it is a fork; raises UsageError when there is none."""
    chain = project.chain(run)
    assert chain.tip is not None
    for frame in walk(project.objects, chain.tip):
        if frame.data.number == number:
            return frame
    raise UsageError(f"run {run} has no frame {number}", hint=f"its frames are 0 to {chain.state.number}")


def rewind(project: Project, run: str, number: int) -> Rewound:
    """Put the whole run back to frame `number`: state and files, in one move of its ref.

    The frames behind it stay on `refs/smithers/rewound/<run>/<n>`. Files that no frame holds yet are saved first.
    """
    with owning(project, run, "rewind") as lock:
        chain = project.chain(run)
        workspaces = project.workspaces(run)
        found = recover.examine(project, chain, workspaces)
        if found.events:
            now = project.clock.now()
            for event in found.events:
                chain.add(event, now)
            chain.commit()
        target = frame_at(project, run, number)
        if target.data.run != run:
            raise RunRefused(
                f"frame {number} belongs to {target.data.run}, of which {run} is a fork",
                hint=f"smithers fork {target.data.run} --frame {number}",
            )
        if not lock.holds():  # we were stopped, somebody removed its file, and an engine is at work
            raise busy(project, run)
        assert chain.tip is not None
        left, kept = chain.state.number - number, ""
        if left:
            kept = _keep_tail(project, run, chain.tip)
        recover.mark(project, run, [recover.ALL])
        chain.rewind(target.commit)
        restored = _put_back(chain, workspaces)
        reboot.note(project.run_dir(run))
        recover.unmark(project, run)
        project.index.record(chain.state, target.commit)
        return Rewound(run, number, target.commit, kept, left, restored)


def _keep_tail(project: Project, run: str, tip: str) -> str:
    numbers = [int(name.rpartition("/")[2]) for name in archive.tails(project.objects, run)]
    name = rewound_ref(run, max(numbers, default=0) + 1)
    project.objects.advance(name, None, tip)
    return name


def _put_back(chain: Chain, workspaces: Workspaces) -> list[str]:
    restored = []
    workspaces.drop_unknown(chain.state.spaces)
    for name, space in chain.state.spaces.items():
        if workspaces.path(name).exists():
            workspaces.restore(name, space.branch, space.commit)
            restored.append(name)
    return restored


@dataclass(frozen=True, slots=True)
class Fork:
    """What a fork should be."""

    frame: int | None = None
    run: str | None = None
    input: Mapping[str, Any] | None = None
    reset: tuple[str, ...] = ()


def fork(project: Project, parent: str, wanted: Fork) -> Chain:
    """A new run that begins where `parent` was at a frame, with branches and worktrees of its own.

    The parent does not change: the new run's ref begins at the parent's frame commit and goes on from there.
    """
    chain = project.chain(parent)
    number = chain.state.number if wanted.frame is None else wanted.frame
    start = frame_at(project, parent, number)
    run = check_run_id(wanted.run) if wanted.run else project.clock.token(8)
    if project.tip(run) is not None:
        raise RunRefused(f"there is already a run {run!r}", hint="give another --run-id")
    child = project.new_chain(run)
    child.begin_at(start.commit)
    now = project.clock.now()
    value = _input(project, child, wanted.input)
    reset = reset_of(project, child, wanted.reset) if wanted.reset else None
    child.add(ev.RunForked(run=run, parent=parent, frame=number, input=value), now)
    for space, known in child.state.spaces.items():
        address = project.workspaces(run).address(space)
        branch = branch_ref(run, space)
        made = ev.SpaceCreated(space=space, branch=branch, commit=known.commit, slug=address.slug, port=address.port)
        child.add(made, now)
    if reset is not None:
        child.add(reset, now)
    child.commit()
    return child


def _input(project: Project, chain: Chain, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    parsed = _source(project, chain).workflow.accept(given, chain.state.input).model_dump(mode="json")
    return dict(parsed)


def _source(project: Project, chain: Chain) -> source.Source:
    assert chain.newest is not None
    files = source_files(project.objects, project.objects.read_commit(chain.newest).tree)
    return project.source(chain.run, chain.state, files)


def retry_task(project: Project, run: str, node: str) -> list[str]:
    """Let a node, and everything that waits for it, run again on the files as they are; returns what was reset."""
    disk.require_room(project)
    with owning(project, run, "retry-task"):
        chain = project.chain(run)
        reset = reset_of(project, chain, (node,))
        now = project.clock.now()
        chain.add(reset, now)
        chain.commit()
    return reset.nodes


def reset_of(project: Project, chain: Chain, nodes: Sequence[str]) -> ev.TaskReset:
    """The reset of some nodes with everything that comes after them; raises UsageError for one that is not there.

    In a loop, the node and what follows it run again in the iteration that the loop is in.
    """
    state = chain.state
    keys = [key_of(state, node) for node in nodes]
    plan = Renderer(_source(project, chain), chain).plan()
    gone = next((key for key in keys if key.node not in plan.items), None)
    if gone is not None:
        raise UsageError(f"the plan no longer has the node {gone.node!r}", hint=f"it has: {', '.join(plan.items)}")
    around = {loop for key in keys for loop in plan.items[key.node].loops}
    for key in keys:
        inner = plan.items[key.node].loops[-1:]
        now_in = state.loop(inner[0]).iteration if inner else 0
        if key.iteration != now_in:
            hint = f"smithers timeline {chain.run} and smithers fork {chain.run} --frame N go back further"
            raise UsageError(f"the loop around {key} is in iteration {now_in} now", hint=hint)
    wanted = {key.node for key in keys} | dependents(plan, [key.node for key in keys])
    names, restarted = [], set()
    for name in (name for name in plan.items if name in wanted):
        loops = plan.items[name].loops
        if set(loops) <= around:
            iteration = state.loop(loops[-1]).iteration if loops else 0
            names.append(f"{name}@{iteration}")
        else:
            names.append(name)
            restarted |= set(loops) - around
    regions = _regions(state, plan, wanted)
    return ev.TaskReset(
        nodes=names, reopened=sorted(around), restarted=sorted(restarted), regions=regions, by=project.who()
    )


def _regions(state: State, plan: Plan, nodes: set[str]) -> list[str]:
    """The sagas and try blocks around `nodes` that have failed; raises RunRefused when one is still being undone."""
    around = {region for node in nodes for region in plan.items[node].regions}
    found = [key for key in state.regions if key.node in around]
    busy = next((key for key in found if state.regions[key].steps and not state.regions[key].settled), None)
    if busy is not None:
        said = f"{busy} of run {state.run} has failed, and what it did is not undone yet"
        raise RunRefused(said, hint=f"smithers up --resume {state.run} goes on with that")
    return [str(key) for key in found]


def key_of(state: State, node: str) -> TaskKey:
    """The node that the user means: `NODE@ITERATION`, or `NODE` for its newest iteration; raises UsageError."""
    if "@" in node:
        key = parse_key(node)
    else:
        known = [key for key in state.nodes if key.node == node]
        key = max(known) if known else TaskKey(node, 0)
    if key not in state.nodes:
        names = ", ".join(dict.fromkeys(str(key) for key in state.nodes)) or "none yet"
        raise UsageError(f"run {state.run} has no node {node!r}", hint=f"its nodes are: {names}")
    return key
