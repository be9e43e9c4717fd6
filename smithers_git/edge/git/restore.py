"""Bringing a worktree of ours to the bytes of a commit, whatever an agent left there."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

from smithers_git.edge.git.checkout import Checkout, State, inspect, open_up, sound_index
from smithers_git.edge.git.command import failure, git, storage_errors, try_git
from smithers_git.edge.git.moved import update_ref
from smithers_git.errors import GitError
from smithers_git.names import BRANCHES

_OPERATIONS = (
    "MERGE_HEAD", "MERGE_MSG", "MERGE_MODE", "MERGE_RR", "AUTO_MERGE", "SQUASH_MSG", "CHERRY_PICK_HEAD", "REVERT_HEAD",
    "REBASE_HEAD", "BISECT_START", "BISECT_LOG", "BISECT_NAMES", "BISECT_RUN", "BISECT_TERMS", "BISECT_EXPECTED_REV",
    "BISECT_ANCESTORS_OK", "BISECT_FIRST_PARENT", "rebase-merge", "rebase-apply", "sequencer",
)  # fmt: skip
SHELF = ".kept"
"""What the name of a folder of set aside files ends in; it lies beside the worktree and begins with a dot."""
_BRIEF = 0.5  # seconds; git holds the lock of a small worktree for milliseconds
_LONG = 120.0  # seconds; `git commit` holds it while a pre-commit hook runs


def restore(checkout: Checkout, branch_ref: str, commit: str) -> list[str]:
    """Make files, index and HEAD of a worktree of ours equal to `commit`, and HEAD be on `branch_ref` at `commit`.

    To be called when nothing works there any more and what is worth keeping was saved. Ignored files and nested
    repositories stay. What is neither in `commit` nor ignored afterwards was in no snapshot (say, an agent's
    .gitignore hid it): it is moved to a folder beside the worktree instead of being deleted.

    Returns:
        What git cannot bring back: nested repositories, and submodules with changes of their own.

    Raises:
        GitError: the files are still not equal.
        StorageError: something cannot be read or written.
    """
    mend(checkout, branch_ref)
    put_on_branch(checkout, branch_ref, commit)
    sound_index(checkout)
    gently(checkout, "reset", "--hard", "--quiet", commit)
    state = inspect(checkout)
    if state.untracked:
        _set_aside(checkout, state.untracked)
    _drop_empty_folders(checkout)
    if any(path + "/" in state.uncovered for path in state.changed):
        _recall_submodules(checkout, state)
    if state.untracked or state.changed:
        state = inspect(checkout)
    wrong = [path for path in state.changed if path + "/" not in state.uncovered]
    wrong += state.untracked + state.conflicted
    if wrong or state.head != commit:
        raise GitError(
            f"{checkout.path} does not equal {commit[:12]} after git reset --hard: {', '.join(wrong[:3]) or 'HEAD'}",
            hint=f"does something still write there? see `git -C {checkout.path} status`",
        )
    return state.uncovered


def examine(checkout: Checkout, branch_ref: str) -> State:
    """How a worktree of ours differs from its HEAD, after mending what would hide it: locks, `.git`, index."""
    mend(checkout, branch_ref)
    sound_index(checkout)
    return inspect(checkout)


@storage_errors
def mend(checkout: Checkout, branch_ref: str) -> None:
    """Remove the locks that a killed git left in a worktree of ours, and put its `.git` file and its HEAD back.

    A living git gets a moment to finish. The lock of the branch goes only if the branch is ours. HEAD is empty after a
    power loss, and zeros when a `git worktree add` is killed: then git can tell nothing of the worktree.
    """
    locks = [checkout.git_dir / f"{name}.lock" for name in ("index", "HEAD", "ORIG_HEAD")]
    if branch_ref.startswith(BRANCHES):
        locks.append(checkout.common_dir / f"{branch_ref}.lock")
    began = time.monotonic()
    for lock in locks:
        _unlock(lock, checkout.path, began)
    head = checkout.git_dir / "HEAD"
    if branch_ref and not (head.exists() and head.read_bytes().strip(b"0\0 \n")):
        head.write_text(f"ref: {branch_ref}\n", "utf-8")
    link = checkout.path / ".git"
    text = f"gitdir: {checkout.git_dir}\n"
    if link.is_file() and not link.is_symlink() and os.fsdecode(link.read_bytes()) == text:
        return
    if os.path.lexists(link):
        _set_aside(checkout, [".git"])
    link.write_bytes(os.fsencode(text))


def _unlock(lock: Path, folder: Path, began: float) -> None:
    """Remove `lock` unless the git that made it may still be at work in `folder`; then wait for that."""
    while lock.exists():
        waited = time.monotonic() - began
        if waited > _BRIEF and not git_works_in(folder):
            lock.unlink(missing_ok=True)
        elif waited > _LONG:
            raise GitError(f"a git process works in {folder} and holds {lock}", hint="wait for it, or end it")
        time.sleep(0.02)


def git_works_in(folder: Path) -> bool:
    """Whether a git process has its working directory in `folder`. Only Linux can tell; elsewhere False."""
    for place in Path("/proc").glob("[0-9]*/cwd"):
        try:
            inside = place.readlink().is_relative_to(folder)
            if inside and place.with_name("exe").readlink().name.split("-")[0] == "git":
                return True
        except OSError:
            continue  # it ended meanwhile, or is another user's
    return False


def unfinished(checkout: Checkout) -> bool:
    """Whether a merge, rebase or the like was begun and not ended."""
    return any((checkout.git_dir / name).exists() for name in _OPERATIONS)


@storage_errors
def end_operations(checkout: Checkout) -> None:
    """End unfinished merges, rebases and the like. HEAD, files and index stay."""
    for name in _OPERATIONS:
        left = checkout.git_dir / name
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)


@storage_errors
def put_on_branch(checkout: Checkout, branch_ref: str, commit: str) -> None:
    """End unfinished merges and rebases, and have HEAD on `branch_ref` at `commit`. Files and index stay."""
    end_operations(checkout)
    checkout.git("symbolic-ref", "-m", "smithers", "HEAD", branch_ref)
    done = update_ref(checkout, "smithers", branch_ref, commit)
    if done.code:
        raise failure(checkout.path, ("update-ref", branch_ref), done)


def gently(checkout: Checkout, *args: str) -> None:
    """Run git; when a folder is closed to its owner (an agent's chmod) open all and run it again."""
    done = checkout.try_git(*args)
    if done.code and b"Permission denied" in done.stderr:
        open_up(checkout.path)
        done = checkout.try_git(*args)
    if done.code:
        checkout.git(*args)


@storage_errors
def _set_aside(checkout: Checkout, names: list[str]) -> Path:
    """Move files to a new folder beside the worktree: a rename costs nothing, whatever their size."""
    shelf = free_shelf(checkout.path)
    for name in names:
        target = shelf / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (checkout.path / name).rename(target)
    return shelf


def _drop_empty_folders(checkout: Checkout) -> None:
    """Remove folders that hold nothing and that git does not ignore.

    Not by `git clean -d`, which deletes files too: those that a person writes since they were looked for and, as a git
    outlives the engine that is killed, those that are written behind it (kill loop, once in 5,000 kills).
    """
    found = checkout.git("ls-files", "-z", "--others", "--directory", "--exclude-standard").split("\0")
    for name in found:
        if not name.endswith("/"):
            continue
        try:
            _drop_empty(checkout.path / name)
        except PermissionError:  # in a folder that an agent closed
            open_up(checkout.path)
            _drop_empty(checkout.path / name)


def _drop_empty(root: Path) -> None:
    found: list[str] = []
    for place, folders, names in os.walk(root):
        if ".git" in (*folders, *names):
            folders.clear()  # another repository, which stays as it is
        else:
            found.append(place)
    for place in reversed(found):
        try:
            Path(place).rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise


def free_shelf(path: Path) -> Path:
    """Where the next things go that are set aside of the worktree at `path`; nothing is there yet."""
    shelf, number = path.parent / f".{path.name}{SHELF}", 1
    while (shelf / str(number)).exists():
        number += 1
    return shelf / str(number)


def _recall_submodules(checkout: Checkout, state: State) -> None:
    """Check out the recorded commit in submodules that moved, where their own repository still has it: no network."""
    for name in state.changed:
        if name + "/" not in state.uncovered:
            continue
        recorded = checkout.git("rev-parse", f"HEAD:{name}")
        if not try_git(checkout.path / name, "cat-file", "-e", recorded).code:
            git(checkout.path / name, "checkout", "--quiet", "--detach", recorded)
