"""The stage that all tests of packs play on."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.script_agent import Stage


@pytest.fixture(autouse=True)
def _warm(warm_reapers: None) -> None:
    """What a workflow does is looked at here, not how a process starts."""


@pytest.fixture
def stage(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, capsys, monkeypatch)
