"""A folder of files and the git directory that describes it, and what differs between them."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from smithers_git.edge.git.command import failure, try_git
from smithers_git.edge.process import temporary
from smithers_git.edge.process.command import Captured

_CHECKSUM: Final = 20
"""Bytes at the end of an index: the SHA-1 of all before them."""


@dataclass(frozen=True)
class Checkout:
    """Files in `path`, described by `git_dir`, with `index` in place of its own index when given.

    Git is told both folders. Left to find them it would follow whatever `.git` an agent left behind, or, where there
    is none, go up to a repository in a parent folder, and then reset and clean that one.
    """

    path: Path
    git_dir: Path
    index: Path | None = None

    @property
    def common_dir(self) -> Path:
        """The git directory that all worktrees share."""
        link = self.git_dir / "commondir"
        return (self.git_dir / os.fsdecode(link.read_bytes()).rstrip("\n")).resolve() if link.exists() else self.git_dir

    @property
    def index_file(self) -> Path:
        """The index that describes these files; it may be missing."""
        return self.index or self.git_dir / "index"

    def try_git(
        self,
        *args: str,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Captured:
        """Run git on these files; an exit code is a result."""
        places = (f"--git-dir={self.git_dir}", f"--work-tree={self.path}")
        index = {"GIT_INDEX_FILE": str(self.index)} if self.index else {}
        return try_git(self.path, *places, *args, input=input, env={**index, **(env or {})})

    def git(
        self,
        *args: str,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run git on these files; returns its standard output without the last line end. Raises GitError."""
        done = self.try_git(*args, input=input, env=env)
        if done.code:
            raise failure(self.path, args, done)
        return os.fsdecode(done.stdout).removesuffix("\n")

    def resolve(self, revision: str) -> str | None:
        """The object that `revision` names; None when there is none."""
        if "\0" in revision:  # read from a file of ours that a power loss has filled with zeros
            return None
        return os.fsdecode(self.try_git("rev-parse", "-q", "--verify", revision).stdout).strip() or None


@dataclass(frozen=True)
class State:
    """How a checkout differs from its HEAD. Paths are relative to its top, folders end in a slash.

    Attributes:
        head: commit that is checked out; None on a branch without one.
        branch: full name of its branch; None when detached.
        changed: tracked files (and submodules) that differ from HEAD in the index or on disk.
        untracked: files that git neither tracks nor ignores.
        conflicted: files of an unfinished merge.
        uncovered: nested repositories, and submodules whose own content differs from the recorded commit: git
            records nothing of what is inside.
    """

    head: str | None
    branch: str | None
    changed: list[str]
    untracked: list[str]
    conflicted: list[str]
    uncovered: list[str]

    @property
    def clean(self) -> bool:
        return not (self.changed or self.untracked or self.conflicted)


_STATUS = (
    "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=none",
)  # fmt: skip


def inspect(checkout: Checkout) -> State:
    """Compare files, index and HEAD.

    Folders and files that an agent made unreadable are opened for their owner first: git counts what it cannot
    read as absent.

    Raises:
        GitError: git cannot tell, say because the index is damaged.
    """
    # No optional locks: git would refresh the indexes of submodules on the way, which are the user's.
    env = {"GIT_OPTIONAL_LOCKS": "0"}
    done = checkout.try_git(*_STATUS, env=env)
    if b"Permission denied" in done.stderr:
        open_up(checkout.path)
        done = checkout.try_git(*_STATUS, env=env)
    if done.code or b"Permission denied" in done.stderr:
        raise failure(checkout.path, _STATUS, done)
    return _parse(os.fsdecode(done.stdout).split("\0"))


def _parse(records: list[str]) -> State:
    head = branch = None
    changed: list[str] = []
    untracked: list[str] = []
    conflicted: list[str] = []
    uncovered: list[str] = []
    for record in records:
        kind, _, rest = record.partition(" ")
        if kind == "#":
            name, _, value = rest.partition(" ")
            head = value if name == "branch.oid" and value != "(initial)" else head
            branch = f"refs/heads/{value}" if name == "branch.head" and value != "(detached)" else branch
        elif kind == "?":
            (uncovered if rest.endswith("/") else untracked).append(rest)
        elif kind == "u":
            conflicted.append(rest.split(" ", 9)[9])
        elif kind == "1":
            fields = rest.split(" ", 7)
            states, submodule, path = fields[0], fields[1], fields[7]
            inside = submodule[0] == "S" and submodule != "S..."
            if inside:
                uncovered.append(path + "/")
            if not inside or "C" in submodule or states[0] != ".":
                changed.append(path)
    return State(head, branch, changed, untracked, conflicted, uncovered)


@contextmanager
def private_index(checkout: Checkout) -> Iterator[Checkout]:
    """The same files with a copy of the index: what git or we change in that leaves the real one alone."""
    with temporary.folder() as folder:
        private = replace(checkout, index=Path(folder, "index"))
        with suppress(FileNotFoundError):
            # With its time: git takes files that are not older than the index for possibly changed.
            shutil.copy2(checkout.index_file, private.index_file)
        yield private


def index_is_damaged(checkout: Checkout) -> bool:
    """Whether the index is not as git has written it, say after a power loss. A missing one is not damaged.

    Git itself looks at its beginning and leaves the checksum at its end to `git fsck` (2.39): of an index that was cut
    off, or that has zeros in the middle, it makes up files.
    """
    try:
        data = checkout.index_file.read_bytes()
    except FileNotFoundError:
        return False
    said = data[-_CHECKSUM:]
    if said.strip(b"\0"):
        return hashlib.sha1(data[:-_CHECKSUM], usedforsecurity=False).digest() != said
    return not (data.startswith(b"DIRC") and _skips_checksum(checkout))


def _skips_checksum(checkout: Checkout) -> bool:
    """Whether git is told to write zeros in place of the checksum (since 2.40)."""
    values = [
        checkout.try_git("config", "--type=bool", name).stdout for name in ("index.skipHash", "feature.manyFiles")
    ]
    told = [value.strip() for value in values if value.strip()]
    return told[:1] == [b"true"]


def sound_index(checkout: Checkout) -> None:
    """Make the index of a worktree of ours, or a copy of one, one that hides nothing.

    One that is missing or damaged is made again from HEAD. The marks assume-unchanged and skip-worktree are removed,
    as with them git does not look at the file: an agent that set one would make its change invisible. In a sparse
    checkout skip-worktree stays where the file is absent, as there it says that the file is outside the patterns.
    """
    index = checkout.index_file
    done = checkout.try_git("ls-files", "-v", "-z")
    records = os.fsdecode(done.stdout).split("\0")[:-1]
    # Without a checksum, a file without a name is what tells of zeros in the middle.
    if done.code or not index.exists() or index_is_damaged(checkout) or not all(record[2:] for record in records):
        index.unlink(missing_ok=True)
        checkout.git("reset", "-q")  # knows sparse patterns; read-tree would call every file outside them deleted
        return
    assumed = [record[2:] for record in records if record[0].islower()]
    skipped = [record[2:] for record in records if record[0] in "Ss"]
    _unmark(checkout, "--no-assume-unchanged", assumed)
    if skipped:
        sparse = checkout.try_git("config", "--type=bool", "core.sparseCheckout").stdout.strip() == b"true"
        _unmark(
            checkout,
            "--no-skip-worktree",
            [name for name in skipped if not sparse or os.path.lexists(checkout.path / name)],
        )


def _unmark(checkout: Checkout, option: str, names: list[str]) -> None:
    if names:
        paths = b"".join(os.fsencode(name) + b"\0" for name in names)
        checkout.git("update-index", option, "-z", "--stdin", input=paths)


def open_up(root: Path) -> None:
    """Give the owner access to every folder and file below `root`. Links are not followed."""
    _allow(root, 0o700)
    for folder, folders, names in os.walk(root):  # top down, so a folder is open before it is listed
        for name in folders:
            _allow(Path(folder, name), 0o700)
        for name in names:
            _allow(Path(folder, name), 0o400)


def _allow(path: Path, bits: int) -> None:
    mode = path.lstat().st_mode
    if mode & bits != bits and not stat.S_ISLNK(mode):
        with suppress(PermissionError):  # another user's, say of a container; git then names it
            path.chmod(stat.S_IMODE(mode) | bits)
