"""One measured process: `step.py ours|floor SYNC N`, in a repository with a flow.py.

`ours` drives the flow; `floor` writes the very same objects, ref moves and rows again, in a fresh repository beside it,
with nothing but pygit2 and sqlite3. With SYNC 1 it keeps the promise of power loss in the cheapest way known: the
bytes of a frame's objects go into one file that does not grow, with one fdatasync, and all behind it is not flushed.
Prints one JSON line with ms a step and MB.
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import sys
import time
from pathlib import Path

import pygit2


def cpu() -> float:
    """User and system time of this process and the children it waited for, in seconds."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def report(began: float, used: float, n: int) -> None:
    wall, spent = time.perf_counter() - began, cpu() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"step_wall": wall / n * 1000, "step_cpu": spent / n * 1000, "peak": peak}))


def ours(sync: bool, n: int) -> None:
    from smithers_git.edge.git.objects import Objects
    from smithers_git.service import drive, launch
    from smithers_git.service.project import Project

    project = Project.open(Path.cwd())
    project.__dict__["objects"] = Objects(project.repository.common_dir, sync=sync)
    made = launch.begin(project, launch.Request("flow.py", {"n": n}, run="bench", cwd=Path.cwd()))
    began, used = time.perf_counter(), cpu()
    state = drive.go(project, made.chain.run, drive.Resume(), drive.Drive())
    assert state.end == "finished", state.error
    report(began, used, state.number)


def floor(sync: bool, n: int) -> None:
    source = pygit2.Repository(".")
    frames = list(source.walk(source.references["refs/smithers/runs/bench"].target, pygit2.enums.SortMode.REVERSE))
    frames = [frame for frame in frames if "frame.json" in frame.tree]
    groups, known = [], set()
    for frame in frames:
        new: list[tuple[int, bytes]] = []
        _collect(source, frame.tree_id, new, known)
        new.append((frame.type, frame.read_raw()))
        groups.append(new)
    pygit2.settings.enable_fsync_gitdir(False)
    place = Path.cwd() / f"floor-{os.getpid()}"
    repo = pygit2.init_repository(str(place), bare=True)
    for kind, data in groups[0]:
        last = repo.write(kind, data)
    repo.references.create("refs/smithers/runs/bench", last)
    db = sqlite3.connect(place / "index.sqlite")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("CREATE TABLE runs (run TEXT PRIMARY KEY, tip TEXT, frame INTEGER, title TEXT, updated REAL)")
    upsert = "INSERT INTO runs VALUES (?,?,?,?,?) ON CONFLICT(run) DO UPDATE SET tip=excluded.tip, frame=excluded.frame"
    journal = os.open(place / "journal", os.O_WRONLY | os.O_CREAT)
    os.write(journal, bytes(sum(len(data) for group in groups for _, data in group)))
    os.fsync(journal)
    os.lseek(journal, 0, os.SEEK_SET)
    began, used = time.perf_counter(), cpu()
    for number, group in enumerate(groups[1:]):
        if sync:
            os.write(journal, b"".join(data for _, data in group))
            os.fdatasync(journal)
        for kind, data in group:
            last = repo.write(kind, data)
        repo.references["refs/smithers/runs/bench"].set_target(last)
        with db:
            db.execute(upsert, ("bench", str(last), number, "a title", 0.0))
    report(began, used, len(groups) - 1)


def _collect(repo: pygit2.Repository, tree: pygit2.Oid, new: list[tuple[int, bytes]], known: set[pygit2.Oid]) -> None:
    """Every object below `tree` that no earlier frame wrote, children first."""
    if tree in known:
        return
    known.add(tree)
    for entry in repo[tree]:
        if entry.type == pygit2.enums.ObjectType.TREE:
            _collect(repo, entry.id, new, known)
        elif entry.id not in known:
            known.add(entry.id)
            new.append((entry.type, repo[entry.id].read_raw()))
    new.append((pygit2.enums.ObjectType.TREE, repo[tree].read_raw()))


if __name__ == "__main__":
    {"ours": ours, "floor": floor}[sys.argv[1]](sys.argv[2] == "1", int(sys.argv[3]))
