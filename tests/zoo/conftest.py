"""The fixture of the zoo."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import runs
from kit.runs import Smithers
from kit.zoo import Zoo


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Zoo:
    """A zoo in a fresh repository, which is also the current folder."""
    repo = runs.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    return Zoo(Smithers(repo, capsys))
