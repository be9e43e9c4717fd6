"""What a CLI keeps in a folder of its own, and the rules that read what a turn has added there."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from kit.repos import make_repo
from pydantic import BaseModel

from smithers_git.core.events import Usage
from smithers_git.core.nodes import Task
from smithers_git.core.profile import Profile, load_profile
from smithers_git.core.reply import Reply
from smithers_git.core.settings import AgentSettings
from smithers_git.errors import ConfigError
from smithers_git.names import TaskKey
from smithers_git.service.job import Job, Result
from smithers_git.service.live import Live, Watch
from smithers_git.service.project import Project
from smithers_git.service.talk.cli import Cli
from smithers_git.service.talk.seat import Seat
from smithers_git.service.talk.state import Additions, folder, session_files

PROFILE = """
program = ["fake"]
argv = ["{resume}", "{fresh}", "{prompt}"]
prompt = [{ via = "stdin" }]
session = { scope = "folder" }
[groups]
resume = ["--session", "{session}"]
fresh = ["--session", "{new_session}"]
[state]
env = "FAKE_HOME/data"
folder = ".fake/data"
sessions = ["talks/*/{session}.jsonl"]
[output]
mode = "jsonl"
answer = { path = "text" }
[output.usage]
input = { from = "state:talks/*/{session}.jsonl", where = { type = "tokens" }, path = "in", pick = "sum" }
output = { from = "state:talks/*/{session}.jsonl", where = { type = "tokens" }, path = "out", pick = "sum" }
input_includes_cached = true
[success]
from = "state:talks/*/{session}.jsonl"
event = { type = "end" }
"""

FAKE = """#!/bin/sh
mkdir -p "$HOME/.fake/data/talks/here"
file="$HOME/.fake/data/talks/here/$2.jsonl"
echo '{"type": "tokens", "in": 10, "out": 1}' >> "$file"
echo '{"type": "tokens", "in": 20, "out": 2}' >> "$file"
read -r word
echo '{"text": "done"}'
[ "$word" = stop ] || echo '{"type": "end"}' >> "$file"
"""


class Answer(BaseModel):
    text: str


@pytest.fixture
def profile() -> Profile:
    return load_profile(PROFILE, "agents/fake.toml")


def turns(profile: Profile, tmp_path: Path, *prompts: str) -> list[Reply]:
    """The replies of the fake CLI to prompts of one conversation."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "fake"
    program.write_text(FAKE)
    program.chmod(0o755)
    environ = {"HOME": str(tmp_path), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    repo = make_repo(tmp_path / "repo")
    project = Project.open(repo, environ)
    job = Job("r1", TaskKey("t", 0), 1, Task("t", agent="fake", prompt="x", output=Answer), None, agent="fake")
    live = Live(project.run_dir("r1"), job, lambda kind, text: None)
    seat = Seat(project, job, repo, Watch(threading.Event(), live), profile, AgentSettings())
    talk = Cli(seat, Result(job))
    replies = [talk.say(f"{prompt}\n") for prompt in prompts]
    live.close()
    return replies


def test_each_turn_has_the_tokens_that_it_added_to_the_file_of_its_conversation(profile: Profile, tmp_path: Path):
    first, second = turns(profile, tmp_path, "go", "go")
    assert first.error is None
    assert first.session  # the CLI never says it: it is the one that we chose
    assert second.session == first.session
    assert first.usage == second.usage == Usage(input=30, output=3, cached=0)


def test_a_turn_without_its_closing_line_there_has_not_ended(profile: Profile, tmp_path: Path):
    (reply,) = turns(profile, tmp_path, "stop")
    assert reply.error is not None
    assert reply.error.kind == "crash"


def test_the_folder_is_where_the_variable_says_or_below_the_home(profile: Profile):
    assert folder(profile, {"HOME": "/h"}) == Path("/h/.fake/data")
    assert folder(profile, {"HOME": "/h", "FAKE_HOME": "/f"}) == Path("/f/data")
    assert folder(profile, {}) is None


def test_what_a_cli_calls_its_conversation_is_no_way_out_of_its_folder(profile: Profile, tmp_path: Path):
    place = tmp_path / ".fake" / "data" / "talks" / "here"
    place.mkdir(parents=True)
    (place / "a.jsonl").write_text("{}\n")
    (place.parent.parent / "x.jsonl").write_text("{}\n")
    environ = {"HOME": str(tmp_path)}
    assert session_files(profile, environ, "a") == [place / "a.jsonl"]
    for name in ("*", "../../x", ".", "a/../a", ""):
        assert session_files(profile, environ, name) == []
        assert Additions(profile, environ, None).read(name) == {}


def test_a_rule_that_reads_there_needs_the_folder():
    text = "\n".join(
        line for line in PROFILE.splitlines() if not line.startswith(("[state]", "env =", "folder =", "sess"))
    )
    with pytest.raises(ConfigError, match=r"state\.folder"):
        load_profile(f'session = {{ scope = "folder" }}\n{text}', "agents/fake.toml")
