"""What runs cost in git: exact, for many of them at once."""

from __future__ import annotations

import pytest
from kit import repos, runs

from smithers_git.edge.git import usage
from smithers_git.service import cost
from smithers_git.service.project import Project

pytestmark = pytest.mark.usefixtures("warm_reapers")

BODY = """    return Sequence(Task("write", run="echo $SMITHERS_RUN > mine.txt"), Task("number", value={"a": 1}))
"""


@pytest.fixture
def smithers(tmp_path, capsys, monkeypatch):
    repo = runs.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    return runs.Smithers(repo, capsys)


def frames(smithers) -> dict[str, int | None]:
    return {one.run: one.frames for one in cost.costs(Project.open(smithers.repo))}


def whole(smithers, *tips: str) -> int:
    return usage.disk_usage(smithers.repo / ".git", tips, ["refs/heads/main"])


def test_the_costs_of_all_runs_are_what_all_their_refs_cost(smithers):
    first = smithers.up(body=BODY)
    alone = frames(smithers)[first]
    assert alone == whole(smithers, f"refs/smithers/runs/{first}")
    second = smithers.up()
    smithers("rewind", second, "--frame", "2", "--yes")
    fork = smithers.json("fork", first, "--frame", "2")["run"]
    found = frames(smithers)
    assert found[first] == alone, "what others share with the oldest counts for that one"
    assert 0 < (found[fork] or 0) < (found[second] or 0)
    every = repos.git(smithers.repo, "for-each-ref", "--format=%(refname)", "refs/smithers", "refs/heads/smithers")
    assert sum(size or 0 for size in found.values()) == whole(smithers, *every.split())


def test_however_many_runs_there_are_two_processes_tell(smithers, monkeypatch):
    for _ in range(3):
        smithers.up(body=BODY)
    asked = []
    real = usage.git
    monkeypatch.setattr(usage, "git", lambda *args, **options: asked.append(args) or real(*args, **options))
    assert None not in frames(smithers).values()
    assert len(asked) == 2


def test_a_damaged_run_hides_only_its_own_cost(smithers):
    # Of two runs that end alike to the millisecond, the outputs are one object.
    whole_run, torn = smithers.up(body=BODY), smithers.up(body=BODY.replace('{"a": 1}', '{"a": 2}'))
    project = Project.open(smithers.repo)
    tree = project.objects.read_commit(project.objects.ref(f"refs/smithers/runs/{torn}")).tree
    blob = project.objects.find(tree, "outputs")
    assert blob
    for path in (smithers.repo / ".git" / "objects" / blob[:2]).glob(blob[2:]):
        path.unlink()
    found = frames(smithers)
    assert found[torn] is None
    assert found[whole_run]
