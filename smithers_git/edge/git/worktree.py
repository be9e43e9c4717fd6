"""Worktrees of the user's repository: making, finding, listing and removing them.

A worktree of ours is locked, in git's sense, with a reason that begins with `OURS`, in the same command that makes it.
Git then never prunes it behind a live run when its disk is not mounted or a cleaner of temporary folders was there
(gc does that to unlocked ones), `git worktree remove` and `move` refuse and show the reason, and we know it again.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from smithers_git.edge.git.checkout import Checkout, State, inspect, open_up, private_index, sound_index
from smithers_git.edge.git.command import failure, storage_errors
from smithers_git.edge.git.durable import flush
from smithers_git.edge.git.moved import update_ref
from smithers_git.edge.git.records import OURS, clear_torn, forget, record
from smithers_git.edge.git.repository import Repository
from smithers_git.edge.git.restore import examine
from smithers_git.edge.lock import holding
from smithers_git.edge.process.command import Captured
from smithers_git.errors import GitError, RepositoryError, StorageError
from smithers_git.names import BRANCHES

_WAIT = 120.0  # seconds for all others who make worktrees; one takes about 20 ms
_NOTHING = "0" * 40
_GOING = ".going"


@dataclass(frozen=True)
class WorktreeInfo:
    """One line of `git worktree list`.

    Attributes:
        path: its folder, which may be missing.
        head: commit that is checked out; None in a bare repository or on a branch without one.
        branch: full name of its branch; None when detached.
        reason: why it is locked; None when it is not.
        bare: it is a bare repository, not a worktree.
    """

    path: Path
    head: str | None
    branch: str | None
    reason: str | None
    bare: bool

    @property
    def ours(self) -> bool:
        return self.reason is not None and self.reason.startswith(OURS)


def listing(repo: Repository) -> list[WorktreeInfo]:
    """All worktrees, the main one first."""
    done = _list(repo)
    if _is_torn(done):
        with _administration(repo):
            return _listing(repo)
    return _parsed(repo, done)


def _listing(repo: Repository) -> list[WorktreeInfo]:
    """As `listing`, for who holds the administration."""
    done = _list(repo)
    if _is_torn(done):  # it was too young to be told from one that is being made
        clear_torn(repo)
        done = _list(repo)
    return _parsed(repo, done)


_LIST = ("worktree", "list", "--porcelain", "-z")


def _list(repo: Repository) -> Captured:
    return repo.checkout.try_git(*_LIST)


def _is_torn(done: Captured) -> bool:
    """Whether git fails because of a record that was never finished."""
    return bool(done.code) and b"commondir" in done.stderr


def _parsed(repo: Repository, done: Captured) -> list[WorktreeInfo]:
    if done.code:
        raise failure(repo.worktree, _LIST, done)
    return [_info(record) for record in os.fsdecode(done.stdout).removesuffix("\n").split("\0\0") if record]


def main_checkout(repo: Repository) -> Checkout:
    """The checkout of the repository itself; the user's own when there is none (a bare one with worktrees)."""
    if repo.git_dir == repo.common_dir:
        return repo.checkout
    main = listing(repo)[0]
    return repo.checkout if main.bare or not (main.path / ".git").exists() else Checkout(main.path, repo.common_dir)


def find(repo: Repository, path: Path) -> Checkout | None:
    """The worktree at `path`; None when git does not know one there, or its folder is missing.

    Found from git's side, as an agent may have damaged the `.git` in the folder.
    """
    if path.is_symlink() or not path.is_dir():
        return None
    known = record(repo, path)
    return Checkout(path, known) if known else None


def add(repo: Repository, path: Path, branch_ref: str, commit: str, *, kept: str | None = None) -> Checkout:
    """A new worktree at `path` on the branch `branch_ref`, which is made at or moved to `commit`.

    No files are written yet (`restore` does that): so worktrees are made one after another, because git itself fails
    at it in parallel, yet filled side by side. Sparse patterns of the user's checkout are inherited.

    Args:
        repo: the user's repository.
        path: absolute; missing, or an empty folder.
        branch_ref: full name. One outside `refs/heads/smithers/` is not moved, but for what `kept` says.
        commit: where the branch starts.
        kept: prefix of refs. A branch that only they hold is what a rewind left behind, and may be moved.

    Raises:
        StorageError: there is something else at `path`; it is left alone.
        RepositoryError: the branch is not ours, or is checked out somewhere else.
        GitError: git refuses.
    """
    with _administration(repo):
        path = _room_for(repo, path)
        for other in _listing(repo):
            if other.path == path or other.branch == branch_ref:
                _make_way(repo, other, path, branch_ref)
        _claim(repo, branch_ref, commit, kept)
        reason = f"{branch_ref.removeprefix(BRANCHES)}, `smithers ps` shows the run"
        return _make(repo, path, reason, branch_ref.removeprefix("refs/heads/"))


def add_detached(repo: Repository, path: Path, commit: str, about: str) -> Checkout:
    """As `add`, on no branch: HEAD is at `commit`. `about` says what it is for, in `git worktree list`."""
    with _administration(repo):
        path = _room_for(repo, path)
        for other in _listing(repo):
            if other.path == path:
                _make_way(repo, other, path, "")
        return _make(repo, path, about, "--detach", commit)


def _make(repo: Repository, path: Path, about: str, *what: str) -> Checkout:
    *options, name = what
    arguments = ("worktree", "add", "--quiet", "--no-checkout", "--lock", "--reason", OURS + about, *options)
    # Absolute paths, because `record` and tools of the user's compare them (git 2.48 can write relative ones).
    repo.checkout.git("-c", "worktree.useRelativePaths=false", *arguments, "--", str(path), name)
    made = find(repo, path)
    if made is None:
        raise GitError(f"git worktree add made nothing at {path}", hint=f"see `git -C {repo.worktree} worktree list`")
    return made


def remove(repo: Repository, path: Path, branch_ref: str, commit: str) -> bool:
    """Remove the worktree at `path` if nothing is lost: its files equal `commit`, which contains its HEAD.

    Ignored files go with it. Nested repositories and submodules with changes of their own keep it alive.

    Returns:
        Whether it was removed.
    """
    checkout = find(repo, path)
    if checkout is None or not holds_only(checkout, branch_ref, commit):
        return False
    with _administration(repo):
        if not _all_in(checkout, inspect(checkout), commit):
            return False  # somebody wrote there while we waited for our turn
        _take_away(repo, path)
    return True


@storage_errors
def _take_away(repo: Repository, path: Path) -> None:
    """One rename, then git's record, then the files.

    `git worktree remove` deletes in place: killed in between, it leaves a worktree whose files differ from its commit,
    which nobody could tell from one whose files a person deleted.
    """
    going = path.with_name(f".{path.name}{_GOING}")
    _delete(going)
    path.rename(going)
    flush(path.parent)  # or a power loss takes the rename back and not what was deleted since
    forget(repo, path)
    _delete(going)


def leftovers(root: Path) -> list[Path]:
    """What removals that were killed left of worktrees two levels below `root`; to be ended with `clear`."""
    return sorted(root.glob(f"*/.*{_GOING}"))


@storage_errors
def clear(repo: Repository, path: Path) -> None:
    """End a removal that was killed, if `path` is one of `leftovers`; delete `path`, whatever it is."""
    with _administration(repo):
        if path.name.endswith(_GOING):
            gone = path.with_name(path.name[1 : -len(_GOING)])
            if not os.path.lexists(gone):
                forget(repo, gone)
        _delete(path)


def _delete(path: Path) -> None:
    if not path.exists():
        return
    try:
        shutil.rmtree(path)
    except PermissionError:  # a folder that an agent closed
        open_up(path)
        shutil.rmtree(path)


@storage_errors
def unchanged(checkout: Checkout, commit: str) -> bool:
    """As `holds_only`, for a look: nothing is written, not even what would be mended first.

    Raises:
        GitError: git cannot tell.
    """
    with private_index(checkout) as private:
        sound_index(private)
        return _all_in(checkout, inspect(private), commit)


@storage_errors
def discard(repo: Repository, path: Path) -> None:
    """Delete the detached worktree of ours at `path` with all that is in it. For what can be made again at any time.

    Raises:
        RepositoryError: what is there has a branch, or is not ours; it is left alone.
    """
    path = path.parent.resolve() / path.name
    with _administration(repo):
        info = next((one for one in _listing(repo) if one.path == path), None)
        if info is not None and (not info.ours or info.branch):
            raise RepositoryError(f"{path} is no worktree that may be deleted", hint=f"see git worktree list in {path}")
        if os.path.lexists(path):
            _take_away(repo, path)
        elif info is not None:
            forget(repo, path)


def holds_only(checkout: Checkout, branch_ref: str, commit: str) -> bool:
    """Whether everything in the worktree that git does not ignore is in `commit` or its history."""
    return _all_in(checkout, examine(checkout, branch_ref), commit)


def _all_in(checkout: Checkout, state: State, commit: str) -> bool:
    if state.uncovered or not state.clean or state.head is None:
        return False
    if state.head == commit:
        return True
    same = checkout.resolve(f"{state.head}^{{tree}}") == checkout.resolve(f"{commit}^{{tree}}")
    return same and not checkout.try_git("merge-base", "--is-ancestor", state.head, commit).code


def prune(repo: Repository, *roots: Path) -> list[Path]:
    """Forget our worktrees below `roots` whose folder is missing; returns their paths. Others' are left alone."""
    places = {root.resolve() for root in roots}
    with _administration(repo):
        gone = [
            info.path
            for info in _listing(repo)
            if info.ours and not places.isdisjoint(info.path.parents) and not os.path.lexists(info.path)
        ]
        for path in gone:
            forget(repo, path)
    return gone


@contextmanager
def _administration(repo: Repository) -> Iterator[None]:
    """Be the only one of ours who changes git's records, which are whole then."""
    with holding(repo.smithers_dir / "worktrees.lock", _WAIT):
        clear_torn(repo)
        yield


@storage_errors
def _room_for(repo: Repository, path: Path) -> Path:
    """`path` as git records it, with its parent folder made; StorageError when something is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path = path.parent.resolve() / path.name
    link = path / ".git"
    if link.is_file() and [*path.iterdir()] == [link]:  # of a `git worktree add` that was killed
        text, records = os.fsdecode(link.read_bytes()), repo.common_dir / "worktrees"
        begins = f"gitdir: {records}/"
        torn = not text.endswith("\n") and (begins.startswith(text) or text.startswith(begins))
        there = Path(text.removeprefix("gitdir: ").rstrip("\n"))
        if torn or (there.parent == records and not there.exists()):
            link.unlink()
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise StorageError(f"{path} exists and is not an empty folder", hint=f"move it away: mv {path} {path}.old")
    return path


def _make_way(repo: Repository, other: WorktreeInfo, path: Path, branch_ref: str) -> None:
    """Forget the record `other` if it is a dangling one of ours: it keeps `path` or the branch taken."""
    if other.path != path and _lives(repo, other.path):
        raise RepositoryError(
            f"{branch_ref.removeprefix('refs/heads/')} is checked out in {other.path}",
            hint=f"leave it there: git -C {other.path} switch --detach",
        )
    if not other.ours:
        raise RepositoryError(
            f"git records a worktree at {other.path} that smithers did not make",
            hint=f"git -C {repo.worktree} worktree prune",
        )
    forget(repo, other.path)


def _lives(repo: Repository, path: Path) -> bool:
    """Whether `path` is there, and not the worktree of the place where this repository was before it was moved."""
    try:
        text = os.fsdecode((path / ".git").read_bytes())
    except OSError:
        return os.path.lexists(path)
    return (
        not text.startswith("gitdir: ") or (path / text[8:].rstrip("\n")).parent.parent == repo.common_dir / "worktrees"
    )


def _claim(repo: Repository, branch_ref: str, commit: str, kept: str | None) -> None:
    """Make the branch, or move it if it is ours."""
    user = repo.checkout
    now = user.resolve(branch_ref)
    if now == commit:
        return
    name = branch_ref.removeprefix("refs/heads/")
    if now is not None and not branch_ref.startswith(BRANCHES) and not _left_behind(user, now, commit, kept):
        raise RepositoryError(
            f"the branch {name} exists and is not at {commit[:12]}",
            hint=f"choose another name, or rename it: git branch -m {name} NEW-NAME",
        )
    done = update_ref(user, "smithers: new worktree", branch_ref, commit, now or _NOTHING)
    beside = re.search(r"'refs/heads/([^']+)' exists; cannot create", os.fsdecode(done.stderr))
    if done.code and beside:
        raise RepositoryError(
            f"the branch {name} cannot be made beside your branch {beside[1]}",
            hint=f"rename yours: git branch -m {beside[1]} NEW-NAME",
        )
    if done.code:
        raise failure(repo.worktree, ("update-ref", branch_ref), done)


def _left_behind(user: Checkout, now: str, commit: str, kept: str | None) -> bool:
    """Whether a branch at `now` goes on where `commit` does not, and all that it holds is in the refs below `kept`."""
    if kept is None or not user.try_git("merge-base", "--is-ancestor", now, commit).code:
        return False
    return bool(user.git("for-each-ref", "--count=1", f"--contains={now}", kept))


def _info(record: str) -> WorktreeInfo:
    fields: dict[str, str] = {}
    for line in record.split("\0"):
        name, _, value = line.partition(" ")
        fields[name] = value
    return WorktreeInfo(
        Path(fields["worktree"]),
        None if fields.get("HEAD", _NOTHING) == _NOTHING else fields["HEAD"],
        fields.get("branch"),
        fields.get("locked"),
        "bare" in fields,
    )
