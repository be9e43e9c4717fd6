"""Commands that must be refused with a clear error and without a trace."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from kit import repos, runs

FINE = '    return Task("only", run="echo x > x.txt")\n'


class Stage:
    """A repository, and a look at everything before and after a command."""

    def __init__(self, repo: Path, smithers: runs.Smithers, home: Path) -> None:
        self.repo = repo
        self.smithers = smithers
        self.home = home

    def refused(self, *argv: str, code: int = 1, kind: str | None = None) -> str:
        """Run a command that must be refused without a trace; returns its message."""
        before = repos.contents(self.repo), repos.contents(self.home)
        said = self.smithers(*argv, "--json", code=code)
        assert (repos.contents(self.repo), repos.contents(self.home)) == before, "something was half-made"
        error = said.json["error"]
        assert kind in (None, error["code"])
        assert error["hint"], f"no hint: {error}"
        assert f"error: {error['message']}" in said.err
        assert f"hint: {error['hint']}" in said.err
        return str(error["message"])


def make_stage(repo: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Stage:
    monkeypatch.chdir(repo)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a workflow's helpers would leave a __pycache__
    return Stage(repo, runs.Smithers(repo, capsys), home)
