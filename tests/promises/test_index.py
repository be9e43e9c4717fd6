"""P5: the index is disposable, and a run lives wherever its refs are: in a clone, or after the repository moved."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit import engines as kit
from kit import proofs, repos, runs
from kit.repos import git

from smithers_git import cli
from smithers_git.core import events as ev
from smithers_git.edge import boot
from smithers_git.edge.index import VERSION

pytestmark = pytest.mark.usefixtures("warm_reapers")

QUESTIONS = [
    ("ps", "--all"),
    ("inspect", "ship"),
    ("timeline", "ship"),
    ("events", "ship"),
    ("logs", "ship"),
    ("chat", "ship"),
    ("why", "ship"),
    ("output", "ship"),
    ("output", "ship", "test", "--iteration", "0"),
    ("node", "ship", "implement"),
    ("diff", "ship"),
    ("diff", "ship", "implement@1"),
    ("diff", "ship", "1..4"),
    ("inspect", "fork"),
    ("timeline", "done"),
    ("why", "failed"),
    ("inspect", "failed"),
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a waiting, a forked, a finished and a failed run; made once."""
    folder = tmp_path_factory.mktemp("template")
    repo = runs.make_repo(folder / "repo")
    (repo / ".git" / "info" / "exclude").write_text("")
    repos.write(repo, {"flow.py": runs.HEAD + runs.SHIP, ".smithers/script.toml": runs.SCRIPT})
    repos.write(
        repo, {"small.py": runs.HEAD + '    return Task("only", run="echo x > x.txt; exit $CODE", retries=0)\n'}
    )
    repos.commit(repo, {}, "workflows")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.chdir(repo)
        assert cli.run(["up", "flow.py", "--run-id", "ship"]) == 3
        patch.setenv("CODE", "0")
        assert cli.run(["up", "small.py", "--run-id", "done"]) == 0
        patch.setenv("CODE", "7")
        assert cli.run(["up", "small.py", "--run-id", "failed"]) == 1
        assert cli.run(["fork", "ship", "--run-id", "fork", "--frame", "5"]) == 0
    return folder


@pytest.fixture
def repo(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the template, without its worktrees: a copied `.git` describes those of the original."""
    found = tmp_path / "repo"
    shutil.copytree(template / "repo", found, symlinks=True)
    shutil.rmtree(found / ".git" / "worktrees")
    git(found, "update-index", "-q", "--refresh")
    monkeypatch.chdir(found)
    return found


Ask = Callable[[Path], dict[str, Any]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """What every command answers in a repository."""

    def asked(repo: Path) -> dict[str, Any]:
        monkeypatch.chdir(repo)
        smithers = runs.Smithers(repo, capsys)
        said = {" ".join(argv): smithers(*argv, "--json", code=None) for argv in QUESTIONS}
        return {name: (one.code, _anywhere(one.json)) for name, one in said.items()}

    return asked


@pytest.fixture(scope="module")
def _answers() -> dict[str, Any]:
    return {}


@pytest.fixture
def known(repo: Path, ask: Ask, _answers: dict[str, Any]) -> dict[str, Any]:
    """What every command answers in the template and in each copy of it; asked once."""
    if not _answers:
        _answers.update(ask(repo))
    return _answers


def _anywhere(document: Any) -> Any:
    """A document without where the workspaces are: every repository has its own, which may not be made yet."""
    for space in document.get("workspaces", ()) if isinstance(document, dict) else ():
        del space["path"], space["exists"]
    return document


def _delete(path: Path) -> None:
    for name in path.parent.glob(path.name + "*"):
        name.unlink()


def _fill(path: Path, data: bytes) -> None:
    _delete(path)
    path.write_bytes(data)


def _middle(path: Path) -> None:
    """A good head and rubbish behind it: opening it succeeds, reading does not."""
    copy = path.with_name("copy")
    _execute(path, f"VACUUM INTO '{copy}'")
    data = copy.read_bytes()
    copy.unlink()
    _fill(path, data[:1024] + b"\xa5" * (len(data) - 1024))


def _execute(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


DAMAGE: dict[str, Callable[[Path], None]] = {
    "deleted": _delete,
    "empty": lambda path: _fill(path, b""),
    "not a database": lambda path: _fill(path, b"this is no database" * 1000),
    "cut off": lambda path: _fill(path, path.read_bytes()[:5000]),
    "rubbish inside": _middle,
    "of another version": lambda path: _execute(path, f"PRAGMA user_version={VERSION + 7}"),
    "without a table": lambda path: _execute(path, "DROP TABLE runs"),
    "without a column": lambda path: _execute(path, "ALTER TABLE runs DROP COLUMN title"),
    "without its rows": lambda path: _execute(path, "DELETE FROM runs"),
    "with rows of runs that are gone": lambda path: _execute(path, "UPDATE runs SET run = run || 'x'"),
    "with old tips": lambda path: _execute(
        path, "UPDATE runs SET tip = '1111', frame = 0, updated = 0, waiting = '[]'"
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_command_answers_the_same_when_the_index_was(
    repo: Path, damage: str, ask: Ask, known: dict[str, Any]
) -> None:
    assert all(code == 0 for code, _ in known.values()), known
    DAMAGE[damage](repo / ".git" / "smithers" / "index.sqlite")
    for argv, answer in ask(repo).items():
        assert answer == known[argv], argv
    proofs.index_is_a_rebuild(repo)


def test_every_command_answers_the_same_without_the_folder_of_local_state(
    repo: Path, ask: Ask, known: dict[str, Any]
) -> None:
    shutil.rmtree(repo / ".git" / "smithers")
    assert ask(repo) == known


def test_every_command_answers_the_same_in_a_clone_that_fetched_the_refs(
    repo: Path, tmp_path: Path, ask: Ask, known: dict[str, Any]
) -> None:
    clone = _clone(repo, tmp_path / "clone")
    assert ask(clone) == known
    assert proofs.index_rows(clone) == proofs.index_rows(repo)
    proofs.sound(clone)


def _clone(repo: Path, path: Path) -> Path:
    git(repo, "clone", "-q", f"file://{repo}", str(path))
    git(path, "fetch", "-q", "origin", "refs/smithers/*:refs/smithers/*")
    return path


def test_a_fetch_that_moves_a_run_is_seen_at_once(repo: Path, tmp_path: Path, ask: Ask) -> None:
    clone = _clone(repo, tmp_path / "clone")
    ask(clone)
    with kit.engines(repo, tmp_path / "logs") as engines:
        engines.run("approve", "ship", "--no-resume", "--note", "from far away")
        engines.run("cancel", "done", code=1)
        git(repo, "update-ref", "-d", "refs/smithers/runs/failed")
    git(clone, "fetch", "-q", "--prune", "origin", "refs/smithers/*:refs/smithers/*")
    assert ask(clone) == ask(repo)
    assert [row["run"] for row in proofs.index_rows(clone)] == [row["run"] for row in proofs.index_rows(repo)]


@pytest.mark.parametrize("workflow", ["committed", "missing"])
def test_a_fetched_run_goes_on_in_the_clone(
    repo: Path, tmp_path: Path, workflow: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clone = _clone(repo, tmp_path / "clone")
    if workflow == "missing":
        (clone / "flow.py").unlink()
    monkeypatch.chdir(clone)
    smithers = runs.Smithers(clone, capsys)
    smithers("approve", "ship", "--no-resume")
    smithers("up", "--resume", "ship")
    assert kit.state_of(clone, "ship").end == "finished"
    proofs.files_are_the_frames(clone, "ship")
    code = proofs.tree(clone, "refs/smithers/runs/ship:code/main")
    assert code["calc.txt"][1] == b"right\n"
    assert code["done.txt"][1] == b"done\n"
    finished = [e.node for e in kit.events(clone, "ship") if e.type == "task.finished"]
    assert sorted(finished) == sorted(["implement", "test", "implement", "test", "extra", "number", "last"])
    # And home again: the original sees what the clone did.
    git(repo, "fetch", "-q", str(clone), "refs/smithers/runs/ship:refs/smithers/runs/ship")
    monkeypatch.chdir(repo)
    assert runs.Smithers(repo, capsys).json("inspect", "ship")["status"] == "finished"


def test_a_repository_that_was_moved_goes_on(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ask: Ask
) -> None:
    runs.Smithers(repo, capsys)("up", "--resume", "ship", code=3)
    runs.Smithers(repo, capsys)("replay", "ship", "--run-id", "again", code=3)
    before = ask(repo)
    moved = tmp_path / "élsewhere" / "my repo"
    moved.parent.mkdir()
    shutil.move(repo, moved)
    assert ask(moved) == before
    smithers = runs.Smithers(moved, capsys)
    for run in ("ship", "again"):
        smithers("approve", run, "--no-resume")
        smithers("up", "--resume", run)
        proofs.files_are_the_frames(moved, run)
        assert proofs.tree(moved, f"refs/smithers/runs/{run}:code/main")["done.txt"][1] == b"done\n"
    smithers("retry-task", "again", "last")
    assert kit.state_of(moved, "again").end == "finished"
    proofs.sound(moved)


def test_a_run_survives_that_its_base_was_amended_away_and_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that has no workspace yet, so that only frame 0 can hold its base."""
    repo = runs.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    smithers = runs.Smithers(repo, capsys)
    body = '    return Sequence(Approval("ship"), Task("last", run="cat src/app.py > copy.txt"))\n'
    run = smithers.up(body=body, code=3)
    git(repo, "rm", "-q", "-r", "src")
    git(repo, "commit", "-q", "--amend", "-m", "another beginning")
    git(repo, "reflog", "expire", "--expire=now", "--all")
    git(repo, "gc", "-q", "--prune=now")
    smithers("approve", run, "--no-resume")
    smithers("up", "--resume", run)
    assert "copy.txt" in proofs.tree(repo, f"refs/smithers/runs/{run}:code/main")
    proofs.sound(repo)


def _saved(repo: Path, run: str) -> list[ev.SpaceSaved]:
    return [event for event in kit.events(repo, run) if isinstance(event, ev.SpaceSaved)]


@pytest.mark.parametrize(("edited", "started"), [(False, False), (True, False), (False, True), (True, True)])
def test_a_run_that_went_on_elsewhere_and_was_fetched_does_not_lose_what_was_done_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], edited: bool, started: bool
) -> None:
    """The workspace here is behind: nobody here has deleted what it lacks, and no power loss has taken it."""
    repo, clone = runs.make_repo(tmp_path / "repo"), tmp_path / "clone"
    body = "".join(f'Task("t{n}", run="echo {n} > {n}.txt"), Approval("ship-{n}"), ' for n in range(3))
    monkeypatch.chdir(repo)
    here = runs.Smithers(repo, capsys)
    run = here.up(body=f"    return Sequence({body})\n", code=3)
    clone = _clone(repo, clone)
    monkeypatch.chdir(clone)
    there = runs.Smithers(clone, capsys)
    there("approve", run, "--no-resume")
    there("up", "--resume", run, code=3)
    ref = f"refs/smithers/runs/{run}"
    git(repo, "fetch", "-q", str(clone), f"{ref}:{ref}")
    monkeypatch.chdir(repo)
    if started:
        monkeypatch.setattr(boot, "current", lambda: boot.Boot("another", time.time()))
    if edited:
        repos.write(proofs.space_path(repo, run), {"mine.txt": "by hand\n"})
        here("up", "--resume", run, code=3)
        assert git(repo, "show", f"{_saved(repo, run)[-1].commit}:mine.txt") == "by hand"
    here("approve", run, "--no-resume")
    here("up", "--resume", run, code=3)
    saved = [git(repo, "show", "--format=", "--name-only", one.commit) for one in _saved(repo, run)]
    assert saved == (["mine.txt"] if edited else [])
    proofs.files_are_the_frames(repo, run)
    code = proofs.tree(repo, f"{ref}:code/main")
    assert {name: code[name][1] for name in code if name[0].isdigit()} == {f"{n}.txt": b"%d\n" % n for n in range(3)}
    proofs.sound(repo)


def test_the_index_may_be_deleted_while_an_engine_works(repo: Path, tmp_path: Path) -> None:
    body = '    return Sequence(*[Task(f"t{n}", run="sleep 0.02", retries=0) for n in range(12)])\n'
    (repo / "many.py").write_text(runs.HEAD + body)
    index = repo / ".git" / "smithers" / "index.sqlite"
    with kit.engines(repo, tmp_path / "logs") as engines:
        engine = engines.start("up", "many.py", "--run-id", "many")
        for turn in range(8):
            kit.until(lambda: index.exists() or not engine.alive, "the index is there")
            if turn % 2 and index.exists():
                _fill(index, b"rubbish" * 999)
            else:
                _delete(index)
            kit.pause(0.05)
        engine.wait(0)
    proofs.index_is_a_rebuild(repo)
    assert {row["run"] for row in proofs.index_rows(repo)} == {"ship", "fork", "done", "failed", "many"}


def test_many_readers_rebuild_a_broken_index_at_once(repo: Path, tmp_path: Path) -> None:
    _fill(repo / ".git" / "smithers" / "index.sqlite", b"rubbish" * 999)
    with kit.engines(repo, tmp_path / "logs") as engines:
        readers = [engines.start("ps", "--all", "--json") for _ in range(5)]
        said = [(reader.wait(), reader.json) for reader in readers]
    assert all(one == said[0] for one in said)
    assert said[0][0] == 0
    assert len(said[0][1]["runs"]) == 4
    proofs.index_is_a_rebuild(repo)


def test_an_index_that_cannot_be_written_stops_nobody(
    repo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder lies where the file should be: neither opening nor deleting it helps."""
    index = repo / ".git" / "smithers" / "index.sqlite"
    _delete(index)
    (index / "in the way").mkdir(parents=True)
    (repo / "small2.py").write_text(runs.HEAD + '    return Task("only", run="echo x > x.txt")\n')
    smithers = runs.Smithers(repo, capsys)
    run = smithers.json("up", "small2.py")["run"]
    assert kit.state_of(repo, run).end == "finished"
    assert len(smithers.json("ps")["runs"]) == 5
