"""Temporary folders of processes that were killed go; those of the living, and what anybody else has there, stay."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from smithers_git.edge.process import temporary
from smithers_git.edge.process.command import capture


def test_what_a_killed_process_left_an_hour_ago_goes_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = int(capture(["sh", "-c", "echo $$"], cwd=tmp_path, env=dict(os.environ)).stdout)
    places = [tmp_path / f"smithers-{dead}-abcd1234", tmp_path / f"smithers-{os.getpid()}-abcd1234"]
    places += [tmp_path / name for name in ("smithers-sessions", "smithers-demo-abcd1234", f"smithers-{dead}-young")]
    for place in places:
        place.mkdir()
        (place / "stdin").write_text("a prompt", "utf-8")
        if not place.name.endswith("young"):
            os.utime(place, (1.0, 1.0))
    with temporary.folder() as mine:
        os.utime(mine, (1.0, 1.0))
        assert temporary.clear_left() == [places[0]]
        assert Path(mine).exists()
    assert sorted(tmp_path.iterdir()) == sorted(places[1:])
