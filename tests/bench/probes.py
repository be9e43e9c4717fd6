"""The measurements of `make bench`. Each prints its rows; none judges."""

from __future__ import annotations

import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import landing

HERE = Path(__file__).parent

CHAIN = """
from pydantic import BaseModel
from smithers_git import Context, Sequence, Task, workflow

class Request(BaseModel):
    n: int = 200
    pause: float = 0.0

def work(pause):
    def step():
        import time
        time.sleep(pause)
        return {"done": True}
    return step

@workflow(input=Request)
def chain(ctx: Context[Request]):
    if ctx.input.pause:
        return Sequence([Task(f"step-{i}", call=work(ctx.input.pause)) for i in range(ctx.input.n)])
    return Sequence([Task(f"step-{i}", value={"n": i, "text": "x" * 230}) for i in range(ctx.input.n)])
"""

LOOP = """
from pydantic import BaseModel
from smithers_git import Context, Loop, Task, workflow

class Out(BaseModel):
    text: str

class Request(BaseModel):
    n: int = 100

@workflow(input=Request)
def again(ctx: Context[Request]):
    return Loop(
        Task("first", value=Out(text="x" * 230)),
        Task("second", value=Out(text="y" * 230)),
        until=ctx.iteration("again") >= ctx.input.n - 1, max_iterations=ctx.input.n, id="again",
    )
"""

WORKTREES = """
from pydantic import BaseModel
from smithers_git import Context, NoInput, Parallel, Task, Worktree, workflow

@workflow
def ten(ctx: Context[NoInput]):
    return Parallel([Worktree(f"w{i}", Task(f"t{i}", run=["true"])) for i in range(10)])
"""


@dataclass
class Bench:
    base: Path
    rounds: int
    quick: bool = False
    _made: int = 0
    env: dict[str, str] = field(default_factory=dict)
    here: Path = HERE

    def __post_init__(self) -> None:
        home = self.base / "home"
        home.mkdir()
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{who}_{what}": "bench" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }

    def repository(self, flow: str = CHAIN, files: int = 1) -> Path:
        self._made += 1
        repo = self.base / f"r{self._made}"
        repo.mkdir()
        self.git(repo, "init", "-q")
        for number in range(files):
            path = repo / f"d{number % 100}" / f"f{number}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{number}\n" * 40)
        (repo / "flow.py").write_text(flow)
        self.git(repo, "add", "-A")
        self.git(repo, "commit", "-qm", "start")
        return repo

    def git(self, repo: Path, *args: str) -> str:
        return subprocess.run(["git", *args], cwd=repo, env=self.env, check=True, capture_output=True, text=True).stdout

    def python(self, *args: str, cwd: Path | None = None) -> dict[str, float]:
        """Run a Python process; its JSON line, or its whole wall and CPU time in ms and its peak in MB."""
        before = children_cpu()
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *args], cwd=cwd or self.base, env=self.env, check=True, capture_output=True, text=True
        )
        wall = (time.perf_counter() - began) * 1000
        cpu = (children_cpu() - before) * 1000
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        measured: dict[str, float] = json.loads(lines[-1]) if lines and "-m" not in args else {}
        return {"wall": wall, "cpu": cpu, **measured}


def children_cpu() -> float:
    """Seconds that ended children used; os.times knows them in steps of 10 ms, a bare Python takes two of those."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def median(rows: list[dict[str, float]], key: str) -> float:
    return statistics.median(row[key] for row in rows)


def pair(bench: Bench, a: Callable[[], dict[str, float]], b: Callable[[], dict[str, float]]) -> tuple[list, list]:
    """Both in turn, after one uncounted round of each."""
    rows_a, rows_b = [], []
    for turn in range(bench.rounds + (not bench.quick)):
        got_a, got_b = a(), b()
        if turn or bench.quick:
            rows_a.append(got_a)
            rows_b.append(got_b)
    return rows_a, rows_b


def steps(bench: Bench) -> None:
    """overhead per durable step against the same writes in plain pygit2 and sqlite3"""
    cases = [("chain", CHAIN, 200), ("chain", CHAIN, 2000), ("loop x2", LOOP, 100)]
    if bench.quick:
        cases = [("chain", CHAIN, 200), ("loop x2", LOOP, 20)]
    per_step: dict[int, tuple[float, float]] = {}
    for sync in (False, True):
        print(f"  power-loss safety {'on' if sync else 'off (a killed process only)'}:")
        for name, flow, n in cases:
            ours, floor = [], []
            for turn in range(bench.rounds + (not bench.quick)):
                repo = bench.repository(flow)
                got = bench.python(str(HERE / "step.py"), "ours", str(int(sync)), str(n), cwd=repo)
                same = bench.python(str(HERE / "step.py"), "floor", str(int(sync)), str(n), cwd=repo)
                if turn or bench.quick:
                    ours.append(got)
                    floor.append(same)
            ratio = {key: median(ours, key) / median(floor, key) for key in ("step_wall", "step_cpu")}
            cpu, wall = median(ours, "step_cpu"), median(ours, "step_wall")
            print(
                f"    {name:8} {n:5}: {cpu:5.2f} ms CPU, {wall:5.2f} ms wall a step; "
                f"floor {median(floor, 'step_cpu'):5.2f} / {median(floor, 'step_wall'):5.2f}; "
                f"ratio CPU {ratio['step_cpu']:.2f}, wall {ratio['step_wall']:.2f}; peak {median(ours, 'peak'):.0f} MB"
            )
            if name == "chain":
                per_step[n] = (cpu, wall)
        if 200 in per_step and 2000 in per_step:
            (cpu, wall), (cpu_long, wall_long) = per_step[200], per_step[2000]
            print(f"    growth from 200 to 2,000 steps: CPU {cpu_long / cpu:.2f}, wall {wall_long / wall:.2f}")


def size(bench: Bench) -> None:
    """bytes a frame, before and after git gc"""
    n = 200 if bench.quick else 2000
    repo = bench.repository()
    empty = _bytes(repo)
    bench.python(str(HERE / "step.py"), "ours", "0", str(n), cwd=repo)
    before = _bytes(repo)
    bench.git(repo, "gc", "-q")
    after = _bytes(repo)
    print(f"  {n} frames: {(before - empty) / n:.0f} bytes a frame as written, {(after - empty) / n:.0f} after git gc")


def _bytes(repo: Path) -> int:
    return sum(path.stat().st_size for path in (repo / ".git" / "objects").rglob("*") if path.is_file())


def startup(bench: Bench) -> None:
    """start-up of the command line, on the scale of a bare `python -c pass`"""
    repo = bench.repository()
    rounds = [
        ("python -c pass", ["-c", "pass"]),
        ("import click", ["-c", "import click"]),
        ("smithers --version", ["-m", "smithers_git", "--version"]),
        ("smithers --help", ["-m", "smithers_git", "--help"]),
    ]
    rows: dict[str, list[dict[str, float]]] = {name: [] for name, _ in rounds}
    for _ in range(max(3, 3 * bench.rounds)):
        for name, args in rounds:
            rows[name].append(bench.python(*args, cwd=repo))
    bare = median(rows["python -c pass"], "cpu")
    for name, _ in rounds:
        cpu = median(rows[name], "cpu")
        print(f"  {name:20} {cpu:6.0f} ms CPU  ({cpu / bare:.1f}x bare python)")


def listing(bench: Bench) -> None:
    """ps with 500 runs against the bare import of click, pygit2 and sqlite3 (target: under 3x)"""
    repo = bench.repository()
    bench.python(str(HERE / "many.py"), "50" if bench.quick else "500", cwd=repo)
    bench.python("-m", "smithers_git", "ps", cwd=repo)  # the first one fills the index
    ours, bare = pair(
        bench,
        lambda: bench.python("-m", "smithers_git", "ps", cwd=repo),
        lambda: bench.python("-c", "import click, pygit2, sqlite3", cwd=repo),
    )
    for key in ("cpu", "wall"):
        a, b = median(ours, key), median(bare, key)
        print(f"  ps {a:.0f} ms {key}, import {b:.0f}: {a / b:.2f}x")


def worktrees(bench: Bench) -> None:
    """a run of ten worktrees against ten `git worktree add`, 5,000 files"""
    files = 500 if bench.quick else 5000
    repo = bench.repository(WORKTREES, files)

    def ours() -> dict[str, float]:
        return bench.python("-m", "smithers_git", "up", "flow.py", "-c", "10", cwd=repo)

    def plain() -> dict[str, float]:
        began = time.perf_counter()
        for number in range(10):
            bench._made += 1
            bench.git(repo, "worktree", "add", "--detach", str(bench.base / f"w{bench._made}-{number}"))
        return {"wall": (time.perf_counter() - began) * 1000}

    run, adds = pair(bench, ours, plain)
    a, b = median(run, "wall"), median(adds, "wall")
    print(f"  whole run {a:.0f} ms, plain adds {b:.0f}: {a / b:.2f}x")


def resume(bench: Bench) -> None:
    """from a kill -9 to the first new step (target: start-up plus under 500 ms)"""
    repo = bench.repository()
    took, bare = [], []
    for _ in range(bench.rounds):
        start = [sys.executable, "-m", "smithers_git", "up", "flow.py", "-i", '{"n": 200, "pause": 0.02}']
        run = subprocess.Popen([*start, "--run-id", f"k{len(took)}"], cwd=repo, env=bench.env, stderr=subprocess.PIPE)
        ref = repo / ".git" / "refs" / "smithers" / "runs" / f"k{len(took)}"
        assert run.stderr is not None
        for line in run.stderr:
            if b"step-60 finished" in line:
                break
        run.send_signal(signal.SIGKILL)
        run.wait()
        run.stderr.close()
        began = time.perf_counter()
        again = [sys.executable, "-m", "smithers_git", "up", "--resume", ref.name]
        resumed = subprocess.Popen(again, cwd=repo, env=bench.env, stderr=subprocess.PIPE)
        assert resumed.stderr is not None
        for line in resumed.stderr:
            if b"finished" in line:
                took.append({"wall": (time.perf_counter() - began) * 1000})
                break
        resumed.kill()
        resumed.wait()
        resumed.stderr.close()
        bare.append(bench.python("-c", "import click, pygit2, sqlite3, pydantic, sqlite_utils", cwd=repo))
    took_ms, bare_ms = median(took, "wall"), median(bare, "wall")
    print(f"  first new step after {took_ms:.0f} ms; importing the same libraries {bare_ms:.0f} ms")


ALL: dict[str, Callable[[Bench], None]] = {
    "steps": steps,
    "size": size,
    "startup": startup,
    "listing": listing,
    "worktrees": worktrees,
    "resume": resume,
    **landing.ALL,
}
