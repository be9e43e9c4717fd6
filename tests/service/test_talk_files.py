"""The files that a profile holds are there for its CLI, and only while it runs."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from kit.repos import make_repo
from pydantic import BaseModel

from smithers_git.core.nodes import Task
from smithers_git.core.profile import load_profile
from smithers_git.core.settings import AgentSettings
from smithers_git.errors import ConfigError
from smithers_git.names import TaskKey
from smithers_git.service.job import Job, Result
from smithers_git.service.live import Live, Watch
from smithers_git.service.project import Project
from smithers_git.service.talk.cli import Cli
from smithers_git.service.talk.seat import Seat

PROFILE = """
program = ["sh"]
argv = ["-c", 'cat "$SETTINGS"; echo; echo "$SETTINGS"', "{permission}", "{prompt}"]
prompt = [{ via = "stdin" }]
permission = { default = "edit", edit = { env = { SETTINGS = "{scratch}/edit.json" } } }
files = { "edit.json" = '{"sandbox": true}', "full.json" = "{}" }
output = { mode = "text" }
success = { exit = [0] }
"""


class Answer(BaseModel):
    text: str


def test_a_file_of_the_profile_is_laid_out_for_the_turn_and_gone_after_it(tmp_path: Path):
    repo = make_repo(tmp_path / "repo")
    project = Project.open(repo, {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    job = Job("r1", TaskKey("t", 0), 1, Task("t", agent="sh", prompt="x", output=Answer), None, agent="sh")
    live = Live(project.run_dir("r1"), job, lambda kind, text: None)
    profile = load_profile(PROFILE, "agents/sh.toml")
    seat = Seat(project, job, repo, Watch(threading.Event(), live), profile, AgentSettings())
    reply = Cli(seat, Result(job)).say("x")
    live.close()
    text, path = reply.answer.splitlines()
    assert text == '{"sandbox": true}'
    assert path.endswith("/edit.json")
    assert not Path(path).exists()


def test_a_file_has_a_name_and_no_path():
    with pytest.raises(ConfigError, match="files"):
        load_profile(PROFILE.replace('"full.json"', '"../full.json"'), "agents/sh.toml")
