"""Fixtures of the tests that try to break the promises: real processes on real git."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kit import runs
from kit.engines import Engines, engines


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository whose checkout stays clean although `flow.py` lies in it."""
    return runs.make_repo(tmp_path / "repo")


@pytest.fixture(name="engines")
def _engines(repo: Path, tmp_path: Path) -> Iterator[Engines]:
    """`smithers` as processes in `repo`; what still runs at the end of the test is killed."""
    with engines(repo, tmp_path / "logs") as found:
        yield found
