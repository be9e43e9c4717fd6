"""Differences between two commits or trees, as plain git shows them, whatever diff tools the user has set up."""

from __future__ import annotations

from pathlib import Path

from smithers_git.edge.git.command import git
from smithers_git.edge.git.repository import Repository

# diff-tree and not diff: it reads none of the settings diff.noprefix, diff.mnemonicPrefix, diff.external and so on.
_PLAIN = ("diff-tree", "-r", "--no-commit-id", "--no-ext-diff", "--no-textconv")


def diff(repo: Repository, a: str, b: str, *paths: str, color: bool = False) -> str:
    """The patch from `a` to `b`, of the files or folders `paths` if any are given."""
    return _run(repo, a, b, *paths, options=("-p", "-M", _color(color)))


def diff_stat(repo: Repository, a: str, b: str, *, color: bool = False, width: int = 100) -> str:
    """Changed lines per file from `a` to `b`, and their sum, in `width` columns; empty when nothing differs."""
    return _run(repo, a, b, options=(f"--stat={width}", "--summary", "-M", _color(color)))


def changed_files(repo: Repository, a: str, b: str, *paths: str) -> list[str]:
    """Paths that differ between `a` and `b`; a renamed file counts as two."""
    return [
        path for path in _run(repo, a, b, *paths, options=("--name-only", "--no-renames", "-z")).split("\0") if path
    ]


def titles(repo: Repository, a: str, b: str, *paths: str) -> list[str]:
    """The newest ten commits on the way from `a` to `b`, as `git log --oneline` has them; of those `paths` if any."""
    line = ("log", "-n10", "--no-merges", "--format=%h %s", "--end-of-options", f"{a}..{b}", "--", *paths)
    return git(repo.common_dir, "--literal-pathspecs", *line).splitlines()


def _color(color: bool) -> str:
    return "--color=always" if color else "--color=never"


def _run(repo: Repository, a: str, b: str, *paths: str, options: tuple[str, ...]) -> str:
    folder: Path = repo.common_dir
    return git(folder, "--literal-pathspecs", *_PLAIN, *options, "--end-of-options", a, b, "--", *paths)
