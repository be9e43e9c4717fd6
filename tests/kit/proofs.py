"""What must be so at any time, looked at through plain git and the disk rather than through our own code."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kit import processes, repos
from kit.repos import git

from smithers_git.service import runs
from smithers_git.service.project import Project
from smithers_git.service.workspaces import Making, Workspaces

Files = dict[str, tuple[int, bytes]]

_OURS = re.compile(r"\.git/(packed-refs|(objects|worktrees|smithers|(logs/)?refs/(heads/)?smithers)(/.*)?)")
"""Where a run may write in the git folder; everything else there, and the whole checkout, is the user's."""


def refs(repo: Path, prefix: str = "refs/") -> dict[str, str]:
    """Every ref below `prefix` with its object."""
    lines = git(repo, "for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
    return dict(line.split(" ") for line in lines)


def users_own(repo: Path) -> dict[str, Any]:
    """All that a run must leave alone: the checkout, index, HEAD, config, hooks, branches and tags."""
    found: dict[str, Any] = {
        name: what
        for name, what in repos.contents(repo).items()
        if not _OURS.fullmatch(name) and not (stat.S_ISDIR(what[0]) and name.startswith(".git/logs"))
    }
    theirs = {name: oid for name, oid in refs(repo).items() if "smithers/" not in name}
    return {**found, "refs": theirs}


def sound(repo: Path) -> None:
    """`git fsck` finds nothing; what is merely unreachable is the normal leftover of a kill."""
    done = subprocess.run(
        ["git", "-C", str(repo), "fsck", "--strict", "--full", "--no-dangling", "--no-progress"],
        capture_output=True,
        text=True,
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert (done.returncode, said) == (0, []), f"git fsck: {said[:5]}"


def tree(repo: Path, treeish: str) -> Files:
    """Every file of a tree as mode and bytes, read by git."""
    listed = git(repo, "ls-tree", "-rz", "--full-tree", treeish)
    rows = [record.split("\t", 1) for record in listed.split("\0") if record]
    wanted = "".join(f"{row[0].split(' ')[2]}\n" for row in rows)
    done = subprocess.run(
        ["git", "-C", str(repo), "cat-file", "--batch"], input=wanted.encode(), capture_output=True, check=True
    )
    found: Files = {}
    at = 0
    for about, path in rows:
        end = done.stdout.index(b"\n", at)
        size = int(done.stdout[at:end].split()[2])
        found[path] = (int(about.split(" ")[0], 8), done.stdout[end + 1 : end + 1 + size])
        at = end + size + 2
    return found


def folder(path: Path, ignored: tuple[str, ...] = ()) -> Files:
    """Every file of a folder in git's terms; `.git` and the top names in `ignored` are left out."""
    found: Files = {}
    for name, (mode, data) in repos.contents(path).items():
        if name.split("/")[0] in (".git", *ignored) or stat.S_ISDIR(mode):
            continue
        kind = 0o120000 if stat.S_ISLNK(mode) else 0o100755 if mode & 0o100 else 0o100644
        found[name] = (kind, data)
    return found


def space_path(repo: Path, run: str, space: str = "main") -> Path:
    """Folder of a workspace."""
    project = Project.open(repo)
    return Workspaces(project.repository, run, Making(project.settings.worktree)).path(space)


def files_are_the_frames(repo: Path, run: str) -> None:
    """Every workspace on the disk, its branch and the newest frame hold the same bytes."""
    chain = Project.open(repo).chain(run)
    state = chain.state
    assert state.spaces
    for name, space in state.spaces.items():
        ours = tree(repo, f"{chain.tip}:code/{name}")
        assert ours == tree(repo, space.commit), f"the frame and the commit of {name} differ"
        path = space_path(repo, run, name)
        if path.exists():
            assert folder(path) == ours, f"the folder of {name} and the frame differ"
            assert git(path, "status", "--porcelain") == ""
            assert git(repo, "rev-parse", space.branch) == space.commit


def index_rows(repo: Path) -> list[Any]:
    """The index as it answers now."""
    project = Project.open(repo)
    try:
        runs.catch_up(project)
        return [*map(asdict, project.index.runs()), *map(dict, project.index._rows("SELECT * FROM cache ORDER BY key"))]
    finally:
        project.index.close()


def forget_index(repo: Path) -> None:
    for path in (repo / ".git" / "smithers").glob("index.sqlite*"):
        path.unlink()


def index_is_a_rebuild(repo: Path) -> None:
    """The index says the same after it was deleted."""
    before = index_rows(repo)
    forget_index(repo)
    assert index_rows(repo) == before


def started_by(run: str) -> list[int]:
    """The processes that attempts of this run have started; another test has another HOME."""
    return sorted({*processes.marked("SMITHERS_RUN", run)} & {*processes.marked("HOME", os.environ["HOME"])})


def nothing_runs(run: str) -> None:
    """No process that an attempt of this run started is left, in any session or group."""
    assert processes.eventually(lambda: not started_by(run)), f"left running: {[*map(_command, started_by(run))]}"


def _command(pid: int) -> str:
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        said = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).replace("\0", " ")
    except OSError:
        return str(pid)
    return f"{said}(process {pid}, state {state}, parent {parent})"
