"""The workflow that the kill loop kills: agents side by side in worktrees, then a loop, functions and commands.

Every attempt leaves a line in a ledger outside of the repository when its work is done, and a line in a file of its
workspace before that. So the ledger tells what was done twice, and the file what was not put back before it was done
again. An agent whose own command was killed, not it, sees that its line is missing, and ends without a result.

Functions follow each other within moments, so that their frames are published together. Each says that it begins: by
then the one before it is done for good, and never begins again.
"""

from __future__ import annotations

from pathlib import Path

from smithers_git.names import TaskKey

_FLOW = """\
import time

from pydantic import BaseModel
from smithers_git import Backoff, CommandResult, Context, Loop, Parallel, Sequence, Task, Worktree, workflow

LEDGERS = {ledgers!r}
SOON = Backoff(first=0.01, factor=1.0)


class Request(BaseModel):
    lanes: int


class Change(BaseModel):
    summary: str


def step(name):
    line = f'sleep 0.02; echo {{name}} >> "made-{{name}}"; ' \\
        f'echo "{{name}} $SMITHERS_ITERATION $SMITHERS_ATTEMPT" >> {{LEDGERS}}/$SMITHERS_RUN'
    if name.endswith("0"):  # it leaves a process behind, which must not outlive it
        line = "(setsid sleep 50 &); " + line
    return Task(name, run=line, retries=1000, backoff=SOON)


def agent(name):
    return Task(name, agent="script", output=Change, prompt="work", retries=1000, backoff=SOON)


def add(first, second):
    time.sleep(0.01)
    return {{"sum": first["n"] + second["n"]}}


def quick(run, number):
    def begin():
        with open(f"{{LEDGERS}}/{{run}}.quick", "a") as file:
            file.write(f"{{number}}\\n")
        return {{"n": number, "text": "x" * 300}}

    return Task(f"quick-{{number}}", call=begin, retries=1000, backoff=SOON)


@workflow(input=Request)
def flow(ctx: Context[Request]):
    checks = ctx.all(CommandResult, "check")
    return Sequence(
        Task("first", value={{"n": 1}}),
        Parallel(
            *[Worktree(f"lane-{{n}}", agent(f"agent-{{n}}"), step(f"step-{{n}}")) for n in range(ctx.input.lanes)],
            Sequence(Task("second", value={{"n": 2}}), step("beside-0")),
        ),
        Loop(
            agent("work"),
            Task("check", run="cat work.txt; echo check >> checked.txt", check=False, retries=1000, backoff=SOON),
            until=len(checks) >= 3,
            max_iterations=3,
        ),
        *[quick(ctx.run, number) for number in range({quick})],
        Task("sum", call=add, retries=1000, backoff=SOON),
        *[step(f"last-{{n}}") for n in range(3)],
    )
"""

_SCRIPT = """\
[[turn]]
node = "agent-*"
say = "writing"
write = [{{ path = "deep/by agent ä.txt", text = "written" }}]
run = [
  "echo $SMITHERS_NODE >> made-$SMITHERS_NODE; sleep 0.03",
  "test -e made-$SMITHERS_NODE && echo $SMITHERS_NODE 0 $SMITHERS_ATTEMPT >> {ledgers}/$SMITHERS_RUN",
  'grep -qx "$SMITHERS_NODE 0 $SMITHERS_ATTEMPT" {ledgers}/$SMITHERS_RUN || kill -9 $PPID',
]
answer = {{ summary = "written" }}

[[turn]]
node = "work"
run = [
  "echo work >> work.txt; echo work $SMITHERS_ITERATION $SMITHERS_ATTEMPT >> {ledgers}/$SMITHERS_RUN",
  'grep -qx "work $SMITHERS_ITERATION $SMITHERS_ATTEMPT" {ledgers}/$SMITHERS_RUN || kill -9 $PPID',
]
answer = {{ summary = "worked" }}
"""

ROUNDS = 3
QUICK = 200


def write(repo: Path, ledgers: Path) -> Path:
    """Write the workflow into `repo`, as `flow.py`; returns the script of its agents."""
    (repo / "flow.py").write_text(_FLOW.format(ledgers=str(ledgers), quick=QUICK), "utf-8")
    script = ledgers / "script.toml"
    script.write_text(_SCRIPT.format(ledgers=ledgers), "utf-8")
    return script


def steps(lanes: int) -> set[TaskKey]:
    """The tasks that leave a line in the ledger."""
    names = [f"{kind}-{lane}" for kind in ("agent", "step") for lane in range(lanes)]
    keys = {TaskKey(name) for name in [*names, "beside-0", "last-0", "last-1", "last-2"]}
    return keys | {TaskKey("work", number) for number in range(ROUNDS)}


def nodes(lanes: int) -> set[TaskKey]:
    """All that is done at the end of a run with so many lanes."""
    checks = {TaskKey("check", number) for number in range(ROUNDS)}
    quick = {f"quick-{number}" for number in range(QUICK)}
    return steps(lanes) | checks | {TaskKey(name) for name in ("first", "second", "sum", *quick)}


def made(lanes: int) -> dict[str, dict[str, bytes]]:
    """What each workspace holds at the end that it did not hold at the start."""
    found = {
        f"lane-{n}": {
            f"made-agent-{n}": f"agent-{n}\n".encode(),
            f"made-step-{n}": f"step-{n}\n".encode(),
            "deep/by agent ä.txt": b"written",
        }
        for n in range(lanes)
    }
    found["main"] = {f"made-{name}": f"{name}\n".encode() for name in ("beside-0", "last-0", "last-1", "last-2")}
    found["main"] |= {"work.txt": b"work\n" * ROUNDS, "checked.txt": b"check\n" * ROUNDS}
    return found
