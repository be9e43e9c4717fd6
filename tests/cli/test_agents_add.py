"""agents add: profiles for CLIs that nobody has described, and what they make possible."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from kit.repos import contents, git, write
from kit.runs import Smithers

from smithers_git.core.profile import Profile, load_profile

HELP = """\
Usage: gnome [options] [task]
  -p, --print            print the answer and exit
      --model <name>     the model
      --resume <id>      go on with a session
      --yolo             do everything unasked
      --output-format <text|json>
      --prompt-file <f>  read the task from a file
"""
GNOME = """#!/usr/bin/env python3
import os, pathlib, sys
if sys.argv[1:] == ["--version"]:
    sys.exit(print("gnome 4.7.1 (stable)"))
if sys.argv[1:] == ["--help"]:
    pathlib.Path(os.environ["HOME"], "been-here").touch()
    sys.exit(print(%r))
pathlib.Path("gnome.txt").write_text(sys.argv[1].splitlines()[0])
print('I did it. {"summary": "planted"}')
"""
TEN_LINES = """\
program = ["gnome"]
argv = ["{prompt}"]

[output]
mode = "text"

[success]
exit = [0]
"""


@pytest.fixture
def gnome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CLI that nobody has heard of, on PATH."""
    folder = tmp_path / "programs"
    write(folder, {"gnome": GNOME % HELP})
    (folder / "gnome").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder / "gnome"


def _profile(smithers: Smithers, name: str = "gnome") -> tuple[str, Profile]:
    text = (smithers.repo / f".smithers/agents/{name}.toml").read_text()
    return text, load_profile(text, f"agents/{name}.toml")


def test_a_profile_of_ten_lines_drives_an_unknown_cli_through_a_workflow(smithers: Smithers, gnome: Path) -> None:
    assert len(TEN_LINES.splitlines()) <= 10
    write(smithers.repo, {".smithers/agents/gnome.toml": TEN_LINES})

    run = smithers.up(body='    return Task("plant", agent="gnome", output=Change, prompt="Plant a tulip.")\n')

    assert smithers.json("output", run, "plant")["summary"] == "planted"
    assert git(smithers.repo, "show", f"smithers/{run}/main:gnome.txt") == "Plant a tulip."


def test_a_new_cli_gets_a_profile_that_works_at_once(smithers: Smithers, gnome: Path) -> None:
    home = contents(Path.home())

    added = smithers.json("agents", "add", "gnome")

    assert (added["path"], added["version"]) == (".smithers/agents/gnome.toml", "4.7.1")
    assert added["seen"] == ["--print", "--yolo", "--model", "--resume", "--prompt-file", "--output-format"]
    text, profile = _profile(smithers)
    # What its help shows is suggested, and nothing of it is switched on.
    assert (profile.argv, profile.groups, profile.permission, profile.output.mode) == (("{prompt}",), {}, None, "text")
    assert all(flag in text for flag in added["seen"])
    assert profile.version is not None
    assert profile.version.tested == ">=4.7,<4.8"
    # It was asked in a home that is gone.
    assert contents(Path.home()) == home
    (agent,) = (one for one in smithers.json("agents")["agents"] if one["name"] == "gnome")
    assert (agent["usable"], agent["version"]) == (True, "4.7.1")
    run = smithers.up(body='    return Task("plant", agent="gnome", output=Change, prompt="Plant a rose.")\n')
    assert git(smithers.repo, "show", f"smithers/{run}/main:gnome.txt") == "Plant a rose."


def test_its_suggestions_are_a_valid_profile_once_their_signs_are_taken_away(smithers: Smithers, gnome: Path) -> None:
    smithers("agents", "add", "gnome")
    text, _ = _profile(smithers)

    text = text.replace('\nargv = ["{prompt}"]\n', "\n").replace('[output]\nmode = "text"\n', "", 1)
    text = text.replace("[success]\nexit = [0]\n", "", 1)
    whole = load_profile(re.sub(r"(?m)^# (?=[\w.]+ = |\[[\w.]+\]$)", "", text), "agents/gnome.toml")

    assert whole.argv == ("--print", "{permission}", "{model}", "{resume}", "{prompt}")
    assert (whole.session.scope, whole.output.mode, whole.prompt[0].via) == ("folder", "jsonl", "file")
    assert whole.permission is not None
    assert whole.permission.full is not None


def test_what_an_agent_leaves_besides_its_work_is_in_no_frame(smithers: Smithers, gnome: Path) -> None:
    write(smithers.repo, {".smithers/agents/gnome.toml": f'leaves = ["gnome.t*"]\n{TEN_LINES}'})
    body = """\
    return Sequence(
        Task("plant", agent="gnome", output=Change, prompt="Plant a tulip."),
        Task("look", run="ls > seen.txt"),
    )
"""

    run = smithers.up(body=body)

    assert "gnome.txt" not in git(smithers.repo, "show", f"smithers/{run}/main:seen.txt")
    assert "gnome.txt" not in git(smithers.repo, "ls-tree", "-r", "--name-only", f"smithers/{run}/main")


@pytest.mark.parametrize("script", ["exit 3", "sleep 60", "echo 'no idea'"], ids=["refuses", "hangs", "says nothing"])
def test_a_cli_that_explains_nothing_gets_the_plain_profile(
    script: str, smithers: Smithers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smithers_git.service.adopt._PATIENCE", 0.3)
    write(tmp_path, {"odd tool": f"#!/bin/sh\n{script}\n"})
    (tmp_path / "odd tool").chmod(0o755)

    added = smithers.json("agents", "add", "odd", "--program", str(tmp_path / "odd tool"))

    assert (added["version"], added["seen"]) == ("", [])
    assert _profile(smithers, "odd")[1].program == (str(tmp_path / "odd tool"),)


def test_a_built_in_profile_is_copied_to_be_changed(smithers: Smithers) -> None:
    said = smithers("agents", "add", "claude")

    assert "a copy" in said.out
    assert _profile(smithers, "claude")[1].program == ("claude",)
    (agent,) = (one for one in smithers.json("agents")["agents"] if one["name"] == "claude")
    assert agent["builtin"] is False


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("review",), "a pool"),
        (("../up",), "cannot be the name"),
        (("nowhere",), "--program"),
        (("claude", "--program", "/bin/sh"), "[agents.claude]"),
    ],
    ids=["a pool", "a path", "not there", "built in"],
)
def test_what_cannot_be_added_is_refused_and_nothing_is_written(
    argv: tuple[str, ...], words: str, smithers: Smithers
) -> None:
    said = smithers("agents", "add", *argv, code=None)

    assert said.code in (1, 2)
    assert words in said.err
    assert not (smithers.repo / ".smithers").exists()


def test_a_profile_that_exists_is_never_overwritten(smithers: Smithers, gnome: Path) -> None:
    write(smithers.repo, {".smithers/agents/gnome.toml": TEN_LINES})

    said = smithers("agents", "add", "gnome", code=2)

    assert "agents test gnome" in said.err
    assert _profile(smithers)[0] == TEN_LINES
