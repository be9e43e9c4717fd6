"""Fixtures of the command tests."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from kit import runs


@pytest.fixture(autouse=True)
def _warm(warm_reapers: None) -> None:
    """What commands say is looked at here, not how a process starts."""


@pytest.fixture
def smithers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> runs.Smithers:
    """`smithers` in a fresh repository, which is also the current folder."""
    repo = runs.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    monkeypatch.setenv("SMITHERS_SCRIPT", "")  # so that whatever a test plays is forgotten after it
    return runs.Smithers(repo, capsys)


@pytest.fixture(scope="session")
def _shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    repo = runs.make_repo(tmp_path_factory.mktemp("shipped") / "repo")
    (repo / "flow.py").write_text(runs.HEAD + runs.SHIP, encoding="utf-8")
    script = repo.parent / "script.toml"
    script.write_text(runs.SCRIPT, encoding="utf-8")
    done = runs.program(repo, "up", "flow.py", "--json", env={**os.environ, "SMITHERS_SCRIPT": str(script)})
    assert done.returncode == 3, done.stderr
    return repo, json.loads(done.stdout)["run"]


@pytest.fixture
def shipped(
    _shipped: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> runs.Shipped:
    """One run for every test that only looks."""
    repo, run = _shipped
    monkeypatch.chdir(repo)
    return runs.Shipped(runs.Smithers(repo, capsys), run)
