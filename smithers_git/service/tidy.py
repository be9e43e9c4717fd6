"""What smithers leaves beside its runs when it is killed: locks of refs, worktrees that nothing needs, processes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Final

from smithers_git.edge.git import ref_lock, user_locks, worktree
from smithers_git.edge.git.command import failure
from smithers_git.edge.git.moved import update_ref
from smithers_git.edge.git.worktree import WorktreeInfo
from smithers_git.edge.lock import is_held
from smithers_git.errors import GitError, SmithersError
from smithers_git.names import ARCHIVE, OURS, run_ref
from smithers_git.service import archive, live
from smithers_git.service.finding import FIX, Finding, trouble
from smithers_git.service.project import Project

_COMMIT: Final = re.compile(rb"[0-9a-f]{40}\n?")
_THEIRS: Final = ("packed-refs.lock", "config.lock", "HEAD.lock", "index.lock", "shallow.lock")
_LONG: Final = 60.0
"""Seconds. A lock of the user's own git is only spoken of, and only when no git command takes that long."""


def refs(project: Project, *, fix: bool) -> Iterator[Finding]:
    """Ref files of ours that hold no commit id, as a torn write leaves them: git, and we, stumble over them."""
    common = project.repository.common_dir
    known = {run_ref(run): tip for run, tip in project.index.tips().items()}
    for path in sorted((common / OURS).rglob("*")):
        name = path.relative_to(common).as_posix()
        if path.suffix == ".lock" or not path.is_file() or _COMMIT.fullmatch(path.read_bytes()):
            continue
        tip = known.get(name)
        whole = tip is not None and project.objects.has(tip)
        if fix and tip is not None and whole:
            path.unlink()
            project.objects.advance(name, None, tip)
            yield Finding("refs", "mended", f"{name} was damaged; it is at {tip[:12]} again, which the index knew")
        elif whole:
            yield Finding("refs", "needs you", f"{name} is damaged; the index knows where it was", (FIX,))
        else:
            commands = ("git fsck --lost-found", f"rm {quote(str(path))}", f"git update-ref {name} COMMIT")
            yield Finding("refs", "needs you", f"{name} is damaged; git fsck finds the commit that it was at", commands)


def folded(project: Project) -> Iterator[Finding]:
    """The list of folded runs, without which no list of runs can be had."""
    try:
        archive.refs(project.objects)
    except GitError as error:
        commands = ("git fsck", f"git fetch A-COPY '+{ARCHIVE}:{ARCHIVE}'")
        yield Finding("refs", "needs you", f"the list of folded runs cannot be read: {error.message}", commands)


def locks(project: Project, *, fix: bool) -> Iterator[Finding]:
    """Locks that a killed process left beside our refs, and old ones of the user's git."""
    common, found = project.repository.common_dir, 0
    if fix:
        user_locks.clear(common, project.worktree)
    for name in ref_lock.left(common):
        found += 1
        if not fix:
            yield Finding("locks", "needs you", f"a stale lock keeps {name} from moving", (FIX,))
        elif ref_lock.break_stale(common, name):
            yield Finding("locks", "mended", f"removed the stale lock of {name}")
        else:
            lock = quote(str(ref_lock.lock_of(common, name)))
            yield Finding("locks", "needs you", f"a process has the lock of {name} open", (f"lsof {lock}",))
    for name in _THEIRS:
        for path in dict.fromkeys((common / name, project.repository.git_dir / name)):
            if path.exists() and _age(project, path) > _LONG:
                found += 1
                text = f"{path} is over a minute old: git waits for it"
                yield Finding(
                    "locks", "needs you", text, (f"rm {quote(str(path))}   # once no git command runs here any more",)
                )
    if not found:
        yield Finding("locks", "ok", "none is stale")


def _age(project: Project, path: Path) -> float:
    try:
        return abs(project.clock.now() - path.stat().st_mtime)  # the clock may have gone back
    except FileNotFoundError:
        return 0.0


def worktrees(project: Project, *, fix: bool) -> Iterator[Finding]:
    """Worktrees of ours whose folder vanished or whose run is gone, and folders that git knows nothing of."""
    repo = project.repository
    spaces = project.workspaces("")
    known = worktree.listing(repo)
    tips = project.tips()
    mine = [info for info in known if info.ours and info.path.parent.parent == spaces.root]
    gone = [info for info in mine if not info.path.exists()]
    if gone and fix:
        pruned = worktree.prune(repo, spaces.root)
        yield Finding("worktrees", "mended", f"forgot {len(pruned)} whose folder is gone; a resume makes them again")
    elif gone:
        yield Finding("worktrees", "note", f"the folder of {len(gone)} is gone; a resume makes it again", (FIX,))
    orphans = [info for info in mine if info not in gone and info.path.parent.name not in tips]
    for info in orphans:
        yield _orphan(project, info, fix=fix)
    nowhere = [found for info in mine if info not in orphans and (found := _nowhere(project, info, fix=fix))]
    yield from nowhere
    strange = sorted(path for path in spaces.root.glob("*/[!.]*") if path.is_dir() and not _listed(path, known))
    for path in strange:
        place = quote(str(path))
        commands = (f"ls {place}", f"rm -r {place}   # when nothing in it is worth keeping")
        yield Finding("worktrees", "needs you", f"{path} is no worktree that git knows", commands)
    if not (gone or orphans or nowhere or strange):
        yield Finding("worktrees", "ok", f"{len(mine)} in {spaces.root}" if mine else "none")


def _listed(path: Path, known: list[WorktreeInfo]) -> bool:
    return any(info.path == path for info in known)


def _orphan(project: Project, info: WorktreeInfo, *, fix: bool) -> Finding:
    run, space = info.path.parent.name, info.path.name
    text = f"{info.path} belongs to run {run}, which is gone"
    if not fix:
        return Finding("worktrees", "needs you", text, (FIX,))
    spaces = project.workspaces(run)
    try:
        removed = info.branch is not None and info.head is not None and spaces.remove(space, info.branch, info.head)
    except SmithersError as error:
        return trouble("worktrees", error)
    if removed:
        return Finding("worktrees", "mended", f"removed {info.path} of run {run}, which is gone; its branch stays")
    place = quote(str(info.path))
    commands = (f"git -C {place} status", f"git worktree remove --force --force {place}   # loses that work")
    return Finding("worktrees", "needs you", f"{text}, and holds work that is in no commit", commands)


def _nowhere(project: Project, info: WorktreeInfo, *, fix: bool) -> Finding | None:
    """A branch at a commit that a gc took, as may be when an engine was killed beside one. A live engine sees to it.

    It is put back to where the newest frame has it; files and index stay.
    """
    run, space = info.path.parent.name, info.path.name
    if info.head is None or info.branch is None or project.objects.has(info.head) or project.is_owned(run):
        return None
    name = info.branch.removeprefix("refs/heads/")
    text = f"{name} is at {info.head[:12]}, a commit that is gone: every git gc fails"
    known = project.chain(run).state.spaces.get(space)
    if known is None or not project.objects.has(known.commit):
        return Finding("worktrees", "needs you", text, (f"smithers up --resume {run}",))
    if not fix:
        return Finding("worktrees", "needs you", text, (FIX,))
    user = project.repository.checkout
    done = update_ref(user, "smithers doctor", info.branch, known.commit, info.head)
    if done.code:
        return trouble("worktrees", failure(user.path, ("update-ref", info.branch), done))
    return Finding("worktrees", "mended", f"put back to {known.commit[:12]}: {text}")


def processes(project: Project, *, fix: bool) -> Iterator[Finding]:
    """What engines that were killed have left running."""
    left = 0
    for folder in sorted((project.state_dir / "runs").glob("*")):
        if is_held(project.lock_path(folder.name)):
            continue
        pids = live.orphans(folder)
        left += len(pids)
        if pids and fix:
            yield Finding("processes", "mended", f"ended {_pids(live.end_orphans(folder))}, left by run {folder.name}")
        elif pids:
            yield Finding("processes", "needs you", f"run {folder.name} left running: {_pids(pids)}", (FIX,))
    if not left:
        yield Finding("processes", "ok", "none is left over")


def _pids(pids: list[int]) -> str:
    return f"process{'es' * (len(pids) != 1)} {', '.join(map(str, pids))}"
