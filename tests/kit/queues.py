"""Branches that want to land, and `smithers land` as a person or a program starts it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kit import repos
from kit.repos import git

from smithers_git.core.landing.state import EntryState, QueueState
from smithers_git.service.landing.line import open_ledger
from smithers_git.service.project import Project

MAIN = "refs/heads/main"

FILES: dict[str, str | bytes] = {
    "README.md": "# Sample\n",
    "a.txt": "".join(f"line {n}\n" for n in range(20)),
    "gate.sh": 'test ! -e red || { echo "red is there"; exit 1; }\n',
}
GATE = ("--gate", "sh gate.sh")


def make_repo(path: Path) -> Path:
    return repos.make_repo(path, FILES)


def branch(repo: Path, name: str, files: Mapping[str, str | bytes], base: str = "main") -> str:
    """A branch with one commit that writes `files`; the checkout is as before. Returns its commit."""
    before = git(repo, "symbolic-ref", "-q", "HEAD", check=False) or git(repo, "rev-parse", "HEAD")
    git(repo, "checkout", "-q", "-b", name, base)
    commit = repos.commit(repo, files, f"work of {name}")
    git(repo, "checkout", "-q", before.removeprefix("refs/heads/"))
    return commit


def state(repo: Path, target: str = MAIN) -> QueueState:
    return open_ledger(Project.open(repo), target).state


def entries(repo: Path, target: str = MAIN) -> dict[str, EntryState]:
    """Entries by name; of several with one name the newest."""
    return {one.entry.name: one for one in state(repo, target).entries.values()}
