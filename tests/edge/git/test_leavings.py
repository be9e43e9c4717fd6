"""What a tool leaves besides its work is removed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.repos import commit, contents, git, make_repo, write

from smithers_git.edge.git.leavings import sweep

LEFT = {".tool.cache/a/b": "1", ".tool.log": "2"}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repo(tmp_path / "repo")


def test_what_matches_is_removed_and_all_else_stays(repo: Path):
    commit(repo, {".tool.kept": "tracked", ".gitignore": ".tool.env\n"})
    write(repo, {**LEFT, "work.txt": "new", "deep/.tool.log": "work", ".tool.env": "ignored"})

    sweep(repo, [".tool.*"])

    assert not any((repo / name).exists() for name in (".tool.cache", ".tool.log"))
    for kept in (".tool.kept", "work.txt", "deep/.tool.log", ".tool.env"):
        assert (repo / kept).exists()


def test_nothing_is_removed_without_patterns(repo: Path):
    write(repo, LEFT)
    before = contents(repo)
    sweep(repo, [])
    assert contents(repo) == before


def test_a_repository_around_a_folder_whose_own_is_gone_is_left_alone(repo: Path):
    write(repo, {**LEFT, "space/.tool.log": "3"})
    git(repo, "status")
    before = contents(repo)
    sweep(repo / "space", [".tool.*"])
    assert contents(repo) == before
