"""More operations that lose power: travel in a run's history, cleanup, hooks, the overlay of a repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kit import engines, proofs, repos, runs
from reliability.power_cases import Case, Stage, everyday, has_ref, set_run
from reliability.record import Mark, tree_of

RUN = "refs/smithers/runs/r"
ASKED = "9"
"""The frame of the run at which it asked."""


def _did(stage: Stage, *argv: str, code: int = 0) -> None:
    """A command before the recording, in a process of its own."""
    done = runs.program(stage.repo, *argv)
    assert done.returncode == code, f"{argv}: {done.stdout}{done.stderr}"


def _finished(stage: Stage, *names: str) -> None:
    """Runs that are over; their newest frames are noted where no power is lost."""
    set_run(stage)
    for name in names:
        _did(stage, "up", "flow.py", "--run-id", name, code=3)
        _did(stage, "approve", name, "--no-resume")
        _did(stage, "up", "--resume", name)
    tips = proofs.refs(stage.repo, "refs/smithers/runs/")
    (stage.top / "tips").write_text(json.dumps(sorted(tips.values())), "utf-8")


def nothing_lost(stage: Stage) -> None:
    """P9, P1: every frame that was there before is reachable, and git can read it."""
    reachable = set(stage.plain("rev-list", "--all").split())
    gone = [tip for tip in json.loads((stage.top / "tips").read_text("utf-8")) if tip not in reachable]
    assert not gone, f"P9: no ref holds the frames {gone} any more"


def acknowledged(stage: Stage, ref: str, known: list[Mark]) -> None:
    """P1: the chain at `ref` goes on from where it was last said to be."""
    said = [mark.commit for mark in known if mark.ref == ref and mark.kind in ("frame", "rewind")]
    if said:
        assert said[-1] in stage.plain("rev-list", "--first-parent", ref).split(), f"P1: {ref} lost {said[-1]}"


# -- travel


def _set_travel(stage: Stage) -> None:
    _finished(stage, "r")


def _onward(stage: Stage, run: str) -> str:
    stage("up", "--resume", run, codes=(3, 0))
    if engines.state_of(stage.repo, run).end is None:
        stage("approve", run, "--no-resume")
        stage("up", "--resume", run)
    return str(engines.state_of(stage.repo, run).end)


def _recover_travel(stage: Stage, known: list[Mark], _ever: list[Mark], _first: int) -> Any:
    stage("ps", "--all", "--json")
    acknowledged(stage, RUN, known)
    nothing_lost(stage)
    if not proofs.refs(stage.repo, "refs/smithers/rewound/r/"):
        stage("rewind", "r", "--frame", ASKED, "--yes")
    ends = [_onward(stage, "r")]
    if not has_ref(stage, "refs/smithers/runs/two"):
        stage("fork", "r", "--frame", ASKED, "--run-id", "two")
    acknowledged(stage, "refs/smithers/runs/two", known)
    ends.append(_onward(stage, "two"))
    nothing_lost(stage)
    everyday(stage)
    for run in ("r", "two"):
        proofs.files_are_the_frames(stage.repo, run)
    proofs.index_is_a_rebuild(stage.repo)
    proofs.sound(stage.repo)
    return ends


# -- cleanup


def _set_gc(stage: Stage) -> None:
    _finished(stage, "r", "other")


def _recover_gc(stage: Stage, _known: list[Mark], _ever: list[Mark], _first: int) -> Any:
    listed = sorted(row["run"] for row in stage("ps", "--all", "--json")["runs"])
    assert listed == ["other", "r"], f"P9: {listed}"
    nothing_lost(stage)
    stage("gc", "--fold-after", "0s")
    everyday(stage)
    proofs.index_is_a_rebuild(stage.repo)
    stage.plain("gc", "-q", "--prune=now")
    nothing_lost(stage)
    proofs.sound(stage.repo)
    # A branch of a run that a torn record of a worktree holds stays: its commits are in the frames too.
    refs = sorted(name for name in proofs.refs(stage.repo) if not name.startswith("refs/heads/smithers/"))
    return [refs, [row["status"] for row in stage("ps", "--all", "--json")["runs"]]]


# -- hooks


_USERS = "#!/bin/sh\nexit 0\n"


def _set_hooks(stage: Stage) -> None:
    runs.make_repo(stage.repo)
    repos.write(stage.repo, {".git/hooks/pre-commit": _USERS})
    (stage.repo / ".git/hooks/pre-commit").chmod(0o755)


def _recover_hooks(stage: Stage, known: list[Mark], _ever: list[Mark], _first: int) -> Any:
    folder = stage.repo / ".git/hooks"
    assert _USERS in _contents(folder).values(), "P4, P9: the user's own hook is gone"
    if any(mark.kind == "exit" for mark in known):
        ours = [folder / "pre-commit", folder / "post-commit"]
        assert all(path.exists() and "smithers" in path.read_text("utf-8") for path in ours), "P1: a hook is not whole"
    stage("hooks", "install", "pre-commit", "post-commit")
    stage.plain("commit", "-q", "--allow-empty", "-m", "goes on")
    everyday(stage)
    found = _contents(folder)
    assert not [name for name in found if name.startswith(".")], f"drafts are left: {sorted(found)}"
    return sorted(found.items())


def _contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in sorted(folder.iterdir()) if path.is_file()}


# -- the overlay


_INIT = ("init", "--pack", "plan", "--agent", "claude")


def _set_init(stage: Stage) -> None:
    runs.make_repo(stage.repo)


def _recover_init(stage: Stage, known: list[Mark], _ever: list[Mark], _first: int) -> Any:
    overlay = stage.repo / ".smithers"
    if not any(mark.kind == "exit" for mark in known):
        stage(*_INIT)
    stage("ps", "--all", "--json")
    return {path: node.data.decode() for path, node in sorted(tree_of(overlay).items())}


MORE = {
    case.name: case
    for case in (
        Case(
            "travel",
            _set_travel,
            [
                [0, "rewind", "r", "--frame", ASKED, "--yes"],
                [0, "fork", "r", "--frame", ASKED, "--run-id", "two"],
            ],
            _recover_travel,
        ),
        Case("gc", _set_gc, [[0, "gc", "--fold-after", "0s"]], _recover_gc),
        Case("hooks", _set_hooks, [[0, "hooks", "install", "pre-commit", "post-commit"]], _recover_hooks),
        Case("init", _set_init, [[0, *_INIT]], _recover_init),
    )
}
