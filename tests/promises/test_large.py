"""P9: what is too large for git history is refused when it would be written, by name, and stays where it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import repos, runs

from smithers_git.service import frames
from smithers_git.service.project import Project

WRITES = """    make = "echo small > small.txt; head -c 3000 /dev/zero > big.bin"
    return Sequence(Task("make", run=make), Task("next", run="true"))
"""
SAYS = """    return Sequence(Task("say", call=lambda: {"text": "x" * 3000}), Task("next", value={"a": 1}))
"""


@pytest.fixture
def smithers(tmp_path, capsys, monkeypatch):
    repo = runs.make_repo(tmp_path / "repo")
    repos.write(repo, {".smithers/config.toml": '[disk]\nmax_file = "2 KiB"\n'})
    monkeypatch.chdir(repo)
    return runs.Smithers(repo, capsys)


def test_a_large_file_fails_the_attempt_stays_on_the_disk_and_can_be_ignored(smithers):
    run = smithers.up(body=WRITES, code=1)
    project = Project.open(smithers.repo)
    place = project.workspaces(run).path("main")
    why = smithers("why", run).out
    assert "big.bin" in why
    assert "2.93 KiB, more than [disk] max_file" in why
    smithers("gc", "--idle", "--set-aside")
    smithers("rewind", run, "--frame", "1", "--yes", code=1)
    assert (place / "big.bin").stat().st_size == 3000
    assert (place / "small.txt").read_text() == "small\n"
    rule = f"echo /big.bin >> {place / '.gitignore'}"
    assert rule in smithers("retry-task", run, "make", code=1).err
    (place / ".gitignore").write_text("/big.bin\n")
    smithers("retry-task", run, "make")
    smithers("up", "--resume", run)
    assert "big.bin" not in repos.git(smithers.repo, "ls-tree", "-r", "--name-only", f"refs/heads/smithers/{run}/main")
    assert (place / "big.bin").stat().st_size == 3000


def test_a_large_output_fails_its_task_and_says_what_to_do(smithers, monkeypatch):
    monkeypatch.setattr(frames, "FILE", 2000)
    run = smithers.up(body=SAYS, code=1)
    node = smithers.json("node", run, "say")
    assert [one["status"] for one in node["tries"]][-1] == "failed"
    assert "2.95 KiB, more than a file in git history may have" in node["tries"][-1]["message"]
    assert "give its place as the output" in smithers("why", run).out
    assert smithers("doctor", code=None).code in (0, 1)
    largest = max(path.stat().st_size for path in Path(smithers.repo, ".git/objects").rglob("*") if path.is_file())
    assert largest < 3000
