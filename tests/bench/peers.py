"""The durable step beside its peers: `make bench-peers`.

The same chain of trivial steps, some 230 bytes of JSON each, every step on the disk before the next one begins, power
loss included: ours, the floor of `run.py`, and DBOS, LangGraph and Burr on SQLite with its default synchronous=FULL.
All take turns in one run on one real file system; medians, and ratios of medians. What cannot be had is skipped by
name. With --json the numbers become the report that the page of results shows.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from probes import CHAIN, Bench, median  # noqa: E402
from reliability import report  # noqa: E402

CALLS = """
import json, os, resource, sys, time
from pathlib import Path
from pydantic import BaseModel
from smithers_git import Context, Sequence, Task, workflow

STOP = int(os.environ.get("BENCH_STOP", "-1"))
FOLDER = Path(os.environ.get("BENCH_FOLDER", "."))
AGAIN = (FOLDER / "stopped").exists()

class Request(BaseModel):
    n: int = 200

def work(number):
    def step():
        if AGAIN:
            used = resource.getrusage(resource.RUSAGE_SELF)
            told = {"at": time.time(), "cpu": used.ru_utime + used.ru_stime, "step": number}
            (FOLDER / "resumed").write_text(json.dumps(told))
            os._exit(0)
        if number == STOP:
            (FOLDER / "stopped").touch()
            os._exit(1)
        return {"n": number, "text": "x" * 212}
    return step

@workflow(input=Request)
def chain(ctx: Context[Request]):
    return Sequence([Task(f"step-{i}", call=work(i)) for i in range(ctx.input.n)])
"""

PEERS = ("burr", "langgraph-loop", "langgraph-nodes", "dbos")
NAMES = {
    "values": "smithers-git, values",
    "calls": "smithers-git, calls",
    "floor-values": "floor of values",
    "floor-calls": "floor of calls",
    "burr": "Burr",
    "langgraph-loop": "LangGraph, a loop",
    "langgraph-nodes": "LangGraph, n nodes",
    "dbos": "DBOS",
}
FLUSHES = ("fsync", "fdatasync", "sync_file_range", "msync", "syncfs", "sync")
Numbers = dict[str, float]


class Peers:
    """The programs to measure, each of which runs in a fresh folder."""

    def __init__(self, bench: Bench, cache: Path) -> None:
        self.bench = bench
        self.python = cache / "venv" / "bin" / "python"
        self.there = [name for name in PEERS if self._works(name)]

    def _works(self, name: str) -> bool:
        package = {"dbos": "dbos", "burr": "burr"}.get(name, "langgraph.checkpoint.sqlite")
        found = (
            self.python.exists()
            and not subprocess.run([self.python, "-c", f"import {package}"], capture_output=True).returncode
        )
        if not found:
            print(
                f"  SKIPPED: {NAMES[name]}, which is not in {self.python.parent.parent} (tests/bench/peers/install.sh)"
            )
        return found

    def folder(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="peer-", dir=self.bench.base))

    def command(self, name: str, n: int, folder: Path, stop: int | None = None) -> list[str]:
        more = [] if stop is None else [str(stop)]
        return [str(self.python), str(HERE / "peers" / "chain.py"), name, str(n), str(folder), *more]

    def peer(self, name: str, n: int) -> Numbers:
        done = subprocess.run(
            self.command(name, n, self.folder()), env=self.bench.env, check=True, capture_output=True, text=True
        )
        found: Numbers = json.loads(done.stdout.splitlines()[-1])
        return found

    def ours(self, flow: str, n: int) -> tuple[Numbers, Numbers]:
        """A chain of ours, and the floor that writes the same frames; ms a step, however many frames one takes."""
        repo = self.bench.repository(flow)
        empty = _bytes(repo)
        got = self.bench.python(str(HERE / "step.py"), "ours", "1", str(n), cwd=repo)
        written = _bytes(repo)
        same = self.bench.python(str(HERE / "step.py"), "floor", "1", str(n), cwd=repo)
        frames = int(self.bench.git(repo, "rev-list", "--count", "refs/smithers/runs/bench", "--not", "HEAD"))
        for one in (got, same):
            for key in ("step_wall", "step_cpu"):
                one[key] *= frames / n
        self.bench.python("-m", "smithers_git", "gc", cwd=repo)
        self.bench.git(repo, "gc", "-q", "--prune=now")
        got |= {"frames": frames / n, "bytes": (written - empty) / n, "after_gc": (_bytes(repo) - empty) / n}
        return got, same


def _bytes(repo: Path) -> int:
    return sum(path.stat().st_size for path in (repo / ".git" / "objects").rglob("*") if path.is_file())


def chains(peers: Peers, sizes: tuple[int, ...]) -> dict[tuple[str, int], list[Numbers]]:
    """Every engine at every size, in turn."""
    found: dict[tuple[str, int], list[Numbers]] = {}
    for _ in range(peers.bench.rounds):
        for n in sizes:
            for name, flow in (("values", CHAIN), ("calls", CALLS)):
                got, same = peers.ours(flow, n)
                found.setdefault((name, n), []).append(got)
                found.setdefault((f"floor-{name}", n), []).append(same)
            for name in peers.there:
                found.setdefault((name, n), []).append(peers.peer(name, n))
    return found


def flushes(peers: Peers) -> dict[str, str]:
    """What each engine flushes a step, as strace counts it between a chain of 100 and one of 200."""
    if not shutil.which("strace"):
        print("  SKIPPED: the count of flushes, as there is no strace here")
        return {}
    found = {}
    for name in ("values", "calls", *peers.there):
        counts = [_counted(peers, name, n) for n in (100, 200)]
        each = {call: (counts[1].get(call, 0) - counts[0].get(call, 0)) / 100 for call in FLUSHES}
        found[name] = ", ".join(f"{each[call]:.1f} {call}" for call in FLUSHES if each[call] >= 0.05) or "none"
    return found


def _counted(peers: Peers, name: str, n: int) -> dict[str, int]:
    trace = peers.folder() / "trace"
    if name in PEERS:
        command, cwd = peers.command(name, n, peers.folder()), peers.bench.base
    else:
        cwd = peers.bench.repository({"values": CHAIN, "calls": CALLS}[name])
        command = [sys.executable, str(HERE / "step.py"), "ours", "1", str(n)]
    strace = ["strace", "-f", "-c", "-e", f"trace={','.join(FLUSHES)}", "-o", str(trace)]
    subprocess.run([*strace, *command], cwd=cwd, env=peers.bench.env, check=True, capture_output=True)
    rows = [line.split() for line in trace.read_text().splitlines()]
    return {row[-1]: int(row[3]) for row in rows if row and row[-1] in FLUSHES}


def resumes(peers: Peers, n: int) -> dict[str, list[Numbers]]:
    """Killed in step n - 10 of n: seconds from the start of a new process to the first step that it runs."""
    found: dict[str, list[Numbers]] = {}
    stop = n - 10
    for _ in range(peers.bench.rounds):
        for name in ("calls", *peers.there):
            folder, cwd = peers.folder(), peers.bench.base
            command, again = [peers.command(name, n, folder, stop)] * 2 if name in PEERS else ([], [])
            if name == "calls":
                cwd = peers.bench.repository(CALLS)
                smithers = [sys.executable, "-m", "smithers_git", "up"]
                command = [*smithers, "flow.py", "-i", json.dumps({"n": n}), "--run-id", "bench"]
                again = [*smithers, "--resume", "bench"]
            env = peers.bench.env | {"BENCH_STOP": str(stop), "BENCH_FOLDER": str(folder)}
            subprocess.run(command, cwd=cwd, env=env, capture_output=True)
            began = time.time()
            subprocess.run(again, cwd=cwd, env=env, capture_output=True)
            told = json.loads((folder / "resumed").read_text())
            assert told["step"] == stop, f"{name} ran step {told['step']} again"
            found.setdefault(name, []).append({"wall": told["at"] - began, "cpu": told["cpu"]})
    return found


def starts(peers: Peers) -> dict[str, tuple[Numbers, Numbers]]:
    """Commands that only look, beside a bare Python; medians of many."""
    repo = peers.bench.repository()
    peers.bench.python(str(HERE / "step.py"), "ours", "0", "20", cwd=repo)
    commands = {"smithers --help": ["--help"], "smithers ps": ["ps"]}
    rows: dict[str, list[Numbers]] = {}
    for _ in range(max(3, peers.bench.rounds * 3)):
        rows.setdefault("python -c pass", []).append(peers.bench.python("-c", "pass", cwd=repo))
        for name, args in commands.items():
            rows.setdefault(name, []).append(peers.bench.python("-m", "smithers_git", *args, cwd=repo))
    middle = {name: {key: median(each, key) for key in ("wall", "cpu")} for name, each in rows.items()}
    bare = middle["python -c pass"]
    return {name: (one, {key: one[key] / bare[key] * 20 for key in one}) for name, one in middle.items()}


def table(rows: list[dict[str, str]]) -> None:
    columns = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in columns}
    for row in [dict(zip(columns, columns, strict=True)), *rows]:
        print("  " + "  ".join(row[name].ljust(widths[name]) for name in columns).rstrip())


def _steps(found: dict[tuple[str, int], list[Numbers]], counted: dict[str, str], sizes: tuple[int, ...]) -> list[dict]:
    """One line an engine: ms a step at each size, how much that grows, ratios to ours."""
    rows = []
    small, large = sizes[0], sizes[-1]
    for name in [name for name in NAMES if (name, small) in found]:
        row = {"engine": NAMES[name]}
        for n in sizes:
            cpu, wall = (median(found[name, n], key) for key in ("step_cpu", "step_wall"))
            row |= {f"CPU ms at {n}": f"{cpu:.2f}", f"wall ms at {n}": f"{wall:.2f}"}
        for key, text in (("step_cpu", "CPU"), ("step_wall", "wall")):
            mine = {n: median(found[name, n], key) for n in sizes}
            ours = {n: median(found["calls", n], key) for n in sizes}
            row[f"{text} growth"] = f"{mine[large] / mine[small]:.2f}"
            row[f"{text}, calls = 1"] = " / ".join(f"{mine[n] / ours[n]:.2f}" for n in sizes)
        sized = [one for one in found[name, large] if "bytes" in one]
        row["bytes a step"] = f"{median(sized, 'bytes'):.0f}" if sized else ""
        packed = [one for one in sized if "after_gc" in one]
        row["bytes after gc"] = f"{median(packed, 'after_gc'):.0f}" if packed else ""
        if counted:
            row["flushes a step"] = counted.get(name, "")
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", default="200,2000")
    parser.add_argument("--dir", help="a folder on a real file system, not in memory (default: .cache)")
    parser.add_argument("--json", action="store_true", help="write speed.json into the folder SMITHERS_REPORT")
    options = parser.parse_args()
    cache = Path(os.environ.get("SMITHERS_PEERS_CACHE", ROOT / ".cache" / "peers")).absolute()
    place = Path(options.dir or ROOT / ".cache").absolute()
    place.mkdir(parents=True, exist_ok=True)
    kind = subprocess.run(["stat", "-f", "-c", "%T", place], capture_output=True, text=True).stdout.strip()
    if kind in ("tmpfs", "ramfs"):
        sys.exit(f"{place} is in memory, where a flush costs nothing: say --dir FOLDER-ON-A-DISK")
    sizes = tuple(int(n) for n in options.sizes.split(","))
    base = Path(tempfile.mkdtemp(prefix="bench-peers-", dir=place))
    began = time.monotonic()
    load = os.getloadavg()[0]
    print(f"{options.rounds} round(s) in turn, medians; load {load:.1f}, {os.cpu_count()} cores, {kind} at {base}")
    try:
        peers = Peers(Bench(base, options.rounds), cache)
        found = chains(peers, sizes)
        table(_steps(found, {}, sizes))
        counted = flushes(peers)
        for name, text in counted.items():
            print(f"  {NAMES[name]} flushes {text} a step")
        for name in peers.there:
            first = found[name, sizes[0]][0]
            print(f"  {name} {first['version']}: journal {first['journal']}, synchronous {first['synchronous']}")
        again = resumes(peers, sizes[-1])
        lines = []
        for name, each in again.items():
            lines.append({"engine": NAMES[name], **{key: f"{median(each, key):.2f} s" for key in ("wall", "cpu")}})
        print(f"\nkilled at step {sizes[-1] - 10}: from the start of a process to the first step that it runs")
        table(lines)
        print("\nstart-up; scaled to a bare `python -c pass` of 20 ms")
        looks = starts(peers)
        table(
            [
                {
                    "command": name,
                    **{f"{key} ms": f"{one[key]:.0f}" for key in one},
                    **{f"{key} scaled": f"{scaled[key]:.0f}" for key in scaled},
                }
                for name, (one, scaled) in looks.items()
            ]
        )
        if options.json:
            _report(_steps(found, counted, sizes), lines, looks, found, time.monotonic() - began)
    finally:
        # All at once and at the end: on some file systems making files is slow for a while after many were deleted.
        shutil.rmtree(base, ignore_errors=True)


def _report(rows: list, lines: list, looks: dict, found: dict, seconds: float) -> None:
    sizes = sorted({n for _, n in found})
    counts = {"runs measured": sum(len(each) for each in found.values())}
    counts |= {
        f"{name}, {key} ms scaled": round(scaled[key]) for name, (_, scaled) in looks.items() for key in ("wall", "cpu")
    }
    again = "; ".join(f"{line['engine']} {line['wall']}" for line in lines)
    how = (
        "`make bench-peers`: a chain of trivial steps with 230 bytes of output each, every step safe from power loss "
        "before the next one begins, in turn with the floor (the same objects, written by plain pygit2) and with other "
        "engines on SQLite at synchronous=FULL. Ours has others see such steps every tenth of a second, together; each "
        "of the others' is there for all at once. Ratios count; milliseconds are of one small machine. "
        f"Resume, {sizes[-1]} steps: {again}."
    )
    told = report.Report("speed", (), how, counts, seconds=seconds, rows=tuple(rows))
    report.write(told)


if __name__ == "__main__":
    main()
