"""Whether somebody is logged in to a CLI, told by what it exits with or prints, or by a variable."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.repos import make_repo

from smithers_git.core.profile import load_profile
from smithers_git.core.settings import AgentSettings
from smithers_git.service import logins
from smithers_git.service.project import Project

CLI = """#!/bin/sh
case $1 in
    status) exit "$2" ;;
    models) echo "${2:-No models available.}" ;;
esac
"""


@pytest.mark.parametrize(
    ("login", "known"),
    [
        ('argv = ["status", "0"]', True),
        ('argv = ["status", "1"]', False),
        ('argv = ["models", "provider  model"]\nregex = "^provider"', True),
        ('argv = ["models"]\nregex = "^provider"', False),
        ('argv = ["status", "1"]\nenv = ["SOME_KEY"]', True),
        ('env = ["OTHER_KEY"]', False),
        ('how = "cli login"', None),
    ],
)
def test_a_login_is_seen_where_it_can_be_seen(login: str, known: bool | None, tmp_path: Path):
    program = tmp_path / "cli"
    program.write_text(CLI)
    program.chmod(0o755)
    text = f'program = ["cli"]\nargv = ["{{prompt}}"]\n[env]\npass = ["SOME_KEY"]\n[login]\n{login}\n'
    profile = load_profile(f'{text}[output]\nmode = "text"\n[success]\nexit = [0]\n', "agents/cli.toml")
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "SOME_KEY": "sk-dummy"}
    project = Project.open(make_repo(tmp_path / "repo"), environ)
    assert logins.logged_in(project, profile, AgentSettings(), str(program)) is known
