"""Finding the user's repository, and saying plainly why one cannot be served."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from smithers_git.edge.git.checkout import Checkout
from smithers_git.edge.git.command import complaint, require_version, try_git
from smithers_git.edge.process.command import Captured
from smithers_git.errors import DiskFull, RepositoryError, is_full

_QUESTIONS = (
    "rev-parse",
    "--path-format=absolute",
    "--is-bare-repository",
    "--is-inside-git-dir",
    "--show-object-format",
    "--absolute-git-dir",
    "--git-common-dir",
    "--show-toplevel",  # git gives up here when there are no files
    "HEAD",  # and here when there is no commit
    "--symbolic-full-name",
    "HEAD",
)


@dataclass(frozen=True)
class Repository:
    """The repository that smithers was started in.

    Attributes:
        worktree: top folder of the user's checkout.
        git_dir: git directory of that checkout; differs from `common_dir` in a linked worktree.
        common_dir: git directory that all worktrees share: objects, refs, configuration.
        head: commit that is checked out; None when there is no commit yet.
        branch: full name of the branch that is checked out (`refs/heads/main`); None when HEAD is detached.
    """

    worktree: Path
    git_dir: Path
    common_dir: Path
    head: str | None
    branch: str | None

    @property
    def checkout(self) -> Checkout:
        """The user's own files."""
        return Checkout(self.worktree, self.git_dir)

    @property
    def smithers_dir(self) -> Path:
        """Where smithers keeps locks and other things of this machine; inside the git directory."""
        return self.common_dir / "smithers"


def discover(start: Path) -> Repository:
    """The repository whose checkout contains the folder `start`.

    Environment variables such as GIT_DIR, which git sets for hooks, are ignored.

    Raises:
        RepositoryError: there is none, or it is of a kind that cannot be served.
        GitError: git is too old.
        SmithersError: git is not installed.
    """
    if not start.is_dir():
        raise RepositoryError(f"{start} is not a folder", hint="check the path")
    require_version()
    done = try_git(start, *_QUESTIONS)
    answers = os.fsdecode(done.stdout).split("\n")[:-1]
    if len(answers) < 5:
        raise _unusable(start, done)
    bare, inside, kind = answers[:3]
    git_dir, common_dir = Path(answers[3]), Path(answers[4])
    _refuse_kind(common_dir, kind)
    if bare == "true":
        raise RepositoryError(
            f"{git_dir} is a bare repository: it has no files to work on",
            hint="clone it; or if it should have files, `git config core.bare false` mends it",
        )
    if inside == "true":
        raise RepositoryError(f"{start} is inside a git directory", hint="go to the folder that holds your files")
    if done.code and len(answers) == 7:  # it echoes HEAD when that names no commit
        return Repository(Path(answers[5]), git_dir, common_dir, None, _unborn(start))
    if done.code:
        raise _unusable(start, done)
    if len(answers) != 8:
        raise RepositoryError(f"the path of {start} contains a line break", hint="rename that folder")
    head, branch = answers[6:]
    return Repository(Path(answers[5]), git_dir, common_dir, head, None if branch == "HEAD" else branch)


def require_commit(repo: Repository) -> str:
    """The commit that is checked out. Raises RepositoryError when there is none yet."""
    if repo.head is None:
        raise RepositoryError(
            f"{repo.worktree} has no commit yet, so there is nothing to start from",
            hint="make one: git add -A && git commit -m 'first commit'",
        )
    return repo.head


def require_writable(repo: Repository) -> None:
    """Try to write where objects, refs and locks go. Leaves nothing behind.

    Raises:
        RepositoryError: the git directory is read-only.
        StorageError: the disk is full.
    """
    for folder in (repo.common_dir, repo.common_dir / "objects", repo.common_dir / "refs"):
        try:
            with tempfile.TemporaryFile(dir=folder) as probe:  # has no name on Linux: even a crash leaves nothing
                probe.write(bytes(4096))
                probe.flush()
        except OSError as error:
            if is_full(error):
                raise DiskFull(f"{folder} cannot be written: {error.strerror}", hint="free disk space") from error
            raise RepositoryError(
                f"{folder} cannot be written: {error.strerror}",
                hint=f"smithers keeps its history there; check `ls -ld {folder}` and the mount",
            ) from error


def _unborn(start: Path) -> str | None:
    """The branch that the first commit will be on."""
    return os.fsdecode(try_git(start, "symbolic-ref", "-q", "HEAD").stdout).strip() or None


def _refuse_kind(common_dir: Path, kind: str) -> None:
    if kind != "sha1":
        raise RepositoryError(
            f"{common_dir} uses {kind} object names, which smithers cannot read yet",
            hint="use a repository made with `git init --object-format=sha1`",
        )
    if (common_dir / "reftable").is_dir():  # git before 2.45 refuses it itself, see _unusable
        raise _reftable(common_dir)


def _reftable(place: Path) -> RepositoryError:
    return RepositoryError(
        f"{place} keeps its refs in a reftable, which smithers cannot read yet",
        hint="git 2.46 and newer convert it: git refs migrate --ref-format=files",
    )


def _unusable(start: Path, done: Captured) -> RepositoryError:
    text = os.fsdecode(done.stderr)
    if "dubious ownership" in text:
        return RepositoryError(
            f"git does not trust the repository at {start}: it belongs to another user",
            hint=f"if you trust it: git config --global --add safe.directory {start}",
        )
    if "not a git repository" in text:
        return RepositoryError(f"{start} is not in a git repository", hint="go to one, or make one with: git init")
    if "repository extension" in text and "refstorage" in text.lower():
        return _reftable(start)
    if "must be run in a work tree" in text:
        return RepositoryError(
            f"the repository of {start} has no checkout here",
            hint="see `git config core.bare` and `git config core.worktree`",
        )
    return RepositoryError(
        f"git cannot use the repository at {start}: {complaint(text)}", hint=f"see `git -C {start} status`"
    )
