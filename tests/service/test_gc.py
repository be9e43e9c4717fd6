"""`gc` takes only what a frame holds, finishes what a killed one began, and prunes nothing that is needed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from kit import repos, runs
from kit.repos import git

from smithers_git import cli
from smithers_git.edge.git import worktree
from smithers_git.edge.git.objects import Objects
from smithers_git.names import ARCHIVE, run_ref
from smithers_git.service import archive, cost, gc, upkeep
from smithers_git.service.gc import Wanted
from smithers_git.service.lanes import Lanes
from smithers_git.service.project import Project
from smithers_git.service.travel import Fork, fork
from smithers_git.service.workspaces import Workspaces

pytestmark = pytest.mark.usefixtures("warm_reapers")

WAITS = '    return Sequence(Task("a", run="echo 1 > a"), Approval("ok", title="ok?"))\n'
BODY = """\
    return Sequence(
        Task("write", run="echo done > done.txt"),
        Worktree("side", Task("extra", run="echo side > side.txt")),
    )
"""
ALL = Wanted(fold_after=-1.0)


@pytest.fixture
def smithers(tmp_path, monkeypatch, capsys) -> runs.Smithers:
    repo = runs.make_repo(tmp_path / "repo")
    monkeypatch.chdir(repo)
    return runs.Smithers(repo, capsys)


@pytest.fixture
def project(smithers) -> Project:
    return Project.open(smithers.repo)


def steps(found: gc.Plan) -> list[tuple[str, str]]:
    return [(step.action, Path(step.target).name) for step in found.steps]


def clear(project: Project, wanted: Wanted = ALL) -> gc.Plan:
    found = gc.plan(project, wanted)
    assert gc.carry_out(project, found, lambda _: None) == []
    return found


def rows(project: Project):
    return project.index.runs()


def test_a_look_changes_nothing(smithers, project):
    run = smithers.up(body=BODY)
    (project.workspaces(run).path("side") / "done.txt").write_text("by hand\n", "utf-8")
    before = repos.contents(smithers.repo), repos.contents(project.workspaces("").root)
    found = gc.plan(project, Wanted(fold_after=-1.0, prune_after=-1.0, keep_size=0, set_aside=True))
    assert (repos.contents(smithers.repo), repos.contents(project.workspaces("").root)) == before
    assert steps(found) == [("remove worktree", "main")]


def test_worktrees_of_a_finished_run_go_and_a_resume_of_another_makes_its_own_again(smithers, project):
    run = smithers.up(body=BODY)
    waiting = smithers.up(
        body='    return Sequence(Task("a", run="echo 1 > a"), Approval("ok", title="ok?"))\n', code=3
    )
    assert steps(clear(project)) == [("remove worktree", "main"), ("remove worktree", "side"), ("fold", run)]
    assert not (project.workspaces(run).root / run).exists()
    assert project.workspaces(waiting).path("main").exists()
    assert steps(clear(project, Wanted(idle=True))) == [("remove worktree", "main")]
    assert not project.workspaces(waiting).path("main").exists()
    smithers("approve", waiting)
    smithers("up", "--resume", waiting, code=None)
    assert Project.open(smithers.repo).chain(waiting).state.end == "finished"


@pytest.mark.parametrize("change", ["edit", "new", "delete", "commit", "repository"])
def test_a_worktree_that_holds_something_else_stays_and_is_named(smithers, project, change):
    run = smithers.up(body=BODY)
    path = project.workspaces(run).path("main")
    {
        "edit": lambda: (path / "done.txt").write_text("mine\n", "utf-8"),
        "new": lambda: (path / "new.txt").write_text("mine\n", "utf-8"),
        "delete": (path / "README.md").unlink,
        "commit": lambda: repos.commit(path, {"new.txt": "mine\n"}),
        "repository": lambda: git(path, "init", "-q", "inner"),
    }[change]()
    found = clear(project)
    assert [kept.target for kept in found.kept] == [str(path)]
    assert path.exists()
    assert not project.workspaces(run).path("side").exists()
    assert project.objects.ref(run_ref(run)) is not None, "a run with work in no frame is not folded"


def test_what_an_agent_hid_with_a_mark_of_the_index_is_seen(smithers, project):
    run = smithers.up(body=BODY)
    path = project.workspaces(run).path("main")
    git(path, "update-index", "--assume-unchanged", "done.txt")
    (path / "done.txt").write_text("mine\n", "utf-8")
    assert [kept.target for kept in gc.plan(project, ALL).kept] == [str(path)]


def test_a_worktree_that_changes_between_the_look_and_the_act_stays(smithers, project):
    run = smithers.up(body=BODY)
    found = gc.plan(project, ALL)
    path = project.workspaces(run).path("main")
    (path / "new.txt").write_text("mine\n", "utf-8")
    refused = gc.carry_out(project, found, lambda _: None)
    assert [Path(kept.target).name for kept in refused] == ["main", run]
    assert (path / "new.txt").read_text("utf-8") == "mine\n"


def test_a_run_that_somebody_took_up_is_left_alone(smithers, project):
    run = smithers.up(body=BODY)
    found = gc.plan(project, ALL)
    with project.lock(run):
        assert gc.plan(project, ALL).steps == []
        refused = gc.carry_out(Project.open(smithers.repo), found, lambda _: None)
    assert {kept.reason for kept in refused} == {"another process has taken up the run"}
    assert project.workspaces(run).path("main").exists()


def test_files_that_were_set_aside_go_only_when_a_frame_holds_them_or_one_says_so(smithers, project):
    run = smithers.up(body=BODY)
    shelf = project.workspaces(run).root / run / ".main.kept"
    (shelf / "1").mkdir(parents=True)
    (shelf / "1" / "copy.txt").write_text("done\n", "utf-8")
    assert ("remove files set aside", ".main.kept") in steps(gc.plan(project, ALL))
    (shelf / "1" / "only.txt").write_text("only here\n", "utf-8")
    found = gc.plan(project, ALL)
    assert [kept.target for kept in found.kept] == [str(shelf)]
    clear(project, Wanted(fold_after=-1.0, set_aside=True))
    assert not shelf.parent.exists()
    assert project.tip(run)
    assert project.objects.ref(run_ref(run)) is None


def test_a_folded_run_is_like_any_other(smithers, project):
    run = smithers.up(body=BODY)
    before = {verb: smithers.json(verb, run) for verb in ("inspect", "timeline")}
    listed, output = smithers.json("ps", "--all"), smithers("output", run, "write").out
    clear(project)
    assert git(smithers.repo, "for-each-ref", "--format=%(refname)", "refs/smithers", "refs/heads/smithers") == ARCHIVE
    assert smithers.json("ps", "--all") == listed
    assert smithers.json("timeline", run) == before["timeline"]
    after = smithers.json("inspect", run)
    assert [space.pop("exists") for space in after["workspaces"]] == [False, False]
    assert after["nodes"] == before["inspect"]["nodes"]
    assert smithers("output", run, "write").out == output
    assert "done.txt" in smithers("diff", run).out
    assert after["next"] == [f"smithers diff {run}", f"smithers land {run}"]
    assert smithers.json("land", run, "--gate", "true", "--dry-run")["conflict"] is None
    smithers("doctor")
    old = rows(project)
    upkeep.reindex(project)
    assert rows(project) == old


def test_a_folded_run_can_be_forked_rewound_and_resumed(smithers, project):
    run = smithers.up(body=BODY)
    clear(project)
    child = fork(project, run, Fork()).run
    assert project.objects.ref(run_ref(child)) is not None
    assert project.objects.ref(run_ref(run)) is None, "a fork only reads"
    smithers("rewind", run, "--frame", "1", "--yes")
    assert project.objects.ref(run_ref(run)) is not None
    smithers("up", "--resume", run)
    assert Project.open(smithers.repo).chain(run).state.end == "finished"
    fresh = Project.open(smithers.repo)
    clear(fresh)
    assert fresh.objects.ref(run_ref(run)) is None
    assert len(archive.tails(fresh.objects, run)) == 1, "the tail that the rewind left is folded with it"


def test_only_runs_that_ended_a_while_ago_are_folded(smithers, project):
    smithers.up(body='    return Task("a", value=1)\n')
    assert steps(gc.plan(project, Wanted())) == []
    assert [action for action, _ in steps(gc.plan(project, Wanted(fold_after=-1.0)))] == ["fold"]


def test_a_damaged_list_of_folded_runs_is_said_by_doctor(smithers, project):
    smithers.up(body=BODY)
    clear(project)
    tip = git(smithers.repo, "rev-parse", f"{ARCHIVE}^{{tree}}")
    (smithers.repo / ".git" / "objects" / tip[:2] / tip[2:]).unlink()
    found = smithers.json("doctor", code=1)["findings"]
    assert [one["text"][:23] for one in found if one["standing"] == "needs you"] == ["the list of folded runs"]


def test_many_runs_are_folded_by_few_commits(smithers, project):
    names = [smithers.up(body='    return Task("a", value=1)\n') for _ in range(3)]
    clear(project)
    assert git(smithers.repo, "rev-list", "--count", "--first-parent", "--grep=^archive", ARCHIVE) == "1"
    assert set(archive.tips(project.objects)) == set(names)


def test_a_branch_that_moved_or_is_checked_out_outlives_the_fold(smithers, project):
    run = smithers.up(body=BODY)
    clear(project, Wanted())
    git(smithers.repo, "checkout", "-q", f"smithers/{run}/main")
    git(smithers.repo, "branch", "-f", f"smithers/{run}/side", "main")
    clear(project)
    left = git(smithers.repo, "for-each-ref", "--format=%(refname:short)", "refs/heads/smithers").split()
    assert left == [f"smithers/{run}/main", f"smithers/{run}/side"]


def test_the_lock_of_a_ref_that_went_goes_with_the_next(smithers, project):
    run = smithers.up(body=BODY)
    clear(project, Wanted(prune_after=-1.0))
    lock = smithers.repo / ".git" / f"{run_ref(run)}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    clear(project)
    assert lock.exists(), "somebody may be at it"
    os.utime(lock, (lock.stat().st_mtime - 60,) * 2)
    clear(project)
    assert not lock.exists()


def test_a_worktree_that_only_git_still_knows_holds_no_branch(smithers, project):
    run = smithers.up(body=BODY)
    records = smithers.repo / ".git" / "worktrees"
    shutil.copytree(records, smithers.repo / "kept")
    clear(project, Wanted())
    shutil.copytree(smithers.repo / "kept", records, dirs_exist_ok=True)  # as after a power loss
    clear(project)
    assert git(smithers.repo, "for-each-ref", "refs/heads/smithers") == ""
    assert len(git(smithers.repo, "worktree", "list").splitlines()) == 1
    assert run in archive.tips(project.objects)


def test_pruning_takes_old_runs_and_never_one_that_is_needed(smithers, project):
    old = smithers.up(body=BODY)
    parent = smithers.up(body=BODY)
    child = fork(project, parent, Fork()).run
    waiting = smithers.up(body='    return Approval("ok", title="ok?")\n', code=3)
    assert [step.run for step in gc.plan(project, Wanted(prune_after=3600.0)).steps if step.action == "prune"] == []
    clear(project, Wanted(prune_after=-1.0))
    assert set(project.tips()) == {parent, child, waiting}
    assert not project.run_dir(old).exists()
    smithers("cancel", child, code=None)
    smithers("up", "--resume", child, code=None)
    clear(project, Wanted(prune_after=-1.0, fold_after=-1.0))
    assert set(project.tips()) == {waiting}
    assert {row.run for row in rows(project)} == {waiting}
    git(smithers.repo, "-c", "gc.reflogExpire=now", "gc", "-q", "--prune=now")
    smithers("doctor")


def test_a_folded_run_is_pruned_too(smithers, project):
    gone, stays = smithers.up(body=BODY), smithers.up(body=BODY)
    clear(project)
    smithers("rewind", stays, "--frame", "1", "--yes")
    clear(project, Wanted(prune_after=-1.0))
    assert set(project.tips()) == {stays}
    assert gone not in archive.tips(project.objects)


def test_the_oldest_go_until_the_rest_fits(smithers, project):
    first, second, third = (smithers.up(body=BODY) for _ in range(3))
    sizes = {one.run: one.frames or 0 for one in cost.costs(project)}
    assert min(sizes.values()) > 500
    clear(project, Wanted(keep_size=sizes[second] + sizes[third] + 10))
    assert set(project.tips()) == {second, third}
    assert first not in project.tips()


class Killed(BaseException):
    """A kill -9 between two steps."""


def _mortal(monkeypatch, lives: int) -> None:
    """Let this process die before its `lives`-th deed."""
    left = [lives]

    def wrap(holder, name):
        real = getattr(holder, name)

        def deed(*args, **kwargs):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*args, **kwargs)

        monkeypatch.setattr(holder, name, deed)

    for holder, name in (
        (Objects, "advance"),
        (Objects, "delete_ref"),
        (worktree, "_delete"),
        (worktree, "forget"),
        (Path, "rename"),
        (Path, "unlink"),
        (Path, "rmdir"),
        (Workspaces, "_command"),
    ):
        wrap(holder, name)


@pytest.mark.parametrize(
    ("wanted", "folded"),
    [(ALL, False), (Wanted(prune_after=-1.0), False), (Wanted(prune_after=-1.0), True)],
    ids=["fold", "prune", "prune-folded"],
)
def test_a_gc_that_is_killed_anywhere_is_finished_by_the_next(smithers, project, monkeypatch, wanted, folded):
    keep = smithers.up(body='    return Approval("ok", title="ok?")\n', code=3)
    lives = 0
    while True:
        run = smithers.up(body='    return Task("write", run="echo done > done.txt")\n')
        if folded:
            clear(Project.open(smithers.repo))
        with monkeypatch.context() as patch:
            _mortal(patch, lives)
            try:
                clear(Project.open(smithers.repo), wanted)
                died = False
            except Killed:
                died = True
        again = Project.open(smithers.repo)
        left = gc.plan(again, wanted)
        assert left.kept == [], f"died before deed {lives}"
        clear(again, wanted)
        assert gc.plan(again, wanted).steps == []
        assert again.workspaces("").root.is_dir() is False or not list(again.workspaces("").root.glob(f"{run}/*"))
        assert git(smithers.repo, "worktree", "list").count("\n") == 0
        refs = git(smithers.repo, "for-each-ref", "--format=%(refname)", "refs/smithers", "refs/heads/smithers")
        if wanted.prune_after is None:
            assert refs.splitlines() == [ARCHIVE, run_ref(keep)]
            assert again.chain(run).state.end == "finished"
        else:
            assert refs.splitlines() == [run_ref(keep)]
        assert set(again.index.tips()) == set(again.tips())
        if not died:
            break
        lives += 1
    assert lives >= (3 if folded else 8)


def test_local_files_of_runs_that_are_gone_are_cleared_away(smithers, project):
    run = smithers.up(body='    return Task("a", value=1)\n')
    stray = project.run_dir("gone")
    stray.mkdir(parents=True)
    (stray / "engine.log").write_text("old\n", "utf-8")
    assert steps(gc.plan(project, Wanted())) == [], "it may belong to a run that is being made"
    os.utime(stray, (1, 1))
    assert steps(clear(project, Wanted())) == [("remove leftover", "gone")]
    assert not stray.exists()
    assert project.tip(run)


def test_what_runs_cost_is_told(smithers):
    runs.play(smithers.repo)
    run = smithers.up(body='    return Task("implement", agent="script", output=Change, prompt="x")\n')
    (one,) = smithers.json("gc", "--costs")["runs"]
    assert (one["run"], one["tokens"], one["money"], one["folded"]) == (run, 1200, 0.25, False)
    assert one["worktrees"] > 0
    assert one["frames"] > 0
    assert json.dumps(one)
    assert cli.run(["gc", "--costs"]) == 0


def test_lanes_of_the_queue_go_unless_a_gate_is_in_them(smithers, project):
    lanes = Lanes(project)
    one, two = lanes.take(), lanes.take()
    for lane in (one, two):
        lane.put(git(smithers.repo, "rev-parse", "HEAD"))
    two.give_back()
    assert steps(clear(Project.open(smithers.repo))) == [("remove lane", "2")]
    assert [path.name for path in sorted(lanes.root.iterdir())] == ["1"]
    one.give_back()
    assert steps(clear(Project.open(smithers.repo))) == [("remove lane", "1")]
    assert git(smithers.repo, "worktree", "list").count("\n") == 0


def test_a_run_whose_name_is_that_of_the_lanes_folder_does_not_mind_them(smithers, project):
    lane = Lanes(project).take()
    lane.put(git(smithers.repo, "rev-parse", "HEAD"))
    run = smithers.up("--run-id", "queue", body=BODY)
    found = gc.plan(project, ALL)
    lane.give_back()
    assert found.kept == []
    assert run not in {kept.run for kept in found.kept}
    assert ("remove worktree", "main") in steps(found)


def test_a_worktree_whose_disk_is_not_mounted_is_not_forgotten(smithers, project, tmp_path):
    run = smithers.up(body=BODY)
    path = project.workspaces(run).path("main")
    (path / "mine.txt").write_text("mine\n", "utf-8")
    project.workspaces("").root.rename(tmp_path / "elsewhere")
    clear(project)
    (tmp_path / "elsewhere").rename(project.workspaces("").root)
    assert [kept.target for kept in gc.plan(project, ALL).kept] == [str(path)]
    assert git(path, "status", "--porcelain") == "?? mine.txt"
