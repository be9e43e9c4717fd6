"""A waiting run costs nothing: a thousand of them make the lists hardly slower than ten."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from kit import repos
from kit.runs import Smithers

from smithers_git.core import events as ev
from smithers_git.names import run_ref
from smithers_git.service.frames import Chain
from smithers_git.service.project import Project


def waiting_runs(repo: Path, number: int) -> None:
    """`number` runs that ask, with current rows in the index; they share one frame, for a quick test."""
    project = Project.open(repo)
    chain = Chain(project.objects, "run0", project.owner, project.index)
    base = repos.git(repo, "rev-parse", "HEAD")
    chain.add(ev.RunCreated(run="run0", workflow="flow.py", entry="flow.py", input={}, base=base), 1.0)
    chain.add(ev.WaitStarted(node="say", kind="question", title="What now?", until=9e9), 1.0)
    tip = chain.commit()
    assert tip is not None
    lines = []
    for n in range(1, number):
        chain.state.run = f"run{n}"
        lines.append(f"create {run_ref(chain.state.run)} {tip}\n")
        assert project.index.record(chain.state, tip)
    repos.git(repo, "update-ref", "--stdin", stdin="".join(lines).encode())


def cpu(repo: Path, verb: str) -> float:
    """Seconds that the whole command takes of a processor, start included; the best of a few."""
    found = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "smithers_git", verb], cwd=repo, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def test_a_thousand_waiting_runs_are_listed_in_less_than_twice_the_time_of_ten(tmp_path: Path) -> None:
    few, many = repos.make_repo(tmp_path / "few"), repos.make_repo(tmp_path / "many")
    waiting_runs(few, 10)
    waiting_runs(many, 1000)
    for verb in ("inbox", "ps"):
        assert cpu(many, verb) < 2 * cpu(few, verb), verb


def test_the_inbox_opens_no_run(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting_runs(repo, 20)
    monkeypatch.chdir(repo)
    smithers = Smithers(repo, capsys)

    def refuse(*_: object) -> None:
        raise AssertionError("a run was opened")

    monkeypatch.setattr(Chain, "open", refuse)
    assert len(smithers.json("inbox")["waiting"]) == 20
    assert smithers.json("ps")["total"] == 20
