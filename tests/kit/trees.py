"""A worktree of ours in a small repository, and the things that an agent does to one."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from kit import repos
from kit.repos import git

from smithers_git.edge.git import worktree
from smithers_git.edge.git.checkout import Checkout
from smithers_git.edge.git.repository import discover
from smithers_git.edge.git.restore import restore
from smithers_git.names import branch_ref

BRANCH = branch_ref("run", "main")


def make_tree(repo: Path, path: Path, branch: str = BRANCH) -> Checkout:
    """A worktree of ours at `path`, filled with the commit that `repo` has checked out."""
    found = discover(repo)
    assert found.head
    checkout = worktree.add(found, path, branch, found.head)
    restore(checkout, branch, found.head)
    return checkout


def files(root: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and bytes of everything in a worktree that git can record: neither folders nor its own."""
    found = repos.contents(root).items()
    return {name: what for name, what in found if name.split("/")[0] != ".git" and not stat.S_ISDIR(what[0])}


def _edit(path: Path) -> None:
    repos.write(path, {"README.md": "edited\n", "new/file": "new\n"})
    (path / "src" / "app.py").unlink()


def _commits(path: Path) -> None:
    repos.commit(path, {"README.md": "edited\n", "new/file": "new\n"})


def _resets(path: Path) -> None:
    repos.commit(path, {"a": "1"})
    repos.commit(path, {"b": "1"})
    git(path, "reset", "-q", "--hard", "HEAD~1")
    _edit(path)


def _amends(path: Path) -> None:
    repos.write(path, {"README.md": "amended\n"})
    git(path, "commit", "-qa", "--amend", "-m", "amended")


def _switches(path: Path) -> None:
    git(path, "switch", "-q", "-c", "agent-branch")
    _commits(path)


def _detaches(path: Path) -> None:
    git(path, "checkout", "-q", "--detach")
    _commits(path)


def _orphans(path: Path) -> None:
    git(path, "checkout", "-q", "--orphan", "lonely")
    _edit(path)


def _stages(path: Path) -> None:
    _edit(path)
    git(path, "add", "-A")
    repos.write(path, {"README.md": "edited again\n"})


def _conflict(path: Path) -> None:
    git(path, "checkout", "-q", "-b", "theirs")
    repos.commit(path, {"README.md": "theirs\n"})
    git(path, "checkout", "-q", "-")
    repos.commit(path, {"README.md": "ours\n"})


def _merges(path: Path) -> None:
    _conflict(path)
    git(path, "merge", "theirs", check=False)
    assert git(path, "ls-files", "-u")


def _rebases(path: Path) -> None:
    _conflict(path)
    git(path, "rebase", "theirs", check=False)
    assert "rebase in progress" in git(path, "status")


def _picks(path: Path) -> None:
    _conflict(path)
    git(path, "cherry-pick", "theirs", check=False)


def _bisects(path: Path) -> None:
    repos.commit(path, {"a": "1"})
    git(path, "bisect", "start", "HEAD", "HEAD~1")


def _locks(path: Path) -> None:
    _edit(path)
    admin = Path(git(path, "rev-parse", "--absolute-git-dir"))
    for lock in (admin / "index.lock", admin / "HEAD.lock", admin.parent.parent / f"{BRANCH}.lock"):
        lock.touch()


def _corrupts(path: Path) -> None:
    _edit(path)
    Path(git(path, "rev-parse", "--absolute-git-dir"), "index").write_bytes(b"DIRC rubbish")


def _drops_index(path: Path) -> None:
    _edit(path)
    Path(git(path, "rev-parse", "--absolute-git-dir"), "index").unlink()


def _hides(path: Path) -> None:
    git(path, "update-index", "--assume-unchanged", "README.md")
    git(path, "update-index", "--skip-worktree", "src/app.py")
    _edit(path)


def _unlinks(path: Path) -> None:
    _edit(path)
    (path / ".git").unlink()


def _replaces(path: Path) -> None:
    _edit(path)
    (path / ".git").unlink()
    git(path, "init", "-q")
    repos.commit(path, {"mine": "1"})


def _swaps_kinds(path: Path) -> None:
    (path / "README.md").unlink()
    repos.write(path, {"README.md/now/a": "folder\n"})
    (path / "src" / "app.py").unlink()
    (path / "src").rmdir()
    (path / "src").symlink_to("/etc")


AGENTS: dict[str, Callable[[Path], None]] = {
    "edits": _edit,
    "stages": _stages,
    "commits": _commits,
    "resets": _resets,
    "amends": _amends,
    "switches branch": _switches,
    "detaches": _detaches,
    "makes an orphan branch": _orphans,
    "leaves a merge": _merges,
    "leaves a rebase": _rebases,
    "leaves a cherry-pick": _picks,
    "leaves a bisect": _bisects,
    "leaves locks": _locks,
    "corrupts the index": _corrupts,
    "deletes the index": _drops_index,
    "hides changes": _hides,
    "deletes .git": _unlinks,
    "replaces .git": _replaces,
    "swaps files, folders and links": _swaps_kinds,
}
"""What an agent may leave behind, by name; each is given the worktree's folder."""
