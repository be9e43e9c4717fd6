"""Engines killed while something is undone or another run works, and one that is cancelled there."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import processes, runs
from kit.runs import Engine, Smithers, hold

from smithers_git.service.project import Project


@pytest.fixture
def smithers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Smithers:
    repo = runs.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    return Smithers(repo, capsys)


def write(smithers: Smithers, body: str, name: str = "flow.py") -> None:
    path = smithers.write(body, name)
    path.write_text("from smithers_git import Saga, Step, Subflow, TryCatchFinally\n" + path.read_text())


@pytest.mark.parametrize("where", ["un-b", "un-a", "c"])
def test_a_kill_while_a_saga_is_undone_undoes_every_step_once(smithers: Smithers, where: str) -> None:
    log, gate, here = (smithers.repo.parent / name for name in ("log", "gate", "here"))

    def said(name: str, then: str = "true") -> str:
        """A command that is cut off before its effect when it is the one that waits."""
        line = f"echo {name} >> {log}; {then}"
        return repr(f"echo $$ > {here}; {hold(gate, line)}" if name == where else line)

    steps = [f'Step(Task("{n}", run={said(n)}), Task("un-{n}", run={said("un-" + n)}))' for n in "ab"]
    steps.append(f'Step(Task("c", run={said("c", "exit 1")}, retries=0), None)')
    write(smithers, f"    return TryCatchFinally(Saga({', '.join(steps)}), last=Task('last', run={said('last')}))\n")
    with Engine(smithers.repo, "flow.py", "--run-id", "saga") as engine:
        cut_off = processes.pid_in(here)
        engine.kill()
    assert processes.eventually(lambda: not processes.alive(cut_off))
    gate.touch()
    said_then = smithers.json("up", "--resume", "saga", code=1)
    assert said_then["error"].startswith("c failed")
    assert log.read_text().split() == ["a", "b", "c", "un-b", "un-a", "last"]


NESTED = '    return Subflow("inner", "inner.py")\n'


def family(repo: Path) -> dict[str, str | None]:
    """Every run, and how it ended."""
    project = Project.open(repo)
    return {run: project.chain(run).state.end for run in project.tips()}


def test_a_kill_while_the_other_run_works_goes_on_with_that_one(smithers: Smithers) -> None:
    gate, here = smithers.repo.parent / "gate", smithers.repo.parent / "here"
    write(smithers, NESTED)
    write(smithers, f'    return Task("work", run={f"touch {here}; {hold(gate)}"!r})\n', "inner.py")
    with Engine(smithers.repo, "flow.py", "--run-id", "outer") as engine:
        assert processes.eventually(here.exists)
        engine.kill()
    assert list(family(smithers.repo).values()) == [None, None]
    gate.touch()
    smithers.json("up", "--resume", "outer")
    assert list(family(smithers.repo).values()) == ["finished", "finished"]


def test_a_cancel_while_the_other_run_works_ends_both(smithers: Smithers) -> None:
    gate, here = smithers.repo.parent / "gate", smithers.repo.parent / "here"
    write(smithers, NESTED)
    write(smithers, f'    return Task("work", run={f"touch {here}; {hold(gate)}"!r})\n', "inner.py")
    with Engine(smithers.repo, "flow.py", "--run-id", "outer") as engine:
        assert processes.eventually(here.exists)
        smithers("cancel", "outer", code=None)
        assert engine.end() == 4
    assert list(family(smithers.repo).values()) == ["cancelled", "cancelled"]
    gate.touch()
    smithers.json("up", "--resume", "outer")
    assert list(family(smithers.repo).values()) == ["finished", "finished"]


def test_retry_task_begins_a_saga_afresh_that_was_undone(smithers: Smithers) -> None:
    log, fixed = smithers.repo.parent / "log", smithers.repo.parent / "fixed"
    step = f"""Step(Task("a", run="echo a >> {log}"), Task("un-a", run="echo un-a >> {log}"))"""
    write(smithers, f'    return Saga({step}, Step(Task("b", run="test -e {fixed}", retries=0), None))\n')
    smithers.json("up", "flow.py", "--run-id", "saga", code=1)
    fixed.touch()
    smithers("retry-task", "saga", "b")
    assert smithers.json("up", "--resume", "saga")["status"] == "finished"
    assert log.read_text().split() == ["a", "un-a", "a"], "what was undone is done again, not only the step that failed"


def test_retry_task_is_refused_while_a_saga_is_not_undone_yet(smithers: Smithers) -> None:
    step = 'Step(Task("a", value=1), Task("un-a", run="false", retries=0))'
    write(smithers, f'    return Saga({step}, Step(Task("b", run="false", retries=0), None))\n')
    smithers.json("up", "flow.py", "--run-id", "saga", code=1)
    refused = smithers("retry-task", "saga", "b", code=1)
    assert "what it did is not undone yet" in refused.err
    assert "smithers up --resume saga" in refused.err
