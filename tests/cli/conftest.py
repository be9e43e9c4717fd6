"""Fixtures of the command tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import runs


@pytest.fixture
def smithers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> runs.Smithers:
    """`smithers` in a fresh repository, which is also the current folder."""
    repo = runs.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    monkeypatch.setenv("SMITHERS_SCRIPT", "")  # so that whatever a test plays is forgotten after it
    return runs.Smithers(repo, capsys)
