"""Each workspace has a name and a block of ports of its own, for as long as it is there."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import repos, runs
from kit.runs import Smithers

from smithers_git.core.settings import PortSettings
from smithers_git.edge.git.repository import discover
from smithers_git.edge.lock import FileLock
from smithers_git.edge.ports import is_free
from smithers_git.errors import ConfigError, StorageError
from smithers_git.names import slug
from smithers_git.service.ports import Registry
from smithers_git.service.project import Project
from smithers_git.service.travel import Fork, fork

TELL = "echo $SMITHERS_SLUG $SMITHERS_PORT_BASE $COMPOSE_PROJECT_NAME"
BODY = f"""\
    return Sequence(
        Task("main", run="{TELL} > main.txt", gates=["{TELL} > gate.txt"]),
        Worktree("side", Task("extra", run="{TELL} > side.txt")),
    )
"""


class Clock:
    def __init__(self) -> None:
        self.time = 1e9

    def now(self) -> float:
        return self.time


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "state", PortSettings(first=21_000, block=10, count=5), Clock())  # type: ignore[arg-type]


@pytest.fixture
def claim(registry: Registry, tmp_path: Path):
    def claim(name: str, wanted: int | None = None, *, there: bool = True) -> int:
        folder = tmp_path / name
        if there:
            folder.mkdir(exist_ok=True)
        return registry.claim(folder, tmp_path / f"{name}.lock", wanted)

    return claim


@pytest.fixture
def smithers(tmp_path, monkeypatch, capsys) -> Smithers:
    repo = runs.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    return Smithers(repo, capsys)


# -- names

SPACES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)
RUNS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", fullmatch=True)


@given(RUNS, SPACES)
def test_a_slug_can_name_a_host_and_a_compose_project(run: str, space: str) -> None:
    assert re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", slug(run, space))
    assert slug(run, space) == slug(run, space)


def test_slugs_of_what_reads_the_same_differ() -> None:
    alike = [
        ("a", "b-c"),
        ("a-b", "c"),
        ("a", "B-C"),
        ("a", "b.c"),
        ("a", "b_c"),
        ("x" * 64, "main"),
        ("x" * 63, "main"),
    ]
    assert len({slug(*one) for one in alike}) == len(alike)
    assert slug("k3x9", "main").startswith("k3x9-main-")


# -- blocks


def test_blocks_do_not_overlap_and_stay_with_their_workspace(claim) -> None:
    assert [claim("a"), claim("b"), claim("a"), claim("c")] == [21_000, 21_010, 21_000, 21_020]


def test_a_released_block_goes_to_the_next(claim, registry, tmp_path) -> None:
    assert [claim("a"), claim("b")] == [21_000, 21_010]
    registry.release(tmp_path / "a")
    registry.release(tmp_path / "a")
    assert registry.find(tmp_path / "a") is None
    assert claim("c") == 21_000


def test_the_block_that_a_frame_names_is_taken_when_it_is_free(claim) -> None:
    assert claim("a", 21_030) == 21_030
    assert claim("b", 21_030) == 21_000, "another workspace of this machine has it"
    assert claim("c", 9_999) == 21_010, "another machine has other settings"


def test_a_block_on_which_somebody_listens_is_passed_over(claim) -> None:
    with socket.create_server(("127.0.0.1", 21_005)):
        assert not is_free(21_005)
        assert claim("a") == 21_010
    assert is_free(21_005)
    assert claim("b") == 21_000


def test_a_workspace_that_is_gone_gives_its_block_back_unless_its_run_is_driven(claim, registry, tmp_path) -> None:
    claim("gone", there=False)
    claim("driven", there=False)
    assert claim("fresh") == 21_020, "those may be made any moment"
    registry.clock.time += 7200
    with FileLock(tmp_path / "driven.lock"):
        assert claim("next") == 21_000
        assert claim("more") == 21_030
    assert registry.find(tmp_path / "gone") is None
    assert registry.find(tmp_path / "driven") == 21_010


def test_when_all_blocks_are_taken_it_is_said(claim) -> None:
    for name in "abcde":
        claim(name)
    with pytest.raises(ConfigError, match="all 5 blocks of 10 ports from 21000 on are taken") as caught:
        claim("f")
    assert "smithers gc" in caught.value.hint


def test_larger_blocks_after_a_change_of_settings_do_not_overlap_older_ones(claim, registry, tmp_path) -> None:
    claim("a")
    claim("b")
    wide = Registry(registry.path.parent, PortSettings(first=21_000, block=15, count=4))
    (tmp_path / "w").mkdir()
    assert wide.claim(tmp_path / "w", tmp_path / "w.lock") == 21_030


def test_a_damaged_file_is_said_and_not_passed_over(claim, registry) -> None:
    claim("a")
    registry.path.write_text('{"blocks": [{"first": 1}]}', "utf-8")
    with pytest.raises(StorageError, match="damaged") as caught:
        claim("b")
    assert caught.value.hint == f"rm {registry.path}"


CLAIMER = """
import sys
from pathlib import Path
from smithers_git.core.settings import PortSettings
from smithers_git.service.ports import Registry
home = Path(sys.argv[1])
registry = Registry(home, PortSettings(first=21_000, block=2, count=100))
for number in range(10):
    folder = home.parent / f"{sys.argv[2]}-{number}"
    folder.mkdir()
    print(registry.claim(folder, folder))
"""


def test_processes_at_once_get_blocks_of_their_own(tmp_path) -> None:
    argv = [sys.executable, "-c", CLAIMER, str(tmp_path / "state")]
    started = [subprocess.Popen([*argv, name], stdout=subprocess.PIPE, text=True) for name in "abc"]
    ports = [line for process in started for line in process.communicate(timeout=60)[0].split()]
    assert len(ports) == len(set(ports)) == 30


@pytest.mark.parametrize("values", [{"first": 80}, {"block": 0}, {"first": 60_000, "count": 1000}])
def test_settings_that_cannot_be_are_refused(values) -> None:
    with pytest.raises(ValueError, match=r"port|greater"):
        PortSettings.model_validate(values)


# -- in a run


def _seen(smithers: Smithers, run: str) -> dict[str, list[str]]:
    project = Project.open(smithers.repo)
    spaces = project.workspaces(run)
    return {name: (spaces.path(name) / f"{name}.txt").read_text("utf-8").split() for name in ("main", "side")}


def test_every_process_of_a_workspace_finds_its_name_and_ports(smithers: Smithers) -> None:
    config = smithers.repo / ".smithers" / "config.toml"
    config.parent.mkdir()
    config.write_text(f'[worktree]\nsetup = "{TELL} > $SMITHERS_MAIN/setup-$SMITHERS_SPACE.txt"\n', "utf-8")
    run = smithers.up(body=BODY)
    seen = _seen(smithers, run)
    assert seen["main"][0] == seen["main"][2] == slug(run, "main")
    assert seen["side"][0] == slug(run, "side")
    for name in ("main", "side"):
        assert (smithers.repo / f"setup-{name}.txt").read_text("utf-8").split() == seen[name]
    gate = Project.open(smithers.repo).workspaces(run).path("main") / "gate.txt"
    assert gate.read_text("utf-8").split() == seen["main"]
    spaces = {space["name"]: space for space in smithers.json("inspect", run)["workspaces"]}
    for name, (said, port, _) in seen.items():
        assert (spaces[name]["slug"], spaces[name]["ports"]) == (said, [int(port), int(port) + 9])
    assert spaces["main"]["ports"] != spaces["side"]["ports"]
    state = Project.open(smithers.repo).chain(run).state
    assert {name: str(space.port) for name, space in state.spaces.items()} == {n: s[1] for n, s in seen.items()}


def test_a_fork_has_ports_of_its_own_and_a_removed_workspace_frees_them(smithers: Smithers) -> None:
    run = smithers.up(body=BODY)
    project = Project.open(smithers.repo)
    child = fork(project, run, Fork()).state
    mine = {space.port for space in project.chain(run).state.spaces.values()}
    assert not mine & {space.port for space in child.spaces.values()}
    smithers("gc")
    spaces = project.workspaces(run)
    assert [spaces.ports.find(spaces.path(name)) for name in ("main", "side")] == [None, None]


def test_runs_of_two_repositories_do_not_share_ports(smithers: Smithers, tmp_path: Path) -> None:
    first = smithers.up("--run-id", "same", body=BODY)
    other = Smithers(repos.make_repo(tmp_path / "other"), smithers._capsys)
    other.write(BODY)
    assert runs.program(other.repo, "up", "flow.py", "--run-id", "same").returncode == 0
    ports = {seen[1] for where in (smithers, other) for seen in _seen(where, first).values()}
    assert len(ports) == 4
    assert discover(other.repo).worktree == other.repo


def test_a_run_that_gets_no_ports_says_so_and_can_go_on(smithers: Smithers) -> None:
    config = smithers.repo / ".smithers" / "config.toml"
    config.parent.mkdir()
    config.write_text("[ports]\ncount = 1\n", "utf-8")
    first = smithers.up(body='    return Sequence(Task("a", run="true"), Approval("ok", title="ok?"))\n', code=3)
    run = smithers.up(body='    return Task("a", run="true")\n', code=1)
    assert "all 1 blocks of 10 ports" in smithers.json("inspect", run)["nodes"][0]["error"]
    smithers("deny", first, code=None)
    smithers("gc", "--idle")
    smithers("up", "--resume", run)
