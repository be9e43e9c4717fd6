"""Processes that the landing probes time: a queue for real, candidates in memory, lanes. Each prints one JSON line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from smithers_git.core.commit_message import is_snapshot
from smithers_git.edge.git.merge import Candidate, Merger
from smithers_git.service import lanes
from smithers_git.service.landing import candidates, desk, request
from smithers_git.service.landing.driver import Driver
from smithers_git.service.landing.ledger import Ledger
from smithers_git.service.project import Project


def git(*args: str, stdin: str | None = None) -> str:
    return subprocess.run(["git", *args], check=True, capture_output=True, text=True, input=stdin).stdout.strip()


def branches(count: int, red: int = 0) -> list[str]:
    """Branches b0, b1, … that each add a file; `red` of them, spread evenly, hold a file that a gate refuses."""
    base, names = git("rev-parse", "HEAD"), []
    for number in range(count):
        name = f"b{number}"
        is_red = red and number % (count // red) == 1
        bad = f"M 100644 inline red-{number}\ndata 1\nx\n" if is_red else ""
        text = (
            f"commit refs/heads/{name}\ncommitter bench <bench> {number + 1} +0000\ndata 4\nwork\nfrom {base}\n"
            f"M 100644 inline new/{name}.txt\ndata 2\nx\n\n{bad}"
        )
        git("fast-import", "--quiet", stdin=text)
        names.append(name)
    return names


def queue(width: int, entries: int, red: int, seconds: float) -> dict[str, float]:
    """Land `entries` of which `red` are red, with gates of a fixed length."""
    lanes.carries = lambda _settings: width
    candidates.lanes.carries = lanes.carries
    project = Project.open(Path.cwd())
    names = branches(entries, red)
    gate = f"sleep {seconds}; ! ls | grep -q ^red-"
    target = ""
    for name in names:
        wish = request.make(project, request.Request(name, gates=(gate,), by="bench"))
        target = wish.target
        desk.enter(project, Ledger(project.objects, target, project.owner), wish, "bench")
    driver = Driver(project, target, lambda _text: None)
    began = time.perf_counter()
    driver.drive(lambda state: not state.waiting())
    wall = time.perf_counter() - began
    state = driver.ledger.state
    runs = sum(one.passed + one.failed for one in state.runs.values())
    return {"wall": wall * 1000, "runs": runs, "landed": sum(one.status == "landed" for one in state.entries.values())}


def merges(count: int) -> dict[str, float]:
    """Candidates on top of each other, each in memory."""
    project = Project.open(Path.cwd())
    merger = Merger(project.repository, project.objects, is_snapshot)
    names = branches(count)
    onto = git("rev-parse", "HEAD")
    began = time.perf_counter()
    for name in names:
        made = merger.candidate(onto, git_ref(project, name), "merge", lambda tree, _text: f"x\n\n{tree}\n", 1)
        assert isinstance(made, Candidate)
        onto = made.commit
    return {"wall": (time.perf_counter() - began) * 1000 / count}


def git_ref(project: Project, name: str) -> str:
    found = project.objects.ref(f"refs/heads/{name}")
    assert found is not None
    return found


def pool(count: int) -> dict[str, float]:
    """`count` trees put into lanes that were used before."""
    project = Project.open(Path.cwd())
    shelf = lanes.Lanes(project)
    names = branches(count)
    for wanted in (["HEAD"] * count, names):
        held = [shelf.take() for _ in wanted]
        began = time.perf_counter()
        for lane, name in zip(held, wanted, strict=True):
            lane.put(git("rev-parse", name))
        wall = (time.perf_counter() - began) * 1000
        for lane in held:
            lane.give_back()
    return {"wall": wall}


if __name__ == "__main__":
    what, *numbers = sys.argv[1:]
    found = {"queue": queue, "merges": merges, "pool": pool}[what](*(float(n) if "." in n else int(n) for n in numbers))
    print(json.dumps(found))
