"""Clear away what runs leave: worktrees that hold nothing of their own, refs of runs that are over, old runs if asked.

`plan` only looks, and `carry_out` does exactly what a plan says; it looks at each thing once more, under the lock of
the run, right before it acts. Every step can be cut off anywhere: what is left is what the next plan finds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from smithers_git.core.state import State
from smithers_git.edge.git import pack, ref_lock, worktree
from smithers_git.edge.git.restore import SHELF
from smithers_git.edge.git.usage import reachable
from smithers_git.edge.lock import is_held
from smithers_git.errors import SmithersError
from smithers_git.names import BRANCHES, OURS, REWOUND, is_ours, run_ref
from smithers_git.service import archive, cost, live, runs
from smithers_git.service.lanes import Lanes
from smithers_git.service.project import Project
from smithers_git.service.runs import RunView

Action = Literal[
    "remove worktree", "remove files set aside", "remove lane", "remove leftover", "fold", "prune", "compress"
]

_SHELVED: Final = "it has files that were set aside when a worktree was put back, which no frame holds"
_WORTH: Final = 256 << 10
"""Bytes of packs from which on it is worth while to look for deltas."""
_FOR_GOOD: Final = ("prune", "fold")
_AT_ONCE: Final = 64
"""Runs that one commit of the archive folds: each of these commits lists all runs, so one a run would be too many."""
_YOUNG: Final = 3600.0
"""Seconds. Local files of a run that is not there may belong to one that is just being made."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for; spans of time in seconds, sizes in bytes."""

    idle: bool = False
    """Worktrees of runs that wait, are paused or were interrupted too."""
    set_aside: bool = False
    """Files that were set aside too when no frame holds them."""
    fold_after: float = 7 * 86400.0
    prune_after: float | None = None
    keep_size: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do."""

    action: Action
    run: str
    target: str
    """A folder, for `fold` and `prune` the run, for `compress` what is."""
    bytes: int = 0
    """On the disk; what `prune` lets go of in git is freed by the user's own `git gc`."""
    space: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that stays although it was looked at, and why."""

    run: str
    target: str
    reason: str


@dataclass(slots=True)
class Plan:
    steps: list[Step] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


def plan(project: Project, wanted: Wanted) -> Plan:
    """What there is to clear away. Nothing is changed."""
    views, unreadable = runs.survey(project)
    found, folds = Plan(unreadable=unreadable), list[Step]()
    sizes = {} if wanted.prune_after is None and wanted.keep_size is None else cost.frame_bytes(project, views)
    doomed = _doomed(project, views, wanted, sizes)
    own = project.objects.refs(OURS)
    now = project.clock.now()
    root = project.workspaces("").root
    lanes = Lanes(project)
    for path in [*worktree.leftovers(root), *worktree.leftovers(lanes.root.parent)]:
        found.steps.append(Step("remove leftover", "", str(path), cost.folder_bytes(path)))
    for path in lanes.idle():
        found.steps.append(Step("remove lane", "", str(path), cost.folder_bytes(path)))
    for view in views:
        run = view.row.run
        over = view.row.end is not None
        if is_held(project.lock_path(run)):  # a run that is over has an owner too while it is rewound, say
            continue
        stuck = _folders(project, view, wanted, found) if over or wanted.idle else True
        if stuck or not over:
            continue
        if run in doomed:
            found.steps.append(Step("prune", run, run, sizes[run] or 0))
        elif now - view.row.updated > wanted.fold_after and _has_refs(own, run):
            folds.append(Step("fold", run, run))
    for path in _strays(project, {view.row.run for view in views} | unreadable.keys()):
        found.steps.append(Step("remove leftover", path.name, str(path), cost.folder_bytes(path)))
    found.steps += folds
    size = pack.uncompressed(project.repository.common_dir)
    if size >= _WORTH:
        found.steps.append(Step("compress", "", "frames", size))
    return found


def _has_refs(own: dict[str, str], run: str) -> bool:
    return run_ref(run) in own or any(name.startswith(f"{REWOUND}{run}/") for name in own)


def _folders(project: Project, view: RunView, wanted: Wanted, found: Plan) -> bool:
    """What to do with the worktrees of one run; says whether something of them stays."""
    run = view.row.run
    spaces = project.workspaces(run)
    folder = spaces.root / run
    if not folder.is_dir():
        return False
    before = len(found.kept)
    state = project.chain(run).state
    for name, space in state.spaces.items():
        path = spaces.path(name)
        why = _differs(project, path, space.commit)
        if why is not None:
            found.kept.append(Kept(run, str(path), why))
        elif path.exists():
            found.steps.append(Step("remove worktree", run, str(path), cost.folder_bytes(path), name))
    for path in sorted(folder.iterdir()):
        if path.name in state.spaces or path in worktree.leftovers(spaces.root) or path == Lanes(project).root:
            continue
        if not path.name.endswith(SHELF):
            found.kept.append(Kept(run, str(path), "it is no worktree of the run as it stands now"))
        elif wanted.set_aside or not _loses(project, view.row.tip, path):
            found.steps.append(Step("remove files set aside", run, str(path), cost.folder_bytes(path)))
        else:
            found.kept.append(Kept(run, str(path), f"{_SHELVED}; --set-aside removes them"))
    return len(found.kept) > before


def _differs(project: Project, path: Path, commit: str) -> str | None:
    """Why a worktree must stay; None when it may go, or is gone."""
    if not path.exists():
        return None
    checkout = worktree.find(project.repository, path)
    if checkout is None:
        return "git knows no worktree there"
    try:
        same = worktree.unchanged(checkout, commit)
    except SmithersError as error:
        return error.message
    return None if same else "its files differ from the run's last frame, or a repository lies in it"


def _loses(project: Project, tip: str, shelf: Path) -> bool:
    """Whether a folder of files that were set aside holds something that no frame of the run does."""
    files = [path for path in sorted(shelf.rglob("*")) if path.is_symlink() or not path.is_dir()]
    if any(path.is_symlink() or not path.is_file() or ".git" in path.parts for path in files):
        return True
    known = reachable(project.repository.common_dir, [tip, *archive.tails(project.objects, shelf.parent.name).values()])
    return any(_blob(path) not in known for path in files)


def _blob(path: Path) -> str:
    """The id that git gives these bytes."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0%s" % (len(data), data), usedforsecurity=False).hexdigest()


def _strays(project: Project, known: set[str]) -> Iterator[Path]:
    """Local files of runs that are not there any more."""
    for path in sorted((project.state_dir / "runs").glob("*")):
        old = project.clock.now() - path.stat().st_mtime > _YOUNG
        if path.name not in known and old and not is_held(project.lock_path(path.name)) and not live.orphans(path):
            yield path


def _doomed(project: Project, views: list[RunView], wanted: Wanted, sizes: Mapping[str, int | None]) -> set[str]:
    """The runs to prune: over, old or beyond the size, and no run that stays is a fork of them."""
    if wanted.prune_after is None and wanted.keep_size is None:
        return set()
    over = [view for view in views if view.row.end is not None and not is_held(project.lock_path(view.row.run))]
    doomed: set[str] = set()
    if wanted.prune_after is not None:
        limit = project.clock.now() - wanted.prune_after
        doomed = {view.row.run for view in over if view.row.updated < limit}
    if wanted.keep_size is not None:
        total = sum(size or 0 for run, size in sizes.items() if run not in doomed)
        for view in sorted(over, key=lambda view: view.row.updated):
            if total > wanted.keep_size and view.row.run not in doomed:
                doomed.add(view.row.run)
                total -= sizes[view.row.run] or 0
    parents = {view.row.run: view.row.parent for view in views}
    while needed := {run for run in doomed if any(parents[child] == run for child in parents.keys() - doomed)}:
        doomed -= needed
    return doomed


# -- act


def carry_out(project: Project, found: Plan, told: Callable[[Step], None]) -> list[Kept]:
    """Do what the plan says; `told` hears of each step that was done. Returns what could not be done, with why."""
    refused: list[Kept] = []
    common_dir = project.repository.common_dir
    for name in ref_lock.left(common_dir):  # of a gc that was killed: nobody else comes to a ref that is gone
        ref_lock.break_stale(common_dir, name)
    for steps in _batches(found.steps):
        done: list[Step] = []
        with ExitStack() as locks:
            held: list[Step] = []
            for step in steps:
                why = _locked(project, step, locks)
                _note(step, why, held, refused)
            over = [step.run for step in held if step.action in _FOR_GOOD]
            batch = _Batch(project.objects.refs(OURS) if over else {})
            _forget_gone(project, over)
            for step in held:
                why = _tried(project, step, batch)
                _note(step, why, done, refused)
            _finish(project, batch)
        for step in done:
            told(step)
    return refused


def _batches(steps: list[Step]) -> Iterator[list[Step]]:
    """What is done under locks that are held together: each of these lists and rewrites the archive once."""
    yield from ([step] for step in steps if step.action not in _FOR_GOOD)
    for action in _FOR_GOOD:
        same = [step for step in steps if step.action == action]
        yield from (same[start : start + _AT_ONCE] for start in range(0, len(same), _AT_ONCE))


def _note(step: Step, why: str | None, good: list[Step], refused: list[Kept]) -> None:
    if why is None:
        good.append(step)
    else:
        refused.append(Kept(step.run, step.target, why))


@dataclass(slots=True)
class _Batch:
    """What several steps have in common."""

    own: Mapping[str, str]
    """Every ref of ours, as they are while the locks are held."""
    fold: dict[str, str] = field(default_factory=dict)
    """What the archive is to list."""
    drop: set[str] = field(default_factory=set)
    """What it is to list no more."""
    gone: list[str] = field(default_factory=list)
    """Runs that were pruned."""


def _finish(project: Project, batch: _Batch) -> None:
    archive.fold(project.objects, batch.fold, project.clock.now())
    archive.drop(project.objects, batch.drop, project.clock.now())
    project.index.remove(batch.gone)
    for run in batch.gone:
        project.lock_path(run).unlink(missing_ok=True)
        project.turn_path(run).unlink(missing_ok=True)


def _forget_gone(project: Project, over: list[str]) -> None:
    """Have git forget worktrees of these runs that are gone: a power loss takes back that it did."""
    root = project.workspaces("").root
    if over and root.is_dir():  # else its disk is not there
        worktree.prune(project.repository, *(root / run for run in over))


def _locked(project: Project, step: Step, locks: ExitStack) -> str | None:
    """Hold the lock of the step's run, if it has one; why that cannot be."""
    if not step.run:
        return None
    lock = project.lock(step.run)
    if not lock.try_acquire({"doing": "gc"}):
        return "another process has taken up the run"
    locks.callback(lock.release)
    project.settle()
    return None


def _tried(project: Project, step: Step, batch: _Batch) -> str | None:
    try:
        return _do(project, step, batch)
    except SmithersError as error:
        return f"{error.message}; {error.hint}" if error.hint else error.message


def _do(project: Project, step: Step, batch: _Batch) -> str | None:
    """One step; why it was not done, or None. What the archive is to hear of it goes into `batch`."""
    if step.action == "compress":
        return _compress(project)
    if step.action == "remove lane":
        Lanes(project).clear()
        return "a gate runs in it" if Path(step.target).exists() else None
    if step.action in ("remove leftover", "remove files set aside"):
        path = Path(step.target)
        worktree.clear(project.repository, path)
        with suppress(OSError):  # other folders of the run are still there
            path.parent.rmdir()
        return None
    chain = project.chain(step.run)
    if step.action == "remove worktree":
        space = chain.state.spaces.get(step.space)
        gone = space is not None and project.workspaces(step.run).remove(step.space, space.branch, space.commit)
        return None if gone else "its files were changed just now"
    folder = project.workspaces(step.run).root / step.run
    with suppress(OSError):  # an empty one, left by a removal that was killed
        folder.rmdir()
    if chain.state.end is None or folder.exists():
        return "it has gone on, or still has worktrees"
    assert chain.tip is not None
    if step.action == "fold":
        _remove_branches(project, chain.state)
        batch.fold |= archive.tails(project.objects, step.run, batch.own) | {run_ref(step.run): chain.tip}
    else:
        _prune(project, chain.state, chain.tip, batch)
    return None


def _compress(project: Project) -> str | None:
    lock = project.lock("packing")
    if not lock.try_acquire():
        return "an engine packs just now"
    try:
        refs = project.objects.refs("refs/")
        ours = sorted({tip for name, tip in refs.items() if is_ours(name)})
        pack.compress(project.repository.common_dir, ours, cost.users_tips(project))
    finally:
        lock.release()
    return None


def _remove_branches(project: Project, state: State) -> None:
    """The branches of a run that are where its last frame is: that frame keeps their commits."""
    mine = {space.branch: space.commit for space in state.spaces.values()}
    own = {name: oid for name, oid in mine.items() if name.startswith(f"{BRANCHES}{state.run}/")}
    there = [name for name, oid in own.items() if project.objects.ref(name) == oid]
    taken = {info.branch for info in worktree.listing(project.repository)} if there else set()
    for name in there:
        if name not in taken:
            project.objects.delete_ref(name, own[name])


def _prune(project: Project, state: State, tip: str, batch: _Batch) -> None:
    """Let go of a run. Its own ref, or its place in the archive, goes last: until then it is a run to be pruned."""
    run = state.run
    _remove_branches(project, state)
    tails = archive.tails(project.objects, run, batch.own)
    for name, oid in tails.items():
        project.objects.delete_ref(name, oid)
    folder = project.run_dir(run)
    if folder.exists():
        worktree.clear(project.repository, folder)
    project.objects.delete_ref(run_ref(run), tip)
    batch.drop |= {run_ref(run), *tails}
    batch.gone.append(run)
