"""The real agent CLIs, asked whether they know our server and our skill once both are registered with them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from agents.machine import ASKED, CACHE
from kit import repos

pytestmark = pytest.mark.agents

SERVERS = {
    "claude": ("claude", "mcp", "list"),
    "codex": ("codex", "mcp", "list"),
    "gemini": ("gemini", "mcp", "list"),
    "qwen": ("qwen", "mcp", "list"),
    "opencode": ("opencode", "mcp", "list"),
    "copilot": ("copilot", "mcp", "list"),
    "amp": ("amp", "mcp", "list"),
    "kimi": ("kimi-cli", "mcp", "list"),
    "cline": ("cline", "config", "mcp"),
}
SKILLS = {
    "gemini": ("gemini", "skills", "list"),
    "opencode": ("opencode", "debug", "skill"),
    "copilot": ("copilot", "skill", "list"),
    "cline": ("cline", "config", "skills"),
}
NAMED = re.compile(r"(?<![/\w-])smithers\b")
"""The name itself, not a folder that is called so."""


class Desk:
    """A user with nothing but the agent CLIs and smithers."""

    def __init__(self, folder: Path) -> None:
        self.repo = repos.make_repo(folder / "repo")
        self._env = {
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "PATH": f"{CACHE / 'bin'}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
        }
        for name in ("home", "tmp"):
            (folder / name).mkdir()

    def __call__(self, *argv: str) -> str:
        done = subprocess.run(
            argv, cwd=self.repo, env=self._env, capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, f"{argv}: {done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


def _desk(program: str, folder: Path) -> Desk:
    if ASKED and program not in ASKED:
        pytest.skip(f"{program} was not asked for: AGENTS={' '.join(ASKED)}")
    if not (CACHE / "bin" / program).exists():
        pytest.skip(f"{program} is not installed in {CACHE}: run `make test-agents`")
    return Desk(folder)


@pytest.mark.parametrize("client", SERVERS)
def test_an_agent_knows_the_server_once_it_is_registered_and_not_after_it_was_taken_back(
    client: str, tmp_path: Path
) -> None:
    desk = _desk(SERVERS[client][0], tmp_path)
    desk("smithers", "mcp", "add", "-a", client)
    known = desk(*SERVERS[client])
    assert NAMED.search(known), known
    if client in ("claude", "qwen"):  # these two try it at once
        assert "Connected" in known
    desk("smithers", "mcp", "remove", "-a", client)
    assert not NAMED.search(desk(*SERVERS[client]))


@pytest.mark.parametrize("client", SKILLS)
def test_an_agent_knows_the_skill_once_it_is_there(client: str, tmp_path: Path) -> None:
    desk = _desk(SKILLS[client][0], tmp_path)
    desk("smithers", "skills", "add", "-a", client)
    assert NAMED.search(desk(*SKILLS[client]))
